"""Addresses: each one is a Neutron port's, made when the engine asks for the address.

One port carries both families of a dual-stack network. The engine asks for them one after the other and does not say
that they belong together, so the second request takes the second address of a port that still has one unclaimed; where
two starts cross, `Endpoints.create` sorts them out.
"""

from dataclasses import dataclass, replace
from uuid import uuid4

import structlog

from fairlead.engine.names import OWNED, PORT_OWNER, host_tag, port_name
from fairlead.engine.node import Node
from fairlead.engine.pools import AddressPools
from fairlead.model.errors import AddressInUse, Conflict, FairleadError, InvalidInput, Unavailable
from fairlead.model.network import FixedIP, IPAddress, NewPort, PortChange
from fairlead.model.records import AddressPool, Allocation, JoinedNetwork, JoinedSubnet, Step

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Allocations:
    """Give addresses out and take them back."""

    node: Node
    pools: AddressPools

    async def allocate(self, pool_id: str, address: IPAddress | None) -> IPAddress:
        """Give out an address of the pool: the one asked for, or one that Neutron picks.

        Idempotent for an address that was asked for and has no endpoint yet. Raises NotFound (pool), InvalidInput
        (outside the pool), AddressInUse, NoFreeAddress, QuotaExceeded.
        """
        pool = self.pools.get(pool_id)
        if address is not None and address not in pool.cidr:
            raise InvalidInput(f"address {address} is outside of {pool.cidr}", remedy="give one inside of it")
        joined = self.node.store.get(JoinedNetwork, pool.engine_network)
        if joined is None or joined.step is not Step.HELD:
            raise Conflict(f"address pool {pool.cidr} has no network yet", remedy="make the network again")
        if address is not None:
            known = await self._known(joined, address)
            if known:
                return address
        if joined.subnets[0].pool_id != pool.id:
            async with self.node.locks[f"addresses {joined.id}"]:
                return await self._claim_second(joined, pool, address)
        return await self._create(joined, address)

    async def release(self, pool_id: str, address: IPAddress) -> None:
        """Take an address back; its port goes with the last one. Fine where nothing is known of it.

        Neutron may be down: the engine could do nothing about that, so the port's end is recorded and tried again.
        """
        pool = self.node.store.get(AddressPool, pool_id)
        allocation = find_allocation(self.node, pool.engine_network, address) if pool else None
        if allocation is None:
            return
        if allocation.endpoint_id:
            log.warning("kept an address: an endpoint has it", address=str(address), endpoint=allocation.endpoint_id)
            return
        allocation = replace(allocation, claimed=allocation.claimed - {address})
        self.node.store.put(allocation)
        if allocation.claimed:
            return
        try:
            await delete_allocation(self.node, allocation)
        except Unavailable as error:
            log.warning("will delete a port later", port=allocation.port_id, error=str(error))

    async def _known(self, joined: JoinedNetwork, address: IPAddress) -> bool:
        """Say whether the address was given out and still waits for its endpoint."""
        allocation = find_allocation(self.node, joined.id, address)
        if allocation is None:
            return False
        if allocation.step is Step.LEAVING:
            await delete_allocation(self.node, allocation)
            return False
        if allocation.endpoint_id:
            raise AddressInUse(
                f"address {address} is used by endpoint {allocation.endpoint_id[:12]} on this host",
                remedy="choose another --ip, or remove that container",
            )
        return address in allocation.claimed

    async def _create(self, joined: JoinedNetwork, address: IPAddress | None) -> IPAddress:
        wanted = Allocation(uuid4().hex, Step.WANTED, joined.id, self.node.clock.now())
        first, *rest = joined.subnets
        fixed_ips = (FixedIP(first.subnet_id, address), *(FixedIP(subnet.subnet_id) for subnet in rest))
        held = await create_port(self.node, joined, wanted, fixed_ips)
        given = held.address(first.cidr.version)
        if given is None:
            await delete_allocation(self.node, held)
            raise Conflict(f"Neutron gave a port no address of {first.cidr}", remedy="see Neutron's log")
        self.node.store.put(replace(held, claimed=frozenset({given})))
        return given

    async def _claim_second(self, joined: JoinedNetwork, pool: AddressPool, address: IPAddress | None) -> IPAddress:
        """Claim the other family's address of a port that waits for it, the oldest first."""
        version = pool.cidr.version
        waiting = [
            one
            for one in self.node.store.all(Allocation)
            if one.engine_network == joined.id and one.step is Step.HELD and not one.endpoint_id
        ]
        # One whose second address is already claimed is taken only where no other is left: this is a repeated request.
        waiting.sort(key=lambda one: one.address(version) in one.claimed)
        if not waiting:
            raise Conflict(f"no port waits for an address of {pool.cidr}", remedy="start the container again")
        allocation = waiting[0]
        if address is not None:
            allocation = await change_address(self.node, joined, allocation, address)
        given = allocation.address(version)
        if given is None:
            raise Conflict(f"a port has no address of {pool.cidr}", remedy="see Neutron's log")
        self.node.store.put(replace(allocation, claimed=allocation.claimed | {given}))
        return given


def find_allocation(node: Node, engine_network: str, address: IPAddress) -> Allocation | None:
    """Return the allocation that has the address."""
    return next(
        (
            one
            for one in node.store.all(Allocation)
            if one.engine_network == engine_network and address in one.addresses
        ),
        None,
    )


async def create_port(
    node: Node, joined: JoinedNetwork, wanted: Allocation, fixed_ips: tuple[FixedIP, ...], mac: str = ""
) -> Allocation:
    """Make the port of an allocation that is wanted, and hold it.

    Refused: the allocation is forgotten. No answer: it stays wanted, for the sweep to find out what became of it.
    """
    node.store.put(wanted)
    try:
        host = await node.host()
        may_bind = (await node.network_service.view()).may_bind
        port = await node.network_service.create_port(
            NewPort(
                network_id=joined.network_id,
                fixed_ips=fixed_ips,
                name=port_name(host, wanted.endpoint_id),
                device_id=wanted.id,
                device_owner=PORT_OWNER,
                mac=mac,
                host=host if may_bind else "",
                security_group_ids=joined.security_group_ids,
                tags=frozenset({OWNED, host_tag(host)}),
            )
        )
    except Unavailable:
        raise
    except FairleadError:
        node.store.delete(Allocation, wanted.id)
        raise
    addresses = tuple(one.address for one in port.fixed_ips if one.address is not None)
    held = replace(wanted, step=Step.HELD, since=node.clock.now(), port_id=port.id, mac=port.mac, addresses=addresses)
    node.store.put(held)
    return held


async def change_address(
    node: Node, joined: JoinedNetwork, allocation: Allocation, address: IPAddress | None, *, version: int = 6
) -> Allocation:
    """Give a port another address of one family (None: none of it), and keep the other family's."""
    family = address.version if address else version
    kept = [one for one in allocation.addresses if one.version != family]
    wanted = [*kept, address] if address else kept
    fixed_ips = tuple(FixedIP(_subnet_of(joined, one).subnet_id, one) for one in wanted)
    port = await node.network_service.update_port(allocation.port_id, PortChange(fixed_ips=fixed_ips))
    addresses = tuple(one.address for one in port.fixed_ips if one.address is not None)
    changed = replace(allocation, addresses=addresses, claimed=allocation.claimed & set(addresses))
    node.store.put(changed)
    return changed


async def delete_allocation(node: Node, allocation: Allocation) -> None:
    """Delete an allocation's port, also one that was made without our hearing of it, and forget the allocation."""
    leaving = replace(allocation, step=Step.LEAVING, since=node.clock.now())
    node.store.put(leaving)
    if leaving.port_id:
        await node.network_service.delete_port(leaving.port_id)
    else:
        for port in await node.network_service.find_ports(device_id=leaving.id):
            await node.network_service.delete_port(port.id)
    node.store.delete(Allocation, leaving.id)


def _subnet_of(joined: JoinedNetwork, address: IPAddress) -> JoinedSubnet:
    return next(subnet for subnet in joined.subnets if address in subnet.cidr)
