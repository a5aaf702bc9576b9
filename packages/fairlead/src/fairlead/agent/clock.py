"""Real time."""

import asyncio
import time
from collections.abc import Callable


class SystemClock:
    """The machine's clock as it was when this was made, and the time that has passed since.

    wall: gives seconds since the epoch, by a clock that may be set at any time; read once. steady: seconds since some
    moment, by one that nobody sets.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._zero = wall() - steady()

    def now(self) -> float:
        """Seconds since the epoch, steady."""
        return self._zero + self._steady()

    async def sleep(self, seconds: float) -> None:
        """Let others run for a while."""
        await asyncio.sleep(seconds)
