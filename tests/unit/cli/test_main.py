"""The command line: every command has help, errors are one line, shells can complete it."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest
from click.testing import CliRunner

from fairlead.cli.main import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_the_commands(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert "_FAIRLEAD_COMPLETE" in done.output
    listed = CliRunner().invoke(
        main,
        prog_name="fairlead",
        env={
            "_FAIRLEAD_COMPLETE": "bash_complete",
            "COMP_WORDS": "fairlead lab st",
            "COMP_CWORD": "2",
        },
    )
    assert {line.split(",")[1] for line in listed.output.splitlines()} == {"start", "status", "stop"}


@pytest.mark.parametrize("command", [[], ["agent"], ["completion"], ["flannel"], ["lab"]])
def test_every_command_has_help(command: list[str]) -> None:
    done = CliRunner().invoke(main, [*command, "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output


def test_an_error_is_one_line_with_what_to_do() -> None:
    done = CliRunner().invoke(main, ["agent", "--config", "/nowhere/fairlead.toml"])
    assert done.exit_code == 1
    assert done.stderr == "fairlead: /nowhere/fairlead.toml does not exist: name another file with --config\n"


def test_a_command_that_nobody_brings_is_told_to_be_none() -> None:
    done = CliRunner().invoke(main, ["fly"])
    assert done.exit_code == 2
    assert "No such command 'fly'" in done.stderr


def test_a_command_of_another_distribution_that_can_not_be_loaded_keeps_no_other_from_being_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = EntryPoint("broken", "fairlead_no_such_module:command", "fairlead.commands")
    monkeypatch.setattr("fairlead.cli.main.entry_points", lambda group: EntryPoints([broken]))
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    assert "Can't be loaded: No module named 'fairlead_no_such_module'" in done.output
    assert "agent" in done.output
