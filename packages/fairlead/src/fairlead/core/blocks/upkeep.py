"""What this node's own kernel is to have of its networks, and no answer of Neutron's is waited for.

The packet filter is looked at from time to time, attachments that ended while the kernel refused are removed after all,
and addresses that nobody took come back.
"""

from collections.abc import Callable

from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.core.background.beat import Beat
from fairlead.core.background.put_off import PutOff
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
        self._attempts = Attempts(clock, Backoff(random), failed=failed)
        self._put_off = PutOff(clock, random)
        self.guard = Beat(self._guard, every=GUARD_EVERY, clock=clock)
        self.addresses = Beat(self._tidy, every=ADDRESSES_EVERY, clock=clock)

    async def _guard(self) -> None:
        await self._attempts.run("guard the networks", self._networks.guard())

    async def _tidy(self) -> None:
        self._addresses.take_back()
        leaving = self._addresses.leaving()
        self._put_off.keep(leaving)
        for one in leaving:
            if self._put_off.is_due(one):
                done = await self._attempts.run("remove an attachment", self._addresses.vacate(*one))
                self._put_off.note(one, done=done)
