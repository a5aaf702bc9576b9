"""Addresses: each one is a Neutron port's, which waits in the network's pool or is made as the user asks for it.

One port carries both families of a dual-stack network. The engine asks for them one after the other and does not say
that they belong together, so the second request takes the second address of a port that still has one unclaimed; where
two starts cross, `Endpoints.create` sorts them out.
"""

from dataclasses import dataclass, replace

import structlog

from fairlead.core.networks.pools import AddressPools
from fairlead.core.warm.node import Node
from fairlead.core.warm.pools import WarmPools
from fairlead.core.warm.provisioning import delete_port, make_ports
from fairlead.model.errors import AddressInUse, Conflict, InvalidInput
from fairlead.model.network import FixedIP, IPAddress, PortChange
from fairlead.model.records import FREE, AddressPool, Allocation, JoinedNetwork, JoinedSubnet, Step, Use
from fairlead.model.tags import unknown_endpoint

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Allocations:
    """Give addresses out and take them back."""

    node: Node
    pools: AddressPools
    warm: WarmPools

    async def allocate(self, pool_id: str, address: IPAddress | None) -> IPAddress:
        """Give out an address of the pool: the one asked for, or one of a port that waits.

        Idempotent for an address that was asked for and has no endpoint yet. Raises NotFound (pool), InvalidInput
        (outside the pool), AddressInUse, NoFreeAddress, QuotaExceeded.
        """
        pool = self.pools.get(pool_id)
        if address is not None and address not in pool.cidr:
            raise InvalidInput(f"address {address} is outside of {pool.cidr}", remedy="give one inside of it")
        joined = self.node.store.get(JoinedNetwork, pool.joined_id)
        if joined is None or joined.step is not Step.HELD:
            raise Conflict(f"address pool {pool.cidr} has no network yet", remedy="make the network again")
        first = joined.subnets[0]
        if address is not None and await self._known(joined, address, is_first=first.pool_id == pool.id):
            return address
        if first.pool_id != pool.id:
            async with self.node.locks[f"addresses {joined.id}"]:
                return await self._claim_second(joined, pool, address)
        if address is not None:
            await self._make_chosen(joined, address)
            return address
        taken = await self.warm.take(joined)
        (given,) = taken.claimed
        return given

    async def release(self, pool_id: str, address: IPAddress) -> None:
        """Take an address back; its port rests after the last one. Fine where nothing is known of it."""
        pool = self.pools.find(pool_id)
        allocation = self.node.port_table.of_address(pool.joined_id, address) if pool else None
        if allocation is None:
            return
        if allocation.endpoint_id == unknown_endpoint(allocation.id):
            allocation = replace(allocation, dirty=True)
        elif allocation.endpoint_id:
            log.warning("kept an address: an endpoint has it", address=str(address), endpoint=allocation.endpoint_id)
            return
        if address not in allocation.claimed:
            return
        left = allocation.claimed - {address}
        if left:
            self.node.port_table.put(replace(allocation, claimed=left))
        else:
            self.warm.give_back(allocation)

    async def _known(self, joined: JoinedNetwork, address: IPAddress, *, is_first: bool) -> bool:
        """Say whether the address is this host's to give: given out and without endpoint yet, or waiting in the pool.

        The second family's address goes with the first's, which was claimed before.
        """
        allocation = self.node.port_table.of_address(joined.id, address)
        if allocation is None:
            return False
        if allocation.use is Use.LEAVING:
            await delete_port(self.node, allocation)
            return False
        if allocation.use is Use.ATTACHED:
            raise AddressInUse(
                f"address {address} is used by endpoint {allocation.endpoint_id[:12]} on this host",
                remedy="choose another --ip, or remove that container",
            )
        if allocation.use in FREE and is_first:
            self.node.port_table.put(
                replace(allocation, claimed=frozenset({address}), single_use=True, since=self.node.clock.now())
            )
            return True
        return address in allocation.claimed

    async def _make_chosen(self, joined: JoinedNetwork, address: IPAddress) -> None:
        first, *rest = joined.subnets
        fixed_ips = (FixedIP(first.subnet_id, address), *(FixedIP(subnet.subnet_id) for subnet in rest))
        try:
            (made,) = await make_ports(self.node, joined, fixed_ips=fixed_ips, single_use=True)
        except AddressInUse as error:
            raise AddressInUse(
                f"address {address} is taken, perhaps by a port that waits on another host",
                remedy="choose another --ip; `docker network create --ip-range` keeps addresses outside of it for you",
            ) from error
        self.node.port_table.put(replace(made, claimed=frozenset({address})))

    async def _claim_second(self, joined: JoinedNetwork, pool: AddressPool, address: IPAddress | None) -> IPAddress:
        """Claim the other family's address of a port that waits for it, the oldest first."""
        version = pool.cidr.version
        # One whose second address is already claimed is taken only where no other is left: this is a repeated request.
        waiting = sorted(
            self.node.port_table.in_use(joined.id, Use.CLAIMED), key=lambda one: one.address(version) in one.claimed
        )
        if not waiting:
            raise Conflict(f"no port waits for an address of {pool.cidr}", remedy="start the container again")
        allocation = waiting[0]
        if address is not None and address not in allocation.addresses:
            await self._free(joined, address)
            allocation = await change_address(self.node, joined, replace(allocation, single_use=True), address)
        given = allocation.address(version)
        if given is None:
            raise Conflict(f"a port has no address of {pool.cidr}", remedy="see Neutron's log")
        self.node.port_table.put(replace(allocation, claimed=allocation.claimed | {given}))
        return given

    async def _free(self, joined: JoinedNetwork, address: IPAddress) -> None:
        """Give up a waiting port of this host's that has an address which a user chose for another."""
        holder = self.node.port_table.of_address(joined.id, address)
        if holder and holder.use in FREE:
            await delete_port(self.node, self.node.port_table.put(replace(holder, leaving=True)))


async def change_address(
    node: Node, joined: JoinedNetwork, allocation: Allocation, address: IPAddress | None, *, version: int = 6
) -> Allocation:
    """Give a port another address of one family (None: none of it), and keep the other family's."""
    family = address.version if address else version
    kept = [one for one in allocation.addresses if one.version != family]
    wanted = [*kept, address] if address else kept
    fixed_ips = tuple(FixedIP(_subnet_of(joined, one).subnet_id, one) for one in wanted)
    port = await node.network_service.update_port(allocation.id, PortChange(fixed_ips=fixed_ips))
    await node.nesting.move(allocation, port)
    addresses = tuple(one.address for one in port.fixed_ips if one.address is not None)
    return node.port_table.put(replace(allocation, addresses=addresses, claimed=allocation.claimed & set(addresses)))


def _subnet_of(joined: JoinedNetwork, address: IPAddress) -> JoinedSubnet:
    return next(subnet for subnet in joined.subnets if address in subnet.cidr)
