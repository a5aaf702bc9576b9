"""What must not arrive does not: other networks, forbidding groups, forged sources."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.docker import Docker, Running, eventually, tcp_works, udp_arrives

pytestmark = pytest.mark.real

SUBNET, SUBNET6 = "10.20.0.0/24", "fd00:20::/64"


def test_two_networks_of_one_range_do_not_meet(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("red", SUBNET, "--ip-range", "10.20.0.0/25", neutron="red")
        docker.network_create("blue", SUBNET, "--ip-range", "10.20.0.128/25", neutron="blue")
    red, blue = h1.run("red1", "red"), h1.run("blue1", "blue")
    far_red, far_blue = h2.run("red2", "red"), h2.run("blue2", "blue")
    assert red.pings(far_red.address)
    assert blue.pings(far_blue.address)
    for one, others in ((red, (blue, far_blue)), (blue, (red, far_red)), (far_red, (blue, far_blue))):
        for other in others:
            assert not one.pings(other.address)


@pytest.fixture
def closed_group(demo: Any) -> Iterator[Any]:
    """A security group that lets everything out and nothing in."""
    group = demo.network.create_security_group(name="closed")
    yield group
    demo.network.delete_security_group(group.id)


@pytest.fixture
def pair(h1: Docker, h2: Docker) -> tuple[Running, Running]:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ipv6", "--subnet", SUBNET6)
    return h1.run("a1", "web"), h2.run("b1", "web")


def test_a_security_group_that_forbids_is_obeyed_and_may_change(
    h1: Docker, h2: Docker, demo: Any, closed_group: Any
) -> None:
    h1.network_create("web", SUBNET, "-o", "neutron.security_groups=closed")
    h2.network_create("web", SUBNET)
    guarded, other = h1.run("a1", "web"), h2.run("b1", "web")
    assert not other.pings(guarded.address)
    assert not tcp_refused_or_works(guarded, other)
    demo.network.create_security_group_rule(
        security_group_id=closed_group.id, direction="ingress", ether_type="IPv4", protocol="icmp"
    )
    assert eventually(lambda: other.pings(guarded.address, count=1))
    assert not tcp_refused_or_works(guarded, other)
    h1.clear()


def tcp_refused_or_works(server: Running, client: Running) -> bool:
    return "timed out" not in client.probe("talk-tcp", server.address, "5001", "10").stderr


@pytest.mark.parametrize("family", [4, 6])
def test_a_forged_source_address_gets_nothing_through(pair: tuple[Running, Running], family: int) -> None:
    one, other = pair
    forged, target = ("10.20.0.99", other.address) if family == 4 else ("fd00:20::99", other.address6)
    length = "32" if family == 4 else "128"
    inside = ["nsenter", "-t", str(one.pid), "-n", "ip", "address", "add", f"{forged}/{length}", "dev", "eth0", "nodad"]
    one.docker.host.run([word for word in inside if family == 6 or word != "nodad"])
    own = one.address if family == 4 else one.address6
    assert udp_arrives(other, one, target, 100, source=own)
    with other.probing("listen-udp", target, "5003", "3") as listening:
        for _ in range(3):
            one.probe("send-udp", target, "5003", "50", forged)
        assert listening.stdout
        assert listening.stdout.read() == ""


def test_a_forged_source_mac_gets_nothing_through(pair: tuple[Running, Running]) -> None:
    one, other = pair
    destination = (other.mac, other.address, "5004")
    assert one.pings(other.address)
    with other.probing("listen-udp", other.address, "5004", "4") as listening:
        assert one.probe("frame", "eth0", one.mac, one.address, *destination).returncode == 0
        assert listening.stdout
        assert listening.stdout.readline().split() == ["6", one.address]
        for mac, address in (("02:00:00:00:00:99", one.address), (one.mac, "10.20.0.98"), (other.mac, other.address)):
            assert one.probe("frame", "eth0", mac, address, *destination).returncode == 0
        assert listening.stdout.read() == ""


def test_another_projects_network_of_the_same_name_and_range_is_another(
    h1: Docker, h2: Docker, other_project: Any
) -> None:
    theirs = other_project.network.create_network(name="web")
    subnet = other_project.network.create_subnet(network_id=theirs.id, ip_version=4, cidr=SUBNET)
    port = other_project.network.create_port(network_id=theirs.id, fixed_ips=[{"ip_address": "10.20.0.50"}])
    try:
        for docker in (h1, h2):
            docker.network_create("web", SUBNET, neutron="web")
        one = h1.run("a1", "web")
        assert one.pings(h2.run("b1", "web").address)
        h2.host.run(
            ["ovs-vsctl", "add-port", "br-int", "theirs", "--", "set", "Interface", "theirs", "type=internal",
             f"external_ids:iface-id={port.id}", f"mac=\"{port.mac_address}\""]
        )  # fmt: skip
        h2.host.run(["ip", "netns", "add", "theirs"])
        h2.host.run(["ip", "link", "set", "theirs", "netns", "theirs"])
        inside = ["ip", "netns", "exec", "theirs"]
        h2.host.run([*inside, "ip", "address", "add", "10.20.0.50/24", "dev", "theirs"])
        h2.host.run([*inside, "ip", "link", "set", "theirs", "up"])
        assert not one.pings("10.20.0.50")
        assert h2.host.run([*inside, "ping", "-c", "2", "-W", "1", one.address], check=False).returncode != 0
    finally:
        h2.host.run(["ovs-vsctl", "--if-exists", "del-port", "br-int", "theirs"])
        h2.host.run(["ip", "netns", "del", "theirs"], check=False)
        other_project.network.delete_port(port.id)
        other_project.network.delete_subnet(subnet.id)
        other_project.network.delete_network(theirs.id)


def test_tcp_still_works_beside_all_that_is_forbidden(pair: tuple[Running, Running]) -> None:
    one, other = pair
    assert tcp_works(other, one, other.address)
