"""When the background may ask Neutron next: one request at a time, rests between them, and none in a storm.

After each request the background rests as long as the request took, so that a slow Neutron is asked less. After a
failure it waits, twice as long each time (a circuit breaker: the next request is the probe that closes it), but no
shorter than the request had waited, or as long as Neutron asked. What somebody waits for is tried again sooner. All
waits are spread by chance, so that hosts that failed together do not come back together.

A Neutron that was slow has a queue, and each request more makes it longer: for a while then, nothing is asked that can
wait.
"""

from collections.abc import Callable

FIRST_WAIT = 2.0
"""Seconds after a first failure."""

LONGEST_WAIT = 300.0
"""Seconds between two attempts, at most."""

SLOW = 10.0
"""Seconds beyond its own work after which a request must have waited behind others."""

A_PORT = 1.0
"""Seconds that Neutron may work on a port without being called slow; it takes a quarter to half a second."""

LULL = 120.0
"""Seconds for which Neutron is taken to be slow after the turn that follows."""

SHORTEST_TURN, LONGEST_TURN = 4.0, 100.0
"""Seconds after turns in which Neutron was busy: after the first one, and at most."""

_SPREAD = 0.5


class Backoff:
    """The moment before which the background leaves Neutron alone. All moments are epoch seconds.

    starts_from: the moment from which it may be asked for what somebody waits for. need: the turns of that while it is
    slow. random gives numbers from 0 up to 1. longest: seconds between two attempts, at most.
    """

    def __init__(self, random: Callable[[], float], longest: float = LONGEST_WAIT) -> None:
        self._random = random
        self._longest = longest
        self._failures = 0
        self._slow_until = 0.0
        self.need = Throttle(random)
        self.not_before = 0.0
        self.starts_from = 0.0

    @property
    def open(self) -> bool:
        """Whether the last request failed: the circuit is open."""
        return self._failures > 0

    def is_fair(self, now: float) -> bool:
        """Say whether Neutron answers, and has not been slow lately."""
        return not self.open and not self.is_slow(now)

    def is_slow(self, now: float) -> bool:
        """Say whether Neutron was slow when it last answered, as far as one knows."""
        return now < self._slow_until

    def took(self, now: float, seconds: float, *, ports: int = 0) -> bool:
        """Note the time of an answer to a request that made so many ports; say whether that was slow."""
        slow = seconds > SLOW + ports * A_PORT
        if slow:
            self.need.busy(now, seconds)
            self._slow_until = self.need.not_before + self.spread(LULL)
        elif ports:
            self.need.free()
        return slow

    def succeeded(self, now: float, seconds: float) -> None:
        """Note a request that took so long and was answered, be it with a refusal of what it asked."""
        self._failures = 0
        self.not_before = now + self.spread(seconds)

    def rest(self, now: float, seconds: float) -> None:
        """Leave Neutron alone for about so long, whether it answers or not."""
        self.not_before = max(self.not_before, now + self.spread(seconds))

    def failed(self, now: float, retry_after: float | None = None, *, seconds: float = 0.0) -> None:
        """Note a request that was not answered, or too late.

        seconds: that it was waited for. retry_after: seconds that Neutron asked us to wait.
        """
        wait = max(seconds, min(self._longest, FIRST_WAIT * 2.0**self._failures))
        self._failures = min(self._failures + 1, 32)
        if retry_after is None:
            self.not_before = now + self.spread(wait)
            self.starts_from = now + self.spread(max(seconds, FIRST_WAIT))
        else:
            self.not_before = self.starts_from = now + retry_after * (1 + self._random())

    def spread(self, seconds: float) -> float:
        """Return about so many seconds, by chance."""
        return seconds * (1.0 - _SPREAD + 2 * _SPREAD * self._random())


class Throttle:
    """The moment before which one kind of work has to wait, where many hosts share a Neutron.

    Found busy, a host waits twice as long as before, found free, half as long: so about as many ask as Neutron has time
    for, and no host knows of another. What is more urgent calls it busy later, and so gets the better part.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._wait = 0.0
        self.not_before = 0.0

    def busy(self, now: float, seconds: float) -> None:
        """Note that Neutron took so long for an answer that it has work enough."""
        self._wait = min(LONGEST_TURN, max(SHORTEST_TURN, seconds, 2 * self._wait))
        self.postpone(now, self._wait)

    def free(self) -> None:
        """Note that Neutron had time."""
        self._wait = self._wait / 2 if self._wait > SHORTEST_TURN else 0.0

    def rest(self, now: float) -> None:
        """Leave the next turn to others, for as long as it was busy last."""
        self.postpone(now, self._wait)

    def postpone(self, now: float, seconds: float) -> None:
        """Wait so long at least, and up to twice as long."""
        self.not_before = max(self.not_before, now + seconds * (1 + self._random()))
