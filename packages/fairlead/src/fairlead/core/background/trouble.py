"""What is not as wanted, for whoever asks, and for the log: once when it comes and once when it has gone."""

import structlog

log = structlog.get_logger(__name__)


class Trouble:
    """Remembers it by what it is about. Of what nobody tries any more, nobody hears any more."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._tried: set[str] = set()

    def told(self) -> dict[str, str]:
        """Return the errors, by what they are about."""
        return dict(self._known)

    def note(self, what: str, error: Exception | None) -> None:
        """Note how an attempt ended (see `Attempts`)."""
        self._tried.add(what)
        if error is None:
            if self._known.pop(what, None):
                log.info(f"{what}: as wanted again")
            return
        if self._known.get(what) != str(error):
            log.warning(f"{what}: not as wanted yet", error=str(error))
        self._known[what] = str(error)

    def end_round(self) -> None:
        """Forget what was not tried since the last round ended: it is gone, or nobody wants it any more."""
        for what in self._known.keys() - self._tried:
            del self._known[what]
            log.info(f"{what}: wanted no more")
        self._tried.clear()
