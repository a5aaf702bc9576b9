"""The packet filter of mode `routed`, by packets: who reaches whom, and by saying what of himself.

Every cell of the matrix (`guarding.rules`) is a packet with a number in it, sent once; a listener at each target tells
which numbers came.
"""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fairlead.adapters.kernel.ruleset import Openings
from tests.functional.guarding.frames import Address, datagram, ethernet
from tests.functional.guarding.range import (
    BRIDGE,
    DB,
    HINTS,
    INNER,
    LINK_LOCAL,
    METADATA,
    MULTICAST,
    NIC,
    NODE,
    ON_BRIDGE,
    PEER,
    PORT,
    ROOT,
    WEB,
    WORLD,
    Container,
    Net,
    Range,
    fire,
    listening,
    new_range,
)
from tests.functional.guarding.rules import (
    BY_NIC,
    CONTAINERS,
    Cell,
    Said,
    Source,
    Target,
    cells,
    may_arrive,
    table,
)
from tests.functional.namespaces import Sandbox

pytestmark = pytest.mark.root

CELLS = cells()
LISTENERS = {
    Target.CONTAINER: "web",
    Target.INTERNAL: "inner",
    Target.GATEWAY: "node",
    Target.LINK: "node",
    Target.NIC: "node",
    Target.HINTS: "node",
    Target.FAR: "outside",
    Target.WORLD: "outside",
    Target.METADATA: "outside",
    Target.PEERS_HINTS: "outside",
}
SENDER, RECEIVER, BYSTANDER = 2, 3, 4
"""Containers of each network, by the last of their addresses."""


@dataclass(frozen=True)
class Shot:
    """A cell as a packet, among `made`."""

    made: Range
    number: int
    cell: Cell

    @property
    def net(self) -> Net:
        """The network whose addresses are forged: the target's, else the sender's, else any."""
        source, target = self.cell.source, self.cell.target
        if target in (Target.CONTAINER, Target.INTERNAL):
            return INNER if target is Target.INTERNAL else WEB
        return {Source.OTHER: DB, Source.INTERNAL: INNER}.get(source, WEB)

    @property
    def sender(self) -> Container:
        net = {Source.OTHER: DB, Source.INTERNAL: INNER}.get(self.cell.source, self.net)
        return self.made.containers[net, SENDER]

    @property
    def source(self) -> Address:
        version = self.cell.shape.version
        match self.cell.said:
            case Said.OWN if self.cell.source in CONTAINERS:
                return self.sender.net.here(SENDER, version)
            case Said.OWN:
                own = {Source.BRIDGE: ON_BRIDGE, Source.PEER: PEER, Source.WORLD: WORLD, Source.NODE: NODE}
                return own[self.cell.source][version]
            case Said.OTHERS:
                return self.net.here(BYSTANDER, version)
            case Said.PEERS:
                return self.net.there(version)
            case Said.NODES:
                return NODE[version]
            case Said.GATEWAYS:
                return self.net.gateway(version)
            case Said.LINK_LOCAL:
                return LINK_LOCAL[version]
            case _:
                return MULTICAST[version]

    @property
    def target(self) -> Address:
        version = self.cell.shape.version
        match self.cell.target:
            case Target.CONTAINER | Target.INTERNAL:
                return self.net.here(RECEIVER, version)
            case Target.GATEWAY:
                return self.net.gateway(version)
            case Target.LINK:
                return self.sender.host_link_local
            case Target.FAR:
                return WEB.there(version)
            case Target.WORLD:
                return WORLD[version]
            case Target.METADATA:
                return METADATA[version]
            case Target.PEERS_HINTS:
                return PEER[version]
            case _:
                return NODE[version]

    @property
    def port(self) -> int:
        return HINTS if self.cell.target in (Target.HINTS, Target.PEERS_HINTS) else PORT

    @property
    def data(self) -> bytes:
        return self.number.to_bytes(4, "big") + bytes(60)

    def frames(self) -> list[bytes]:
        """Of its own service port, so that no other packet's connection lets it through."""
        shape, ports = self.cell.shape, (10000 + self.number, self.port)
        packets = datagram(
            self.source, self.target, ports, self.data, number=self.number, in_fragments=shape.in_fragments
        )
        if self.cell.source in CONTAINERS:
            receiver = self.sender.host_mac
        else:
            receiver = self.made.macs[NIC if self.cell.source in BY_NIC else BRIDGE]
        return [ethernet("02:00:00:00:00:99", receiver, packet) for packet in packets]

    def send_as_the_node(self) -> None:
        """Through its own stack; in fragments where that is asked for."""
        family = socket.AF_INET if self.cell.shape.version == 4 else socket.AF_INET6
        scope = socket.if_nametoindex(NIC) if self.target.is_link_local and family == socket.AF_INET6 else 0
        more = (0, scope) if family == socket.AF_INET6 else ()
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.bind(("", 10000 + self.number))
            sender.sendto(self.data + bytes(2000 * self.cell.shape.in_fragments), (str(self.target), self.port, *more))


@pytest.fixture(scope="module")
def made() -> Iterator[Range]:
    with new_range(Openings(HINTS)) as made:
        asyncio.run(made.build())
        yield made


@pytest.fixture(scope="module")
def arrived(made: Range) -> dict[Cell, bool]:
    """What became of each cell; a packet that comes where it should not at all counts as arrived."""
    shots = [Shot(made, number, cell) for number, cell in enumerate(CELLS)]
    by_sandbox: dict[Sandbox, list[bytes]] = {}
    places = {
        "node": (None, (PORT, HINTS)),
        "outside": (made.outside, (PORT, HINTS)),
        "web": (made.containers[WEB, RECEIVER].sandbox, (PORT, HINTS)),
        "inner": (made.containers[INNER, RECEIVER].sandbox, (PORT, HINTS)),
    }
    with listening(places) as listeners:
        for shot in shots:
            if shot.cell.source is Source.NODE:
                shot.send_as_the_node()
                continue
            outside = made.outside if shot.cell.source in BY_NIC else made.on_bridge
            sandbox = shot.sender.sandbox if shot.cell.source in CONTAINERS else outside
            by_sandbox.setdefault(sandbox, []).extend(shot.frames())
        for sandbox, frames in by_sandbox.items():
            fire(sandbox, frames)
        heard = {name: listener.heard() for name, listener in listeners.items()}
    for shot in shots:
        strayed = [name for name in heard if shot.number in heard[name] and name != LISTENERS[shot.cell.target]]
        assert not strayed, f"{shot.cell}: heard at {strayed}"
    return {shot.cell: shot.number in heard[LISTENERS[shot.cell.target]] for shot in shots}


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_packet_arrives_where_the_rules_say_so_and_nowhere_else(arrived: dict[Cell, bool], cell: Cell) -> None:
    assert arrived[cell] is may_arrive(cell.source, cell.said, cell.target)


def test_what_packets_did_is_the_table_of_the_documentation(arrived: dict[Cell, bool]) -> None:
    assert table(arrived) in (ROOT / "docs" / "security.md").read_text()
