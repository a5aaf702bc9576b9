"""A question to the agent over its unix socket, with the standard library alone: flanneld waits for each command."""

import http.client
import json
import socket
from typing import Any

from fairlead.model.errors import AgentUnavailable, FairleadError

TIMEOUT = 60.0
"""Seconds; the agent itself waits less for Neutron."""


def ask(path: str, command: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send one POST and return its answer. Raises AgentUnavailable, and FairleadError with what the agent said."""
    connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(TIMEOUT)
    try:
        connection.sock.connect(path)
        connection.request("POST", command, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AgentUnavailable(
            f"no agent answers at {path} ({getattr(error, 'strerror', None) or error})",
            remedy='start `fairlead agent` with `mode = "routed"` under [agent]; as root',
        ) from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise FairleadError(str(answer.get("error", response.reason)))
    assert isinstance(answer, dict)  # noqa: S101
    return answer
