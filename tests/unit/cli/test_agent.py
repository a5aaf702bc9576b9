"""`fairlead agent`: what it says of a node, and that it serves where it is not asked to look only."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fairlead.agent import check as checking
from fairlead.agent import retire as retiring
from fairlead.agent import run as running
from fairlead.agent.check import Finding
from fairlead.agent.settings import Settings
from fairlead.cli.main import main
from fairlead.core.reconcile.retirement import Remains
from fairlead.model.network import Network

GOOD = Finding("cloud", ok=True, text="Keystone and Neutron answer")
BAD = Finding("kernel", ok=False, text="no permission to make network devices", remedy="run the agent as root")


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "fairlead.toml").write_text("")
    return str(tmp_path / "fairlead.toml")


def checked(config: str, monkeypatch: pytest.MonkeyPatch, *options: str, findings: list[Finding]) -> Result:
    async def check(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
        return findings

    monkeypatch.setattr(checking, "check", check)
    return CliRunner().invoke(main, ["agent", "--config", config, "--check", *options])


def test_a_check_has_a_line_for_each_finding_and_one_for_what_to_do(
    config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = checked(config, monkeypatch, findings=[GOOD, BAD])
    assert done.stdout.splitlines() == [
        "ok    cloud   Keystone and Neutron answer",
        "FAIL  kernel  no permission to make network devices",
        "              → run the agent as root",
    ]
    assert done.exit_code == 1


def test_a_check_that_finds_nothing_wrong_is_status_0(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(config, monkeypatch, findings=[GOOD]).exit_code == 0


def test_a_check_for_machines_is_json(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = checked(config, monkeypatch, "--json", findings=[GOOD, BAD])
    assert [(one["what"], one["ok"]) for one in json.loads(done.stdout)] == [("cloud", True), ("kernel", False)]
    assert done.exit_code == 1


def test_without_a_check_the_agent_serves(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Settings] = []

    async def run_agent(settings: Settings, environ: Mapping[str, str]) -> None:
        served.append(settings)

    monkeypatch.setattr(running, "run_agent", run_agent)
    assert CliRunner().invoke(main, ["agent", "--config", config]).exit_code == 0
    assert len(served) == 1


REMAINS = Remains(
    "h9", "0123456789ab", marks=[(Network("n1", "web", 1442), "fairlead:host=h9:0123456789ab:fedcba987654")]
)


def retired(
    config: str, monkeypatch: pytest.MonkeyPatch, *options: str, remains: Remains | None = REMAINS
) -> tuple[Result, dict[str, object]]:
    asked: dict[str, object] = {}

    async def retire(
        settings: Settings, environ: Mapping[str, str], name: str, *, waiting: Callable[[float], None], **how: bool
    ) -> Remains | None:
        asked.update(how, name=name)
        for left in (600.0, 595.0, 570.0):
            waiting(left)
        return remains

    monkeypatch.setattr(retiring, "retire", retire)
    return CliRunner().invoke(main, ["agent", "--config", config, "retire", "h9", *options]), asked


def test_a_host_is_retired_line_by_line_and_the_wait_is_told(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done, asked = retired(config, monkeypatch)
    assert asked == {"name": "h9", "dry_run": False, "now": False}
    assert done.stdout == "removed  its mark on network web\n"
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [
        "600 s left to answer",
        "570 s left to answer",
    ]


def test_a_dry_run_says_what_would_go(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done, asked = retired(config, monkeypatch, "--dry-run")
    assert asked["dry_run"]
    assert done.stdout == "would remove  its mark on network web\n"


def test_of_a_host_that_left_nothing_that_is_said(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = retired(config, monkeypatch, remains=None)
    assert (done.stdout, done.exit_code) == ("nothing of host h9 is in Neutron\n", 0)


def test_what_was_retired_is_told_to_machines(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = retired(config, monkeypatch, "--json", "--now")
    assert json.loads(done.stdout) == {
        "host": "h9",
        "node": "0123456789ab",
        "removed": True,
        "found": ["its mark on network web"],
    }
