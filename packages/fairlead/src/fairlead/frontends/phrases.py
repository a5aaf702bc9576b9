"""What the core says, in the words of a door's users: which flag to change, which command to type.

The core names what went wrong by a code, and knows no door's flags; each door has a table of phrases for the codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fairlead.model.errors import FairleadError


@dataclass(frozen=True, slots=True)
class Phrase:
    """What to say for a code; words in braces are the error's details. message empty: the core's own."""

    remedy: str
    message: str = ""


def said(error: FairleadError, phrases: Mapping[str, Phrase]) -> str:
    """Return the one line that a door's user reads."""
    phrase = phrases.get(error.code)
    if phrase is None:
        return str(error)
    message = phrase.message.format_map(error.details) if phrase.message else error.message
    return str(FairleadError(message, remedy=phrase.remedy.format_map(error.details)))
