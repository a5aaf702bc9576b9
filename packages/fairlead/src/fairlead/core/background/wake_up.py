"""What wakes those who work behind: there may be something to do."""

import asyncio
from contextlib import suppress

_TICK = 1.0
"""Seconds after which one looks anyhow: what is due by the clock rings nothing."""


class WakeUp:
    """Rung by whoever makes work; heard by the one who does it."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._rung.set()

    def clear(self) -> None:
        """Look for work from here on: what rings later counts."""
        self._rung.clear()

    async def wait(self) -> None:
        """Wait until it rings, a second at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK):
                await self._rung.wait()
