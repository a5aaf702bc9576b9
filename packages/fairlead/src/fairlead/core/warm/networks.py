"""Joining a Neutron network on behalf of a network of the engine's, and leaving it.

The first host makes what is missing, the others adopt it; every member of an owned network tags it, and the last to
take its tag off deletes it. What Fairlead did not make is used and otherwise left alone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from fairlead.core.networks.deletion import delete_unless_used
from fairlead.core.networks.election import Election
from fairlead.core.networks.held import in_use, require_held
from fairlead.core.networks.lookup import find_network
from fairlead.core.networks.pools import first_address, free_pools, pools_for
from fairlead.core.warm.node import Node
from fairlead.core.warm.provisioning import delete_ports
from fairlead.model.errors import Conflict, FairleadError, NotFound, OverlappingSubnet
from fairlead.model.network import AddressRange, IPAddress, IPNetwork, Network, NewNetwork, NewSubnet, Subnet
from fairlead.model.records import AddressPool, Batch, JoinedNetwork, JoinedSubnet, NetworkReference, Step, Use
from fairlead.model.tags import (
    MEMBER_PREFIX,
    OWNED,
    SHORT_ID,
    member_tag,
    network_description,
    network_name,
    pool_tag,
)

log = structlog.get_logger(__name__)

PROMPT = 5.0
"""Seconds for which leaving a network is waited for: whoever removes it may want to delete the subnet next."""

_ATTEMPTS = 5
"""How often a network that changes under our hands is looked at again."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What a network of the engine's should be.

    ranges: its pools' ranges, IPv4 first. groups: names or ids of security groups; empty: the project's default.
    """

    joined_id: str
    ranges: tuple[IPNetwork, ...]
    reference: NetworkReference = field(default_factory=NetworkReference)
    internal: bool = False
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memberships:
    """Join and leave networks."""

    node: Node

    async def join(self, spec: NetworkSpec) -> JoinedNetwork:
        """Create or adopt the network and its subnets; made half, it is undone.

        Idempotent by the engine's network id. Raises InvalidInput, NotFound, Conflict, OverlappingSubnet,
        QuotaExceeded and what NetworkService raises.
        """
        async with self.node.locks[f"network {spec.joined_id}"]:
            record = self.find(spec.joined_id)
            if record and record.step is Step.HELD:
                return record
            if record:
                await self._withdraw(record)
            pools = pools_for(self.node.store, spec.joined_id, spec.ranges, spec.reference)
            record = JoinedNetwork(spec.joined_id, Step.WANTED, self.node.clock.now(), internal=spec.internal)
            self.node.store.put(record)
            try:
                return await self._join(spec, record, pools)
            except FairleadError:
                await self._give_up(spec.joined_id)
                raise

    async def leave(self, joined_id: str) -> None:
        """Let go of a network. What that takes in Neutron is done here if it is done soon, else behind. Idempotent.

        Raises StillInUse while endpoints are on it here.
        """
        async with self.node.locks[f"network {joined_id}"]:
            record = self.find(joined_id)
            if record is None or record.step is Step.LEAVING:
                return
            await self._refuse_in_use(joined_id)
            record = replace(record, step=Step.LEAVING, since=self.node.clock.now())
            self.node.store.put(record)
            free_pools(self.node.store, record.id)
            try:
                async with asyncio.timeout(PROMPT):
                    await self._finish(record)
            except (TimeoutError, FairleadError) as error:
                log.warning("will leave a network later", network=joined_id, error=str(error) or "it takes long")

    async def _refuse_in_use(self, joined_id: str) -> None:
        """Refuse while containers have devices; of one that went while the agent was away nobody has told."""
        attached = self.node.port_table.in_use(joined_id, Use.ATTACHED)
        away = {one.port_id for one in await self.node.dataplane.plugged() if one.away} if attached else set()
        if any(allocation.id in away for allocation in attached):
            raise in_use(joined_id)

    async def _finish(self, record: JoinedNetwork) -> None:
        """Delete the host's ports in a network, and leave it; not while more ports are being made.

        The mark goes first: a memory that is rebuilt in the middle must not take the network for joined.
        """
        if record.owned:
            tag = member_tag(await self.node.host(), record.id)
            await self.node.network_service.untag_network(record.network_id, tag)
        # Looked at anew after each turn: ports that were being made may have come meanwhile.
        while left := self.node.port_table.in_use(record.id, *Use):
            await delete_ports(self.node, [self.node.port_table.put(replace(one, leaving=True)) for one in left])
        if not any(batch.joined_id == record.id for batch in self.node.store.all(Batch)):
            await self._withdraw(record)

    async def withdraw(self, joined_id: str) -> None:
        """Take this host's mark off a network that is left or half joined, and delete it where that was the last.

        The host's ports are gone by then. A network in which others have ports stays. Raises what NetworkService does.
        """
        async with self.node.locks[f"network {joined_id}"]:
            record = self.node.store.get(JoinedNetwork, joined_id)
            if record and record.step is not Step.HELD:
                await self._withdraw(record)

    def find(self, joined_id: str) -> JoinedNetwork | None:
        """Return a network's record; one that was rebuilt may know only the beginning of the engine's id."""
        record = self.node.store.get(JoinedNetwork, joined_id)
        short = self.node.store.get(JoinedNetwork, joined_id[:SHORT_ID]) if record is None else None
        if short is None:
            return record
        record = replace(short, id=joined_id)
        self.node.store.put(record)
        self.node.store.delete(JoinedNetwork, short.id)
        for pool in self.node.store.all(AddressPool):
            if pool.joined_id == short.id:
                self.node.store.put(replace(pool, joined_id=joined_id))
        for allocation in self.node.port_table.in_use(short.id, *Use):
            self.node.port_table.put(replace(allocation, joined_id=joined_id))
        return record

    def get(self, joined_id: str) -> JoinedNetwork:
        """Return a joined network. Raises NotFound."""
        return require_held(self.find(joined_id), joined_id)

    async def _join(self, spec: NetworkSpec, record: JoinedNetwork, pools: Sequence[AddressPool]) -> JoinedNetwork:
        reference = spec.reference if str(spec.reference) else pools[0].reference
        groups = await self._groups(spec.groups)
        for _ in range(_ATTEMPTS):
            network = await find_network(self.node, reference, pools[0].cidr)
            await self.node.nesting.admit(network, spec.groups)
            if network is None:
                network = await self._create(record, reference, pools)
            if OWNED in network.tags:
                tag = member_tag(await self.node.host(), record.id)
                try:
                    if tag not in network.tags:
                        await self.node.network_service.tag_network(network.id, tag)
                except NotFound:
                    continue  # its last member left while we were looking
            return await self._hold(replace(record, security_group_ids=groups), network, pools)
        raise Conflict(f"network {reference} comes and goes", remedy="see who else makes and deletes it")

    async def _create(
        self, record: JoinedNetwork, reference: NetworkReference, pools: Sequence[AddressPool]
    ) -> Network:
        service = self.node.network_service
        host = await self.node.host()
        tags = {OWNED, member_tag(host, record.id)}
        if not reference.name:
            tags |= {pool_tag(pool.cidr) for pool in pools}
        new = NewNetwork(
            name=reference.name or network_name(pools[0].cidr),
            description=network_description(host, record.id),
            tags=frozenset(tags),
        )

        async def candidates() -> list[Network]:
            if reference.name:
                return await service.find_networks(name=reference.name, tags=(OWNED,), own=True)
            return await service.find_networks(tags=(OWNED, pool_tag(pools[0].cidr)), own=True)

        async def settle(network: Network) -> None:
            await service.create_subnet(_new_subnet(network, pools[0]))

        network, _ = await Election(self.node, candidates, settle).run(
            new, lambda mine: self.node.store.put(replace(record, network_id=mine.id, owned=True))
        )
        return network

    async def _hold(self, record: JoinedNetwork, network: Network, pools: Sequence[AddressPool]) -> JoinedNetwork:
        subnets = await self.node.network_service.find_subnets(network.id)
        joined = []
        for pool in pools:
            subnet = next((one for one in subnets if one.cidr == pool.cidr), None)
            if subnet is None:
                subnet = await self._add_subnet(network, pool)
            joined.append(JoinedSubnet(subnet.id, pool.id, subnet.cidr, subnet.gateway, subnet.host_routes))
            self._refuse_second_use(record.id, subnet)
        for pool, one in zip(pools, joined, strict=True):
            self.node.store.put(
                replace(pool, joined_id=record.id, network_id=network.id, subnet_id=one.subnet_id, gateway=one.gateway)
            )
        held = replace(
            record,
            step=Step.HELD,
            since=self.node.clock.now(),
            network_id=network.id,
            name=network.name,
            mtu=network.mtu,
            owned=OWNED in network.tags,
            subnets=tuple(joined),
        )
        self.node.store.put(held)
        return held

    async def _add_subnet(self, network: Network, pool: AddressPool) -> Subnet:
        """Give an owned network one more range; another host may do so at the same moment."""
        if OWNED not in network.tags:
            raise NotFound(
                f"network {network.name or network.id} has no subnet {pool.cidr}, and Fairlead did not make it",
                remedy="make the subnet with `openstack subnet create`",
            )
        try:
            return await self.node.network_service.create_subnet(_new_subnet(network, pool))
        except OverlappingSubnet:
            subnets = await self.node.network_service.find_subnets(network.id)
            same = next((one for one in subnets if one.cidr == pool.cidr), None)
            if same is None:
                raise
            return same

    def _refuse_second_use(self, joined_id: str, subnet: Subnet) -> None:
        for other in self.node.store.all(JoinedNetwork):
            leaving = other.step is Step.LEAVING
            if other.id != joined_id and not leaving and any(one.subnet_id == subnet.id for one in other.subnets):
                raise OverlappingSubnet(
                    f"subnet {subnet.cidr} is already used by network {other.id[:12]} on this host",
                    remedy="use that network, or name another Neutron network with -o neutron.net.name=NAME"
                    " --ipam-opt neutron.net.name=NAME",
                )

    async def _groups(self, names: Sequence[str]) -> tuple[str, ...] | None:
        if not names:
            return None
        found = await self.node.network_service.find_security_groups(names)
        chosen = []
        for name in names:
            matches = [group.id for group in found if name in (group.id, group.name)]
            if len(matches) != 1:
                raise NotFound(
                    f"{len(matches) or 'no'} security groups are named {name!r}",
                    remedy="give an id out of `openstack security group list`",
                )
            chosen += matches
        return tuple(chosen)

    async def _give_up(self, joined_id: str) -> None:
        """Undo a join that failed; what can't be undone now stays recorded, and the sweep tries again."""
        record = self.node.store.get(JoinedNetwork, joined_id)
        if record is None:
            return
        try:
            await self._withdraw(record)
        except FairleadError as error:
            log.warning("could not undo a join yet", network=joined_id, error=str(error))

    async def _withdraw(self, record: JoinedNetwork) -> None:
        """Undo the membership, held or half made, and forget it."""
        service = self.node.network_service
        if record.owned or record.step is Step.WANTED:
            host = await self.node.host()
            tag = member_tag(host, record.id)
            found = []
            if record.step is Step.WANTED:
                # Made just before a crash, and perhaps not tagged yet.
                found += await service.find_networks(tags=(OWNED, tag), own=True)
                found += await service.find_networks(description=network_description(host, record.id), own=True)
            marked = {record.network_id} if record.owned and record.network_id else set()
            for network_id in marked | {network.id for network in found}:
                await service.untag_network(network_id, tag)
                await delete_unless_used(service, network_id, _has_members)
        free_pools(self.node.store, record.id)
        self.node.store.delete(JoinedNetwork, record.id)


def _has_members(network: Network) -> bool:
    return any(tag.startswith(MEMBER_PREFIX) for tag in network.tags)


def _new_subnet(network: Network, pool: AddressPool) -> NewSubnet:
    gateway = pool.gateway or first_address(pool.cidr)
    limited = bool(pool.reserved or pool.part)
    return NewSubnet(
        network_id=network.id,
        cidr=pool.cidr,
        gateway=gateway,
        name=network_name(pool.cidr),
        allocation_pools=_ranges_without(pool.cidr, {gateway, *pool.reserved}, pool.part) if limited else (),
        tags=frozenset({OWNED}),
    )


def _ranges_without(cidr: IPNetwork, taken: set[IPAddress], part: IPNetwork | None = None) -> tuple[AddressRange, ...]:
    """Return the ranges of host addresses, of a part or of all, that leave out the taken ones."""
    part = part or cidr
    last_host = int(cidr.broadcast_address) - (1 if cidr.version == 4 else 0)
    first = max(int(cidr.network_address) + 1, int(part.network_address))
    last = min(last_host, int(part.broadcast_address))
    ranges = []
    for number in sorted(int(address) for address in taken if first <= int(address) <= last):
        if first < number:
            ranges.append((first, number - 1))
        first = number + 1
    if first <= last:
        ranges.append((first, last))
    address = type(cidr.network_address)
    return tuple(AddressRange(address(low), address(high)) for low, high in ranges)
