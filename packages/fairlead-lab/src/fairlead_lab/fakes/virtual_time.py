"""Time that passes when nobody has anything left to do: hours of many hosts in seconds, and the same in every run.

An event loop whose clock jumps to the next timer as soon as no callback is ready. What waits for a socket or a thread
would wait for ever, so only coroutines, events and sleeps belong in it.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):
    """A selector that never blocks: it moves the clock on by the time it was to wait."""

    moved = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout is None:
            raise RuntimeError("everybody waits for something that never comes")
        if not found and timeout:
            self.moved += timeout
        return found


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with virtual time."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Return seconds since the loop began."""
        return self._jump.moved


class LoopClock:
    """The engine's clock, by the running loop's time."""

    def now(self) -> float:
        """Seconds since the loop began, and an epoch of its own: 0 would stand for never."""
        return 1_000_000.0 + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Let others run for a while."""
        await asyncio.sleep(seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
