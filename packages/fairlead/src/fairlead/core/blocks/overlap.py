"""Ranges that one node can't serve both: what a door announces as leases, and what is divided into blocks."""

from collections.abc import Iterable

from fairlead.model.errors import OverlappingSubnet
from fairlead.model.network import IPNetwork


def refuse_overlap(wanted: Iterable[IPNetwork], taken: Iterable[tuple[str, IPNetwork]]) -> None:
    """Raise OverlappingSubnet where a range is also another's; taken: whose (in words), and which.

    Both would set the pairs of the node's port within it, each taking the other's off.
    """
    others = list(taken)
    for one in wanted:
        for whose, other in others:
            if one.overlaps(other):
                raise OverlappingSubnet(
                    f"{one} overlaps {other}, the range of {whose} on this node",
                    remedy="choose a range beside it",
                    code="range-overlaps",
                )
