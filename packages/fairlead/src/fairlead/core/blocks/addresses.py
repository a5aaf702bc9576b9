"""Addresses out of a node's blocks: given out and taken back without a call of Neutron's.

They are given out in turn, so that one that was taken back rests as long as its block allows; out of a block's upper
part, and of the lower one, which is left to those who choose, only when that is used up.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

import structlog

from fairlead.core.background.grace import UNCLAIMED
from fairlead.core.blocks.blocks import block_length
from fairlead.core.blocks.networks import BlockMembership
from fairlead.core.networks.spared import spared
from fairlead.model.errors import AddressInUse, InvalidInput, NoFreeAddress
from fairlead.model.network import AddressRange, IPAddress, IPNetwork
from fairlead.model.records import JoinedNetwork, JoinedSubnet, Lease, ReservedAddress
from fairlead.ports.dataplane import Dataplane

log = structlog.get_logger(__name__)


class BlockAddresses:
    """Give addresses out and take them back."""

    def __init__(self, networks: BlockMembership, dataplane: Dataplane) -> None:
        self._networks = networks
        self._dataplane = dataplane
        self._store, self._clock = networks.node.store, networks.node.clock
        self._last: dict[tuple[str, int], int] = {}  # the place of the last one, by network and IP version

    async def reserve(self, joined_id: str, version: int, address: IPAddress | None) -> IPAddress:
        """Give out the address asked for, or the next free one of this node's blocks; full, it takes one block more.

        Idempotent for an address that was asked for and has no attachment yet. Raises NotFound (network, family),
        InvalidInput (the network's own address), AddressInUse (here, or of another node's block), NoFreeAddress,
        QuotaExceeded and what NetworkService raises.
        """
        async with self._networks.locks.hold(joined_id):
            joined = self._networks.get(joined_id)
            subnet = joined.subnet(version)
            if subnet is None:
                raise NoFreeAddress(f"network {joined_id[:12]} has no IPv{version} range")
            given = await (self._choose(joined, subnet, address) if address else self._pick(joined, subnet))
            self._store.put(ReservedAddress(str(given), joined.id, self._clock.now()))
        self._networks.wake_up.wake()
        return given

    def release(self, joined_id: str, address: IPAddress) -> None:
        """Take an address back. Fine where nothing is known of it."""
        reserved = self._store.get(ReservedAddress, str(address))
        if reserved is None or reserved.joined_id != joined_id:
            return
        if reserved.owner:
            if not reserved.leaving:
                log.warning("kept an address: an attachment has it", address=reserved.id, owner=reserved.owner)
            return
        self._store.delete(ReservedAddress, reserved.id)
        self._networks.wake_up.wake()
        lease = self._store.get(Lease, joined_id)
        if lease and (place := _place(_upper(_parts(lease, address.version)), address)) is not None:
            # An agent that has only just started begins behind it.
            self._last.setdefault((joined_id, address.version), place)

    async def vacate(self, owner: str, interface: str) -> None:
        """Remove the devices of an attachment, upon which its addresses wait to be released.

        Where the kernel refuses that, they are the attachment's until it no longer does. Raises DataplaneError.
        """
        for one in self._of(owner, interface):
            self._store.put(replace(one, leaving=True))
        await self._dataplane.remove(owner)
        for one in self._of(owner, interface):
            freed = replace(one, owner="", interface="", mac="", leaving=False, since=self._clock.now())
            self._store.put(freed)

    def leaving(self) -> set[tuple[str, str]]:
        """Return the attachments, by owner and interface, that were to be vacated and are not."""
        return {(one.owner, one.interface) for one in self._store.all(ReservedAddress) if one.leaving}

    def take_back(self) -> None:
        """Take back the addresses that no attachment took, and that nobody released."""
        for reserved in self._store.all(ReservedAddress):
            if not reserved.owner and self._clock.now() - reserved.since > UNCLAIMED:
                self._store.delete(ReservedAddress, reserved.id)

    def keep(self, joined_ids: Collection[str]) -> None:
        """Forget what was known of all networks but these."""
        self._last = {key: place for key, place in self._last.items() if key[0] in joined_ids}

    def free(self, joined_id: str, subnet: JoinedSubnet, lease: Lease) -> int:
        """Count the free addresses of a range in the blocks that this node holds."""
        parts = _parts(lease, subnet.cidr.version)
        taken = sum(any(one.address in part for part in parts) for one in self._networks.reserved(joined_id))
        own = sum(any(one in part for part in parts) for one in _kept(subnet))
        return sum(part.num_addresses for part in parts) - taken - own

    def is_free(self, block: IPNetwork, joined_id: str) -> bool:
        """Say whether no address of a block is given out."""
        return not any(one.address in block for one in self._networks.reserved(joined_id))

    def _of(self, owner: str, interface: str) -> list[ReservedAddress]:
        return [one for one in self._store.all(ReservedAddress) if (one.owner, one.interface) == (owner, interface)]

    async def _pick(self, joined: JoinedNetwork, subnet: JoinedSubnet) -> IPAddress:
        found = self._next(joined, subnet, self._networks.lease(joined.id))
        if found is None:
            found = self._next(joined, subnet, await self._networks.grow(joined, subnet.cidr.version))
        if found is None:
            raise NoFreeAddress(
                f"all addresses of this node's blocks of {subnet.cidr} are taken",
                remedy="give a larger range",
                code="range-used-up",
            )
        return found

    def _next(self, joined: JoinedNetwork, subnet: JoinedSubnet, lease: Lease) -> IPAddress | None:
        parts, kept = _parts(lease, subnet.cidr.version), _kept(subnet)
        upper, lower = _upper(parts), _lower(parts)
        key = (joined.id, subnet.cidr.version)

        def is_free(address: IPAddress) -> bool:
            return address not in kept and self._store.get(ReservedAddress, str(address)) is None

        for place in _turn(self._last.get(key, -1) + 1, sum(one.size for one in upper)):
            if is_free(address := _at(upper, place)):
                self._last[key] = place
                return address
        downwards = (_at(lower, place) for place in reversed(range(sum(one.size for one in lower))))
        return next(filter(is_free, downwards), None)

    async def _choose(self, joined: JoinedNetwork, subnet: JoinedSubnet, address: IPAddress) -> IPAddress:
        reserved = self._store.get(ReservedAddress, str(address))
        if reserved and reserved.owner:
            raise AddressInUse(
                f"address {address} is used by attachment {reserved.owner[:12]} on this host",
                remedy="choose another address, or remove that container",
                code="address-attached-here",
                details={"address": address, "owner": reserved.owner[:12]},
            )
        if address in _kept(subnet):
            raise InvalidInput(
                f"address {address} is the network's own", remedy="choose another address", code="address-of-network"
            )
        parts = _parts(self._networks.lease(joined.id), address.version)
        if any(address in part for part in parts):
            return address
        for block in await self._networks.blocks(joined.network_id):
            if address in block.cidr:
                raise AddressInUse(
                    f"address {address} is in the block {block.cidr}, which another node ({block.nexthop}) holds",
                    remedy=f"choose one of this node's: {', '.join(map(str, parts))}",
                )
        around = type(subnet.cidr)((int(address), block_length(subnet.cidr)), strict=False)
        await self._networks.grow(joined, address.version, within=around)
        return address


def _parts(lease: Lease, version: int) -> list[IPNetwork]:
    return [part for part in lease.parts if part.version == version]


def _kept(subnet: JoinedSubnet) -> set[IPAddress]:
    """Return the addresses that nobody is given: the range's first, its broadcast, its gateway, and the excluded."""
    ends = {subnet.cidr.network_address} | ({subnet.cidr.broadcast_address} if subnet.cidr.version == 4 else set())
    return {*ends, *subnet.excluded, *((subnet.gateway,) if subnet.gateway else ())}


def _upper(parts: list[IPNetwork]) -> list[AddressRange]:
    return [AddressRange(part[0] + spared(part.num_addresses), part[-1]) for part in parts]


def _lower(parts: list[IPNetwork]) -> list[AddressRange]:
    return [AddressRange(part[0], part[0] + number - 1) for part in parts if (number := spared(part.num_addresses))]


def _at(ranges: list[AddressRange], place: int) -> IPAddress:
    for one in ranges:
        if place < one.size:
            return one.first + place
        place -= one.size
    raise IndexError(place)


def _place(ranges: list[AddressRange], address: IPAddress) -> int | None:
    before = 0
    for one in ranges:
        if address in one:
            return before + int(address) - int(one.first)
        before += one.size
    return None


def _turn(start: int, total: int) -> Iterator[int]:
    """Count all places from one on, and once round."""
    for number in range(start, start + total):
        yield number % total
