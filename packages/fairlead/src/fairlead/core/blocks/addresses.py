"""Addresses out of a node's blocks: given out and taken back without a call of Neutron's.

They are given out in turn, so that one that was taken back rests as long as its block allows.
"""

from collections.abc import Iterator

import structlog

from fairlead.core.blocks.blocks import block_length
from fairlead.core.blocks.networks import Networks
from fairlead.core.networks.pools import AddressPools
from fairlead.model.errors import AddressInUse, Conflict, InvalidInput, NoFreeAddress
from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.records import AddressPool, Claim, JoinedNetwork, Lease, Step

log = structlog.get_logger(__name__)


class Addresses:
    """Give addresses out and take them back."""

    def __init__(self, networks: Networks, pools: AddressPools) -> None:
        self._networks = networks
        self._pools = pools
        self._store = networks.node.store
        self._last: dict[str, int] = {}  # the place of each pool's last one

    async def allocate(self, pool_id: str, address: IPAddress | None) -> IPAddress:
        """Give out the address asked for, or the next free one of this node's blocks; full, it takes one block more.

        Idempotent for an address that was asked for and has no endpoint yet. Raises NotFound (pool), InvalidInput
        (outside the pool, or the network's own), AddressInUse (here, or of another node's block), NoFreeAddress,
        QuotaExceeded and what NetworkService raises.
        """
        pool = self._pools.get(pool_id)
        if address is not None and address not in pool.cidr:
            raise InvalidInput(f"address {address} is outside of {pool.cidr}", remedy="give one inside of it")
        joined = self._networks.find(pool.joined_id)
        if joined is None or joined.step is not Step.HELD:
            raise Conflict(f"address pool {pool.cidr} has no network yet", remedy="make the network again")
        async with self._networks.locks[joined.id]:
            given = await (self._choose(joined, pool, address) if address is not None else self._pick(joined, pool))
            self._store.put(Claim(str(given), joined.id, self._networks.node.clock.now()))
        self._networks.wake_up.wake()
        return given

    async def release(self, pool_id: str, address: IPAddress) -> None:
        """Take an address back. Fine where nothing is known of it."""
        claim = self._store.get(Claim, str(address))
        pool = self._pools.find(pool_id)
        if claim is None or pool is None or claim.joined_id != pool.joined_id:
            return
        if claim.endpoint_id:
            log.warning("kept an address: an endpoint has it", address=claim.id, endpoint=claim.endpoint_id)
            return
        self._store.delete(Claim, claim.id)
        self._networks.wake_up.wake()
        lease = self._store.get(Lease, pool.joined_id)
        if lease and (place := _place(_parts(pool, lease), address)) is not None:
            self._last.setdefault(pool.id, place)  # an agent that has only just started begins behind it

    def free(self, pool: AddressPool, lease: Lease) -> int:
        """Count the free addresses of a pool in the blocks that this node holds."""
        parts = _parts(pool, lease)
        taken = sum(any(claim.address in part for part in parts) for claim in self._networks.claims(pool.joined_id))
        own = sum(any(one in part for part in parts) for one in _kept(pool))
        return sum(part.num_addresses for part in parts) - taken - own

    def is_free(self, block: IPNetwork, joined_id: str) -> bool:
        """Say whether no address of a block is given out."""
        return not any(claim.address in block for claim in self._networks.claims(joined_id))

    async def _pick(self, joined: JoinedNetwork, pool: AddressPool) -> IPAddress:
        found = self._next(pool, self._networks.lease(joined.id))
        if found is None:
            found = self._next(pool, await self._networks.grow(joined, pool.cidr.version))
        if found is None:
            raise NoFreeAddress(
                f"all addresses of this node's blocks of {pool.cidr} are taken", remedy="give a larger --subnet"
            )
        return found

    def _next(self, pool: AddressPool, lease: Lease) -> IPAddress | None:
        parts, kept = _parts(pool, lease), _kept(pool)
        for place in _turn(self._last.get(pool.id, -1) + 1, sum(part.num_addresses for part in parts)):
            address = _at(parts, place)
            if address not in kept and self._store.get(Claim, str(address)) is None:
                self._last[pool.id] = place
                return address
        return None

    async def _choose(self, joined: JoinedNetwork, pool: AddressPool, address: IPAddress) -> IPAddress:
        claim = self._store.get(Claim, str(address))
        if claim and claim.endpoint_id:
            raise AddressInUse(
                f"address {address} is used by endpoint {claim.endpoint_id[:12]} on this host",
                remedy="choose another --ip, or remove that container",
            )
        if address in _kept(pool):
            raise InvalidInput(f"address {address} is the network's own", remedy="choose another --ip")
        parts = _parts(pool, self._networks.lease(joined.id))
        if any(address in part for part in parts):
            return address
        for block in await self._networks.blocks(joined.network_id):
            if address in block.cidr:
                raise AddressInUse(
                    f"address {address} is in the block {block.cidr}, which another node ({block.nexthop}) holds",
                    remedy=f"choose one of this node's: {', '.join(map(str, parts))}",
                )
        around = type(pool.cidr)((int(address), block_length(pool.cidr)), strict=False)
        await self._networks.grow(joined, address.version, within=around)
        return address


def _parts(pool: AddressPool, lease: Lease) -> list[IPNetwork]:
    return [part for part in lease.parts if part.version == pool.cidr.version]


def _kept(pool: AddressPool) -> set[IPAddress]:
    """Return the addresses that no container is given: the range's first, its broadcast, its gateway, and Docker's."""
    ends = {pool.cidr.network_address} | ({pool.cidr.broadcast_address} if pool.cidr.version == 4 else set())
    return {*ends, *pool.reserved, *((pool.gateway,) if pool.gateway else ())}


def _at(parts: list[IPNetwork], place: int) -> IPAddress:
    for part in parts:
        if place < part.num_addresses:
            return part.network_address + place
        place -= part.num_addresses
    raise IndexError(place)


def _place(parts: list[IPNetwork], address: IPAddress) -> int | None:
    before = 0
    for part in parts:
        if address in part:
            return before + int(address) - int(part.network_address)
        before += part.num_addresses
    return None


def _turn(start: int, total: int) -> Iterator[int]:
    """Count all places from one on, and once round."""
    for number in range(start, start + total):
        yield number % total
