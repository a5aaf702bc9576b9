"""Things that are left alone for a while after they failed: of one that goes on failing, no other hears."""

from collections.abc import Callable, Collection, Hashable

from fairlead.ports.clock import Clock

FIRST_WAIT, LONGEST_WAIT = 2.0, 300.0
"""Seconds after a first failure, twice as many after each further one, and at most."""


class PutOff:
    """Remembers when each may be tried again. random gives numbers from 0 up to 1."""

    def __init__(self, clock: Clock, random: Callable[[], float]) -> None:
        self._clock = clock
        self._random = random
        self._waits: dict[Hashable, tuple[float, float]] = {}  # seconds of the last wait, and its end

    def is_due(self, what: Hashable) -> bool:
        """Say whether it may be tried."""
        return self._clock.now() >= self._waits.get(what, (0.0, 0.0))[1]

    def note(self, what: Hashable, *, done: bool) -> None:
        """Note how an attempt ended."""
        if done:
            self._waits.pop(what, None)
            return
        wait = min(LONGEST_WAIT, 2 * self._waits[what][0]) if what in self._waits else FIRST_WAIT
        self._waits[what] = (wait, self._clock.now() + wait * (1 + self._random() / 2))

    def keep(self, wanted: Collection[Hashable]) -> None:
        """Forget what nobody tries any more."""
        self._waits = {what: wait for what, wait in self._waits.items() if what in wanted}
