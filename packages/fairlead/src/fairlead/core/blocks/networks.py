"""Networks of the container engine's in mode `routed`: blocks of a range, one or more for each node.

A Neutron network stands for the range, and its subnets are the nodes' blocks (`blocks`); no port is ever on it. The
first node makes it, as in mode `ovs`, and the last one to give its blocks back deletes it. What the blocks need (an
address pair on the node's port, a rule in its group, routes) is a lease, which the reconciler keeps.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from fairlead.core.background.wake_up import WakeUp
from fairlead.core.blocks.blocks import Block, Holder, block_of, take_block
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.port_security import is_within, open_port
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.core.networks.deletion import delete_unless_used
from fairlead.core.networks.election import Election
from fairlead.core.networks.held import in_use, require_held
from fairlead.core.networks.pools import first_address, free_pools, pools_for
from fairlead.core.warm.networks import PROMPT, NetworkSpec
from fairlead.model.errors import Conflict, FairleadError, NotFound, UnsupportedRequest
from fairlead.model.network import IPAddress, IPNetwork, Network, NewNetwork
from fairlead.model.records import AddressPool, Claim, JoinedNetwork, JoinedSubnet, Lease, Step
from fairlead.model.tags import OWNED, block_description, is_owned, network_description, network_name, routed_tag
from fairlead.ports.dataplane import Dataplane
from fairlead.ports.guard import Guard, GuardedNetwork

log = structlog.get_logger(__name__)

_ATTEMPTS = 5
"""How often a network that comes and goes is looked for again."""


class Networks:
    """Join and leave networks.

    name: this node's, for people. tell is called with the addresses of nodes that should look at their networks.
    wake_up: rung where the keeper may find something to do.
    """

    def __init__(
        self,
        node: RoutedNode,
        reconciler: Reconciler,
        dataplane: Dataplane,
        guard: Guard,
        *,
        name: str,
        tell: Callable[[Sequence[IPAddress]], None] = lambda _nodes: None,
    ) -> None:
        self.node = node
        self.reconciler = reconciler
        self.wake_up = WakeUp()
        self._dataplane = dataplane
        self._guard = guard
        self._name = name
        self._tell = tell
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def join(self, spec: NetworkSpec) -> JoinedNetwork:
        """Hold a block of each range; return when the node's port lets them through.

        Idempotent by the engine's network id. Raises InvalidInput, UnsupportedRequest, Conflict, NoFreeAddress,
        QuotaExceeded, NotFound (the node's port) and what NetworkService raises.
        """
        _refuse_what_needs_ports(spec)
        async with self.locks[spec.joined_id]:
            record = self.find(spec.joined_id)
            if record and record.step is Step.HELD:
                return record
            if record:
                await self._retire(record)
            pools = pools_for(self.node.store, spec.joined_id, spec.ranges, spec.reference)
            now = self.node.clock.now()
            record = JoinedNetwork(spec.joined_id, Step.WANTED, now, internal=spec.internal, owned=True)
            self.node.store.put(record)
            try:
                return await self._join(record, pools)
            except FairleadError as error:
                await self._give_up(record.id, error)
                raise

    async def leave(self, joined_id: str) -> None:
        """Give the blocks back. What is not done in Neutron soon is done behind. Idempotent.

        Raises StillInUse while endpoints are on it here.
        """
        async with self.locks[joined_id]:
            record = self.find(joined_id)
            if record is None or record.step is Step.LEAVING:
                return
            await self._refuse_in_use(joined_id)
            record = replace(record, step=Step.LEAVING, since=self.node.clock.now())
            self.node.store.put(record)
            try:
                async with asyncio.timeout(PROMPT):
                    await self._retire(record)
            except (TimeoutError, FairleadError) as error:
                log.warning("will leave a network later", network=joined_id, error=str(error) or "it takes long")

    async def _refuse_in_use(self, joined_id: str) -> None:
        """Refuse while containers have devices; of one that went while the agent was away nobody has told."""
        endpoints = {claim.endpoint_id for claim in self.claims(joined_id)} - {""}
        if endpoints & {one.port_id for one in await self._dataplane.plugged() if one.away}:
            raise in_use(joined_id)
        for endpoint_id in endpoints:
            await self._dataplane.remove(endpoint_id)

    async def finish(self, joined_id: str) -> None:
        """Undo a network that is being left or was joined half. Raises what NetworkService does."""
        async with self.locks[joined_id]:
            record = self.find(joined_id)
            if record and record.step is not Step.HELD:
                await self._retire(record)

    async def grow(self, joined: JoinedNetwork, version: int, *, within: IPNetwork | None = None) -> Lease:
        """Hold one more block, of IP version 4 or 6; within: that one.

        The caller has the network's lock. Raises as `join`, and QuotaExceeded beyond the port's pairs.
        """
        lease = self.lease(joined.id)
        subnet = joined.subnet(version)
        if subnet is None:
            raise NotFound(f"network {joined.id[:12]} has no IPv{version} range", remedy="make it anew with one")
        block = await self._take(joined, joined.network_id, self._pool(subnet), within=within)
        grown = replace(lease, parts=(*lease.parts, block.cidr), since=self.node.clock.now())
        self.node.store.put(grown)
        try:
            await open_port(self.node, grown)
        except FairleadError:
            self.node.store.put(lease)
            with suppress(FairleadError):  # the keeper finds it
                await self.node.network_service.delete_subnet(block.subnet_id)
            raise
        await self.guard()
        self._tell_peers(joined.id)
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
            await self.guard()
        for block in blocks:
            await self.node.network_service.delete_subnet(block.subnet_id)
            log.info("gave a block back", network=joined.name, block=str(block.cidr))
        self._tell_peers(joined.id)

    async def learn(self, joined: JoinedNetwork) -> None:
        """Bring the leases of a network to its blocks in Neutron, the others' and this node's own.

        The caller has the network's lock. Raises NotFound, and what NetworkService raises.
        """
        own = self.lease(joined.id)
        blocks = await self.blocks(joined.network_id)
        self._note_peers(own, blocks)
        held = {block.cidr for block in blocks if block.port_id == own.port_id}
        for part in (part for part in own.parts if part not in held):
            log.warning("a block of this node's was deleted: making it anew", network=joined.name, block=str(part))
            subnet = next(one for one in joined.subnets if is_within(part, (one.cidr,)))
            await self._take(joined, joined.network_id, self._pool(subnet), within=part)
        extra = [block for block in blocks if block.port_id == own.port_id and block.cidr not in own.parts]
        if extra:
            await self.shrink(joined, extra)

    def _note_peers(self, own: Lease, blocks: Sequence[Block]) -> None:
        theirs = {str(block.cidr): block for block in blocks if block.port_id != own.port_id}
        known = {lease.id: lease for lease in self.peers(own.id)}
        for subnet, block in theirs.items():
            lease = known.pop(subnet, None)
            if lease is None or (lease.addresses, lease.port_id) != ((block.nexthop,), block.port_id):
                now = self.node.clock.now()
                peer = Lease(subnet, (block.cidr,), (block.nexthop,), now, block.port_id, joined_id=own.id)
                self.node.store.put(peer)
                self.reconciler.wake()
        for lease in known.values():
            self.node.store.delete(Lease, lease.id)
            self.reconciler.wake()

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

    async def guard(self) -> None:
        """Bring the packet filter to the networks that are held. Raises DataplaneError."""
        held = [
            (joined, lease)
            for joined in self.node.store.all(JoinedNetwork)
            if joined.step is Step.HELD and (lease := self.node.store.get(Lease, joined.id))
        ]
        await self._guard.put([GuardedNetwork(lease.ranges, lease.parts, joined.internal) for joined, lease in held])

    async def blocks(self, network_id: str) -> list[Block]:
        """List a network's blocks."""
        subnets = await self.node.network_service.find_subnets(network_id)
        return [block for subnet in subnets if (block := block_of(subnet))]

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

    def claims(self, joined_id: str) -> list[Claim]:
        """List the addresses of a network that the engine was given."""
        return [claim for claim in self.node.store.all(Claim) if claim.joined_id == joined_id]

    async def _take(
        self, joined: JoinedNetwork, network_id: str, pool: AddressPool, *, within: IPNetwork | None = None
    ) -> Block:
        service, holder, described = self.node.network_service, await self._holder(), block_description(joined, pool)
        return await take_block(service, network_id, pool.cidr, holder, described, within=within or pool.part)

    def _pool(self, subnet: JoinedSubnet) -> AddressPool:
        pool = self.node.store.get(AddressPool, subnet.pool_id)
        if pool is None:
            raise NotFound(f"address pool {subnet.pool_id} is not known on this host", remedy="make the network anew")
        return pool

    async def _holder(self) -> Holder:
        port = await self.node.port()
        addresses = [fixed.address for fixed in port.fixed_ips if fixed.address is not None]
        first = {one.version: one for one in reversed(addresses)}
        return Holder(self._name, port.id, tuple(first[version] for version in sorted(first)))

    async def _join(self, record: JoinedNetwork, pools: Sequence[AddressPool]) -> JoinedNetwork:
        holder, nic = await self._holder(), await self.node.routing.nic()
        network, blocks = await self._hold_blocks(record, pools, holder)
        lease = Lease(
            id=record.id,
            parts=tuple(block.cidr for block in blocks),
            addresses=holder.addresses,
            since=self.node.clock.now(),
            port_id=holder.port_id,
            own=True,
            ranges=tuple(pool.cidr for pool in pools),
            joined_id=record.id,
        )
        self.node.store.put(lease)
        self._note_peers(lease, await self.blocks(network.id))
        await open_port(self.node, lease)
        gateways = [pool.gateway or first_address(pool.cidr) for pool in pools]
        for pool, gateway in zip(pools, gateways, strict=True):
            self.node.store.put(replace(pool, joined_id=record.id, network_id=network.id, gateway=gateway))
        held = replace(
            record,
            step=Step.HELD,
            since=self.node.clock.now(),
            network_id=network.id,
            name=network.name,
            mtu=nic.mtu,
            subnets=tuple(
                JoinedSubnet("", pool.id, pool.cidr, gateway) for pool, gateway in zip(pools, gateways, strict=True)
            ),
        )
        self.node.store.put(held)
        await self.guard()
        await self.reconciler.reconcile_kernel()
        self.reconciler.wake()
        self._tell_peers(held.id)
        return held

    def _tell_peers(self, joined_id: str) -> None:
        self._tell([address for peer in self.peers(joined_id) for address in peer.addresses])

    async def _hold_blocks(
        self, record: JoinedNetwork, pools: Sequence[AddressPool], holder: Holder
    ) -> tuple[Network, list[Block]]:
        """Find or make the network, and hold a block of each range, or what an earlier attempt has left of them."""
        for _ in range(_ATTEMPTS):
            network = await self._settled(pools) or await self._make(record, pools, holder)
            self.node.store.put(replace(record, network_id=network.id))
            mine = [block for block in await self.blocks(network.id) if block.port_id == holder.port_id]
            try:
                for pool in pools:
                    if not any(is_within(block.cidr, (pool.cidr,)) for block in mine):
                        mine.append(await self._take(record, network.id, pool))
            except NotFound:
                continue  # its last node left while we were looking
            return network, [block for block in mine if is_within(block.cidr, tuple(pool.cidr for pool in pools))]
        raise Conflict(f"network {pools[0].cidr} comes and goes", remedy="see who else makes and deletes it")

    async def _settled(self, pools: Sequence[AddressPool]) -> Network | None:
        networks = [network for network in await self._candidates(pools) if network.subnet_ids]
        if len(networks) > 1:
            raise Conflict(
                f"{len(networks)} networks have the range {pools[0].cidr}",
                remedy="delete one: `openstack network list --tags fairlead`",
            )
        return networks[0] if networks else None

    async def _candidates(self, pools: Sequence[AddressPool]) -> list[Network]:
        found = await self.node.network_service.find_networks(tags=(OWNED, routed_tag(pools[0].cidr)), own=True)
        return [network for network in found if is_owned(network)]

    async def _make(self, record: JoinedNetwork, pools: Sequence[AddressPool], holder: Holder) -> Network:
        async def candidates() -> list[Network]:
            return await self._candidates(pools)

        async def settle(network: Network) -> None:
            await self._take(record, network.id, pools[0])

        new = NewNetwork(
            name=network_name(pools[0].cidr),
            description=network_description(holder.port_id, record.id),
            tags=frozenset({OWNED, *(routed_tag(pool.cidr) for pool in pools)}),
        )
        network, _ = await Election(self.node, candidates, settle).run(
            new, lambda mine: self.node.store.put(replace(record, network_id=mine.id))
        )
        return network

    async def _give_up(self, joined_id: str, why: FairleadError) -> None:
        """Undo a join that failed; what can't be undone now stays recorded, and the keeper tries again."""
        record = self.find(joined_id)
        try:
            if record:
                await self._retire(record)
        except FairleadError as error:
            log.warning("could not undo a join yet", network=joined_id, error=str(error), why=str(why))

    async def _retire(self, record: JoinedNetwork) -> None:
        """Take all of a network off this node and out of Neutron, the nearest first, and forget it."""
        store, service = self.node.store, self.node.network_service
        free_pools(store, record.id)
        for claim in self.claims(record.id):
            store.delete(Claim, claim.id)
        nodes = [address for peer in self.peers(record.id) for address in peer.addresses]
        for peer in self.peers(record.id):
            store.delete(Lease, peer.id)
        if record.step is Step.HELD:
            record = replace(record, step=Step.LEAVING, since=self.node.clock.now())
            store.put(record)
        await self.guard()
        await self.reconciler.reconcile_kernel()
        lease = store.get(Lease, record.id)
        if lease:
            lease = replace(lease, ended=True)
            store.put(lease)
            await self.reconciler.collect(lease)
        port_id = lease.port_id if lease else (await self.node.port()).id
        made = await service.find_networks(description=network_description(port_id, record.id), own=True)
        for network_id in {record.network_id, *(network.id for network in made)} - {""}:
            for block in await self.blocks(network_id):
                if block.port_id == port_id:
                    await service.delete_subnet(block.subnet_id)
            await delete_unless_used(service, network_id, lambda network: bool(network.subnet_ids))
        store.delete(JoinedNetwork, record.id)
        self._tell(nodes)


def _refuse_what_needs_ports(spec: NetworkSpec) -> None:
    if spec.groups:
        raise UnsupportedRequest(
            "in mode `routed` a node's containers share the node's port, and its security groups",
            remedy="leave neutron.security_groups out, or set agent.mode to `trunk` on nodes with a trunk",
        )
    if str(spec.reference):
        raise UnsupportedRequest(
            "in mode `routed` a network's range is divided among the nodes, unlike an existing network's",
            remedy="leave neutron.net.* out, or set agent.mode to `trunk` on nodes with a trunk",
        )
