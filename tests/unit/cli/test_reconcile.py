"""`fairlead reconcile`, against an agent's socket that a test serves."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fairlead.cli.main import main
from tests.unit.cli.test_flannel import AgentSocket

ORPHAN = {
    "kind": "Orphan",
    "what": "device of one",
    "where": "host",
    "why": "nobody has it",
    "act": "remove it",
    "state": "done",
    "error": "",
}
STRAY = {**ORPHAN, "kind": "Stray", "what": "port 1 (10.20.0.5)", "where": "Neutron", "act": "delete it"}


@pytest.fixture
def socket_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAIRLEAD_AGENT_SOCKET", str(tmp_path / "agent.sock"))
    monkeypatch.setenv("FAIRLEAD_FLANNEL_SOCKET", str(tmp_path / "flannel.sock"))
    return tmp_path / "agent.sock"


@pytest.fixture
def agent(socket_path: Path) -> Iterator[AgentSocket]:
    agent = AgentSocket(socket_path)
    yield agent
    agent.close()


def run(*options: str) -> Result:
    return CliRunner().invoke(main, ["reconcile", *options])


def test_each_finding_has_a_line_with_what_where_and_why(agent: AgentSocket) -> None:
    agent.answer = {"findings": [ORPHAN, STRAY], "unseen": []}
    done = run()
    assert done.stdout.splitlines() == [
        "done  host     device of one       nobody has it: remove it",
        "done  Neutron  port 1 (10.20.0.5)  nobody has it: delete it",
    ]
    assert done.exit_code == 0
    assert agent.asked == [("/reconcile", {"dry_run": False})]


def test_a_dry_run_asks_for_the_plan_alone(agent: AgentSocket) -> None:
    agent.answer = {"findings": [{**ORPHAN, "state": "would"}], "unseen": []}
    done = run("--dry-run")
    assert done.stdout == "would  host  device of one  nobody has it: remove it\n"
    assert done.exit_code == 0
    assert agent.asked == [("/reconcile", {"dry_run": True})]


def test_nothing_to_do_is_said(agent: AgentSocket) -> None:
    agent.answer = {"findings": [], "unseen": []}
    done = run()
    assert done.stdout == "nothing to do: host and Neutron are as remembered\n"
    assert done.exit_code == 0


def test_one_that_failed_has_its_reason_below_and_the_exit_status_is_1(agent: AgentSocket) -> None:
    agent.answer = {"findings": [ORPHAN, {**STRAY, "state": "failed", "error": "Neutron answers 500"}], "unseen": []}
    done = run()
    assert "        → Neutron answers 500" in done.stdout.splitlines()
    assert done.exit_code == 1


def test_what_could_not_be_looked_at_is_said_and_the_exit_status_is_1(agent: AgentSocket) -> None:
    agent.answer = {"findings": [], "unseen": [{"where": "Neutron", "error": "no answer"}]}
    done = run()
    assert done.stdout == "could not look at Neutron: no answer\n"
    assert done.exit_code == 1


def test_machines_get_the_agents_answer(agent: AgentSocket) -> None:
    agent.answer = {"findings": [STRAY], "unseen": []}
    done = run("--json")
    assert json.loads(done.stdout) == agent.answer
    assert done.exit_code == 0


def test_without_an_agent_it_says_so_and_what_to_do(socket_path: Path) -> None:
    done = run()
    assert done.exit_code == 1
    assert done.stderr.startswith(f"fairlead: no agent answers at {socket_path}")
    assert "start `fairlead agent`" in done.stderr


def test_an_agent_that_has_no_door_for_docker_is_asked_at_its_other_one(socket_path: Path) -> None:
    agent = AgentSocket(socket_path.with_name("flannel.sock"))
    try:
        agent.answer = {"findings": [], "unseen": []}
        assert run().exit_code == 0
        assert agent.asked
    finally:
        agent.close()
