"""A real virtual machine, as Nova makes one, on a kernel with 8021q: sub-ports are VLANs in it, by packets."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from openstack.exceptions import BadRequestException

from fairlead_lab import Lab
from fairlead_lab.cgroups import members
from fairlead_lab.vm.machine import VirtualMachine, virtual_machine
from tests.e2e.docker import DOCKER, eventually, tcp_works
from tests.e2e.guest import TO_ANSWER, Addresses, Sandbox
from tests.e2e.instance import Instance, changed

pytestmark = pytest.mark.real

LISTEN = "120"
FORGED, FORGED_MAC = "10.41.0.99", "fa:16:3e:99:99:99"
GATEWAY = "10.30.0.1"
BLUE, RED, RED_ELSEWHERE, NOBODYS = 101, 102, 7, 103

USE = """
import sys, time
from fairlead_lab import Lab
from fairlead_lab.vm.machine import virtual_machine
with virtual_machine(Lab.load(sys.argv[1]), host="h1", port=sys.argv[2], name="used"):
    print("up", flush=True)
    time.sleep(1000)
"""


@dataclass(frozen=True)
class Cloud:
    """Networks `blue` and `red` without a router, with the same range: what keeps them apart is Neutron alone."""

    network: Any
    undo: ExitStack

    @classmethod
    @contextmanager
    def of(cls, network: Any) -> Iterator["Cloud"]:
        with ExitStack() as undo:
            cloud = cls(network, undo)
            for name in ("blue", "red"):
                made = network.create_network(name=name)
                undo.callback(network.delete_network, made)
                for version, cidr in ((4, "10.41.0.0/24"), (6, "fd00:41::/64")):
                    network.create_subnet(network_id=made.id, ip_version=version, cidr=cidr, gateway_ip=None)
            yield cloud

    def port(self, network: str, number: int = 0) -> Any:
        """Make a port, with addresses that end with the number where one is given."""
        found = self.network.find_network(network)
        fixed = [{"ip_address": f"10.41.0.{number}"}, {"ip_address": f"fd00:41::{number}"}] if number else None
        made = self.network.create_port(network_id=found.id, **({"fixed_ips": fixed} if fixed else {}))
        self.undo.callback(self.network.delete_port, made.id)
        return made

    def trunk(self, parent: Any) -> Any:
        """Make a trunk of a port."""
        made = self.network.create_trunk(port_id=parent.id)
        self.undo.callback(self.network.delete_trunk, made)
        return made

    def subport(self, trunk: Any, vlan: int, port: Any) -> Addresses:
        """Add a port to a trunk by a VLAN id."""
        wanted = {"port_id": port.id, "segmentation_type": "vlan", "segmentation_id": vlan}
        self.network.add_trunk_subports(trunk, [wanted])
        self.undo.callback(self.network.delete_trunk_subports, trunk, [{"port_id": port.id}])
        return Addresses.of(port)


@dataclass(frozen=True)
class Machines:
    """One on h1 with sub-ports on both networks; one on h2 on blue itself, with a sub-port on red."""

    cloud: Cloud
    one: VirtualMachine
    blue: Sandbox
    red: Sandbox
    elsewhere: Sandbox
    red_elsewhere: Sandbox


@pytest.fixture(scope="module")
def machines(instance_lab: Lab, instance_demo: Any) -> Iterator[Machines]:
    with Cloud.of(instance_demo) as cloud, ExitStack() as running:
        parent, other = cloud.port("instances"), cloud.port("blue", 21)
        trunk, other_trunk = cloud.trunk(parent), cloud.trunk(other)
        booting = [
            virtual_machine(instance_lab, host=host, port=port.id, name=name)
            for host, port, name in (("h1", parent, "one"), ("h2", other, "two"))
        ]
        with ThreadPoolExecutor(len(booting)) as threads:
            one, two = threads.map(running.enter_context, booting)
        blue = cloud.subport(trunk, BLUE, cloud.port("blue", 11))
        red = cloud.subport(trunk, RED, cloud.port("red", 12))
        red_elsewhere = cloud.subport(other_trunk, RED_ELSEWHERE, cloud.port("red", 22))
        yield Machines(
            cloud,
            one,
            running.enter_context(Sandbox.on_vlan(one, BLUE, blue)),
            running.enter_context(Sandbox.on_vlan(one, RED, red)),
            Sandbox(two, (), "eth0", Addresses.of(other)),
            running.enter_context(Sandbox.on_vlan(two, RED_ELSEWHERE, red_elsewhere)),
        )


def first_to_arrive(server: Sandbox, client: Sandbox, address: str, *sizes: int) -> int:
    """Send unfragmented datagrams with so many bytes of payload, one after the other, and say which arrives first."""
    with server.probing("listen-udp", address, "5002", LISTEN) as listening:
        for size in sizes:
            client.probe("send-udp", address, "5002", str(size))
        return int(listening.stdout.readline(TO_ANSWER).split()[0])


def test_it_runs_debians_cloud_kernel_and_its_only_nic_is_its_port(machines: Machines, instance_demo: Any) -> None:
    machine = machines.one
    assert machine.run(["uname", "-r"]).stdout.strip() == machine.kernel
    assert "-cloud-" in machine.kernel
    nics = {link["ifname"]: link for link in json.loads(machine.run(["ip", "-j", "link"]).stdout)}
    assert set(nics) == {"lo", "eth0"}
    port = instance_demo.get_port(machine.nic.port)
    assert (nics["eth0"]["address"], nics["eth0"]["mtu"]) == (port.mac_address, 1442)
    assert port.is_port_security_enabled
    assert eventually(lambda: instance_demo.get_port(port.id).status == "ACTIVE")


def test_two_that_go_on_from_one_snapshot_differ_and_know_the_time(machines: Machines) -> None:
    both = machines.one, machines.elsewhere.machine
    one, two = (each.run(["od", "-An", "-x", "-N", "16", "/dev/urandom"]).stdout for each in both)
    assert one != two
    assert [each.run(["hostname"]).stdout for each in both] == ["one\n", "two\n"]
    for each in both:
        assert abs(float(each.run(["date", "+%s"]).stdout) - time.time()) < 60


def test_it_reaches_the_cloud_and_instances(machines: Machines, instances: dict[str, Instance]) -> None:
    for address in ("192.0.2.1", instances["i3"].address, instances["i3"].address6, instances["i2"].address):
        ping = ["busybox", "ping", "-c", "1", "-W", "1", address]
        assert eventually(lambda ping=ping: machines.one.run(ping, check=False).returncode == 0)


def test_a_sub_port_talks_to_its_network_on_another_host(machines: Machines) -> None:
    for one, other in ((machines.blue, machines.elsewhere), (machines.red, machines.red_elsewhere)):
        for address, back in ((other.own.v4, one.own.v4), (other.own.v6, one.own.v6)):
            assert eventually(lambda one=one, address=address: one.pings(address, count=1))
            assert other.pings(back, count=1)
            assert tcp_works(other, one, address)


def test_a_datagram_as_large_as_the_mtu_passes_and_one_byte_more_does_not(machines: Machines) -> None:
    one, other = machines.blue, machines.elsewhere
    for address, headers in ((other.own.v4, 28), (other.own.v6, 48)):
        whole = 1442 - headers
        assert first_to_arrive(other, one, address, whole + 1, whole) == whole


def test_a_sub_port_does_not_reach_another_network(machines: Machines) -> None:
    # Both are in the default group, and on the same range: each has a way to the other, were it not for the networks.
    for one, other in ((machines.red, machines.elsewhere), (machines.blue, machines.red_elsewhere)):
        assert not one.pings(other.own.v4)
        assert not one.pings(other.own.v6)
    assert not machines.blue.pings(machines.red.own.v4), "not within the machine either"


def test_a_frame_with_the_vlan_id_of_no_sub_port_goes_nowhere(machines: Machines) -> None:
    one, other = machines.blue, machines.elsewhere
    with Sandbox.on_vlan(one.machine, NOBODYS, one.own, "wrong") as wrong:
        assert not wrong.pings(other.own.v4)
        assert not wrong.pings(other.own.v6)
    assert one.pings(other.own.v4)


def test_the_address_of_one_sub_port_is_no_use_on_the_vlan_of_another(machines: Machines) -> None:
    with taken(machines.red, machines.blue.own) as forged:
        assert not forged.pings(machines.elsewhere.own.v4)
        assert not forged.pings(machines.red_elsewhere.own.v4)
    assert machines.red.pings(machines.red_elsewhere.own.v4)


@contextmanager
def taken(sandbox: Sandbox, other: Addresses) -> Iterator[Sandbox]:
    """Give a sandbox's NIC what belongs to another port, for a while."""
    forged = Sandbox(sandbox.machine, sandbox.enter, sandbox.device, other)
    try:
        for one in (forged, sandbox):
            one.run("ip", "address", "flush", "dev", one.device)
            one.run("ip", "link", "set", one.device, "address", one.own.mac)
            one.furnish()
            if one is forged:
                yield forged
    finally:
        sandbox.run("ip", "link", "set", sandbox.device, "address", sandbox.own.mac)


def sources_that_arrive(one: Sandbox, other: Sandbox) -> list[str]:
    """Send a frame with a forged MAC, one with a forged address, an honest one; say which arrive up to the last."""
    sizes = {len(name): name for name in ("mac", "address", "honest")}
    found: list[str] = []
    with other.probing("listen-udp", other.own.v4, "5003", LISTEN) as listening:
        for text, mac, address in (
            ("mac", FORGED_MAC, one.own.v4),
            ("address", one.own.mac, FORGED),
            ("honest", one.own.mac, one.own.v4),
        ):
            sent = one.probe("frame", one.device, mac, address, other.own.mac, other.own.v4, "5003", text)
            assert sent.returncode == 0, sent.stderr
        while found[-1:] != ["honest"] and (line := listening.stdout.readline(TO_ANSWER)):
            found.append(sizes[int(line.split()[0])])
    return found


def test_nothing_with_a_forged_source_leaves_a_sub_port(
    machines: Machines, instance_demo: Any, open_group: str
) -> None:
    one, other = machines.blue, machines.elsewhere
    # The receiver's group lets everything in, and all arrives where port security is off: so it alone stops them.
    with changed(instance_demo, other.own.port, security_groups=[open_group]):
        with changed(instance_demo, one.own.port, port_security_enabled=False, security_groups=[]):
            assert eventually(lambda: sources_that_arrive(one, other) == ["mac", "address", "honest"], seconds=60)
        assert eventually(lambda: sources_that_arrive(one, other) == ["honest"], seconds=60)


@contextmanager
def pair(network: Any, port: str, **attributes: str) -> Iterator[None]:
    """Give a port an allowed address pair, for a while."""
    network.update_port(port, allowed_address_pairs=[attributes])
    try:
        yield
    finally:
        network.update_port(port, allowed_address_pairs=[])


def test_neutron_refuses_an_address_pair_for_a_macvlan_and_without_one_nothing_leaves_it(
    machines: Machines, instance_demo: Any
) -> None:
    machine, own = machines.one, Addresses("", FORGED_MAC, "10.30.0.199", "fd00:30::199")
    with Sandbox.beside(machine, "macvlan", own) as macvlan:
        assert not macvlan.pings(GATEWAY)
        with pytest.raises(BadRequestException):
            instance_demo.update_port(
                machine.nic.port, allowed_address_pairs=[{"ip_address": own.v4, "mac_address": FORGED_MAC}]
            )
        with pair(instance_demo, machine.nic.port, ip_address=own.v4):
            assert not macvlan.pings(GATEWAY), "a pair without a MAC is for the port's own"


def test_an_ipvlan_which_has_its_ports_mac_gets_out_by_an_address_pair(machines: Machines, instance_demo: Any) -> None:
    machine = machines.one
    own = Addresses("", machine.nic.mac, "10.30.0.199", "fd00:30::199")
    with Sandbox.beside(machine, "ipvlan", own) as ipvlan:
        assert not ipvlan.pings(GATEWAY)
        with pair(instance_demo, machine.nic.port, ip_address=own.v4):
            assert eventually(lambda: ipvlan.pings(GATEWAY))
        assert eventually(lambda: not ipvlan.pings(GATEWAY))
    assert machine.run(["busybox", "ping", "-c", "1", "-W", "1", GATEWAY], check=False).returncode == 0


def test_docker_runs_in_it_and_its_containers_get_out(machines: Machines, instances: dict[str, Instance]) -> None:
    daemon = machines.one.start_docker()
    try:
        ping = [DOCKER, "run", "--rm", "busybox", "ping", "-c", "2", "-W", "1", instances["i3"].address]
        assert "2 packets received" in machines.one.run(ping).stdout
    finally:
        daemon.terminate()
        daemon.wait(TO_ANSWER)


def on_host(lab: Lab, host: str) -> tuple[object, ...]:
    """What a machine might leave on a host: devices, switch ports, processes, files."""
    place = lab.host(host)
    return (
        {link["ifname"] for link in json.loads(place.run(["ip", "-j", "link"]).stdout)},
        set(place.run(["ovs-vsctl", "list-ports", "br-int"]).stdout.split()),
        members(place.cgroup),
        place.run(["ls", "/run/virtual-machines"], check=False).stdout,
    )


@pytest.fixture
def spare(instance_demo: Any) -> Iterator[Any]:
    network = instance_demo.find_network("instances")
    port = instance_demo.create_port(network_id=network.id)
    yield port
    instance_demo.delete_port(port.id)


def signalled(lab: Lab, port: str, number: signal.Signals) -> None:
    """Boot a machine in a process of its own, and send that a signal."""
    command = [sys.executable, "-W", "ignore", "-c", USE, lab.spec.name, port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.wait(TO_ANSWER) == -number


def interrupt(lab: Lab, port: str) -> None:
    signalled(lab, port, signal.SIGINT)


def fail(lab: Lab, port: str) -> None:
    def use() -> None:
        with virtual_machine(lab, host="h1", port=port, name="failed") as machine:
            machine.start(["sleep", "1000"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()


@pytest.mark.parametrize("use", [fail, interrupt])
def test_nothing_is_left_of_it(
    instance_lab: Lab, instance_demo: Any, spare: Any, use: Callable[[Lab, str], None]
) -> None:
    before = on_host(instance_lab, "h1")
    use(instance_lab, spare.id)
    assert on_host(instance_lab, "h1") == before
    port = instance_demo.get_port(spare.id)
    assert (port.device_owner, port.device_id) == ("", "")
    assert eventually(lambda: instance_demo.get_port(spare.id).status == "DOWN")


def test_it_ends_by_itself_when_its_user_is_killed(instance_lab: Lab, spare: Any) -> None:
    before = on_host(instance_lab, "h1")
    signalled(instance_lab, spare.id, signal.SIGKILL)
    guests = instance_lab.host("h1").cgroup
    assert eventually(lambda: members(guests) == before[2])
    fail(instance_lab, spare.id)  # the next one on the port takes what is left, and leaves nothing
    assert on_host(instance_lab, "h1") == before
