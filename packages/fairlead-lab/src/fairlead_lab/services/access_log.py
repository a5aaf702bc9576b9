"""WSGI middleware: one JSON object a line for each request answered."""

import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class AccessLog:
    """Calls an application and appends to a file what was asked, what was answered and how long it took.

    The line is written before the answer leaves, so that a client which has its answer finds its line.
    """

    def __init__(self, application: Application, path: str) -> None:
        self._application = application
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        began = time.time()
        clock = time.perf_counter()
        # Routers inside the application move the path's front to SCRIPT_NAME: what was asked is read before.
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        answer: dict[str, str] = {}

        def remember(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            answer["status"] = status
            answer.update((name.lower(), value) for name, value in headers)
            return start_response(status, headers, *rest)

        body = self._application(environ, remember)
        line = {
            "time": round(began, 6),
            "seconds": round(time.perf_counter() - clock, 6),
            "method": environ.get("REQUEST_METHOD", ""),
            "path": path,
            "query": environ.get("QUERY_STRING", ""),
            "status": int(answer.get("status", "0").split(" ", 1)[0]),
            "request_id": answer.get("x-openstack-request-id", ""),
            "global_request_id": environ.get("HTTP_X_OPENSTACK_REQUEST_ID", ""),
            "client": environ.get("REMOTE_ADDR", ""),
            "user_agent": environ.get("HTTP_USER_AGENT", ""),
        }
        # One write of one line to a file opened for appending: lines of several threads don't mix.
        os.write(self._handle, json.dumps(line).encode() + b"\n")
        return body
