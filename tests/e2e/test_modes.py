"""Docker on nodes that are virtual machines with a Neutron port for a NIC: modes `trunk` and `ipvlan`, by packets."""

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fairlead_lab import Lab
from tests.e2e.docker import eventually, tcp_works, udp_arrives
from tests.e2e.guest import Sandbox
from tests.e2e.instance import Instance
from tests.e2e.node import Node, node

pytestmark = pytest.mark.real

FORGED = "10.51.0.99"


@pytest.fixture(scope="module")
def nodes(instance_lab: Lab, instance_demo: Any) -> Iterator[tuple[Node, Node]]:
    """Two in mode trunk, on different hosts; booting takes a processor each, so they do it side by side."""
    with ExitStack() as running:
        machines = [
            node(instance_lab, instance_demo, host=host, name=name, mode="trunk")
            for host, name in (("h1", "t1"), ("h2", "t2"))
        ]
        with ThreadPoolExecutor(len(machines)) as threads:
            one, two = threads.map(running.enter_context, machines)
        yield one, two


@pytest.fixture
def trunks(nodes: tuple[Node, Node]) -> Iterator[tuple[Node, Node]]:
    yield nodes
    for each in nodes:
        each.docker.clear()


@pytest.fixture
def shared(instance_lab: Lab, instance_demo: Any) -> Iterator[Node]:
    """One in mode ipvlan."""
    with node(instance_lab, instance_demo, host="h1", name="v1", mode="ipvlan") as one:
        yield one


FUNCTIONAL = Path(__file__).parents[1] / "functional"
OVER_A_NIC = (f"{FUNCTIONAL}/test_nic.py", f"{FUNCTIONAL}/test_sandbox.py::test_a_device_over_a_nic_is_finished")
DUAL = ("--ipv6", "--subnet", "fd00:51::/64")


def test_containers_on_two_trunks_talk_without_a_second_encapsulation(trunks: tuple[Node, Node]) -> None:
    one, two = trunks
    for each in trunks:
        each.docker.network_create("web", "10.51.0.0/24", *DUAL)
    first, second = one.docker.run("c1", "web"), two.docker.run("c2", "web")
    for address in (second.address, second.address6):
        assert eventually(lambda address=address: first.pings(address, count=1))
    assert second.pings(first.address)
    here, there = Sandbox.of_container(first, one.machine), Sandbox.of_container(second, two.machine)
    assert tcp_works(there, here, second.address, size=20_000)
    assert "mtu 1442" in first.command("ip", "link", "show", "eth0").stdout
    assert udp_arrives(there, here, second.address, 1442 - 28)


def test_a_containers_port_is_a_sub_port_with_its_mac_and_address(trunks: tuple[Node, Node]) -> None:
    one, _ = trunks
    one.docker.network_create("web", "10.51.0.0/24")
    first = one.docker.run("c1", "web", "--ip", "10.51.0.77", "--mac-address", "02:00:00:00:51:77")
    ports = {port.fixed_ips[0]["ip_address"]: port for port in one.made()}
    port = ports["10.51.0.77"]
    assert (port.mac_address, port.device_owner) == ("02:00:00:00:51:77", "trunk:subport")
    assert first.mac == port.mac_address
    assert set(one.sub_ports()) == {each.id for each in one.made()}


def test_networks_of_one_node_are_kept_apart(trunks: tuple[Node, Node]) -> None:
    one, _ = trunks
    one.docker.network_create("web", "10.51.0.0/24")
    one.docker.network_create("other", "10.52.0.0/24")
    first, second, third = (
        one.docker.run(name, network) for name, network in (("c1", "web"), ("c2", "web"), ("c3", "other"))
    )
    assert eventually(lambda: first.pings(second.address, count=1))
    first.command("ip", "route", "replace", "default", "dev", "eth0", check=False)
    assert not first.pings(third.address)


def test_a_forged_address_does_not_leave_a_container(trunks: tuple[Node, Node]) -> None:
    one, two = trunks
    for each in trunks:
        each.docker.network_create("web", "10.51.0.0/24")
    first, second = one.docker.run("c1", "web", "--cap-add", "NET_ADMIN"), two.docker.run("c2", "web")
    assert eventually(lambda: first.pings(second.address, count=1))
    first.command("ip", "address", "add", f"{FORGED}/24", "dev", "eth0")
    ping = ("ping", "-c", "2", "-W", "1", "-I", FORGED, second.address)
    assert first.command(*ping, check=False).returncode != 0
    assert first.pings(second.address)


def test_a_container_starts_again_and_in_the_end_nothing_is_left(trunks: tuple[Node, Node]) -> None:
    one, _ = trunks
    one.docker.network_create("web", "10.51.0.0/24")
    first, second = one.docker.run("c1", "web"), one.docker.run("c2", "web")
    one.docker("restart", "-t", "0", "c1")
    again = one.docker.running("c1", "web")
    assert eventually(lambda: second.pings(again.address, count=1))
    assert first.name == again.name
    one.docker.rm("c1", "c2")
    one.docker.network_rm("web")
    assert eventually(lambda: not one.made(), seconds=60)
    assert one.sub_ports() == {}
    assert one.devices() == set()


def test_the_functional_tests_of_devices_pass_on_a_kernel_that_has_them(nodes: tuple[Node, Node]) -> None:
    suite = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *OVER_A_NIC]
    done = nodes[0].machine.run(suite, check=False, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "this kernel has no" not in done.stdout


def test_a_container_on_the_nodes_network_has_a_pair_and_the_nodes_mac(
    shared: Node, instances: dict[str, Instance]
) -> None:
    shared.docker.network_create("own", "10.30.0.0/24", neutron="instances")
    first, second = shared.docker.run("c1", "own"), shared.docker.run("c2", "own")
    assert {first.address, second.address} <= shared.pairs()
    mac = shared.network.get_port(shared.port).mac_address
    assert mac in first.command("ip", "link", "show", "eth0").stdout
    for peer in instances.values():  # also those beyond the router
        assert eventually(lambda peer=peer: first.pings(peer.address, count=1))
    assert instances["i3"].pings(second.address)
    assert first.pings(second.address)
    assert first.pings("192.0.2.1")
    here = Sandbox.of_container(first, shared.machine)
    assert tcp_works(instances["i3"], here, instances["i3"].address, size=20_000)
    assert tcp_works(here, instances["i3"], first.address, size=20_000)
    refused = shared.docker.refused("network", "create", "-d", "fairlead", "--ipam-driver", "fairlead", "-o",
        "neutron.net.name=new", "--ipam-opt", "neutron.net.name=new", "--subnet", "10.53.0.0/24", "new")  # fmt: skip
    assert "own network" in refused
    assert re.search("MAC address of its node", shared.docker.refused(
        "run", "--rm", "--network", "own", "--mac-address", "02:00:00:00:00:01", "busybox", "true"))  # fmt: skip
    shared.docker.rm("c1", "c2")
    shared.docker.network_rm("own")
    assert eventually(lambda: not shared.made(), seconds=60)
    assert shared.pairs() == set()
    assert shared.devices() == set()
