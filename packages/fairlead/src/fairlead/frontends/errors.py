"""Our errors as HTTP statuses; the line beside them is what the user reads."""

from fairlead.model.errors import Conflict, Denied, Exhausted, FairleadError, InvalidInput, NotFound, Unavailable

_STATUS: tuple[tuple[type[FairleadError], int], ...] = (
    (InvalidInput, 400),
    (Denied, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Exhausted, 409),
    (Unavailable, 503),
)


def status(error: FairleadError) -> int:
    """Return the HTTP status of an error. Clients tell 200 from others; the log's readers see more."""
    return next((code for kind, code in _STATUS if isinstance(error, kind)), 500)


def unknown(path: str) -> NotFound:
    """Say that a path is none of a door's."""
    return NotFound(f"Fairlead does not know {path}")


def unforeseen(error: Exception) -> FairleadError:
    """Say that something failed which nobody foresaw; the log has its traceback."""
    return FairleadError(
        f"Fairlead failed unexpectedly ({type(error).__name__}: {error})", remedy="see the agent's log"
    )
