"""Real flannel on the lab's hosts: with a backend of its own, and what its `extension` backend gives to commands."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Network
from pathlib import Path

import pytest

from fairlead.model.errors import LabError
from fairlead_lab import Lab
from fairlead_lab.cgroups import members
from fairlead_lab.flannel import Etcd, Flanneld, clean, pod, subnet_env
from fairlead_lab.host import Host
from fairlead_lab.spec import underlay_address
from tests.e2e.docker import eventually

pytestmark = pytest.mark.real

PROGRAMS = Path(__file__).parents[2] / "build/flannel/bin"
NETWORK, NETWORK6 = "10.5.0.0/16", "fc00:5::/48"

RECORDER = f"""#!{sys.executable}
import fcntl, json, os, sys
with open(os.path.dirname(__file__) + "/" + os.uname().nodename, "a") as calls:
    fcntl.flock(calls, fcntl.LOCK_EX)
    print(json.dumps([sys.argv[1:], dict(os.environ), sys.stdin.read()]), file=calls)
if sys.argv[1] == "pre-startup":
    print("a port of", os.uname().nodename, flush=True)
    print("and a warning", file=sys.stderr)
"""


@dataclass(frozen=True)
class Call:
    """What a command was given: arguments, what the environment has beyond flanneld's, standard input."""

    arguments: list[str]
    environment: dict[str, str]
    stdin: str


@dataclass(frozen=True)
class Recorder:
    """An executable for the `extension` backend that only notes how it is called."""

    path: Path

    def backend(self) -> dict[str, str]:
        return {
            "Type": "extension",
            "PreStartupCommand": f"{self.path} pre-startup",
            "PostStartupCommand": f"{self.path} post-startup ${{SUBNET}} 'no shell'",
            "SubnetAddCommand": f"{self.path} subnet-add",
            "SubnetRemoveCommand": f"{self.path} subnet-remove",
        }

    def calls(self, node: Flanneld) -> list[Call]:
        """All calls on a node, whose flanneld must run."""
        pairs = Path(f"/proc/{node.daemon.pid}/environ").read_text().rstrip("\0").split("\0")
        own = dict(pair.split("=", 1) for pair in pairs)
        file = self.path.with_name(node.daemon.host.name)
        lines = file.read_text().splitlines() if file.exists() else []
        return [
            Call(arguments, {k: v for k, v in env.items() if own.get(k) != v}, stdin)
            for arguments, env, stdin in map(json.loads, lines)
        ]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    path = tmp_path / "recorder"
    path.write_text(RECORDER)
    path.chmod(0o755)
    return Recorder(path)


@pytest.fixture
def etcd(lab: Lab) -> Iterator[Etcd]:
    with Etcd(lab.host("fabric"), PROGRAMS, lab.paths.log) as running:
        yield running


@pytest.fixture
def join(lab: Lab, etcd: Etcd) -> Iterator[Callable[..., Flanneld]]:
    """Start flanneld on a host of the underlay."""
    with ExitStack() as nodes:

        def start(name: str, *flags: str) -> Flanneld:
            host = lab.host(name)
            nodes.callback(clean, host, NETWORK, NETWORK6)
            device = underlay_device(host)
            return nodes.enter_context(Flanneld(host, etcd.url, PROGRAMS, lab.paths.log, interface=device, flags=flags))

        yield start


@pytest.fixture
def both_families(lab: Lab) -> Iterator[None]:
    """IPv6 addresses beside IPv4's on the underlay of both hosts."""
    with ExitStack() as undo:
        for number, name in enumerate(("h1", "h2"), 1):
            host = lab.host(name)
            device = underlay_device(host)
            host.run(["ip", "address", "add", f"fd00:c0::{number}/64", "dev", device, "nodad"])
            undo.callback(host.run, ["ip", "address", "delete", f"fd00:c0::{number}/64", "dev", device])
        yield


def underlay_device(host: Host) -> str:
    address = str(underlay_address(host.name))
    shown = json.loads(host.run(["ip", "-j", "address"]).stdout)
    (device,) = (one["ifname"] for one in shown if any(info["local"] == address for info in one["addr_info"]))
    assert isinstance(device, str)
    return device


def state(host: Host) -> list[str]:
    """Show what of flannel's could be on a host: devices, routes, namespaces, packet filters, files."""
    shown = host.run(
        ["sh", "-c", "ip -o link | cut -d' ' -f2; ip route; ip -6 route; ip netns; ls -d /run/* /var/lib/cni"],
        check=False,
    )
    filters = host.run(["sh", "-c", "iptables-save; ip6tables-save"]).stdout.splitlines()
    rules = [line for line in filters if line.startswith("-A") or " - [" in line]
    # `ip netns` makes its folder once and leaves it, as on any machine.
    lines = [line for line in shown.stdout.splitlines() if line != "/run/netns"]
    return sorted([*lines, *(rule.split(" [")[0] for rule in rules)])


def test_pods_on_two_hosts_reach_each_other_and_nothing_is_left(lab: Lab, etcd: Etcd, both_families: None) -> None:
    hosts = lab.host("h1"), lab.host("h2")
    before = [state(host) for host in hosts]
    etcd.configure({"Network": NETWORK, "EnableIPv6": True, "IPv6Network": NETWORK6, "Backend": {"Type": "host-gw"}})
    with ExitStack() as all_of_it:
        pods = []
        for host in hosts:
            all_of_it.callback(clean, host, NETWORK, NETWORK6)
            all_of_it.enter_context(
                Flanneld(host, etcd.url, PROGRAMS, lab.paths.log, interface=underlay_device(host), flags=["-ip-masq"])
            )
            one = all_of_it.enter_context(pod(host, "web", PROGRAMS))
            lease = etcd.lease_of(underlay_address(host.name))
            assert (lease.backend_type, lease.backend_data) == ("host-gw", None)
            assert subnet_env(host)["FLANNEL_NETWORK"] == NETWORK
            assert IPv4Interface(subnet_env(host)["FLANNEL_SUBNET"]).network == lease.subnet
            address, address6 = one.addresses
            assert address in lease.subnet
            assert lease.subnet6 is not None
            assert address6 in lease.subnet6
            pods.append(one)
        for one, other in (pods, reversed(pods)):
            for target in other.addresses:
                ping = ["busybox", "ping", "-c", "1", "-W", "1", str(target)]
                assert eventually(lambda one=one, ping=ping: one.run(ping, check=False).returncode == 0)
    assert [state(host) for host in hosts] == before


INTERRUPTED = """
import sys, time
from fairlead_lab import Lab
from fairlead_lab.flannel import Etcd, Flanneld, clean, pod, subnet_env
from tests.e2e.test_flannel import NETWORK, PROGRAMS, underlay_device

lab = Lab.load(sys.argv[1])
host = lab.host("h1")
with Etcd(lab.host("fabric"), PROGRAMS, lab.paths.log) as etcd:
    etcd.configure({"Network": NETWORK, "Backend": {"Type": "host-gw"}})
    try:
        with Flanneld(host, etcd.url, PROGRAMS, lab.paths.log, interface=underlay_device(host)), \\
                pod(host, "web", PROGRAMS):
            print("up", flush=True)
            time.sleep(60)
    finally:
        clean(host, NETWORK)
"""


def test_an_interrupt_leaves_nothing_either(lab: Lab) -> None:
    host = lab.host("h1")
    before, processes = state(host), members(host.cgroup)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", INTERRUPTED, lab.spec.name]
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True
    ) as user:
        assert user.stdout
        assert user.stdout.readline() == "up\n"
        assert len(members(host.cgroup) - processes) == 2, "etcd and flanneld"
        # As a terminal does: to all programs in the foreground at once.
        os.killpg(user.pid, signal.SIGINT)
        assert user.wait(30) == -signal.SIGINT
    assert members(host.cgroup) <= processes
    assert state(host) == before


def test_a_lease_is_kept_over_restarts_and_ends_when_its_time_is_up(etcd: Etcd, join: Callable[..., Flanneld]) -> None:
    etcd.configure({"Network": NETWORK, "Backend": {"Type": "host-gw"}})
    node = join("h1")
    (lease,) = etcd.leases()
    node.stop(kill=True)
    etcd.stop()
    etcd.start()
    node.start()
    assert [one.subnet for one in etcd.leases()] == [lease.subnet]
    node.stop()
    etcd.expire(etcd.lease_of(lease.public_ip))
    assert etcd.leases() == ()
    with pytest.raises(LabError, match="has no lease"):
        etcd.lease_of(lease.public_ip)


def test_flanneld_ends_when_its_lease_is_taken_away(etcd: Etcd, join: Callable[..., Flanneld]) -> None:
    etcd.configure({"Network": NETWORK, "Backend": {"Type": "host-gw"}})
    node = join("h1")

    def ended() -> bool:
        # It may not watch yet when it is ready, and then takes its lease back first.
        for lease in etcd.leases():
            etcd.expire(lease)
        return node.daemon.pid is None

    assert eventually(ended)


def test_the_extension_backend_gives_its_commands_what_we_rely_on(
    etcd: Etcd, join: Callable[..., Flanneld], recorder: Recorder
) -> None:
    etcd.configure({"Network": NETWORK, "Backend": recorder.backend()})
    first, second = join("h1"), join("h2")
    ip, peer_ip = underlay_address("h1"), underlay_address("h2")
    lease, peer = etcd.lease_of(ip), etcd.lease_of(peer_ip)
    assert (lease.backend_type, lease.backend_data) == ("extension", "a port of h1\nand a warning")

    pre = Call(["pre-startup"], {}, "\n")
    post = Call(
        ["post-startup", str(lease.subnet), "'no", "shell'"],
        {
            "NETWORK": NETWORK,
            "SUBNET": str(lease.subnet),
            "IPV6SUBNET": "::/0",
            "PUBLIC_IP": str(ip),
            "PUBLIC_IPV6": "<nil>",
        },
        "\n",
    )
    of_peer = {"SUBNET": str(peer.subnet), "PUBLIC_IP": str(peer_ip)}
    add = Call(["subnet-add"], of_peer, "a port of h2\nand a warning\n")
    assert eventually(lambda: recorder.calls(first) == [pre, post, add])

    # Whoever comes later hears of those that are there, and a peer that starts again is announced again.
    of_first = Call(
        ["subnet-add"], {"SUBNET": str(lease.subnet), "PUBLIC_IP": str(ip)}, "a port of h1\nand a warning\n"
    )
    assert eventually(lambda: recorder.calls(second)[2:] == [of_first])
    second.stop()
    assert recorder.calls(first)[3:] == []
    second.start()
    assert eventually(lambda: recorder.calls(first)[3:] == [add])

    second.stop()
    etcd.expire(etcd.lease_of(peer_ip))
    remove = Call(["subnet-remove"], of_peer, "a port of h2\nand a warning\n")
    assert eventually(lambda: recorder.calls(first)[4:] == [remove])


def test_with_both_families_the_peers_ipv6_is_in_the_lease_only(
    etcd: Etcd, join: Callable[..., Flanneld], recorder: Recorder, both_families: None
) -> None:
    etcd.configure({"Network": NETWORK, "EnableIPv6": True, "IPv6Network": NETWORK6, "Backend": recorder.backend()})
    first, second = join("h1"), join("h2")
    ip, peer_ip = underlay_address("h1"), underlay_address("h2")
    lease, peer = etcd.lease_of(ip), etcd.lease_of(peer_ip)
    assert lease.subnet6 is not None
    assert lease.subnet6.subnet_of(IPv6Network(NETWORK6))
    assert lease.subnet.subnet_of(IPv4Network(NETWORK))
    assert [str(one.public_ip6) for one in (lease, peer)] == ["fd00:c0::1", "fd00:c0::2"]

    of_peer = {"SUBNET": str(peer.subnet), "PUBLIC_IP": str(peer_ip)}
    assert eventually(lambda: len(recorder.calls(first)) == 3)
    _, post, add = recorder.calls(first)
    assert post.environment == {
        "NETWORK": NETWORK,
        "SUBNET": str(lease.subnet),
        "IPV6SUBNET": str(lease.subnet6),
        "PUBLIC_IP": str(ip),
        "PUBLIC_IPV6": "fd00:c0::1",
    }
    assert add == Call(["subnet-add"], of_peer, "a port of h2\nand a warning\n")
    second.stop()
    etcd.expire(etcd.lease_of(peer_ip))
    assert eventually(lambda: recorder.calls(first)[3:] == [Call(["subnet-remove"], of_peer, add.stdin)])


@pytest.mark.parametrize(("command", "leases"), [("PreStartupCommand", 0), ("PostStartupCommand", 1)])
def test_a_start_command_that_fails_ends_flanneld_and_a_lease_it_has_stays(
    etcd: Etcd, join: Callable[..., Flanneld], command: str, leases: int
) -> None:
    etcd.configure({"Network": NETWORK, "Backend": {"Type": "extension", command: "ls /not-there"}})
    with pytest.raises(LabError, match="flanneld on h1 ended at its start"):
        join("h1")
    assert len(etcd.leases()) == leases


def test_a_lease_that_ends_while_flanneld_is_down_is_never_announced(
    etcd: Etcd, join: Callable[..., Flanneld], recorder: Recorder
) -> None:
    etcd.configure({"Network": NETWORK, "Backend": recorder.backend()})
    first, second = join("h1"), join("h2")
    assert eventually(lambda: [call.arguments[0] for call in recorder.calls(first)][2:] == ["subnet-add"])
    first.stop()
    second.stop()
    etcd.expire(etcd.lease_of(underlay_address("h2")))
    first.start()
    assert eventually(lambda: len(recorder.calls(first)) == 5)
    assert [call.arguments[0] for call in recorder.calls(first)[3:]] == ["pre-startup", "post-startup"]


def test_a_command_that_fails_is_not_tried_again(etcd: Etcd, join: Callable[..., Flanneld], recorder: Recorder) -> None:
    recorder.path.write_text(f"{RECORDER}sys.exit(sys.argv[1].startswith('subnet'))\n")
    etcd.configure({"Network": NETWORK, "Backend": recorder.backend()})
    first, second = join("h1"), join("h2")
    assert eventually(lambda: len(recorder.calls(first)) == 3)
    second.stop()
    etcd.expire(etcd.lease_of(underlay_address("h2")))
    assert eventually(lambda: len(recorder.calls(first)) == 4)
    assert [call.arguments[0] for call in recorder.calls(first)[2:]] == ["subnet-add", "subnet-remove"]
    assert first.daemon.pid is not None
