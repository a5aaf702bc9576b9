"""Being on a network by blocks (mode `routed`): one or more of its range for each node.

A Neutron network stands for the range, and its subnets are the nodes' blocks (`blocks`); no port is ever on it. The
first node makes it, as in mode `ovs`, and the last one to give its blocks back deletes it. What the blocks need (an
address pair on the node's port, a rule in its group, routes) is a lease, which the reconciler keeps.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from fairlead.concurrency import KeyedLocks
from fairlead.core.background.evidence import Evidence
from fairlead.core.background.wake_up import WakeUp
from fairlead.core.blocks.blocks import Block, Holder, block_of, take_block
from fairlead.core.blocks.guarding import Guarding
from fairlead.core.blocks.hints import make_hint
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.overlap import refuse_overlap
from fairlead.core.blocks.port_security import is_within, open_port
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.core.networks.deletion import delete_unless_used
from fairlead.core.networks.election import Election
from fairlead.core.networks.held import require_held, still_attached
from fairlead.core.networks.memberships import Found
from fairlead.core.networks.ranges import first_address
from fairlead.core.networks.spec import NetworkSpec
from fairlead.model.errors import Conflict, DataplaneError, FairleadError, NotFound, UnsupportedRequest
from fairlead.model.network import IPAddress, IPNetwork, Network, NewNetwork, Subnet
from fairlead.model.records import JoinedNetwork, JoinedSubnet, Lease, NetworkReference, ReservedAddress, Step
from fairlead.model.tags import OWNED, block_description, is_owned, network_description, network_name, routed_tag
from fairlead.ports.dataplane import Dataplane
from fairlead.ports.guard import Guard

log = structlog.get_logger(__name__)

_ATTEMPTS = 5
"""How often a network that comes and goes is looked for again."""


class BlockMembership:
    """How a node is on a network whose containers have addresses of its blocks (`Membership`), and keeps its blocks.

    name: this node's, for people. tell is called with the addresses of nodes that should look at a network, and the
    hint that says so. guarding: what lets its packets through.
    wake_up: woken where the keeper may find something to do. locks: one for each network, by the door's id.
    """

    def __init__(
        self,
        node: RoutedNode,
        reconciler: Reconciler,
        dataplane: Dataplane,
        guard: Guard,
        *,
        name: str,
        tell: Callable[[Sequence[IPAddress], bytes], None] = lambda _nodes, _hint: None,
    ) -> None:
        self.node = node
        self.reconciler = reconciler
        self.wake_up = WakeUp()
        self._dataplane = dataplane
        self.guarding = Guarding(node, guard)
        self._name = name
        self._tell = tell
        self._missing = Evidence(node.clock)
        self.locks = KeyedLocks()

    async def look_up(self, reference: NetworkReference, cidr: IPNetwork | None) -> Found | None:  # noqa: ARG002
        """Find none: which network has a range, and whether one may be named, is known where it is joined."""
        return None

    async def is_on(self, cidr: IPNetwork) -> bool:  # noqa: ARG002
        """Say that the NIC is on no range that a user has not named: all ranges are named."""
        return False

    def refuse(self, spec: NetworkSpec) -> None:
        """Refuse security groups, networks that are there already, and ranges that overlap an announced lease's."""
        if spec.groups:
            raise UnsupportedRequest(
                "in mode `routed` a node's containers share the node's port, and its security groups",
                remedy="leave the groups out, or set agent.mode to `trunk` on nodes with a trunk",
                code="groups-need-ports",
            )
        if str(spec.reference):
            raise UnsupportedRequest(
                "in mode `routed` a network's range is divided among the nodes, unlike an existing network's",
                remedy="name no network, or set agent.mode to `trunk` on nodes with a trunk",
                code="reference-needs-ports",
            )
        refuse_overlap([one.cidr for one in spec.ranges], self.node.announced_ranges())

    async def enter(self, spec: NetworkSpec, record: JoinedNetwork) -> JoinedNetwork:
        """Hold a block of each range; return when the node's port lets them through."""
        subnets = tuple(
            JoinedSubnet("", one.cidr, one.gateway or first_address(one.cidr), (), one.part, one.excluded)
            for one in spec.ranges
        )
        record = replace(record, owned=True, subnets=subnets)
        self.node.store.put(record)  # from here on no lease of these ranges can be announced
        holder, nic = await self._holder(), await self.node.routing.nic()
        network, blocks = await self._hold_blocks(record, holder)
        lease = Lease(
            id=record.id,
            parts=tuple(block.cidr for block in blocks),
            addresses=holder.addresses,
            since=self.node.clock.now(),
            port_id=holder.port_id,
            own=True,
            ranges=tuple(subnet.cidr for subnet in record.subnets),
            joined_id=record.id,
        )
        self.node.store.put(lease)
        self._note_peers(lease, await self.blocks(network.id))
        await open_port(self.node, lease)
        held = replace(record.held(network, self.node.clock.now()), mtu=nic.mtu)
        self.node.store.put(held)
        await self.guarding.bring()
        await self.reconciler.routes.bring()
        self.reconciler.wake()
        self._tell_peers(held)
        return held

    async def refuse_in_use(self, joined_id: str) -> None:
        """Refuse while containers have devices; of one that went while the agent was away nobody has told."""
        owners = {one.owner for one in self.reserved(joined_id)} - {""}
        if owners & {one.port_id for one in await self._dataplane.plugged() if one.away}:
            raise still_attached(joined_id)
        for owner in owners:
            await self._dataplane.remove(owner)

    async def empty(self, record: JoinedNetwork) -> bool:  # noqa: ARG002
        """Nothing of its containers is in Neutron."""
        return True

    async def grow(self, joined: JoinedNetwork, version: int, *, within: IPNetwork | None = None) -> Lease:
        """Hold one more block, of IP version 4 or 6; within: that one.

        The caller has the network's lock. Raises as `join`, and QuotaExceeded beyond the port's pairs.
        """
        lease = self.lease(joined.id)
        subnet = joined.subnet(version)
        if subnet is None:
            raise NotFound(f"network {joined.id[:12]} has no IPv{version} range", remedy="make it anew with one")
        block = await self._take(joined, subnet, within=within)
        grown = replace(lease, parts=(*lease.parts, block.cidr), since=self.node.clock.now())
        self.node.store.put(grown)
        try:
            await open_port(self.node, grown)
            await self.guarding.bring()
        except FairleadError:
            self.node.store.put(lease)
            with suppress(FairleadError):  # the keeper finds it
                await self.node.network_service.delete_subnet(block.subnet_id)
            raise
        self._tell_peers(joined)
        log.info("holds one more block", network=joined.name, block=str(block.cidr))
        return grown

    async def shrink(self, joined: JoinedNetwork, blocks: Sequence[Block]) -> None:
        """Give blocks back in which no address is given out. The caller has the network's lock."""
        lease = self.lease(joined.id)
        going = {block.cidr for block in blocks}
        kept = replace(lease, parts=tuple(part for part in lease.parts if part not in going))
        if kept != lease:
            self.node.store.put(replace(kept, since=self.node.clock.now()))
            await open_port(self.node, kept)
            await self.guarding.bring()
        for block in blocks:
            await self.node.network_service.delete_subnet(block.subnet_id)
            log.info("gave a block back", network=joined.name, block=str(block.cidr))
        self._tell_peers(joined)

    async def learn(self, joined: JoinedNetwork) -> None:
        """Bring the leases of a network to its blocks in Neutron, the others' and this node's own.

        The caller has the network's lock. Raises NotFound, and what NetworkService raises.
        """
        own = self.lease(joined.id)
        blocks = await self.blocks(joined.network_id)
        self._note_peers(own, blocks)
        mine = [block for block in blocks if block.is_held_by(own.port_id, own.addresses)]
        held = {block.cidr for block in mine}
        for part in (part for part in own.parts if part not in held):
            log.warning("a block of this node's was deleted: making it anew", network=joined.name, block=str(part))
            subnet = next(one for one in joined.subnets if is_within(part, (one.cidr,)))
            await self._take(joined, subnet, within=part)
        extra = [block for block in mine if block.cidr not in own.parts]
        if extra:
            await self.shrink(joined, extra)

    def _note_peers(self, own: Lease, blocks: Sequence[Block]) -> None:
        """Take down the peers' blocks. One that is listed no more has been given back when a later look says so too."""
        theirs = {str(block.cidr): block for block in blocks if not block.is_held_by(own.port_id, own.addresses)}
        known = {lease.id: lease for lease in self.peers(own.id)}
        for subnet, block in theirs.items():
            self._missing.forget((own.id, subnet))
            lease = known.pop(subnet, None)
            if lease is None or (lease.addresses, lease.port_id) != ((block.nexthop,), block.port_id):
                now = self.node.clock.now()
                peer = Lease(subnet, (block.cidr,), (block.nexthop,), now, block.port_id, joined_id=own.id)
                self.node.store.put(peer)
                self.reconciler.wake()
        for lease in known.values():
            if self._missing.missed((own.id, lease.id)):
                self._forget_peer(lease)
                self.reconciler.wake()

    def is_missed(self, joined_id: str) -> bool:
        """Say whether the last look at a network missed a peer's block, which a second one is to confirm soon."""
        return any((joined_id, peer.id) in self._missing for peer in self.peers(joined_id))

    def _forget_peer(self, lease: Lease) -> None:
        self._missing.forget((lease.joined_id, lease.id))
        self.node.store.delete(Lease, lease.id)

    async def collect(self, lease: Lease) -> None:
        """Delete the blocks of a node that is no more, and what else of it is in Neutron.

        The caller has the network's lock. Raises as `learn`.
        """
        joined = self.get(lease.joined_id)
        await self.reconciler.collect(lease)
        for block in await self.blocks(joined.network_id):
            if block.port_id == lease.port_id:
                await self.node.network_service.delete_subnet(block.subnet_id)
        await self.learn(joined)

    async def blocks(self, network_id: str) -> list[Block]:
        """List a network's blocks."""
        return _blocks_of(await self.node.network_service.find_subnets(network_id))

    async def _all_blocks(self, network_id: str) -> list[Block]:
        """List a network's blocks where nothing may be overlooked: what is not given back now, nobody gives back.

        Raises Conflict where the network itself tells of other subnets than the listing does.
        """
        for _ in range(_ATTEMPTS):
            subnets = await self.node.network_service.find_subnets(network_id)
            network = await self.node.network_service.get_network(network_id)
            if {subnet.id for subnet in subnets} == set(network.subnet_ids if network else ()):
                return _blocks_of(subnets)
        raise Conflict(f"Neutron tells differently which subnets network {network_id} has", remedy="try again later")

    def find(self, joined_id: str) -> JoinedNetwork | None:
        """Return a network's record."""
        return self.node.store.get(JoinedNetwork, joined_id)

    def get(self, joined_id: str) -> JoinedNetwork:
        """Return a joined network. Raises NotFound."""
        return require_held(self.find(joined_id), joined_id)

    def lease(self, joined_id: str) -> Lease:
        """Return this node's lease of a network. Raises NotFound."""
        lease = self.node.store.get(Lease, joined_id)
        if lease is None or lease.ended:
            raise NotFound(f"this node holds nothing of network {joined_id[:12]}", remedy="make it again")
        return lease

    def peers(self, joined_id: str) -> list[Lease]:
        """List the other nodes' leases of a network."""
        return [lease for lease in self.node.peers() if lease.joined_id == joined_id]

    def reserved(self, joined_id: str) -> list[ReservedAddress]:
        """List the addresses of a network that doors were given."""
        return [one for one in self.node.store.all(ReservedAddress) if one.joined_id == joined_id]

    async def _take(self, joined: JoinedNetwork, subnet: JoinedSubnet, *, within: IPNetwork | None = None) -> Block:
        service, holder, described = self.node.network_service, await self._holder(), block_description(joined, subnet)
        within = within or subnet.part
        return await take_block(service, joined.network_id, subnet.cidr, holder, described, within=within)

    async def _holder(self) -> Holder:
        port = await self.node.port()
        addresses = [fixed.address for fixed in port.fixed_ips if fixed.address is not None]
        first = {one.version: one for one in reversed(addresses)}
        return Holder(self._name, port.id, tuple(first[version] for version in sorted(first)))

    def _tell_peers(self, joined: JoinedNetwork) -> None:
        self._tell(_one_each(self.peers(joined.id)), make_hint(joined.network_id, self.lease(joined.id).port_id))

    async def _hold_blocks(self, record: JoinedNetwork, holder: Holder) -> tuple[Network, list[Block]]:
        """Find or make the network, and hold a block of each range, or what an earlier attempt has left of them."""
        for _ in range(_ATTEMPTS):
            network = await self._settled(record) or await self._make(record, holder)
            record = replace(record, network_id=network.id)
            self.node.store.put(record)
            blocks = await self.blocks(network.id)
            mine = [block for block in blocks if block.is_held_by(holder.port_id, holder.addresses)]
            try:
                for subnet in record.subnets:
                    if not any(is_within(block.cidr, (subnet.cidr,)) for block in mine):
                        mine.append(await self._take(record, subnet))
            except NotFound:
                continue  # its last node left while we were looking
            ranges = tuple(subnet.cidr for subnet in record.subnets)
            return network, [block for block in mine if is_within(block.cidr, ranges)]
        raise Conflict(f"network {record.subnets[0].cidr} comes and goes", remedy="see who else makes and deletes it")

    async def _settled(self, record: JoinedNetwork) -> Network | None:
        networks = [network for network in await self._candidates(record) if network.subnet_ids]
        if len(networks) > 1:
            raise Conflict(
                f"{len(networks)} networks have the range {record.subnets[0].cidr}",
                remedy="delete one: `openstack network list --tags fairlead`",
            )
        return networks[0] if networks else None

    async def _candidates(self, record: JoinedNetwork) -> list[Network]:
        tags = (OWNED, routed_tag(record.subnets[0].cidr))
        found = await self.node.network_service.find_networks(tags=tags, own=True)
        return [network for network in found if is_owned(network)]

    async def _make(self, record: JoinedNetwork, holder: Holder) -> Network:
        async def candidates() -> list[Network]:
            return await self._candidates(record)

        async def settle(network: Network) -> None:
            await self._take(replace(record, network_id=network.id), record.subnets[0])

        new = NewNetwork(
            name=network_name(record.subnets[0].cidr),
            description=network_description(holder.port_id, record.id),
            tags=frozenset({OWNED, *(routed_tag(subnet.cidr) for subnet in record.subnets)}),
        )
        network, _ = await Election(self.node, candidates, settle).run(
            new, lambda mine: self.node.store.put(replace(record, network_id=mine.id))
        )
        return network

    def _others(self, record: JoinedNetwork) -> set[str]:
        """Return the Neutron networks that this node is on by other records: one was made again, with the same blocks.

        What of a block is too much there, `learn` gives back.
        """
        records = self.node.store.all(JoinedNetwork)
        return {one.network_id for one in records if one.id != record.id and one.step is not Step.LEAVING}

    async def retire(self, record: JoinedNetwork) -> None:
        """Take all of a network off this node and out of Neutron, the nearest first, and forget it."""
        store, service = self.node.store, self.node.network_service
        for address in self.reserved(record.id):
            store.delete(ReservedAddress, address.id)
        nodes = _one_each(self.peers(record.id))
        for peer in self.peers(record.id):
            self._forget_peer(peer)
        if record.step is Step.HELD:
            record = replace(record, step=Step.LEAVING, since=self.node.clock.now())
            store.put(record)
        try:
            await self.guarding.bring()
        except DataplaneError as error:
            log.warning("the packet filter has a network that is left", network=record.name, error=str(error))
        await self.reconciler.routes.bring()
        lease = store.get(Lease, record.id)
        if lease:
            lease = replace(lease, ended=True)
            store.put(lease)
            await self.reconciler.collect(lease)
        holder = await self._holder()
        port_id = lease.port_id if lease and lease.port_id else holder.port_id
        made = await service.find_networks(description=network_description(port_id, record.id), own=True)
        for network_id in {record.network_id, *(network.id for network in made)} - {""} - self._others(record):
            for block in await self._all_blocks(network_id):
                if block.is_held_by(port_id, lease.addresses if lease else holder.addresses):
                    await service.delete_subnet(block.subnet_id)
            await delete_unless_used(service, network_id, lambda network: bool(network.subnet_ids), keep=True)
        store.delete(JoinedNetwork, record.id)
        self._tell(nodes, make_hint(record.network_id, port_id))


def _blocks_of(subnets: Sequence[Subnet]) -> list[Block]:
    """Pick the blocks, each of them once: a listing in pages may show one twice."""
    return list({subnet.id: block for subnet in subnets if (block := block_of(subnet))}.values())


def _one_each(peers: Sequence[Lease]) -> list[IPAddress]:
    """Return an address of each node, IPv4 where it has one: a lease is a block, and a node has several."""
    found = [(address, peer.port_id) for peer in peers for address in peer.addresses]
    by_node = {port_id: address for address, port_id in sorted(found, key=lambda one: -one[0].version)}
    return list(by_node.values())
