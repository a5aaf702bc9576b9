"""One Neutron network, though several hosts set out to make it at the same moment.

Neutron has no unique names, so two hosts that both look, find nothing and create would end with two networks. The
rule here needs only that a listing shows what has been committed: a network is *settled* once it has a subnet.

1. Create a candidate, then list all candidates.
2. Another one is settled: withdraw the own and take that one.
3. The own is not the first in order (creation time, then id): withdraw it, and wait for the others to settle.
4. The own is first and alone: settle it by giving it its subnet. First but not alone: the others will withdraw, or one
   that listed before the own existed will settle; wait for either.

A host that dies between 1 and 4 leaves an unsettled candidate; after PATIENCE the others take it for dead.
See docs/adr/0004-one-network-for-many-hosts.md for why this is safe.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fairlead.core.networks.cloud_node import CloudNode
from fairlead.model.network import Network, NewNetwork

PATIENCE = 20.0
"""Seconds after which a candidate that neither settles nor withdraws is taken for dead."""

PAUSE = 0.2
"""Seconds between two looks at the other candidates."""


@dataclass(frozen=True, slots=True)
class Election:
    """Make one network among hosts that all want it.

    candidates: lists the networks that are this one, settled or not. settle: gives the winner its subnet; only its
    maker calls it.
    """

    node: CloudNode
    candidates: Callable[[], Awaitable[list[Network]]]
    settle: Callable[[Network], Awaitable[None]]

    async def run(self, new: NewNetwork, wanted: Callable[[Network], None]) -> tuple[Network, bool]:
        """Return the network, settled, and whether this host made it.

        wanted is told of the own candidate as soon as it exists, so that a crash leaves no orphan.
        """
        dead: set[str] = set()
        while True:
            mine = await self.node.network_service.create_network(new)
            wanted(mine)
            winner = await self._decide(mine, dead)
            if winner is not None:
                return winner, winner.id == mine.id

    async def _decide(self, mine: Network, dead: set[str]) -> Network | None:
        """Return the settled network, or None where the own was withdrawn and no other came of it.

        dead collects the candidates that have neither settled nor withdrawn for too long.
        """
        deadline = self.node.clock.now() + PATIENCE
        withdrawn = False
        while True:
            listed = sorted(await self.candidates(), key=lambda one: (one.created_at, one.id))
            others = [one for one in listed if one.id != mine.id and (one.subnet_ids or one.id not in dead)]
            settled = next((one for one in others if one.subnet_ids), None)
            first = not others or (mine.created_at, mine.id) < (others[0].created_at, others[0].id)
            if not withdrawn and (settled or not first):
                await self.node.network_service.delete_network(mine.id)
                withdrawn = True
            if settled:
                return settled
            if self.node.clock.now() > deadline:
                dead.update(one.id for one in others)
                others = []
            if not others:
                if withdrawn:
                    return None
                await self.settle(mine)
                return mine
            await self.node.clock.sleep(PAUSE)
