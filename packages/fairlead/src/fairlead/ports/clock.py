"""What the core needs of time."""

from typing import Protocol


class Clock(Protocol):
    """Time that never goes back, and passes as fast as time does: whatever waits, waits by it. Tests can turn it."""

    def now(self) -> float:
        """Seconds since the epoch, as they were when this process began, and steady from there on.

        Whoever sets the machine's clock does not move it, so what is written down by it need not be doubted before the
        next start (`core.background.moments`).
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Let others run for a while."""
        ...
