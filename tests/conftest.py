"""The lab every tier that needs a real cloud shares."""

import os
import signal
from collections.abc import Iterable, Iterator

import pytest

from fairlead_lab import Lab, LabSpec
from fairlead_lab.paths import existing_labs
from tests.mending import run, status
from tests.side_by_side import lab_name, take_down_what_workers_left, turn, worker

GIVEN = ("FAIRLEAD_LAB", "FAIRLEAD_INSTANCE_LAB", "FAIRLEAD_CONTRACT_CLOUDS")
LABS_BEFORE = pytest.StashKey[Iterable[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Note which labs are none of the tests'; refuse to let several workers use one lab."""
    given = [name for name in GIVEN if os.environ.get(name)]
    if given and config.getoption("numprocesses", None):
        raise pytest.UsageError(f"{given[0]} names one cloud, which several workers can't share: leave out -n or it")
    config.stash[LABS_BEFORE] = existing_labs()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let workers begin with what takes longest."""
    if worker():
        items.sort(key=lambda item: turn(item.path))


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run what needs a lab so that a daemon's own assertion does not count against it."""
    if worker() and item.get_closest_marker("real"):
        run(item, nextitem)
        return True
    return None


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> object:
    """Tell a test that is run again from one that failed."""
    return status(report)


def pytest_keyboard_interrupt() -> None:
    """Let a worker clean up in peace: whoever started it interrupts it again when that takes a while."""
    if worker():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take down what workers left; they have ended by now."""
    if not worker() and config.getoption("numprocesses", None):
        take_down_what_workers_left(config.stash[LABS_BEFORE])


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of two hosts with agents, made for the session; or the one that FAIRLEAD_LAB names, left running."""
    running = os.environ.get("FAIRLEAD_LAB")
    if running:
        yield Lab.load(running)
        return
    made = Lab(LabSpec(lab_name("e2e"), hosts=2))
    try:
        made.up()
        yield made
        # Killed with the lab, an agent would not write down what it reached (`make coverage-all`).
        made.stop("agent")
    finally:
        made.down()
