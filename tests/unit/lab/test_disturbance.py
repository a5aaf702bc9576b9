"""What Neutron does to a host's requests on a bad day."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fairlead_lab.services.disturbance import Disturbance


class Served:
    """An application behind a disturbance, which may be told to be bad."""

    def __init__(self, tmp_path: Path) -> None:
        self.file = tmp_path / "disturbance.json"
        self.asked = 0
        self._served = Disturbance(self._application, str(self.file))

    def _application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.asked += 1
        start_response("200 OK", [])
        return [b"{}"]

    def ask(self, address: str = "192.0.2.11") -> str:
        said: list[str] = []
        list(self._served({"REMOTE_ADDR": address}, lambda status, _headers: said.append(status)))
        (status,) = said
        return status.split()[0]


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


def test_without_a_file_nothing_is_disturbed(served: Served) -> None:
    assert served.ask() == "200"


def test_a_status_answers_instead_of_the_application(served: Served) -> None:
    served.file.write_text(json.dumps({"status": 503}))
    assert served.ask() == "503"
    assert served.asked == 0


def test_a_lost_answer_is_of_work_that_was_done(served: Served) -> None:
    served.file.write_text(json.dumps({"status": 504, "lost": True}))
    assert served.ask() == "504"
    assert served.asked == 1


def test_only_a_share_is_befallen(served: Served) -> None:
    served.file.write_text(json.dumps({"status": 503, "share": 0.0}))
    assert served.ask() == "200"


def test_whoever_looks_at_the_lab_by_loopback_is_spared(served: Served) -> None:
    served.file.write_text(json.dumps({"status": 503}))
    assert served.ask("127.0.0.1") == "200"


def test_it_ends_with_the_file(served: Served) -> None:
    served.file.write_text(json.dumps({"status": 503}))
    served.ask()
    served.file.unlink()
    assert served.ask() == "200"
