"""The access log has a line for each request, before the client has its answer."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fairlead_lab.services.access_log import AccessLog


def test_a_request_is_one_line(tmp_path: Path) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/v2.0", "/ports"  # as a router does
        start_response("201 Created", [("X-Openstack-Request-Id", "req-theirs")])
        return [b"{}"]

    said: list[str] = []
    served = AccessLog(application, str(tmp_path / "log"))
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/v2.0/ports",
        "QUERY_STRING": "a=b",
        "REMOTE_ADDR": "192.0.2.11",
        "HTTP_X_OPENSTACK_REQUEST_ID": "req-ours",
    }
    assert list(served(environ, lambda status, _headers: said.append(status))) == [b"{}"]
    assert said == ["201 Created"]
    (line,) = (tmp_path / "log").read_text().splitlines()
    written = json.loads(line)
    assert written.pop("time") > 1e9
    assert 0 <= written.pop("seconds") < 1
    assert written == {
        "method": "POST",
        "path": "/v2.0/ports",
        "query": "a=b",
        "status": 201,
        "request_id": "req-theirs",
        "global_request_id": "req-ours",
        "client": "192.0.2.11",
        "user_agent": "",
    }
