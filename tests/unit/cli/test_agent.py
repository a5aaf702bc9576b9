"""`fairlead agent`: what it says of a node, and that it serves where it is not asked to look only."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fairlead.agent import check as checking
from fairlead.agent import run as running
from fairlead.agent.check import Finding
from fairlead.agent.settings import Settings
from fairlead.cli.main import main

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
