"""WSGI middleware: Neutron as it is on a bad day, for as long as a file says how bad."""

import json
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_LOOPBACK = "127.0.0.1"


class Disturbance:
    """Calls an application, and before or instead of it does what a file says, where there is one.

    The file is a JSON object: `seconds` by which each request is late; `status`, the HTTP status that answers instead
    of the application, 0 for none; `share` of the requests which that befalls; `lost`, whether the application has done
    its work by then, as when an answer is lost on its way. Requests by loopback are whoever looks at the lab's, not a
    host's, and are spared.
    """

    def __init__(self, application: Application, path: str) -> None:
        self._application = application
        self._path = Path(path)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        told = {} if environ.get("REMOTE_ADDR") == _LOOPBACK else self._told()
        time.sleep(told.get("seconds", 0))
        status = told.get("status", 0)
        if not status or random.random() >= told.get("share", 1.0):  # noqa: S311
            return self._application(environ, start_response)
        if told.get("lost"):
            body = self._application(environ, lambda *_: lambda _: None)
            getattr(body, "close", lambda: None)()
        start_response(f"{status} Disturbed", [("Content-Type", "text/plain")])
        return [b"disturbed by the lab\n"]

    def _told(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return told
