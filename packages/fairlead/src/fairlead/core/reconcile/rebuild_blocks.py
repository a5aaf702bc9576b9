"""A node's memory in mode `routed` made anew, where its file is lost, damaged or has never been.

Neutron tells the blocks that this node holds and, in their descriptions, the engine's network that each one serves; the
kernel tells which address is routed to which endpoint. What Docker has kept back (`--aux-address`) nobody else knows,
nor flannel's leases: flanneld tells those again when it is restarted.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from fairlead.core.attachments.block_endpoints import mac_of
from fairlead.core.blocks.blocks import Block
from fairlead.core.blocks.networks import Networks
from fairlead.core.networks.pools import first_address, plain_pool_id
from fairlead.model.network import Network, Port
from fairlead.model.records import (
    AddressPool,
    Claim,
    JoinedNetwork,
    JoinedSubnet,
    Lease,
    NetworkReference,
    Origin,
    Step,
)
from fairlead.model.tags import OWNED, DescribedBlock, described_block, is_routed
from fairlead.ports.dataplane import Dataplane, Plugged

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Fills a store that may not tell the whole of its node."""

    networks: Networks
    dataplane: Dataplane
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ensure(self) -> None:
        """Return when the store tells the whole of this node; at once where it does already.

        Raises NotFound (the node's port), Unavailable, and whatever else keeps Neutron from telling.
        """
        store = self.networks.node.store
        if store.get(Origin, Origin.ID):
            return
        async with self._lock:
            if not store.get(Origin, Origin.ID):
                await self._rebuild()
                store.put(Origin())

    async def _rebuild(self) -> None:
        node = self.networks.node
        port, plugged = await node.port(), [one for one in await self.dataplane.plugged() if one.away]
        for network in await node.network_service.find_networks(tags=(OWNED,), own=True):
            if is_routed(network):
                blocks = [block for block in await self.networks.blocks(network.id) if block.port_id == port.id]
                described = [found for block in blocks if (found := described_block(block.description))]
                if described and self.networks.find(described[0].joined_id) is None:
                    await self._hold(network, port, blocks, described, plugged)

    async def _hold(
        self,
        network: Network,
        port: Port,
        blocks: Sequence[Block],
        described: Sequence[DescribedBlock],
        plugged: Sequence[Plugged],
    ) -> None:
        """Remember a network; the network itself last, so that after a crash all is remembered again."""
        node, now, joined_id = self.networks.node, self.networks.node.clock.now(), described[0].joined_id
        parts = tuple(block.cidr for block in blocks)
        here = [one for one in plugged if any(address in part for address in one.addresses for part in parts)]
        for one in here:
            for address in one.addresses:
                node.store.put(Claim(str(address), joined_id, now, one.port_id, mac_of(one.addresses[0])))
        # Pairs are the last to come and the first to go: blocks without one were not held yet, or no longer.
        is_held = bool(here) or any(pair.cidr in parts for pair in port.address_pairs)
        pools = {one.cidr: _pool(one, network) for one in sorted(described, key=lambda one: one.cidr.version)}
        if is_held:
            for pool in pools.values():
                node.store.put(pool)
        node.store.put(
            Lease(
                id=joined_id,
                parts=parts,
                addresses=tuple(dict.fromkeys(block.nexthop for block in blocks)),
                since=now,
                port_id=port.id,
                own=True,
                ranges=tuple(pools),
                joined_id=joined_id,
            )
        )
        joined = JoinedNetwork(
            id=joined_id,
            step=Step.HELD if is_held else Step.LEAVING,
            since=now,
            network_id=network.id,
            name=network.name,
            mtu=(await node.routing.nic()).mtu,
            owned=True,
            internal=described[0].internal,
            subnets=tuple(JoinedSubnet("", pool.id, pool.cidr, pool.gateway) for pool in pools.values()),
        )
        node.store.put(joined)
        if is_held:
            # Before routes to peers that are in the kernel are compared with what is known of peers.
            async with self.networks.locks[joined_id]:
                await self.networks.learn(joined)
        log.warning("rebuilt this node's memory", network=network.name, blocks=len(blocks), endpoints=len(here))


def _pool(block: DescribedBlock, network: Network) -> AddressPool:
    return AddressPool(
        id=plain_pool_id(block.cidr),
        cidr=block.cidr,
        reference=NetworkReference(),
        gateway=block.gateway or first_address(block.cidr),
        network_id=network.id,
        joined_id=block.joined_id,
        part=block.part,
    )
