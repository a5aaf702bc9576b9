"""What seems to be no more: an answer without it is not believed alone, since what is deleted on it does not come back.

A database that lags behind, a policy that is being changed, a proxy with an old page: each answers once what a second
look does not confirm.
"""

from collections.abc import Collection, Hashable

from fairlead.ports.clock import Clock

APART = 10.0
"""Seconds between two looks, at least, that both must miss it."""


class Evidence:
    """Remembers since when things are missing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[Hashable, float] = {}

    def __contains__(self, what: object) -> bool:
        return what in self._since

    def missed(self, what: Hashable) -> bool:
        """Note that a look missed it; say whether an earlier one has, long enough ago."""
        now = self._clock.now()
        return now - self._since.setdefault(what, now) >= APART

    def forget(self, what: Hashable) -> None:
        """Note that it is there, or that nobody asks any more."""
        self._since.pop(what, None)

    def keep(self, wanted: Collection[Hashable]) -> None:
        """Forget all that nobody asks for any more."""
        self._since = {what: since for what, since in self._since.items() if what in wanted}
