"""What is wrong is said in one line, with what to do about it; and saying it takes no time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fairlead.cli.main import main
from fairlead.model.errors import LabError
from fairlead_lab import manifest, paths
from fairlead_lab.cli import lab
from fairlead_lab.down import Removed

NEEDS_ROOT = "a lab needs root: it makes namespaces and runs daemons in them: run it with sudo"
NO_LAB = "there is no lab 'mine': running here: other (choose with --name); or `fairlead lab up --name mine` makes it"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lab `mine` on this machine, and a user who isn't root."""
    monkeypatch.delenv("FAIRLEAD_LAB", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(paths.LabPaths, "run", property(lambda self: tmp_path / "run" / self.name))
    monkeypatch.setattr(paths.LabPaths, "data", property(lambda self: tmp_path / "data" / self.name))
    monkeypatch.setattr(manifest, "existing_labs", lambda *_: ("other",))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up"], NEEDS_ROOT),
        (["install"], NEEDS_ROOT),
        (["down"], NEEDS_ROOT),
        (["purge"], NEEDS_ROOT),
        (["up", "--hosts", "0"], "a lab can't have 0 hosts: choose from 1 to 32"),
        (["up", "--instances", "33"], "a lab can't have 33 instances: choose from 0 to 32"),
        (["up", "--instance-subnets", "3"], "instances can't be on 3 subnets: choose 1 to 2"),
        (["up", "--mtu", "900"], "an underlay can't have an MTU of 900: choose from 1400 to 9216"),
        (
            ["up", "--name", "A"],
            "'A' can't be the name of a lab: use up to 31 lower-case letters, digits and dashes, a dash not first",
        ),
        (["status", "--name", "mine"], NO_LAB),
        (["exec", "--name", "mine", "h1", "--", "true"], NO_LAB),
        (["shell", "--name", "mine", "h1"], NO_LAB),
        (["env", "--name", "mine"], NO_LAB),
        (["logs", "--name", "mine"], NO_LAB),
        (["restart", "--name", "mine", "agent", "h1"], NO_LAB),
    ],
)
def test_an_error_is_one_line_and_status_1(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["lab", *arguments])
    assert result.stderr == f"fairlead: {said}\n"
    assert result.exit_code == 1


def test_every_command_says_what_it_does() -> None:
    listing = CliRunner().invoke(main, ["--help"]).stdout
    assert "agent" in listing
    assert "lab" in listing
    for name, command in lab.commands.items():
        assert (command.help or "").strip(), name


def test_help_imports_nothing_of_the_lab() -> None:
    code = (
        "import sys; from fairlead.cli.main import main; main(['lab', '--help'], standalone_mode=False);"
        "dear = ('fairlead_lab.lab', 'fairlead_lab.spec', 'fairlead.agent', 'yaml', 'msgspec', 'rich');"
        "sys.exit(any(name.startswith(dear) for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL, env=dict(os.environ))
    assert done.returncode == 0


def test_the_manual_tells_of_every_command() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "lab.md").read_text()
    for name, command in lab.commands.items():
        assert f"fairlead lab {name}" in manual, name
        for option in (word for parameter in command.params for word in parameter.opts if word.startswith("--")):
            assert option in manual, f"{name} {option}"


def test_a_lab_that_would_not_go_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_down(lab: paths.LabPaths) -> Removed:
        if lab.name == "stuck":
            raise LabError("stuck stays", remedy="pull")
        return Removed(3, 0.25)

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(paths, "existing_labs", lambda: ("stuck", "willing"))
    monkeypatch.setattr("fairlead_lab.down.down", take_down)
    result = CliRunner().invoke(main, ["lab", "down", "--all"])
    assert result.stdout == "Lab 'willing' is gone: 3 processes ended in 0.2 s.\n"
    assert result.stderr == "fairlead: stuck stays: pull\n"
    assert result.exit_code == 1


def test_a_command_to_run_is_asked_for() -> None:
    assert "Missing argument 'COMMAND...'" in CliRunner().invoke(main, ["lab", "exec", "h1", "--"]).stderr
