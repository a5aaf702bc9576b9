"""What the packet filter of mode `routed` leaves working, what is opened by a setting, and what nobody can poison."""

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from itertools import product
from pathlib import Path

import pytest

from fairlead.adapters.kernel.nft import NftGuard
from fairlead.adapters.kernel.routes import KernelRoutes
from fairlead.adapters.kernel.ruleset import Openings
from fairlead.agent.clock import SystemClock
from fairlead.agent.hints import Hints
from tests.functional.guarding.frames import (
    ARP_REPLY,
    ARP_REQUEST,
    Address,
    advertisement,
    arp,
    datagram,
    ethernet,
    router_advertisement,
    solicitation,
)
from tests.functional.guarding.range import (
    BRIDGE,
    DB,
    GUARDED,
    HINTS,
    INNER,
    LINK_LOCAL,
    METADATA,
    NIC,
    NODE,
    ON_BRIDGE,
    PEER,
    PORT,
    ROUTER,
    WEB,
    WORLD,
    Net,
    Range,
    as_ipv4,
    as_ipv6,
    fire,
    listening,
    neighbours,
    new_range,
)
from tests.functional.namespaces import Sandbox, run

pytestmark = pytest.mark.root

FAMILIES = (4, 6)
MAC = "02:66:00:00:00:{:02x}"


@pytest.fixture(scope="module")
def made() -> Iterator[Range]:
    with new_range(Openings(HINTS)) as made:
        asyncio.run(made.build())
        yield made


def pings(sandbox: Sandbox | None, address: Address) -> bool:
    command = ["busybox", "ping", "-c", "1", "-W", "1", str(address)]
    return "1 packets received" in run(*(sandbox.command(*command) if sandbox else command), check=False)


Place = tuple[Address, int]

_SAY = """
import socket, sys
for number, one in enumerate(sys.argv[1:]):
    host, port = one.split()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.sendto(number.to_bytes(4, "big"), socket.getaddrinfo(host, int(port), family, sender.type)[0][4])
"""


def reached(place: Sandbox | None, sandbox: Sandbox, *targets: Place) -> dict[Place, str]:
    """Whom a listener hears, by target, when a sandbox sends a datagram to each as any program does."""
    with listening({"there": (place, (PORT, HINTS))}) as listeners:
        scope = {True: "%eth0", False: ""}
        words = [f"{one}{scope[one.version == 6 and one.is_link_local]} {port}" for one, port in targets]
        sandbox.run(sys.executable, "-c", _SAY, *words)
        heard = listeners["there"].heard()
    return {targets[number]: sender.removeprefix("::ffff:") for number, sender in heard.items()}


@pytest.mark.parametrize("version", FAMILIES)
@pytest.mark.parametrize("net", [WEB, INNER], ids=["a network", "an internal network"])
def test_a_container_may_ping_its_own_gateway_and_no_other_address_of_the_node(
    made: Range, net: Net, version: int
) -> None:
    inside = made.containers[net, 2].sandbox
    assert pings(inside, net.gateway(version))
    for other in (NODE[version], DB.gateway(version)):
        assert not pings(inside, other)


@pytest.mark.parametrize("version", FAMILIES)
@pytest.mark.parametrize("net", [WEB, INNER], ids=["a network", "an internal network"])
def test_the_node_reaches_its_containers_and_hears_their_answers_and_errors(
    made: Range, net: Net, version: int
) -> None:
    address = net.here(2, version)
    assert pings(None, address)
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as closed:
        closed.settimeout(5)
        closed.connect((str(address), 9))
        closed.send(b"x")
        with pytest.raises(ConnectionRefusedError):  # a port unreachable, which is related to what it answers
            closed.recv(1)


def test_the_world_sees_the_nodes_address(made: Range) -> None:
    targets = [(WORLD[version], PORT) for version in FAMILIES]
    seen = reached(made.outside, made.containers[WEB, 2].sandbox, *targets)
    assert seen == {(WORLD[version], PORT): str(NODE[version]) for version in FAMILIES}


def test_what_is_on_flannels_bridge_goes_to_other_nodes_and_hears_them_under_its_own_address(made: Range) -> None:
    seen = reached(made.outside, made.on_bridge, *((PEER[version], PORT) for version in FAMILIES))
    assert seen == {(PEER[version], PORT): str(ON_BRIDGE[version]) for version in FAMILIES}
    with listening({"pod": (made.on_bridge, (PORT,))}) as listeners:
        for version in FAMILIES:
            pod = PEER[version] + 4
            packets = datagram(pod, ON_BRIDGE[version], (1, PORT), bytes([version] * 4), number=1, in_fragments=False)
            fire(made.outside, [ethernet(MAC.format(1), made.macs[NIC], packet) for packet in packets])
        assert len(listeners["pod"].heard()) == len(FAMILIES)


@contextmanager
def opened(openings: Openings) -> Iterator[None]:
    asyncio.run(NftGuard(openings).put(GUARDED))
    try:
        yield
    finally:
        asyncio.run(NftGuard(Openings(HINTS)).put(GUARDED))


@pytest.mark.parametrize("net", [WEB, INNER], ids=["a network", "an internal network"])
def test_the_nodes_services_are_opened_by_a_setting_and_its_hint_port_is_not(made: Range, net: Net) -> None:
    inside = made.containers[net, 2]
    services = [(one, PORT) for version in FAMILIES for one in (net.gateway(version), NODE[version])]
    services.append((inside.host_link_local, PORT))
    hints = [(NODE[version], HINTS) for version in FAMILIES]
    assert reached(None, inside.sandbox, *services, *hints) == {}
    with opened(Openings(HINTS, host=True)):
        assert set(reached(None, inside.sandbox, *services, *hints)) == set(services)
        assert reached(made.outside, inside.sandbox, (METADATA[4], PORT)) == {}


def test_metadata_is_opened_by_a_setting_for_who_may_leave_and_then_seen_as_the_nodes(made: Range) -> None:
    web, inner, metadata = made.containers[WEB, 2].sandbox, made.containers[INNER, 2].sandbox, (METADATA[4], PORT)
    with opened(Openings(HINTS, metadata=True)):
        assert reached(made.outside, web, metadata) == {metadata: str(NODE[4])}
        assert reached(made.outside, inner, metadata) == {}
        assert reached(None, web, (NODE[4], PORT)) == {}


def test_no_more_hints_are_let_in_than_a_node_can_listen_to(made: Range) -> None:
    flood = []
    for number in range(3000):
        flood += datagram(
            PEER[4], NODE[4], (HINTS, HINTS), number.to_bytes(4, "big"), number=number, in_fragments=False
        )
    with listening({"node": (None, (HINTS,))}) as listeners:
        fire(made.outside, [ethernet(MAC.format(1), made.macs[NIC], packet) for packet in flood])
        assert 0 < len(listeners["node"].heard()) < len(flood) / 2


def ways() -> set[str]:
    """All of the node's routes and addresses."""
    shown = run("ip", "-4", "route") + run("ip", "-6", "route") + run("ip", "-o", "address")
    return {" ".join(line.split("expires")[0].split("valid_lft")[0].split()) for line in shown.splitlines()}


def test_no_container_poisons_the_node_or_another_by_arp_or_neighbour_discovery(made: Range) -> None:
    """Whatever it claims: another container's address, another node's, the router's, the gateway's, the node's."""
    attacker, victim = made.containers[WEB, 2], made.containers[WEB, 3]
    for address in (*(WEB.here(3, v) for v in FAMILIES), *(ROUTER[v] for v in FAMILIES)):
        pings(None, address)
    before, routes = neighbours(), ways()
    claims = [
        (WEB.here(3, v), DB.here(2, v), WEB.there(v), ROUTER[v], PEER[v], WEB.gateway(v), NODE[v], METADATA[v])
        for v in FAMILIES
    ]
    frames = [
        arp(operation, MAC.format(number), as_ipv4(claimed), as_ipv4(target))
        for number, claimed in enumerate(claims[0])
        for operation, target in product((ARP_REQUEST, ARP_REPLY), (WEB.gateway(4), NODE[4], claimed))
    ]
    for number, claimed in enumerate(map(as_ipv6, claims[1])):
        mac = MAC.format(number)
        for target in (as_ipv6(WEB.gateway(6)), attacker.host_link_local):
            packets = [solicitation(claimed, target, mac), advertisement(claimed, target, mac)]
            frames += [ethernet(mac, attacker.host_mac, packet) for packet in packets]
    fire(attacker.sandbox, frames)
    for address in (*(WEB.here(3, v) for v in FAMILIES), *(ROUTER[v] for v in FAMILIES)):
        assert pings(None, address), address
    # Only a link-local address may be anybody's of a link, and is nobody's of another.
    believed = {(mac, device) for mac, device in neighbours() - before if mac.startswith(MAC[:5])}
    assert {mac for mac, _ in believed} <= {MAC.format(list(claims[1]).index(METADATA[6]))}
    assert {device for _, device in believed} <= {attacker.vif.host_device}
    assert ways() == routes
    assert MAC[:5] not in victim.sandbox.run("ip", "neigh", "show")


def test_a_containers_router_advertisement_is_no_way_and_the_routers_own_is(made: Range) -> None:
    inside, routes = made.containers[WEB, 2], ways()
    assert Path(f"/proc/sys/net/ipv6/conf/{inside.vif.host_device}/accept_ra").read_text() == "0\n"
    for device in made.macs:
        if device.startswith("flh"):
            Path(f"/proc/sys/net/ipv6/conf/{device}/accept_ra").write_text("2")
    for one in made.containers.values():
        packet = router_advertisement(as_ipv6(LINK_LOCAL[6]), IPv6Address("2001:db8:bad::"), MAC.format(9))
        fire(one.sandbox, [ethernet(MAC.format(9), one.host_mac, packet)])
    assert ways() == routes, "neither by the device's setting nor by the filter alone"
    packet = router_advertisement(as_ipv6(LINK_LOCAL[6]), IPv6Address("2001:db8:900d::"), MAC.format(9))
    fire(made.outside, [ethernet(MAC.format(9), made.macs[NIC], packet)])
    assert any("2001:db8:900d::" in way for way in ways() - routes)


def test_a_container_can_not_fill_the_nodes_table_of_neighbours(made: Range) -> None:
    inside = made.containers[WEB, 2]
    frames = []
    for number in range(2000):
        mac = MAC.format(number % 256)
        frames.append(arp(ARP_REQUEST, mac, IPv4Address(0x0A3C8000 + number), as_ipv4(WEB.gateway(4))))
        packet = solicitation(as_ipv6(LINK_LOCAL[6]) + number, as_ipv6(WEB.gateway(6)), mac)
        frames.append(ethernet(mac, inside.host_mac, packet))
    fire(inside.sandbox, frames)
    shown = json.loads(run("ip", "-j", "neigh", "show", "dev", inside.vif.host_device, "nud", "all"))
    assert len([one for one in shown if ":" not in one["dst"]]) <= 1
    assert len(shown) < 200


def test_arp_answers_a_container_for_its_gateway_alone(made: Range) -> None:
    inside = made.containers[WEB, 2].sandbox
    for address, answered in ((WEB.gateway(4), True), (NODE[4], False), (DB.gateway(4), False)):
        said = inside.run("busybox", "arping", "-c", "1", "-w", "1", "-I", "eth0", str(address), check=False)
        assert ("Received 1" in said) is answered, address


async def test_a_hint_is_heard_by_the_nic_of_both_families_and_by_no_other_device(made: Range) -> None:
    """The socket's own doing: without the filter."""
    run("nft", "delete", "table", "inet", "fairlead")
    heard: list[bytes] = []
    hints = Hints(HINTS, KernelRoutes().nic)
    listening = asyncio.create_task(hints.listen(heard.append, SystemClock()))
    async with asyncio.timeout(10):
        while len(hints._transports) < 2:  # noqa: ASYNC110  # nothing rings
            await asyncio.sleep(0.01)
    inside = made.containers[WEB, 2]
    for version in FAMILIES:
        for sandbox, mac, source in (
            (inside.sandbox, inside.host_mac, WEB.here(2, version)),
            (made.on_bridge, made.macs[BRIDGE], PEER[version]),
            (made.outside, made.macs[NIC], PEER[version]),
        ):
            data = f"{version} {mac}".encode()
            packets = datagram(source, NODE[version], (HINTS, HINTS), data, number=1, in_fragments=False)
            fire(sandbox, [ethernet(MAC.format(1), mac, packet) for packet in packets])
    await asyncio.sleep(0.3)
    hints.tell(list(PEER.values()), b"")
    listening.cancel()
    await asyncio.wait([listening])
    assert set(heard) == {f"{version} {made.macs[NIC]}".encode() for version in FAMILIES}
    await NftGuard(Openings(HINTS)).put(GUARDED)
