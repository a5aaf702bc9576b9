"""How many ports should wait: the demand that was seen, and the marks that follow from it.

Demand is the greatest number of ports taken within one WINDOW, remembered with a half-life. It grows at once, because
a burst that was seen may come again, and decays slowly, because a port costs Neutron a quarter of a second to make
and nothing to keep. The window covers a port's rest and the time that a refill takes: within it no port comes back.
"""

import math
from collections import deque
from dataclasses import dataclass

REFILL_TIME = 10.0
"""Seconds that a refill may take under load."""

HALF_LIFE = 600.0
"""Seconds in which a demand that does not come again is half forgotten."""

LOW = 0.9
"""Part of the target below which a pool is refilled: a slack of one port at least, so that one start is no request."""

HIGH = 1.5
"""Multiple of the target above which ports are given back to Neutron."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What an operator may set of each network's pool.

    floor: ports that wait even if nobody has asked for any. ceiling: the most that wait. cool_down: seconds that a
    port rests before it is given out again. rate: ports made ahead per second, at most, in the long run. share: of the
    room that quota and subnets leave, the part that this host may take ahead.
    """

    floor: int = 2
    ceiling: int = 100
    cool_down: float = 10.0
    rate: float = 5.0
    share: float = 0.25


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Refill up to target when fewer than low wait; shrink down to it when more than high do."""

    low: int
    target: int
    high: int


class Demand:
    """The takes of one pool, as they are told. Times are epoch seconds and never go back."""

    def __init__(self, window: float, now: float, *, peak: float = 0.0) -> None:
        """Begin; peak: what was known before, in ports."""
        self._window = window
        self._takes: deque[float] = deque()
        self._peak = peak
        self._seen = now

    def take(self, now: float) -> None:
        """Note that a port was taken."""
        self._takes.append(now)
        self.level(now)

    def level(self, now: float) -> float:
        """Return the demand in ports."""
        while self._takes and self._takes[0] <= now - self._window:
            self._takes.popleft()
        decayed = self._peak * 0.5 ** (max(0.0, now - self._seen) / HALF_LIFE)
        self._peak = max(decayed, float(len(self._takes)))
        self._seen = now
        return self._peak


def watermarks(level: float, limits: PoolLimits) -> Watermarks:
    """Return a pool's marks at a level of demand."""
    # A level that has decayed by a hair must not ask for a port less at once.
    target = min(max(math.ceil(level - 0.05), limits.floor), limits.ceiling)
    low = max(min(math.ceil(target * LOW), target - 1), min(target, 1))
    return Watermarks(low=low, target=target, high=max(target + limits.floor, math.ceil(target * HIGH)))
