"""Where one JSON message of a stream ends, and what it says: a parser for ovs's JSON-RPC in place of its own.

ovs parses with a call of Python for each character unless its C extension has been built, which it is not in what pip
installs: a third of the time of a transaction, and seconds for the first contents of a large database.

Sources: ovs.json.Parser, whose interface this is; RFC 7047, section 4: messages are JSON objects, one after another.
"""

import json
import re
from typing import Any, Final

# Up to the next brace outside of a string. Possessive, so that what does not match is not tried again in other ways.
_TO_BRACE: Final = re.compile(r'(?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+[{}]', re.DOTALL)


class Parser:
    """Takes text piece by piece until it has a whole message. One for each message."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._rest = ""  # in which no brace has been found yet
        self._depth = 0
        self._done = False

    def feed(self, text: str) -> int:
        """Take text up to the message's end and return how many characters were taken."""
        rest, at = self._rest + text, 0
        while not self._done and (found := _TO_BRACE.match(rest, at)):
            at = found.end()
            self._depth += 1 if rest[at - 1] == "{" else -1
            self._done = self._depth <= 0
        self._parts.append(rest[:at])
        taken = at - len(self._rest) if self._done else len(text)
        self._rest = "" if self._done else rest[at:]
        return taken

    def is_done(self) -> bool:
        """Say whether the message is complete, or can't become one."""
        return self._done

    def finish(self) -> Any:
        """Return the message; a str with the reason where it is none, as ovs expects it."""
        try:
            return json.loads("".join(self._parts))
        except ValueError as error:
            return f"not JSON: {error}"
