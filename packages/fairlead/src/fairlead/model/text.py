"""Texts from outside, made fit for one line of a log, an answer or a terminal."""

import unicodedata
from typing import Final

_UNFIT: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
"""Unicode's categories of controls, format and direction marks, ends of lines and paragraphs, halves of pairs."""


def printable(text: str, *, limit: int) -> str:
    """Return a text with what is no letter, mark, number, sign or space escaped, and cut to so many characters."""
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return text
    fit = "".join(_escaped(letter) if unicodedata.category(letter) in _UNFIT else letter for letter in text[:limit])
    return fit if len(fit) <= limit and len(text) <= limit else f"{fit[: limit - 1]}…"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
