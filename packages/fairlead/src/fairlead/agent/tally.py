"""How many requests to Neutron one RPC led to, whoever sent them on its behalf."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class _Count:
    calls: int = 0


class Tally:
    """Counts in the current context; tasks started from it count with it."""

    def __init__(self) -> None:
        self._current: ContextVar[_Count] = ContextVar("fairlead_neutron_calls")

    def begin(self) -> None:
        """Count from nothing in this context."""
        self._current.set(_Count())

    def add(self) -> None:
        """Count one request; nobody's, where nothing has begun."""
        count = self._current.get(None)
        if count:
            count.calls += 1

    def calls(self) -> int:
        """Return the requests so far."""
        count = self._current.get(None)
        return count.calls if count else 0
