"""Pieces of work that stand each for itself: one that fails is told of, comes up again later, and stops no other."""

from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from fairlead.core.background.backoff import Backoff
from fairlead.core.background.setbacks import Setbacks
from fairlead.model.errors import FairleadError
from fairlead.ports.clock import Clock

log = structlog.get_logger(__name__)

Note = Callable[[str, Exception | None], None]
"""Told what was tried, and the error; None where there was none."""


def say_not_yet(what: str, error: Exception | None) -> None:
    """Log a failure each time."""
    if error:
        log.warning(f"could not {what} yet", error=str(error))


class Attempts:
    """Tries pieces of work. note: says how each ended.

    backoff: of what asks Neutron; which failures are its own, and which put off one piece alone, `Setbacks` tell.
    failed is called for what nobody foresaw (any error but Fairlead's own), whose traceback is logged: an answer that
    is not understood must not end all that is done behind.
    """

    def __init__(
        self, clock: Clock, backoff: Backoff, note: Note = say_not_yet, failed: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._setbacks = Setbacks(backoff)
        self._backoff = backoff
        self._note = note
        self._failed = failed

    async def run(self, what: str, work: Coroutine[Any, Any, object], *, cloud: bool = False) -> None:
        """Try it. cloud: it asks Neutron, so its end tells when Neutron may be asked again.

        what: names it, for the log and for putting off; so it is to name the object where there are several.
        """
        if cloud and not self._setbacks.is_due(what, self._clock.now()):
            work.close()
            return
        try:
            await work
        except Exception as error:
            if not isinstance(error, FairleadError):
                log.exception("unexpected error", what=what)
                self._failed()
            if cloud:
                self._setbacks.failed(what, error, self._clock.now())
            self._note(what, error)
        else:
            if cloud:
                self._setbacks.succeeded(what)
                self._backoff.succeeded(self._clock.now(), 0.0)
            self._note(what, None)

    def again_at(self) -> float:
        """Return the moment at which the next piece that was put off may be tried; infinity where there is none."""
        return self._setbacks.soonest(self._clock.now())
