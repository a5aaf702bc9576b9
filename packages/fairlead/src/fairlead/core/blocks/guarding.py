"""The packet filter of a node, as the networks that it holds want it."""

import asyncio
from contextlib import suppress

from fairlead.core.blocks.node import RoutedNode
from fairlead.model.errors import NotFound
from fairlead.model.records import JoinedNetwork, Lease, Step
from fairlead.ports.guard import Guard, GuardedNetwork, GuardedNode


class Guarding:
    """Keeps it."""

    def __init__(self, node: RoutedNode, guard: Guard) -> None:
        self._node = node
        self._guard = guard
        self._lock = asyncio.Lock()
        self._nic = ""
        self._known: frozenset[str] = frozenset()

    async def bring(self) -> None:
        """Bring the packet filter to the networks that are held. Raises DataplaneError."""
        async with self._lock:  # what was read first is not put last
            with suppress(NotFound):  # a host that has lost its default route has its NIC still
                self._nic = (await self._node.routing.nic()).name
            store = self._node.store
            held = [
                (joined, lease)
                for joined in store.all(JoinedNetwork)
                if joined.step is Step.HELD and (lease := store.get(Lease, joined.id))
            ]
            joined_ids = frozenset(joined.id for joined, _ in held)
            peers = [peer for peer in self._node.peers() if peer.joined_id in joined_ids]
            addresses = {address for peer in peers for address in peer.addresses}
            networks = tuple(_guarded(joined, lease) for joined, lease in held)
            await self._guard.put(GuardedNode(networks, self._nic, tuple(sorted(addresses, key=str))))
            self._known = joined_ids

    async def ensure(self, joined_id: str) -> None:
        """Return when the packet filter knows a network: after the host's start it is empty. Raises DataplaneError."""
        if joined_id not in self._known:
            await self.bring()


def _guarded(joined: JoinedNetwork, lease: Lease) -> GuardedNetwork:
    gateways = tuple(subnet.gateway for subnet in joined.subnets if subnet.gateway is not None)
    return GuardedNetwork(lease.ranges, lease.parts, gateways, internal=joined.internal)
