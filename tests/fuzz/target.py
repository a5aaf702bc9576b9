"""The doors' applications, called without a socket, and what must be true of every answer."""

import json
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import structlog
from aiohttp import web

from fairlead.agent.logs import configure_logs
from fairlead.agent.settings import LogSettings

LONGEST = 1000
"""Characters of an error, at most."""

Snapshot = Callable[[], Any]


class Broken(AssertionError):
    """An answer that must not be: what was sent, and what is wrong with the answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """As much of a request as the doors look at."""

    path: str
    body: bytes

    async def read(self) -> bytes:
        """Give the body."""
        return self.body


@dataclass
class Target:
    """An application of a door. paths: that it knows. snapshot: tells all that a request may have an effect on."""

    app: web.Application
    paths: Collection[str]
    snapshot: Snapshot
    answered: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        (route,) = [one for one in self.app.router.routes() if one.method == "POST"]
        self._handler: Callable[[Any], Awaitable[web.StreamResponse]] = route.handler

    async def send(self, path: str, body: bytes) -> dict[str, Any]:
        """Send a body and check the answer. Raises Broken."""
        before, log = self.snapshot(), StringIO()
        with redirect_stderr(log):
            configure_logs(LogSettings())
            try:
                response = await self._handler(Request(path, body))
            finally:
                structlog.reset_defaults()
        assert isinstance(response, web.Response)
        self.answered[f"{path if path in self.paths else 'unknown'} {response.status}"] += 1
        answer = json.loads(bytes(response.body))  # type: ignore[arg-type]  # the doors answer with bytes
        if wrong := self._wrong(response.status, answer, log.getvalue(), before):
            raise Broken(f"{wrong}\n  sent {path} {body[:600]!r}\n  got {response.status} {str(answer)[:600]}")
        return answer if response.status == 200 else {}

    def _wrong(self, status: int, answer: Any, log: str, before: Any) -> str:
        if not isinstance(answer, dict):
            return "the answer is no object"
        if status == 500:
            return "it failed unexpectedly"
        if any(_is_control(letter) for line in log.splitlines() for letter in line) or "forged" in _line_starts(log):
            return f"a control character is in the log: {log!r}"
        if status == 200:
            return ""
        error = answer.get("Err") or answer.get("error")
        if not isinstance(error, str) or not error.strip():
            return "nothing says what is wrong"
        if len(error) > LONGEST:
            return f"the error has {len(error)} characters"
        if any(_is_control(letter) for letter in error):
            return "a control character is in the error"
        return "" if self.snapshot() == before else "what was refused had an effect"


def _line_starts(log: str) -> str:
    return " ".join(line[:40] for line in log.split("\n"))


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp", "Cs"}
