"""A lab's daemon that dies of its own assertion is no failure of ours: the test runs once more.

Open vSwitch 3.1's switch in user space does so on rare days (`conn_update_state()` in lib/conntrack.c). The watcher of
the lab starts it again within a second, but no packet passes meanwhile, which a test may have awaited. Such a test is
told as MENDED, beside its second outcome, which counts. What dies otherwise, or by a test's hand, is no excuse.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from fairlead_lab.components import WATCHER
from fairlead_lab.paths import LabPaths, existing_labs
from tests.side_by_side import worker

MENDED = "mended"


def run(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run a test, and once more if a daemon died under it."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    read = {log: log.stat().st_size for log in _logs()}
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(one.failed for one in reports) and (dead := list(_died(read))):
        for one in reports:
            if one.failed:
                one.outcome = MENDED  # type: ignore[assignment]  # the terminal asks `status` below what that is
                one.sections.append(("died of an assertion", "\n".join(dead)))
                item.ihook.pytest_runtest_logreport(report=one)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for one in reports:
        item.ihook.pytest_runtest_logreport(report=one)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def status(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """How the terminal shows a test that is run again."""
    return (MENDED, "M", ("MENDED", {"yellow": True})) if str(report.outcome) == MENDED else None


def _died(read: Mapping[Path, int]) -> Iterator[str]:
    """What the watchers of this worker's labs found dead of an assertion, beyond what had been read of their logs."""
    for log in _logs():
        for line in log.read_text()[read.get(log, 0) :].splitlines():
            if " died: " in line and "assertion" in line:
                yield line


def _logs() -> list[Path]:
    names = [name for name in existing_labs() if name.endswith(f"-{worker()}")]
    logs = (LabPaths(name).component_log(WATCHER) for name in names)
    return [log for log in logs if log.is_file()]
