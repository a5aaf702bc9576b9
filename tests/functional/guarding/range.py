"""A node with everything around it that may send, in namespaces, and those who listen."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

from fairlead.adapters.kernel.nft import NftGuard
from fairlead.adapters.kernel.ruleset import Openings
from fairlead.adapters.vif.veth_routes import RoutedDataplane, become_router
from fairlead.model.vif import Vif
from fairlead.ports.guard import GuardedNetwork, GuardedNode
from tests.functional.guarding.frames import Address
from tests.functional.namespaces import Sandbox, links, new_namespace, run

ROOT = Path(__file__).parents[3]
PORT, HINTS = 5000, 7170
NIC, BRIDGE, FAR = "nic", "docker0", "far"

NODE = {4: ip_address("10.30.0.5"), 6: ip_address("fd00:30::5")}
PEER = {4: ip_address("10.30.0.6"), 6: ip_address("fd00:30::6")}
WORLD = {4: ip_address("198.51.100.7"), 6: ip_address("fd00:99::7")}
ROUTER = {4: ip_address("10.30.0.1"), 6: ip_address("fd00:30::1")}
ON_BRIDGE = {4: ip_address("172.17.0.2"), 6: ip_address("fd00:17::2")}
LINK_LOCAL = {4: ip_address("169.254.7.7"), 6: ip_address("fe80::7:7")}
MULTICAST = {4: ip_address("239.1.1.7"), 6: ip_address("ff05::7")}
METADATA = {4: ip_address("169.254.169.254"), 6: ip_address("fe80::a9fe:a9fe")}


@dataclass(frozen=True)
class Net:
    """A network. number: of its ranges 10.N.0.0/16 and fd00:N::/64, of which this node has a part."""

    number: int
    internal: bool = False

    @property
    def guarded(self) -> GuardedNetwork:
        ranges = (ip_network(f"10.{self.number}.0.0/16"), ip_network(f"fd00:{self.number}::/64"))
        blocks = (ip_network(f"10.{self.number}.7.0/26"), ip_network(f"fd00:{self.number}::7:0/112"))
        return GuardedNetwork(ranges, blocks, (self.gateway(4), self.gateway(6)), internal=self.internal)

    def gateway(self, version: int) -> Address:
        return ip_address(f"10.{self.number}.0.1" if version == 4 else f"fd00:{self.number}::1")

    def here(self, last: int, version: int) -> Address:
        """An address of this node's part."""
        return ip_address(f"10.{self.number}.7.{last}" if version == 4 else f"fd00:{self.number}::7:{last}")

    def there(self, version: int) -> Address:
        """An address of another node's part."""
        return ip_address(f"10.{self.number}.5.5" if version == 4 else f"fd00:{self.number}::5:5")


WEB, DB, INNER = Net(60), Net(61), Net(62, internal=True)

GUARDED = GuardedNode(tuple(net.guarded for net in (WEB, DB, INNER)), NIC, tuple(PEER.values()))


@dataclass(frozen=True)
class Container:
    """A container of Fairlead's, the last of its addresses, and how it reaches the node."""

    net: Net
    last: int
    sandbox: Sandbox
    vif: Vif
    host_mac: str
    host_link_local: IPv6Address


@dataclass
class Range:
    """All of it. on_bridge: a container of Docker's own; outside: whatever is behind the NIC."""

    guard: NftGuard
    dataplane: RoutedDataplane
    containers: dict[tuple[Net, int], Container] = field(default_factory=dict)
    on_bridge: Sandbox = field(default_factory=Sandbox)
    outside: Sandbox = field(default_factory=Sandbox)
    macs: dict[str, str] = field(default_factory=dict)

    async def build(self) -> None:
        """Make it all; the kernel as lenient as an operator may have it, so that nothing but the filter decides."""
        for name in ("ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter", "ipv6/conf/default/dad_transmits"):
            Path("/proc/sys/net", name).write_text("0")
        run("ip", "link", "add", NIC, "type", "veth", "peer", "name", FAR)
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "link", "add", "d0", "master", BRIDGE, "type", "veth", "peer", "name", "d1")
        Path("/proc/sys/net/ipv6/conf/docker0/accept_ra").write_text("0")  # as dockerd does
        for device in (NIC, BRIDGE, "d0"):
            run("ip", "link", "set", device, "up")
        for version, length in ((4, 24), (6, 64)):
            run("ip", "address", "add", f"{NODE[version]}/{length}", "dev", NIC)
            run("ip", f"-{version}", "route", "add", "default", "via", str(ROUTER[version]), "dev", NIC)
        run("ip", "address", "add", "172.17.0.1/16", "dev", BRIDGE)
        run("ip", "address", "add", "fd00:17::1/64", "dev", BRIDGE)
        become_router(NIC)
        # Where an operator lets the node believe any router, a container must not be one.
        Path("/proc/sys/net/ipv6/conf/default/accept_ra").write_text("2")
        self._set_up_others()
        for net in (WEB, DB, INNER):
            for last in (2, 3, 4):
                await self._plug(net, last)
        await self.guard.put(GUARDED)
        self.macs = {name: str(link["address"]) for name, link in links().items()}

    def _set_up_others(self) -> None:
        self.outside.take(FAR)
        self.on_bridge.take("d1")
        for version, addresses in ((4, (ROUTER, PEER)), (6, (ROUTER, PEER, METADATA))):
            length = 24 if version == 4 else 64
            for one in addresses:
                self.outside.run("ip", "address", "add", f"{one[version]}/{length}", "dev", "eth0", "nodad")
        for alone in (METADATA[4], *WORLD.values(), *(WEB.there(version) for version in (4, 6))):
            self.outside.run("ip", "address", "add", f"{alone}/{alone.max_prefixlen}", "dev", "lo")
        for version, gateway in ((4, "172.17.0.1"), (6, "fd00:17::1")):
            address = f"{ON_BRIDGE[version]}/{16 if version == 4 else 64}"
            self.on_bridge.run("ip", "address", "add", address, "dev", "eth0", *(["nodad"] if version == 6 else []))
            self.on_bridge.run("ip", f"-{version}", "route", "add", "default", "via", gateway)

    async def _plug(self, net: Net, last: int) -> None:
        addresses, gateways = (net.here(last, 4), net.here(last, 6)), (net.gateway(4), net.gateway(6))
        vif = Vif(
            f"{net.number:06d}{last:05d}" + "e" * 53,
            "",
            f"02:42:00:00:{net.number:02x}:{last:02x}",
            1442,
            addresses=addresses,
            gateways=gateways,
        )
        await self.dataplane.apply(vif)
        sandbox = Sandbox()
        sandbox.take(vif.sandbox_device)
        for address, gateway in zip(addresses, gateways, strict=True):
            alone, nodad = f"{address}/{address.max_prefixlen}", ["nodad"] if address.version == 6 else []
            sandbox.run("ip", "address", "add", alone, "dev", "eth0", *nodad)
            sandbox.run("ip", "route", "add", f"{gateway}/{gateway.max_prefixlen}", "dev", "eth0")
            sandbox.run("ip", f"-{address.version}", "route", "add", "default", "via", str(gateway))
        host = links()[vif.host_device]
        shown = json.loads(run("ip", "-j", "-6", "address", "show", "dev", vif.host_device, "scope", "link"))
        (link_local,) = [
            one["local"] for link in shown for one in link.get("addr_info", ()) if one.get("scope") == "link"
        ]
        self.containers[net, last] = Container(net, last, sandbox, vif, str(host["address"]), IPv6Address(link_local))

    def close(self) -> None:
        for one in (self.on_bridge, self.outside, *(one.sandbox for one in self.containers.values())):
            one.close()


@contextmanager
def new_range(openings: Openings) -> Iterator[Range]:
    """Stand in the node's namespace. The range is not built yet."""
    with new_namespace():
        made = Range(NftGuard(openings), RoutedDataplane())
        try:
            yield made
        finally:
            made.close()


def fire(sandbox: Sandbox, frames: Sequence[bytes]) -> None:
    """Send frames by a sandbox's only device, in one process."""
    code = (
        "import sys; from tests.functional.guarding.frames import shoot;"
        "shoot('eth0', [bytes.fromhex(line) for line in sys.stdin.read().split()])"
    )
    text = "\n".join(frame.hex() for frame in frames)
    subprocess.run(sandbox.command(sys.executable, "-c", code), input=text, text=True, check=True, cwd=ROOT)


_LISTEN = """
import json, select, socket, sys
socks = []
for port in map(int, sys.argv[1:]):
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
    one.bind(("::", port))
    socks.append(one)
print("ready", flush=True)
heard, ending = [], False
while True:
    readable, _, _ = select.select([*socks, *([] if ending else [sys.stdin])], [], [], 0.2 if ending else None)
    if not readable and ending:
        break
    for one in readable:
        if one is sys.stdin:
            ending = True
        else:
            data, sender = one.recvfrom(4096)
            heard.append((data[:4].hex(), sender[0]))
print(json.dumps(heard))
"""


class Listener:
    """Hears all datagrams to some ports of one namespace, its own where sandbox is None."""

    def __init__(self, sandbox: Sandbox | None, *ports: int) -> None:
        command = [sys.executable, "-c", _LISTEN, *map(str, ports)]
        self._process = subprocess.Popen(
            sandbox.command(*command) if sandbox else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"

    def heard(self) -> dict[int, str]:
        """Whom each datagram came from, by the number in it; nothing more is heard afterwards."""
        said, _ = self._process.communicate("")
        return {int(number, 16): sender for number, sender in json.loads(said)}

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextmanager
def listening(places: Mapping[str, tuple[Sandbox | None, Iterable[int]]]) -> Iterator[dict[str, Listener]]:
    """Listen at several places; those that are not asked what they heard end with the context."""
    with ExitStack() as ended:
        listeners = {}
        for name, (sandbox, ports) in places.items():
            listeners[name] = Listener(sandbox, *ports)
            ended.callback(listeners[name].close)
        yield listeners


def neighbours() -> set[tuple[str, str]]:
    """Who the node believes has an address, as (MAC, device)."""
    shown = json.loads(run("ip", "-j", "neigh", "show"))
    return {(one["lladdr"], one["dev"]) for one in shown if "lladdr" in one}


def as_ipv4(address: Address) -> IPv4Address:
    assert isinstance(address, IPv4Address)
    return address


def as_ipv6(address: Address) -> IPv6Address:
    assert isinstance(address, IPv6Address)
    return address
