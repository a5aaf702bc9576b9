"""Being on a network by ports: each container there has one of its own.

The first host makes what is missing, the others adopt it; every member of an owned network tags it, and the last to
take its tag off deletes it. What Fairlead did not make is used and otherwise left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from fairlead.core.background.grace import GRACE
from fairlead.core.networks.deletion import delete_unless_used
from fairlead.core.networks.election import Election
from fairlead.core.networks.held import still_attached
from fairlead.core.networks.lookup import find_network
from fairlead.core.networks.memberships import Found
from fairlead.core.networks.ranges import first_address, ranges_without
from fairlead.core.networks.spared import spare_tags, upper_part
from fairlead.core.networks.spec import NetworkSpec, RangeSpec
from fairlead.core.warm.node import Node
from fairlead.core.warm.provisioning import delete_ports
from fairlead.model.errors import Conflict, InvalidInput, NotFound, OverlappingSubnet
from fairlead.model.network import AddressRange, IPAddress, IPNetwork, Network, NewNetwork, NewSubnet, Subnet
from fairlead.model.records import Batch, JoinedNetwork, JoinedSubnet, NetworkReference, Step, Use
from fairlead.model.tags import (
    OWNED,
    SHORT_ID,
    is_member_tag,
    member_id,
    member_tag,
    network_description,
    network_name,
    pool_tag,
)

log = structlog.get_logger(__name__)

_ATTEMPTS = 5
"""How often a network that changes under our hands is looked at again."""


@dataclass(frozen=True, slots=True)
class PortMembership:
    """How a node is on a network whose containers have a port each (`Membership`)."""

    node: Node

    async def look_up(self, reference: NetworkReference, cidr: IPNetwork | None) -> Found | None:
        """Find the network by reference or range, with its subnets."""
        network = await find_network(self.node, reference, cidr)
        return Found(network, await self.node.network_service.find_subnets(network.id)) if network else None

    async def is_on(self, cidr: IPNetwork) -> bool:
        """Say whether the node's own NIC is on a range."""
        return await self.node.nesting.is_on(cidr)

    def refuse(self, spec: NetworkSpec) -> None:
        """Nothing by its spec alone: `Nesting.admit` refuses."""

    async def refuse_in_use(self, joined_id: str) -> None:
        """Refuse while containers have devices; of one that went while the agent was away nobody has told."""
        attached = self.node.port_table.in_use(joined_id, Use.ATTACHED)
        away = {one.port_id for one in await self.node.dataplane.plugged() if one.away} if attached else set()
        if any(allocation.id in away for allocation in attached):
            raise still_attached(joined_id)

    async def empty(self, record: JoinedNetwork) -> bool:
        """Delete the host's ports in a network; say whether none is still being made.

        The mark goes first: a memory that is rebuilt in the middle must not take the network for joined.
        """
        if record.owned:
            for network in await self.node.network_service.find_networks(network_id=record.network_id):
                await self._take_marks_off(network, record.id)
        while True:
            # Looked at anew after each turn: ports that were being made may have come meanwhile.
            while left := self.node.port_table.in_use(record.id, *Use):
                await delete_ports(self.node, [self.node.port_table.put(replace(one, leaving=True)) for one in left])
            batches = [one.id for one in self.node.store.all(Batch) if one.joined_id == record.id]
            answers = [answer for one in batches if (answer := self.node.provisioning.get(one))]
            if not answers:
                return not batches
            for answer in answers:
                await answer.wait()

    def find(self, joined_id: str) -> JoinedNetwork | None:
        """Return a network's record; one that was rebuilt may know only the beginning of the door's id."""
        record = self.node.store.get(JoinedNetwork, joined_id)
        short = self.node.store.get(JoinedNetwork, joined_id[:SHORT_ID]) if record is None else None
        if short is None:
            return record
        record = replace(short, id=joined_id)
        self.node.store.put(record)
        self.node.store.delete(JoinedNetwork, short.id)
        for allocation in self.node.port_table.in_use(short.id, *Use):
            self.node.port_table.put(replace(allocation, joined_id=joined_id))
        return record

    async def enter(self, spec: NetworkSpec, record: JoinedNetwork) -> JoinedNetwork:
        """Create or adopt the network and its subnets, and tag it."""
        groups = await self._groups(spec.groups)
        for _ in range(_ATTEMPTS):
            network = await find_network(self.node, spec.reference, spec.ranges[0].cidr)
            await self.node.nesting.admit(network, spec.groups)
            if network is None:
                network = await self._create(record, spec.reference, spec.ranges)
            if OWNED in network.tags and not await self._marks(network, record.id):
                tag = member_tag(await self.node.host(), self.node.id, record.id)
                try:
                    await self.node.network_service.tag_network(network.id, tag)
                except NotFound:
                    continue  # its last member left while we were looking
            return await self._hold(replace(record, security_group_ids=groups), network, spec.ranges)
        raise Conflict(f"network {spec.reference} comes and goes", remedy="see who else makes and deletes it")

    async def _create(self, record: JoinedNetwork, reference: NetworkReference, ranges: Sequence[RangeSpec]) -> Network:
        service = self.node.network_service
        for one in ranges:
            _pools(one)  # refused before anything is made
        tags = {OWNED, member_tag(await self.node.host(), self.node.id, record.id)}
        if not reference.name:
            tags |= {pool_tag(one.cidr) for one in ranges}
        new = NewNetwork(
            name=reference.name or network_name(ranges[0].cidr),
            description=network_description(self.node.id, record.id),
            tags=frozenset(tags),
        )

        async def candidates() -> list[Network]:
            if reference.name:
                return await service.find_networks(name=reference.name, tags=(OWNED,), own=True)
            return await service.find_networks(tags=(OWNED, pool_tag(ranges[0].cidr)), own=True)

        async def settle(network: Network) -> None:
            await service.create_subnet(_new_subnet(network, ranges[0]))

        network, _ = await Election(self.node, candidates, settle).run(
            new, lambda mine: self.node.store.put(replace(record, network_id=mine.id, owned=True))
        )
        return network

    async def _hold(self, record: JoinedNetwork, network: Network, ranges: Sequence[RangeSpec]) -> JoinedNetwork:
        subnets = await self.node.network_service.find_subnets(network.id)
        joined = []
        for wanted in ranges:
            subnet = next((one for one in subnets if one.cidr == wanted.cidr), None)
            if subnet is None:
                subnet = await self._add_subnet(network, wanted)
            joined.append(
                JoinedSubnet(subnet.id, subnet.cidr, subnet.gateway, subnet.host_routes, wanted.part, wanted.excluded)
            )
            self._refuse_second_use(record.id, subnet)
        held = replace(
            record.held(network, self.node.clock.now()),
            mtu=network.mtu,
            owned=OWNED in network.tags,
            subnets=tuple(joined),
        )
        self.node.store.put(held)
        return held

    async def _add_subnet(self, network: Network, wanted: RangeSpec) -> Subnet:
        """Give an owned network one more range; another host may do so at the same moment."""
        if OWNED not in network.tags:
            raise NotFound(
                f"network {network.name or network.id} has no subnet {wanted.cidr}, and Fairlead did not make it",
                remedy="make the subnet with `openstack subnet create`",
            )
        try:
            return await self.node.network_service.create_subnet(_new_subnet(network, wanted))
        except OverlappingSubnet:
            subnets = await self.node.network_service.find_subnets(network.id)
            same = next((one for one in subnets if one.cidr == wanted.cidr), None)
            if same is None:
                raise
            return same

    def _refuse_second_use(self, joined_id: str, subnet: Subnet) -> None:
        for other in self.node.store.all(JoinedNetwork):
            leaving = other.step is Step.LEAVING
            if other.id != joined_id and not leaving and any(one.subnet_id == subnet.id for one in other.subnets):
                raise OverlappingSubnet(
                    f"subnet {subnet.cidr} is already used by network {other.id[:12]} on this host",
                    remedy="use that network, or name another Neutron network",
                    code="subnet-used-twice",
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

    async def retire(self, record: JoinedNetwork) -> None:
        """Undo the membership, held or half made, and forget it."""
        service, marked = self.node.network_service, set[str]()
        if record.step is Step.WANTED:
            # Made just before a crash, and perhaps not tagged yet.
            tag = member_tag(await self.node.host(), self.node.id, record.id)
            described = network_description(self.node.id, record.id)
            found = await service.find_networks(tags=(OWNED, tag), own=True)
            found += await service.find_networks(description=described, own=True)
            marked = {network.id for network in found}
        if record.owned and record.network_id:
            marked.add(record.network_id)
        for network_id in marked:
            for network in await service.find_networks(network_id=network_id):
                await self._take_marks_off(network, record.id)
            await delete_unless_used(service, network_id, _has_members, keep=self._is_late(record))
        self.node.store.delete(JoinedNetwork, record.id)

    def _is_late(self, record: JoinedNetwork) -> bool:
        """Say whether ports that are in the network are others': Neutron may count for a while what was deleted."""
        return self.node.clock.now() - record.since > GRACE

    async def _marks(self, network: Network, joined_id: str) -> list[str]:
        host, short_id = await self.node.host(), joined_id[:SHORT_ID]
        return [tag for tag in network.tags if member_id(tag, host, self.node.id) == short_id]

    async def _take_marks_off(self, network: Network, joined_id: str) -> None:
        for tag in await self._marks(network, joined_id):
            await self.node.network_service.untag_network(network.id, tag)


def _has_members(network: Network) -> bool:
    return any(map(is_member_tag, network.tags))


def _new_subnet(network: Network, wanted: RangeSpec) -> NewSubnet:
    gateway = _gateway(wanted)
    pools, least = _pools(wanted)
    return NewSubnet(
        network_id=network.id,
        cidr=wanted.cidr,
        gateway=gateway,
        name=network_name(wanted.cidr),
        allocation_pools=pools,
        tags=frozenset({OWNED}) | spare_tags(least),
    )


def _gateway(wanted: RangeSpec) -> IPAddress:
    return wanted.gateway or first_address(wanted.cidr)


def _pools(wanted: RangeSpec) -> tuple[tuple[AddressRange, ...], IPAddress | None]:
    """Return a new subnet's pools, and the address down to which they may grow. Raises InvalidInput for none."""
    gateway = _gateway(wanted)
    if wanted.part:
        pools, least = ranges_without(wanted.cidr, {gateway, *wanted.excluded}, wanted.part), None
    else:
        pools, least = upper_part(wanted.cidr, gateway, wanted.excluded)
    if not pools:
        raise InvalidInput(
            f"{wanted.part or wanted.cidr} is too small: it has no address for containers beside gateway {gateway}",
            remedy="give a larger range",
            code="range-too-small",
        )
    return pools, least
