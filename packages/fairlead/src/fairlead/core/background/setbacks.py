"""What failed, each for itself: when it is tried again, and whether the fault is its own or common to others.

One thing that always fails must not keep the others from being done. It is put off alone, for twice as long each time,
and says nothing of whoever was asked, be it Neutron or the switch. Its backoff is for what is common: that it can't be
reached, asks for a pause, leaves a request unanswered, or fails two different things in a row. Once something else has
succeeded, what failed before is known to be itself to blame, in whatever way it fails again.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from math import inf

from fairlead.core.background.backoff import FIRST_WAIT, LONGEST_WAIT, Backoff
from fairlead.model.errors import CloudUnavailable, Unavailable


@dataclass(slots=True)
class _Setback:
    """until: the moment before which it is not tried again. wait: seconds, the last time. own: nothing else failed."""

    until: float
    wait: float = 0.0
    own: bool = False


class Setbacks:
    """Of all that one backoff stands for. silence: the error that says that it does not answer, of whoever is asked.

    Bounded: what has long been due, and did not fail again, is forgotten.
    """

    def __init__(self, backoff: Backoff, silence: type[Unavailable] = CloudUnavailable) -> None:
        self.backoff = backoff
        self._silence = silence
        self._all: dict[Hashable, _Setback] = {}
        self._last: Hashable | None = None

    def __len__(self) -> int:
        return len(self._all)

    def is_due(self, key: Hashable, now: float) -> bool:
        """Say whether something may be tried, as far as it is up to itself."""
        return key not in self._all or self._all[key].until <= now

    def has_failed(self, key: Hashable) -> bool:
        """Say whether something failed when it was tried last."""
        return key in self._all

    def soonest(self, now: float) -> float:
        """Return the moment at which the next of what is put off becomes due; infinity where nothing is."""
        return min((one.until for one in self._all.values() if one.until > now), default=inf)

    def succeeded(self, key: Hashable) -> None:
        """Note that something has been done: what failed before it failed by itself."""
        self._all.pop(key, None)
        self._last = None
        for setback in self._all.values():
            setback.own = True

    def failed(
        self,
        key: Hashable,
        error: Exception,
        now: float,
        *,
        seconds: float = 0.0,
        first: float = FIRST_WAIT,
        awaited: bool = False,
    ) -> None:
        """Put something off, or all where the failure is a common one.

        seconds: that it took. first: seconds to wait after a first failure. awaited: somebody waits for it, so that it
        is tried again as soon each time, but no sooner than it took.
        """
        self._forget(now)
        setback = self._all.setdefault(key, _Setback(now))
        common = isinstance(error, self._silence) and self._is_common(key, setback, error)
        self._last = key
        if common and isinstance(error, Unavailable):
            self.backoff.failed(now, error.retry_after, seconds=seconds)
            return
        self.backoff.rest(now, seconds)
        setback.wait = max(seconds, first) if awaited else min(LONGEST_WAIT, max(first, 2 * setback.wait))
        setback.until = now + self.backoff.spread(setback.wait)

    def _is_common(self, key: Hashable, setback: _Setback, error: Unavailable) -> bool:
        if not error.reached or error.retry_after is not None:
            return True
        return not setback.own and (not error.answered or self.backoff.open or self._last not in {None, key})

    def _forget(self, now: float) -> None:
        self._all = {key: one for key, one in self._all.items() if now <= one.until + LONGEST_WAIT}
