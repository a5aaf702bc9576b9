"""Pieces of work that stand each for itself: one that fails is told of, comes up again later, and stops no other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from fairlead.core.background.backoff import Backoff
from fairlead.model.errors import CloudUnavailable, Denied, FairleadError, Unavailable
from fairlead.ports.clock import Clock

log = structlog.get_logger(__name__)

Note = Callable[[str, Exception | None], None]
"""Told what was tried, and the error; None where there was none."""


def say_not_yet(what: str, error: Exception | None) -> None:
    """Log a failure each time."""
    if error:
        log.warning(f"could not {what} yet", error=str(error))


@dataclass(frozen=True, slots=True)
class Attempts:
    """Tries pieces of work. note: says how each ended.

    backoff: of what asks Neutron. failed is called for what nobody foresaw (any error but Fairlead's own), whose
    traceback is logged: an answer that is not understood must not end all that is done behind.
    """

    clock: Clock
    backoff: Backoff
    note: Note = say_not_yet
    failed: Callable[[], None] = lambda: None

    async def run(self, what: str, work: Awaitable[object], *, cloud: bool = False) -> bool:
        """Try it; say whether it succeeded.

        cloud: it asks Neutron, so its end tells when Neutron may be asked again. A refusal of what this piece wants is
        an answer, and says nothing of the others.
        """
        try:
            await work
        except Exception as error:
            if not isinstance(error, FairleadError):
                log.exception("unexpected error", what=what)
                self.failed()
            if cloud:
                self._note_answer(error)
            self.note(what, error)
            return False
        if cloud:
            self.backoff.succeeded(self.clock.now(), 0.0)
        self.note(what, None)
        return True

    def _note_answer(self, error: Exception) -> None:
        if isinstance(error, Unavailable | Denied):
            self.backoff.failed(self.clock.now(), error.retry_after if isinstance(error, CloudUnavailable) else None)
        elif isinstance(error, FairleadError):
            self.backoff.succeeded(self.clock.now(), 0.0)
