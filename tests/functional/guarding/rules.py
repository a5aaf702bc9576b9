"""Who may reach whom on a node in mode `routed`, and by saying what of himself: the rules, and the cells they decide.

1. Words on a packet count for nothing, the way by which it comes for all. A container's address comes from that
   container, another node's part of a network by the NIC, the node's own addresses from the node.
2. A container reaches those of its network, here and on other nodes, and the world. It hears those of its network, and
   the node. `--internal` takes the world away, and adds nobody.
3. Containers reach neither the node's services nor what the cloud tells the node about itself.
4. Hints go from node to node: nobody else on a node reaches a hint port, there or here.
5. What concerns no container of Fairlead's is not judged: Docker's bridge and the world are as they were before.

What comes by the NIC with an address of another node's part is taken for that node's. Neutron's port security answers
for it: it lets no other port use that address.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import groupby, product


class Source(Enum):
    """Who sends."""

    SAME = "a container of the network"
    OTHER = "a container of another network"
    INTERNAL = "a container of an internal network"
    BRIDGE = "a container on Docker's bridge"
    PEER = "another node, by the NIC"
    WORLD = "another project, by the NIC"
    NODE = "the node itself"


class Said(Enum):
    """What the packet has for its source."""

    OWN = "its own"
    OTHERS = "another container's"
    PEERS = "another node's part"
    NODES = "the node's"
    GATEWAYS = "the gateway's"
    LINK_LOCAL = "link-local"
    MULTICAST = "multicast"


class Shape(Enum):
    """How it is sent."""

    IPV4 = "IPv4"
    IPV4_FRAGMENTS = "IPv4 in fragments"
    IPV6 = "IPv6"
    IPV6_FRAGMENTS = "IPv6 in fragments"

    @property
    def version(self) -> int:
        return 4 if self in (Shape.IPV4, Shape.IPV4_FRAGMENTS) else 6

    @property
    def in_fragments(self) -> bool:
        return self in (Shape.IPV4_FRAGMENTS, Shape.IPV6_FRAGMENTS)


class Target(Enum):
    """Whom it is for."""

    CONTAINER = "a container"
    INTERNAL = "an internal container"
    FAR = "another node's container"
    WORLD = "the world"
    GATEWAY = "service at the gateway"
    LINK = "service at a link-local address"
    NIC = "service at the NIC"
    METADATA = "metadata"
    HINTS = "the hint port"
    PEERS_HINTS = "another node's hint port"


CONTAINERS = (Source.SAME, Source.OTHER, Source.INTERNAL)
BY_NIC = (Source.PEER, Source.WORLD)
BEYOND = (Target.FAR, Target.WORLD, Target.METADATA, Target.PEERS_HINTS)
NOT_JUDGED = "\N{EN DASH}"
SERVICES = (Target.GATEWAY, Target.LINK, Target.NIC)


@dataclass(frozen=True)
class Cell:
    """One packet of the matrix."""

    source: Source
    said: Said
    shape: Shape
    target: Target

    def __str__(self) -> str:
        return f"{self.source.value} as {self.said.value}, {self.shape.value}, to {self.target.value}"


def may_arrive(source: Source, said: Said, target: Target) -> bool | None:
    """Say whether it has to arrive; None where that is not Fairlead's to decide."""
    if source is Source.NODE:
        reached = said is Said.OWN and target not in (*SERVICES, Target.HINTS, Target.FAR)
        return True if reached else None
    if target in (Target.CONTAINER, Target.INTERNAL):
        of_network = Said.OWN if source is Source.SAME else Said.PEERS if source in BY_NIC else None
        return said is of_network
    if source in CONTAINERS:
        theirs = {Source.SAME: (Target.FAR, Target.WORLD), Source.OTHER: (Target.WORLD,), Source.INTERNAL: ()}
        return said is Said.OWN and target in theirs[source]
    if source is Source.BRIDGE:
        forged = said in (Said.OTHERS, Said.PEERS, Said.GATEWAYS)
        return False if forged or target in (Target.HINTS, Target.PEERS_HINTS) else None
    if target in BEYOND:
        return None  # that is not its way
    if said in (Said.OTHERS, Said.GATEWAYS):
        return False
    return True if said is Said.OWN and target is Target.HINTS else None


def cells() -> list[Cell]:
    """List what is to be sent: all that there can be and is decided."""
    every = (Cell(*one) for one in product(Source, Said, Shape, Target))
    return [one for one in every if _is_there(one) and may_arrive(one.source, one.said, one.target) is not None]


def _is_there(cell: Cell) -> bool:
    if cell.source is Source.INTERNAL and cell.target is Target.INTERNAL:
        return False  # that is SAME
    if cell.target is Target.LINK:
        return cell.shape.version == 6 and cell.source in CONTAINERS
    return True


def table(arrived: Mapping[Cell, bool]) -> str:
    """Write the matrix: a row for the sources that fare alike, `some` where it depends on the shape."""
    lines = [["from", "as", *(target.value for target in Target)], ["---"] * (2 + len(Target))]
    for source in Source:
        rows = [(said, tuple(_word(arrived, source, said, target) for target in Target)) for said in Said]
        for words, alike in groupby(sorted(rows, key=lambda row: _first(rows, row[1])), key=lambda row: row[1]):
            if set(words) != {NOT_JUDGED}:
                lines.append([source.value, ", ".join(said.value for said, _ in alike), *words])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _first(rows: Iterable[tuple[Said, tuple[str, ...]]], words: tuple[str, ...]) -> int:
    return next(place for place, (_, others) in enumerate(rows) if others == words)


def _word(arrived: Mapping[Cell, bool], source: Source, said: Said, target: Target) -> str:
    seen = {
        result for cell, result in arrived.items() if (cell.source, cell.said, cell.target) == (source, said, target)
    }
    return {frozenset(): NOT_JUDGED, frozenset({True}): "yes", frozenset({False}): "no"}.get(frozenset(seen), "some")


def expected() -> dict[Cell, bool]:
    """What the rules say of each cell."""
    return {cell: bool(may_arrive(cell.source, cell.said, cell.target)) for cell in cells()}
