"""What the packet filter of mode `routed` leaves working, what is opened by a setting, and what nobody can poison."""

import asyncio
import json
import socket
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


def say(sandbox: Sandbox, target: Address, port: int = PORT) -> None:
    """Send a datagram as any program does."""
    scope = "%eth0" if target.is_link_local and target.version == 6 else ""
    code = (
        "import socket, sys; family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET;"
        "s = socket.socket(family, socket.SOCK_DGRAM);"
        "s.sendto(bytes(4), socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), family, s.type)[0][4])"
    )
    sandbox.run("python3", "-c", code, f"{target}{scope}", str(port))


def heard_of(made: Range, place: Sandbox | None, sandbox: Sandbox, target: Address, port: int = PORT) -> set[str]:
    """Whom a listener hears when a sandbox sends to a target."""
    with listening({"there": (place, (port,))}) as listeners:
        say(sandbox, target, port)
        return {sender.removeprefix("::ffff:") for sender in listeners["there"].heard().values()}


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


@pytest.mark.parametrize("version", FAMILIES)
def test_the_world_is_reached_under_the_nodes_address_but_for_an_internal_network(made: Range, version: int) -> None:
    made.outside.run("ip", "address", "replace", f"{WORLD[version]}/{WORLD[version].max_prefixlen}", "dev", "lo")
    assert heard_of(made, made.outside, made.containers[WEB, 2].sandbox, WORLD[version]) == {str(NODE[version])}
    assert heard_of(made, made.outside, made.containers[INNER, 2].sandbox, WORLD[version]) == set()


@pytest.mark.parametrize("version", FAMILIES)
def test_what_is_on_flannels_bridge_goes_to_other_nodes_and_hears_them_under_its_own_address(
    made: Range, version: int
) -> None:
    assert heard_of(made, made.outside, made.on_bridge, PEER[version]) == {str(ON_BRIDGE[version])}
    there = {4: as_ipv4(PEER[4]) + 4, 6: as_ipv6(PEER[6]) + 4}[version]  # a pod of another node's
    packets = datagram(there, ON_BRIDGE[version], (1, PORT), bytes(4), number=1, in_fragments=False)
    with listening({"pod": (made.on_bridge, (PORT,))}) as listeners:
        fire(made.outside, [ethernet(MAC.format(1), made.macs[NIC], packet) for packet in packets])
        assert len(listeners["pod"].heard()) == 1


@contextmanager
def opened(made: Range, openings: Openings) -> Iterator[None]:
    asyncio.run(NftGuard(openings).put(GUARDED))
    try:
        yield
    finally:
        asyncio.run(NftGuard(Openings(HINTS)).put(GUARDED))


@pytest.mark.parametrize("version", FAMILIES)
def test_the_nodes_services_are_opened_by_a_setting_and_its_hint_port_is_not(made: Range, version: int) -> None:
    for net in (WEB, INNER):
        inside = made.containers[net, 2]
        with opened(made, Openings(HINTS, host=True)):
            for target in (net.gateway(version), NODE[version], *([inside.host_link_local] if version == 6 else [])):
                assert heard_of(made, None, inside.sandbox, target), target
            assert heard_of(made, None, inside.sandbox, NODE[version], HINTS) == set()
            assert heard_of(made, made.outside, inside.sandbox, METADATA[4]) == set()
        assert heard_of(made, None, inside.sandbox, NODE[version]) == set()


def test_metadata_is_opened_by_a_setting_for_who_may_leave_and_then_seen_as_the_nodes(made: Range) -> None:
    web, inner = made.containers[WEB, 2].sandbox, made.containers[INNER, 2].sandbox
    with opened(made, Openings(HINTS, metadata=True)):
        assert heard_of(made, made.outside, web, METADATA[4]) == {str(NODE[4])}
        assert heard_of(made, made.outside, inner, METADATA[4]) == set()
        assert heard_of(made, None, web, NODE[4]) == set()
    assert heard_of(made, made.outside, web, METADATA[4]) == set()


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
    for net, last in made.containers:
        one = made.containers[net, last]
        packet = router_advertisement(as_ipv6(LINK_LOCAL[6]), IPv6Address("2001:db8:bad::"), MAC.format(9))
        fire(one.sandbox, [ethernet(MAC.format(9), one.host_mac, packet)])
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
    for version, (sandbox, mac, source) in product(
        FAMILIES,
        (
            (inside.sandbox, inside.host_mac, WEB.here(2, 4)),
            (made.on_bridge, made.macs[BRIDGE], PEER[4]),
            (made.outside, made.macs[NIC], PEER[4]),
        ),
    ):
        source = source if version == 4 else {WEB.here(2, 4): WEB.here(2, 6), PEER[4]: PEER[6]}[source]
        data = f"{version} {mac}".encode()
        packets = datagram(source, NODE[version], (HINTS, HINTS), data, number=1, in_fragments=False)
        fire(sandbox, [ethernet(MAC.format(1), mac, packet) for packet in packets])
    await asyncio.sleep(0.3)
    hints.tell(list(PEER.values()), b"")
    listening.cancel()
    await asyncio.wait([listening])
    assert set(heard) == {f"{version} {made.macs[NIC]}".encode() for version in FAMILIES}
    asyncio.get_running_loop()
    await NftGuard(Openings(HINTS)).put(GUARDED)
