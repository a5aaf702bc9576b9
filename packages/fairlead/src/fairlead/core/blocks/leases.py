"""Leases as a door announces them: taken down at once, and carried out by the reconciler, which is woken."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.overlap import refuse_overlap
from fairlead.core.blocks.port_security import is_within
from fairlead.model.errors import CloudUnavailable, InvalidInput
from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.records import Lease

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Leases:
    """What such a door calls. Each returns when the node's store has it."""

    node: RoutedNode
    wake: Callable[[], None]

    async def identify(self) -> str:
        """Return the id of this node's port, by which the other nodes find it in Neutron.

        A node that holds a lease knows it while Neutron is away: who announces it may be started anew then. Raises
        NotFound, and what NetworkService raises.
        """
        try:
            port = await self.node.port()
        except CloudUnavailable:
            for lease in self.node.own():
                if lease.port_id:
                    return lease.port_id
            raise
        if not port.port_security:
            log.info("this node's port has no port security: it needs no address pairs", port=port.id)
        return port.id

    def hold(
        self, parts: tuple[IPNetwork, ...], addresses: tuple[IPAddress, ...], ranges: tuple[IPNetwork, ...]
    ) -> Lease:
        """Take down that this node holds a lease.

        Raises InvalidInput where a part is outside of all ranges, OverlappingSubnet where blocks are of one.
        """
        for part in parts:
            if not is_within(part, ranges):
                raise InvalidInput(
                    f"the subnet {part} is outside of the network ({', '.join(map(str, ranges))})",
                    remedy="name all ranges of the network",
                    code="lease-outside",
                    details={"part": part, "ranges": ", ".join(map(str, ranges))},
                )
        refuse_overlap(ranges, self.node.divided_ranges())
        lease = Lease(
            id=str(parts[0]), parts=parts, addresses=addresses, since=self.node.clock.now(), own=True, ranges=ranges
        )
        for other in self.node.own_announced():
            if other.id != lease.id:
                self._end(other)
        for peer in self.node.announced_peers():
            # Who has just started announces all leases next; of those that ended meanwhile nobody ever tells.
            self.node.store.put(replace(peer, doubted=self.node.clock.now()))
        known = self.node.store.get(Lease, lease.id)
        if known and known.own and not known.ended:
            lease = replace(lease, port_id=known.port_id, routed=known.routed, since=known.since)
        self._put(lease)
        return lease

    def add_peer(self, part: IPNetwork, address: IPAddress, port_id: str) -> Lease:
        """Take down another node's lease, in the place of an earlier one of the same subnet."""
        lease = Lease(id=str(part), parts=(part,), addresses=(address,), since=self.node.clock.now(), port_id=port_id)
        known = self.node.store.get(Lease, lease.id)
        is_same = known and (known.address(address.version), known.port_id) == (address, port_id)
        if known and is_same and known.own and known.ended:
            return known  # this node's from before it got another, and about to be removed
        if known and is_same and not known.ended:
            lease = replace(known, doubted=0.0)  # all leases are announced anew at each start
            if lease != known:
                self.node.store.put(lease)
            return lease
        self._put(lease)
        return lease

    def end_peer(self, part: IPNetwork, address: IPAddress, port_id: str) -> None:
        """Take down that another node's lease has ended; one that a third node has by now stays."""
        lease = self.node.store.get(Lease, str(part))
        if lease is None:
            lease = Lease(str(part), (part,), (address,), self.node.clock.now(), port_id=port_id)
        elif lease.own or address not in lease.addresses:
            return
        self._end(lease)

    def leave(self) -> None:
        """Give this node's own leases up: nothing of them is to be left in Neutron, nor of the others' here."""
        for lease in self.node.own_announced():
            self._end(lease)
        for lease in self.node.announced_peers():
            self.node.store.delete(Lease, lease.id)
        self.wake()

    def _end(self, lease: Lease) -> None:
        self._put(replace(lease, ended=True, since=self.node.clock.now()))

    def _put(self, lease: Lease) -> None:
        self.node.store.put(lease)
        self.wake()
