"""What the fake was asked, and what it was told to do wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(slots=True)
class Call:
    """One request that arrived: path below /v2.0 (Neutron) or /v3 (Keystone), decoded query, JSON body or None.

    status: what was answered; 0 as long as nothing is, and where the connection was cut instead.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: Any
    request_id: str
    status: int = 0


class How(Enum):
    """How a fault shows."""

    ANSWER = "answer"
    """An error's answer; nothing is done."""
    DISCONNECT = "disconnect"
    """The connection is cut; nothing is done."""
    LOSE = "lose"
    """The request is carried out, then the connection is cut instead of the answer."""
    TRUNCATE = "truncate"
    """The answer begins and the connection is cut."""
    GARBAGE = "garbage"
    """An answer 200 that is not JSON."""
    HANG = "hang"
    """No answer at all."""


@dataclass(slots=True)
class Fault:
    """Something to do wrong with requests that match, a number of times.

    method: empty for any. path: a regular expression searched in the path. status, kind, message and headers: of an
    ANSWER; without kind its body is not Neutron's, as when a proxy answers. service: network or identity.
    """

    how: How = How.ANSWER
    method: str = ""
    path: str = ""
    times: int = 1
    status: int = 503
    kind: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    service: str = "network"

    def matches(self, service: str, method: str, path: str) -> bool:
        """Say whether this request is to fail."""
        return (
            self.times > 0
            and self.service == service
            and self.method in {"", method}
            and re.search(self.path, path) is not None
        )
