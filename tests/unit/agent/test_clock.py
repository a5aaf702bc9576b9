"""The agent's clock, and that nothing else in the product asks the machine for the time of day."""

import ast
from pathlib import Path

import pytest

import fairlead
from fairlead.agent.clock import SystemClock

ROOT = Path(fairlead.__file__).parent
OF_THE_DAY = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime", "ctime"}
"""What `time`, `datetime` and `date` have that follows a clock which anybody may set."""


class Machine:
    wall, steady = 1_000_000.0, 50.0

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall, lambda: self.steady)


@pytest.mark.parametrize("by", [-86400.0, 86400.0])
def test_setting_the_machines_clock_does_not_move_the_agents(by: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += by
    machine.steady += 7.0
    assert clock.now() == 1_000_007.0


def test_an_agent_that_is_started_then_reads_the_clock_as_it_was_set() -> None:
    machine = Machine()
    machine.wall += 86400.0
    assert machine.clock().now() == 1_086_400.0


def readings(path: Path) -> list[int]:
    """The lines in which a module asks for the time of day."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in OF_THE_DAY
        and isinstance(node.value, ast.Name)
        and node.value.id in {"time", "datetime", "date"}
    ]


def test_only_the_clock_asks_the_machine_for_the_time_of_day() -> None:
    found = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if readings(path)}
    assert found == {"agent/clock.py", "adapters/store/sqlite.py"}, "the store names a damaged file by it"
