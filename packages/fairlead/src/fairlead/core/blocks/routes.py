"""The kernel's routes to the nodes on this node's own link, as the leases want them. Neutron is never waited for.

A route that can't be had, since somebody else's is in its place, is told of; no other waits for it, and neither does
whoever joins or leaves a network.
"""

import asyncio
from collections.abc import Callable, Iterator

import structlog

from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.core.background.beat import Beat
from fairlead.core.background.trouble import Trouble
from fairlead.core.blocks.node import RoutedNode
from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.records import Lease
from fairlead.ports.routing import Nic

log = structlog.get_logger(__name__)

EVERY = 2.0
"""Seconds between two looks."""


class PeerRoutes:
    """Keeps them. beat: looks from time to time. trouble: what keeps it from bringing routes about."""

    def __init__(self, node: RoutedNode, backoff: Backoff, failed: Callable[[], None]) -> None:
        self._node = node
        self._turn = asyncio.Lock()
        self.trouble = Trouble()
        self._attempts = Attempts(node.clock, backoff, self.trouble.note, failed)
        self.beat = Beat(self.bring, every=EVERY, clock=node.clock)

    async def bring(self) -> None:
        """Bring the kernel to the leases, as far as it lets us."""
        async with self._turn:
            await self._attempts.run("routes", self._bring())

    async def _bring(self) -> None:
        nic, have = await self._node.routing.nic(), await self._node.routing.routes()
        wanted = dict(_hops(self._node.peers(), nic))
        self.trouble.keep({"routes", *(f"route to {destination}" for destination in (*have, *wanted))})
        for destination in have.keys() - wanted.keys():
            await self._attempts.run(f"route to {destination}", self._remove(destination))
        for destination, nexthop in wanted.items():
            if have.get(destination) != nexthop:
                await self._attempts.run(f"route to {destination}", self._put(destination, nexthop))

    async def _remove(self, destination: IPNetwork) -> None:
        await self._node.routing.remove(destination)
        log.info("removed a route", destination=str(destination))

    async def _put(self, destination: IPNetwork, nexthop: IPAddress) -> None:
        await self._node.routing.put(destination, nexthop)
        log.info("made a route", destination=str(destination), nexthop=str(nexthop))


def _hops(peers: list[Lease], nic: Nic) -> Iterator[tuple[IPNetwork, IPAddress]]:
    for peer in peers:
        for part in peer.parts:
            address = peer.address(part.version)
            if address and nic.reaches(address):
                yield part, address
