"""A memory of blocks made anew: from Neutron, and from the kernel.

Neutron tells the blocks that this node holds and, in their descriptions, the door's network that each one serves; the
kernel tells which address is routed to which sandbox. Addresses that a door has excluded nobody else knows, nor leases
that a door has announced: it tells those again when it is restarted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from fairlead.core.background.evidence import Evidence
from fairlead.core.blocks.blocks import Block
from fairlead.core.blocks.networks import BlockMembership
from fairlead.core.blocks.port_security import is_within
from fairlead.core.networks.macs import mac_of
from fairlead.core.networks.ranges import first_address
from fairlead.model.errors import CloudUnavailable, Denied, InvalidInput, Unavailable
from fairlead.model.network import IPNetwork, Network, Port
from fairlead.model.records import (
    JoinedNetwork,
    JoinedSubnet,
    Lease,
    ReservedAddress,
    Step,
)
from fairlead.model.tags import OWNED, DescribedBlock, described_block, is_routed
from fairlead.ports.dataplane import Dataplane, Plugged

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BlockRecollection:
    """Fills a store that may not tell the whole of its node. missing: what an answer lacked that should be in it."""

    networks: BlockMembership
    dataplane: Dataplane
    missing: Evidence

    async def recollect(self) -> None:
        """Ask Neutron and the kernel.

        Raises NotFound (the node's port), CloudUnavailable where Neutron does not know what the kernel or the port
        tells of, until a later look has confirmed it, and as both do. A network that can't be read stops no other.
        """
        node = self.networks.node
        port, plugged = await node.port(), [one for one in await self.dataplane.plugged() if one.away]
        held: list[IPNetwork] = []
        unread: list[str] = []
        for network in await node.network_service.find_networks(tags=(OWNED,), own=True):
            if is_routed(network):
                try:
                    held += await self._recall(network, port, plugged)
                except (Unavailable, Denied):
                    raise
                except Exception as error:  # noqa: BLE001  # whatever is wrong with one network
                    log.warning("can't read what a network is", network=network.name, error=str(error))
                    unread.append(network.name)
        self._doubt(port, plugged, held)
        if unread:
            self._spare(plugged, held)

    async def _recall(self, network: Network, port: Port, plugged: Sequence[Plugged]) -> list[IPNetwork]:
        """Remember one network, if this node has blocks of it; return those.

        Raises InvalidInput where none of them tells whom it serves, and as NetworkService.
        """
        addresses = [fixed.address for fixed in port.fixed_ips if fixed.address is not None]
        blocks = [one for one in await self.networks.blocks(network.id) if one.is_held_by(port.id, addresses)]
        described = [found for block in blocks if (found := described_block(block.description))]
        if blocks and not described:
            raise InvalidInput(
                "somebody has changed the descriptions of its blocks",
                remedy="remove it on this node, and make it again",
            )
        if described and self.networks.find(described[0].joined_id) is None:
            await self._hold(network, port, blocks, described, plugged)
        return [block.cidr for block in blocks]

    def _doubt(self, port: Port, plugged: Sequence[Plugged], held: Sequence[IPNetwork]) -> None:
        """Raise CloudUnavailable where this node has more than Neutron tells of: what is forgotten is swept away."""
        lost = [str(one) for each in plugged for one in each.addresses if not any(one in part for part in held)]
        lost += [str(pair.cidr) for pair in port.address_pairs if not is_within(pair.cidr, tuple(held))]
        if lost and not self.missing.missed(port.id):
            raise CloudUnavailable(
                f"Neutron tells of no block of this node's with {', '.join(lost[:3])}, which it had",
                remedy="it is asked again in a moment, and believed then",
            )
        self.missing.forget(port.id)

    def _spare(self, plugged: Sequence[Plugged], held: Sequence[IPNetwork]) -> None:
        """Take down the attachments that may be of a network that can't be read: no sweep is to take them away."""
        for one in plugged:
            for address in one.addresses:
                if not any(address in part for part in held):
                    now, mac = self.networks.node.clock.now(), mac_of(one.addresses[0])
                    self.networks.node.store.put(ReservedAddress(str(address), "", now, one.port_id, mac))

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
                node.store.put(ReservedAddress(str(address), joined_id, now, one.port_id, mac_of(one.addresses[0])))
        # Pairs are the last to come and the first to go: blocks without one were not held yet, or no longer.
        is_held = bool(here) or any(pair.cidr in parts for pair in port.address_pairs)
        ranges = {one.cidr: one for one in sorted(described, key=lambda one: one.cidr.version)}
        subnets = tuple(map(_subnet, ranges.values()))
        node.store.put(
            Lease(
                id=joined_id,
                parts=parts,
                addresses=tuple(dict.fromkeys(block.nexthop for block in blocks)),
                since=now,
                port_id=port.id,
                own=True,
                ranges=tuple(subnet.cidr for subnet in subnets),
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
            subnets=subnets,
        )
        node.store.put(joined)
        if is_held:
            # Before routes to peers that are in the kernel are compared with what is known of peers.
            async with self.networks.locks.hold(joined_id):
                await self.networks.learn(joined)
        log.warning("rebuilt this node's memory", network=network.name, blocks=len(blocks), attached=len(here))


def _subnet(block: DescribedBlock) -> JoinedSubnet:
    return JoinedSubnet("", block.cidr, block.gateway or first_address(block.cidr), part=block.part)
