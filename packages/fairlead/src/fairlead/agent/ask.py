"""A question to the agent over its unix socket, with the standard library alone: flanneld waits for each command."""

import http.client
import json
import socket
import time
from typing import Any

from fairlead.model.errors import AgentUnavailable, FairleadError

TIMEOUT = 60.0
"""Seconds; the agent itself waits less for Neutron."""

_PAUSE = 0.2


_REMEDY = 'start `fairlead agent` with `mode = "routed"` under [agent], or with door flannel; as root'


def ask(
    path: str,
    command: str,
    body: dict[str, Any],
    *,
    patience: float = 0.0,
    timeout: float = TIMEOUT,
    remedy: str = _REMEDY,
) -> dict[str, Any]:
    """Send one POST and return its answer.

    patience: seconds to wait for an agent that is not there, as while it restarts. timeout: seconds for the answer.
    remedy: what to do where no agent is there. Raises AgentUnavailable, and
    FairleadError with what the agent said.
    """
    deadline = time.monotonic() + patience
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    try:
        connection.sock = _connect(path, deadline, timeout)
        connection.request("POST", command, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AgentUnavailable(
            f"no agent answers at {path} ({getattr(error, 'strerror', None) or error})",
            remedy=remedy,
        ) from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise FairleadError(str(answer.get("error", response.reason)))
    assert isinstance(answer, dict)  # noqa: S101
    return answer


def _connect(path: str, deadline: float, timeout: float) -> socket.socket:
    while True:
        attempt = socket.socket(socket.AF_UNIX)
        attempt.settimeout(timeout)
        try:
            attempt.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            attempt.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        except BaseException:
            attempt.close()
            raise
        else:
            return attempt
