"""One piece of work that is done from time to time, whatever else is waited for meanwhile."""

from collections.abc import Awaitable, Callable

from fairlead.core.background.wake_up import WakeUp
from fairlead.ports.clock import Clock


class Beat:
    """Does it (`Steps`), every so many seconds and at once where it is woken."""

    def __init__(self, work: Callable[[], Awaitable[object]], *, every: float, clock: Clock) -> None:
        self._work = work
        self._every = every
        self._clock = clock
        self._at = 0.0
        self.wake_up = WakeUp()

    def wake(self) -> None:
        """Do it at once."""
        self._at = 0.0
        self.wake_up.wake()

    async def step(self) -> bool:
        """Do it where it is due; says that nothing more is. Raises what it raises."""
        self.wake_up.clear()
        now = self._clock.now()
        if now >= self._at:
            self._at = now + self._every
            await self._work()
        return False
