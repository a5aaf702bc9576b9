"""Containers on one Neutron network reach each other, on one host and across hosts, in both families."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.docker import Docker, Running, tcp_works, udp_arrives

pytestmark = pytest.mark.real

SUBNET, SUBNET6 = "10.20.0.0/24", "fd00:20::/64"


@dataclass(frozen=True)
class Three:
    """Two containers on one host, one on the other."""

    here: Running
    beside: Running
    across: Running
    mtu: int


@pytest.fixture
def three(h1: Docker, h2: Docker) -> Three:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ipv6", "--subnet", SUBNET6)
    here, beside, across = h1.run("a1", "web"), h1.run("b1", "web"), h2.run("c1", "web")
    mtu = int(here.command("cat", "/sys/class/net/eth0/mtu").stdout)
    return Three(here, beside, across, mtu)


def test_ping_and_tcp_pass_both_ways_in_both_families(three: Three) -> None:
    for one, other in ((three.here, three.beside), (three.here, three.across)):
        for source, target in ((one, other), (other, one)):
            assert source.pings(target.address)
            assert source.pings(target.address6)
            assert tcp_works(target, source, target.address)
            assert tcp_works(target, source, target.address6)


def test_a_datagram_as_large_as_the_mtu_passes_and_one_byte_more_does_not(three: Three) -> None:
    assert three.mtu < 1500
    for target in (three.beside, three.across):
        for address, headers in ((target.address, 28), (target.address6, 48)):
            assert udp_arrives(target, three.here, address, three.mtu - headers)
            assert not udp_arrives(target, three.here, address, three.mtu - headers + 1)


def test_both_ends_of_the_pair_have_the_networks_mtu(three: Three) -> None:
    devices = json.loads(three.here.docker.host.run(["ip", "-j", "link"]).stdout)
    assert {one["mtu"] for one in devices if one["ifname"].startswith("flh")} == {three.mtu}


def test_the_hosts_own_namespace_shows_nothing_of_the_network(three: Three) -> None:
    host = three.here.docker.host
    for family in ("-4", "-6"):
        addresses = host.run(["ip", "-j", family, "address"]).stdout
        routes = host.run(["ip", "-j", family, "route", "show", "table", "all"]).stdout
        devices = [one for one in json.loads(addresses) if one.get("ifname", "").startswith("fl")]
        assert not [one for one in devices if one.get("addr_info")]
        assert "10.20.0" not in addresses + routes
        assert "fd00:20:" not in addresses + routes
        assert "flh" not in routes


def test_containers_have_the_gateway_and_the_addresses_of_their_ports(three: Three) -> None:
    assert "default via 10.20.0.1" in three.here.command("ip", "route").stdout
    assert "default via fd00:20::1" in three.here.command("ip", "-6", "route").stdout
    assert three.here.address in three.here.command("ip", "address", "show", "eth0").stdout
    assert three.here.mac in three.here.command("ip", "link", "show", "eth0").stdout


def test_a_network_is_connected_and_disconnected_while_the_container_runs(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
        docker.network_create("db", "10.30.0.0/24")
    one, other = h1.run("a1", "web"), h2.run("b1", "db")
    assert not one.pings(other.address)
    h1("network", "connect", "db", "a1")
    assert one.pings(other.address)
    second = h1.running("a1", "db")
    assert other.pings(second.address)
    h1("network", "disconnect", "db", "a1")
    assert not one.pings(other.address)
    inspected = h1.inspect("web", kind="network")
    assert [one["IPv4Address"] for one in inspected["Containers"].values()] == [f"{one.address}/24"]


def test_a_chosen_address_and_mac_are_the_containers(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ip-range", "10.20.0.128/25")
    one = h1.run("a1", "web", "--ip", "10.20.0.77", "--mac-address", "02:42:0a:14:00:4d")
    other = h2.run("b1", "web")
    assert (one.address, one.mac) == ("10.20.0.77", "02:42:0a:14:00:4d")
    assert other.pings("10.20.0.77")
    assert tcp_works(one, other, one.address)


def test_a_container_that_stops_and_starts_reaches_the_others_again(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    h1.run("a1", "web")
    other = h2.run("b1", "web")
    for _ in range(2):
        h1("restart", "-t", "0", "a1")
        assert h1.running("a1", "web").pings(other.address)


def test_a_name_chosen_by_the_user_is_the_neutron_networks(h1: Docker, h2: Docker) -> None:
    name = f"net-{uuid.uuid4().hex[:8]}"
    h1.network_create("mine", SUBNET, neutron=name)
    h2.network_create("theirs", neutron=name)
    assert h1.run("a1", "mine").pings(h2.run("b1", "theirs").address)


def test_an_adopted_network_gives_what_its_subnet_says_and_stays_as_it_was(h1: Docker, h2: Docker, demo: Any) -> None:
    network = demo.network.create_network(name=f"theirs-{uuid.uuid4().hex[:8]}")
    route = {"destination": "10.60.0.0/16", "nexthop": "10.50.0.254"}
    demo.network.create_subnet(
        network_id=network.id, ip_version=4, cidr="10.50.0.0/24", gateway_ip=None, host_routes=[route]
    )
    try:
        before = demo.network.get_network(network.id)
        for docker in (h1, h2):
            docker.network_create("theirs", neutron=network.name)
        one, other = h1.run("a1", "theirs"), h2.run("b1", "theirs")
        assert one.pings(other.address)
        routes = one.command("ip", "route").stdout
        assert "10.60.0.0/16 via 10.50.0.254" in routes
        assert "default" not in routes
        for docker in (h1, h2):
            docker.clear()
        after = demo.network.get_network(network.id)
        assert (after.tags, after.revision_number) == (before.tags, before.revision_number)
    finally:
        demo.network.delete_network(network.id)
