"""What this node's own kernel is to have of its networks, and no answer of Neutron's is waited for.

The packet filter is looked at from time to time, attachments that ended while the kernel refused are removed after all,
and addresses that nobody took come back.
"""

from collections.abc import Callable

from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.core.background.beat import Beat
from fairlead.core.blocks.addresses import BlockAddresses
from fairlead.core.blocks.networks import BlockMembership

GUARD_EVERY = 15.0
"""Seconds between two looks at the packet filter."""

ADDRESSES_EVERY = 2.0
"""Seconds between two looks at what ended."""


class Upkeep:
    """Keeps it. guard, addresses: the beats of both. random gives numbers from 0 up to 1."""

    def __init__(
        self,
        networks: BlockMembership,
        addresses: BlockAddresses,
        *,
        random: Callable[[], float],
        failed: Callable[[], None],
    ) -> None:
        clock = networks.node.clock
        self._networks = networks
        self._addresses = addresses
        # The kernel in Neutron's place: what it refuses is put off, each for itself.
        self._attempts = Attempts(clock, Backoff(random), failed=failed)
        self.guard = Beat(self._guard, every=GUARD_EVERY, clock=clock)
        self.addresses = Beat(self._tidy, every=ADDRESSES_EVERY, clock=clock)

    async def _guard(self) -> None:
        await self._attempts.run("guard the networks", self._networks.guarding.bring())

    async def _tidy(self) -> None:
        self._addresses.take_back()
        for owner, interface in self._addresses.leaving():
            what = f"remove attachment {owner} {interface}".rstrip()
            await self._attempts.run(what, self._addresses.vacate(owner, interface), cloud=True)
