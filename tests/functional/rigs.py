"""A sandbox's device of each mode, wired by that mode's data plane; behind it a gateway, and behind that the world."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

from fairlead.adapters.vif.nic import Kind, NicDataplane
from fairlead.adapters.vif.veth_routes import RoutedDataplane
from fairlead.adapters.wired.nothing import NothingToWaitFor
from fairlead.model.sandbox import SandboxConfig, SandboxRoute
from fairlead.model.vif import Vif
from tests.functional.conftest import Host, SandboxMaker, attachment
from tests.functional.namespaces import Sandbox, run
from tests.functional.test_nic import OneNic

WORLD = ("192.0.2.1", "2001:db8::1")
NOBODY = ("192.0.2.99", "2001:db8::99")
MTU = 1442
_DEFAULTS = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class Here:
    """The host's own namespace, as if it were a sandbox."""

    def command(self, *command: str) -> list[str]:
        return list(command)

    def run(self, *command: str, check: bool = True) -> str:
        return run(*command, check=check)


@dataclass
class Rig:
    """A device that waits for a sandbox. world: where WORLD answers, and NOBODY does not."""

    vif: Vif
    config: SandboxConfig
    world: Sandbox | Here
    wire: Callable[[], Awaitable[None]]
    remove: Callable[[], Awaitable[None]]


def on_a_link(vif: Vif, mtu: int, own_mac: bool = True) -> SandboxConfig:
    """What a container of a network with a gateway is to have."""
    return SandboxConfig(
        device=vif.sandbox_device,
        mac=vif.mac if own_mac else "",
        mtu=mtu,
        addresses=(ip_interface("10.77.0.5/24"), ip_interface("fd77::5/64")),
        routes=tuple(
            SandboxRoute(destination, ip_address(via))
            for destination, via in zip(_DEFAULTS, ("10.77.0.1", "fd77::1"), strict=True)
        ),
    )


def be_the_world(
    gateway: Sandbox | Here, device: str, addresses: Sequence[str] = ("10.77.0.1/24", "fd77::1/64")
) -> None:
    for one in (*addresses, *(f"{address}/{128 if ':' in address else 32}" for address in WORLD)):
        gateway.run("ip", "address", "add", one, "dev", device, *(["nodad"] if ":" in one else []))
    gateway.run("ip", "link", "set", device, "up")


async def ovs_rig(host: Host, sandbox: SandboxMaker, mtu: int) -> Rig:
    gateway = sandbox()
    await host.dataplane.apply(attachment(9, mtu=mtu))
    gateway.take(attachment(9).sandbox_device)
    be_the_world(gateway, "eth0")
    vif = attachment(1, mtu=mtu)
    return Rig(
        vif,
        on_a_link(vif, mtu),
        gateway,
        lambda: host.dataplane.apply(vif),
        lambda: host.dataplane.remove(vif.id),
    )


async def routed_rig(mtu: int) -> Rig:
    dataplane = RoutedDataplane()
    be_the_world(Here(), "lo", ())
    addresses, gateways = ("10.60.7.2", "fd00:60::7:2"), ("10.60.0.1", "fd00:60::1")
    vif = Vif(
        "2".ljust(64, "e"),
        "",
        "02:42:00:00:00:02",
        mtu,
        addresses=tuple(map(ip_address, addresses)),
        gateways=tuple(map(ip_address, gateways)),
    )
    # A default route is told before the one to its gateway: what order they are made in is not the caller's to know.
    routes = [SandboxRoute(to, ip_address(via)) for to, via in zip(_DEFAULTS, gateways, strict=True)]
    routes += [SandboxRoute(ip_network(via)) for via in gateways]
    config = SandboxConfig(
        vif.sandbox_device,
        vif.mac,
        mtu,
        tuple(ip_interface(f"{one}/{one.max_prefixlen}") for one in vif.addresses),
        tuple(routes),
    )
    return Rig(vif, config, Here(), lambda: dataplane.apply(vif), lambda: dataplane.remove(vif.id))


async def nic_rig(kind: Kind, sandbox: SandboxMaker, folder: Path, mtu: int) -> Rig:
    """Raises DataplaneError where the kernel lacks the kind of device."""
    dataplane = NicDataplane(kind, OneNic(), NothingToWaitFor(), folders=[folder])
    run("ip", "link", "add", "nic0", "mtu", "9000", "type", "veth", "peer", "name", "wire0", "mtu", "9000")
    run("ip", "link", "set", "nic0", "up")
    await dataplane.check()
    gateway = sandbox()
    run("ip", "link", "set", "wire0", "netns", str(gateway.pid))
    device, vlan = "wire0", 0
    if kind.name == "vlan":
        gateway.run("ip", "link", "set", "wire0", "up")
        device, vlan = "wire0.101", 101
        gateway.run("ip", "link", "add", device, "link", "wire0", "type", "vlan", "id", "101")
    be_the_world(gateway, device)
    number = "00000001-0000-4000-8000-000000000000"
    vif = Vif(number, number, "fa:16:3e:00:01:01" if kind.own_mac else "", mtu, vlan=vlan)
    return Rig(
        vif,
        on_a_link(vif, mtu, kind.own_mac),
        gateway,
        lambda: dataplane.apply(vif),
        lambda: dataplane.remove(vif.id),
    )
