"""Packets of Docker's containers inside of Nova instances, mode `routed`: i1 and i3 share a subnet, i2 does not."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import permutations
from typing import Any

import pytest

from fairlead_lab import Lab
from tests.e2e.docker import Running, eventually, tcp_works, udp_arrives
from tests.e2e.routed import DB, DB6, WEB, WEB6, Node, blocks, clear, join, left, reach, routed_nodes

pytestmark = pytest.mark.real

IP_HEADER = {4: 20, 6: 40}
UDP_HEADER = 8


@dataclass(frozen=True)
class Mesh:
    """Every node with a container on each of two networks."""

    nodes: dict[str, Node]
    web: dict[str, Running]
    db: dict[str, Running]


@pytest.fixture(scope="module")
def mesh(instance_lab: Lab, instance_demo: Any) -> Iterator[Mesh]:
    with routed_nodes(instance_lab, instance_demo) as nodes:
        try:
            web, db = join(nodes, "web", WEB, WEB6), join(nodes, "db", DB, DB6)
            # Whoever joins tells the others, which need not look at Neutron by the clock to hear of it.
            for one in (web, db):
                pairs = list(permutations(one.values(), 2))
                assert eventually(lambda pairs=pairs: all(reach(*pair) for pair in pairs), seconds=15)
            yield Mesh(nodes, web, db)
        finally:
            clear(nodes)
            assert eventually(lambda: left(instance_demo, nodes) == [], seconds=60), left(instance_demo, nodes)


def test_containers_reach_each_other_from_every_node_to_every_node_in_both_families(
    mesh: Mesh, instance_demo: Any
) -> None:
    nodes, web = mesh.nodes, mesh.web
    assert len(list(instance_demo.networks(tags="fairlead"))) == 2
    held = blocks(instance_demo, WEB)
    addresses = {address for node in nodes.values() for address in (node.instance.address, node.instance.address6)}
    assert set(held.values()) == addresses
    assert len(held) == len(addresses)
    for one, other in permutations(web.values(), 2):
        assert tcp_works(other, one, other.address)
        assert tcp_works(other, one, other.address6)
    local = nodes["i1"].docker.run("web-i1-2", "web")
    assert reach(local, web["i1"])
    assert reach(web["i1"], local)


def test_a_datagram_of_the_full_mtu_passes_and_one_byte_more_does_not(mesh: Mesh) -> None:
    nodes, web = mesh.nodes, mesh.web
    mtu = int(nodes["i1"].instance.host.run(["cat", "/sys/class/net/eth0/mtu"]).stdout)
    inside = web["i1"].command("cat", "/sys/class/net/eth0/mtu").stdout
    assert int(inside) == mtu
    for far in ("i2", "i3"):
        for version, address in ((4, web[far].address), (6, web[far].address6)):
            full = mtu - IP_HEADER[version] - UDP_HEADER
            assert udp_arrives(web[far], web["i1"], address, full)
            assert not udp_arrives(web[far], web["i1"], address, full + 1)


def test_networks_stay_apart_on_one_node_and_across(mesh: Mesh) -> None:
    nodes, web, db = mesh.nodes, mesh.web, mesh.db
    for near, far in (("i1", "i1"), ("i1", "i2"), ("i1", "i3"), ("i2", "i1")):
        for target in (db[far].address, db[far].address6):
            assert not web[near].pings(target, count=1), (near, far, target)
    # Who is not on the network, an instance itself, is let in no more than by a security group.
    assert not nodes["i3"].instance.pings(web["i1"].address)
    assert not nodes["i2"].instance.pings(web["i1"].address)


def test_a_container_reaches_its_gateway_and_nothing_else_of_its_node_nor_metadata(mesh: Mesh) -> None:
    one, node = mesh.web["i1"], mesh.nodes["i1"]
    for gateway, address in (("10.60.0.1", node.instance.address), ("fd00:60::1", node.instance.address6)):
        assert one.pings(gateway)
        assert not one.pings(address, count=1)
    assert node.instance.pings(one.address)
    seen = node.instance.host.run(["nft", "list", "chain", "inet", "fairlead", "forward"]).stdout
    assert not one.pings("169.254.169.254", count=1)
    assert node.instance.host.run(["nft", "list", "chain", "inet", "fairlead", "forward"]).stdout != seen


def forged(one: Running, address: str, other: Running, target: str) -> str:
    """Send datagrams with a source that is not the container's; return what arrived."""
    length, nodad = (32, []) if ip_address(address).version == 4 else (128, ["nodad"])
    inside = ["nsenter", "-t", str(one.pid), "-n", "ip", "address"]
    one.docker.host.run([*inside, "add", f"{address}/{length}", "dev", "eth0", *nodad])
    try:
        with other.probing("listen-udp", target, "5003", "3") as listening:
            for _ in range(3):
                one.probe("send-udp", target, "5003", "50", address)
            assert listening.stdout
            return listening.stdout.read()
    finally:
        one.docker.host.run([*inside, "del", f"{address}/{length}", "dev", "eth0"])


def test_a_forged_source_gets_nothing_through(mesh: Mesh) -> None:
    nodes, web = mesh.nodes, mesh.web
    neighbour = nodes["i1"].docker.run("web-i1-3", "web")
    assert eventually(lambda: reach(neighbour, web["i3"]))
    own = next(ip_network(f"{web['i1'].address}/26", strict=False).hosts())
    near, far = web["i3"], web["i2"]
    for address in (neighbour.address, str(own + 40), "10.60.255.9", "192.0.2.99", nodes["i1"].instance.address):
        assert forged(web["i1"], address, near, near.address) == "", address
    for address in (neighbour.address6, "fd00:60::1234", "fd00:99::1"):
        assert forged(web["i1"], address, near, near.address6) == "", address
    for address in (neighbour.address, "10.60.255.9"):
        assert forged(web["i1"], address, far, far.address) == "", address
    # As what is not forged does.
    for other in (near, far):
        assert udp_arrives(other, web["i1"], other.address, 100)
    assert forged(web["i1"], web["i3"].address, neighbour, neighbour.address) == ""
