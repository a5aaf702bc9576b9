"""What is not as wanted, for whoever asks, and for the log: once when it comes and once when it has gone."""

from collections.abc import Collection

import structlog

log = structlog.get_logger(__name__)


class Trouble:
    """Remembers it by what it is about. Of what nobody tries any more, nobody hears any more."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def told(self) -> dict[str, str]:
        """Return the errors, by what they are about."""
        return dict(self._known)

    def note(self, what: str, error: Exception | None) -> None:
        """Note how an attempt ended (see `Attempts`)."""
        if error is None:
            if self._known.pop(what, None):
                log.info(f"{what}: as wanted again")
            return
        if self._known.get(what) != str(error):
            log.warning(f"{what}: not as wanted yet", error=str(error))
        self._known[what] = str(error)

    def keep(self, wanted: Collection[str]) -> None:
        """Forget what is about none of these: it is gone, or nobody wants it any more."""
        for what in self._known.keys() - set(wanted):
            del self._known[what]
            log.info(f"{what}: wanted no more")
