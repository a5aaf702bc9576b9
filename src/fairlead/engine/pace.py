"""When the background may ask Neutron next: one request at a time, rests between them, and none in a storm.

After each request the background rests as long as the request took, so that a slow Neutron is asked less. After a
failure it waits, twice as long each time (a circuit breaker: the next request is the probe that closes it), or as long
as Neutron asked. All waits are spread by chance, so that hosts that failed together do not come back together.
"""

from collections.abc import Callable

FIRST_WAIT = 2.0
"""Seconds after a first failure."""

LONGEST_WAIT = 300.0
"""Seconds between two attempts, at most."""

_SPREAD = 0.5


class Pace:
    """The moment before which the background leaves Neutron alone. random gives numbers from 0 up to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._failures = 0
        self.not_before = 0.0

    @property
    def open(self) -> bool:
        """Whether the last request failed: the circuit is open."""
        return self._failures > 0

    def succeeded(self, now: float, seconds: float) -> None:
        """Note a request that took so long and was answered, be it with a refusal of what it asked."""
        self._failures = 0
        self.not_before = now + self._spread(seconds)

    def failed(self, now: float, retry_after: float | None = None) -> None:
        """Note a request that was not answered. retry_after: seconds that Neutron asked us to wait."""
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0**self._failures)
        self._failures = min(self._failures + 1, 32)
        self.not_before = now + (self._spread(wait) if retry_after is None else retry_after * (1 + self._random()))

    def postpone(self, now: float, seconds: float) -> None:
        """Wait so long at least, and up to twice as long."""
        self.not_before = max(self.not_before, now + seconds * (1 + self._random()))

    def _spread(self, seconds: float) -> float:
        return seconds * (1.0 - _SPREAD + 2 * _SPREAD * self._random())
