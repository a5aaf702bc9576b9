"""Blocks: the parts of a network's range that nodes hold, each a subnet of its Neutron network.

Neutron lets no two subnets of a network overlap, so that making one is to hold it. The subnet's name tells the node,
its host route the address by which the node is reached: a network's subnets are the routing table of its nodes.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from fairlead.model.errors import InvalidInput, NoFreeAddress, OverlappingSubnet
from fairlead.model.network import HostRoute, IPAddress, IPNetwork, NewSubnet, Subnet
from fairlead.model.tags import OWNED, is_block
from fairlead.ports.network_service import NetworkService

_SPLIT = {4: 4, 6: 16}
"""By so many bits a block is longer than its range, within the lengths below: a /24 has sixteen, as a /20 has."""

_LENGTHS = {4: (26, 30), 6: (112, 124)}
_PORT_ID = re.compile(r" ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
_ATTEMPTS = 8
_LOOKS = 4096
"""Blocks of a range that are looked at for a free one."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A node, as the names of its blocks tell of it. addresses: by which it is reached, at most one of each family."""

    name: str
    port_id: str
    addresses: tuple[IPAddress, ...]

    def address(self, version: int) -> IPAddress:
        """Return the node's address of IP version 4 or 6. Raises InvalidInput where it has none."""
        found = next((one for one in self.addresses if one.version == version), None)
        if found is None:
            raise InvalidInput(
                f"this node has no IPv{version} address by which others could reach its containers",
                remedy=f"give its port one, or make the network without an IPv{version} range",
            )
        return found


@dataclass(frozen=True, slots=True)
class Block:
    """A block that a node holds.

    nexthop: the node's address. port_id: the node's port; empty where somebody has named the block anew. description:
    whom it serves there (`tags.described_block`).
    """

    subnet_id: str
    cidr: IPNetwork
    nexthop: IPAddress
    port_id: str
    description: str = ""

    def is_held_by(self, port_id: str, addresses: Collection[IPAddress]) -> bool:
        """Say whether the node with this port and these addresses holds it."""
        return self.port_id == port_id if self.port_id else self.nexthop in addresses


def block_of(subnet: Subnet) -> Block | None:
    """Read a subnet; None where it is no block."""
    port_id = found[0] if (found := _PORT_ID.findall(subnet.name)) else ""
    nexthop = next((route.nexthop for route in subnet.host_routes if route.destination == subnet.cidr), None)
    if nexthop is None or nexthop.version != subnet.cidr.version:
        return None
    if OWNED not in subnet.tags and not is_block(subnet.description):
        return None
    return Block(subnet.id, subnet.cidr, nexthop, port_id, subnet.description)


def block_length(cidr: IPNetwork) -> int:
    """Return the prefix length of a range's blocks. Raises InvalidInput where the range is too small for two."""
    shortest, longest = _LENGTHS[cidr.version]
    if cidr.prefixlen >= longest:
        raise InvalidInput(
            f"{cidr} is too small: each node takes a block of it, of /{longest} at least",
            remedy="give a larger range",
            code="range-too-small",
        )
    return min(max(cidr.prefixlen + _SPLIT[cidr.version], shortest), longest)


async def take_block(
    service: NetworkService,
    network_id: str,
    cidr: IPNetwork,
    holder: Holder,
    description: str,
    *,
    within: IPNetwork | None = None,
) -> Block:
    """Make the first free block of a range, from a place on that differs from node to node; within: of this part.

    A part that is smaller than a block is the block. Raises NoFreeAddress where all are held, InvalidInput, NotFound
    (the network), QuotaExceeded and what NetworkService raises.
    """
    nexthop, length = holder.address(cidr.version), block_length(cidr)
    seed = int(holder.port_id[:8], 16)
    for _ in range(_ATTEMPTS):
        held = [one.cidr for one in await service.find_subnets(network_id)]
        chosen = free_block(within or cidr, length, held, seed)
        if chosen is None:
            raise NoFreeAddress(
                f"other nodes hold all blocks of {within or cidr}",
                remedy="make a network with a larger range, or remove it from nodes that do not need it",
                code="blocks-used-up",
            )
        new = NewSubnet(
            network_id=network_id,
            cidr=chosen,
            gateway=None,
            name=f"{holder.name} {holder.port_id}",
            description=description,
            host_routes=(HostRoute(chosen, nexthop),),
            tags=frozenset({OWNED}),
        )
        try:
            made = await service.create_subnet(new)
        except OverlappingSubnet:
            seed += 1
            continue
        return Block(made.id, chosen, nexthop, holder.port_id, description)
    raise NoFreeAddress(f"other nodes take the blocks of {cidr} faster than this one", remedy="try again")


def free_block(cidr: IPNetwork, length: int, held: Sequence[IPNetwork], seed: int) -> IPNetwork | None:
    """Return a block that overlaps none that is held, looking from the seed's place on."""
    length = max(length, cidr.prefixlen)
    count = 1 << (length - cidr.prefixlen)
    size = 1 << (cidr.max_prefixlen - length)
    network = type(cidr)
    for number in range(seed, seed + min(count, _LOOKS)):
        first = int(cidr.network_address) + number % count * size
        candidate: IPv4Network | IPv6Network = network((first, length))
        if not _overlaps_any(candidate, held):
            return candidate
    return None


def _overlaps_any(candidate: IPNetwork, held: Iterable[IPNetwork]) -> bool:
    return any(one.version == candidate.version and one.overlaps(candidate) for one in held)
