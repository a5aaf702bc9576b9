"""A lab's daemon that dies of its own assertion is no failure of ours: it is started again, the test runs once more.

Open vSwitch 3.1's switch in user space does so on rare days (`conn_update_state()` in lib/conntrack.c). The test is
then told as MENDED, beside its second outcome, which counts. What dies otherwise, or by a test's hand, is not mended.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from fairlead_lab import Lab
from fairlead_lab.paths import existing_labs
from tests.side_by_side import worker

MENDED = "mended"
_END = 500
"""Characters of a log in which its daemon says why it died."""


def run(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run a test, and once more if a daemon died under it."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(one.failed for one in reports) and (dead := list(_mend())):
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


def _mend() -> Iterator[str]:
    """Bring up what died in this worker's labs; tell what that was."""
    for name in existing_labs():
        if name.endswith(f"-{worker()}"):
            lab = Lab.load(name)
            died = [one for one in lab.status().components if one.state == "dead"]
            dead = [f"{name} {one.name}: {_end(one.log)}" for one in died if "assertion" in _end(one.log)]
            if dead:
                lab.up()
                yield from dead


def _end(log: str) -> str:
    return Path(log).read_text(errors="replace")[-_END:]
