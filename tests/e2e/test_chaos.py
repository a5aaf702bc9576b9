"""A minute of chaos in either mode: whatever failed meanwhile, afterwards all is as Docker was asked for."""

from pathlib import Path

import pytest

from fairlead_lab.chaos.command import Request, run
from fairlead_lab.chaos.model import Mode
from tests.side_by_side import lab_name

pytestmark = pytest.mark.real

SEEDS: tuple[tuple[Mode, int], ...] = (("ovs", 1), ("routed", 2))


@pytest.mark.parametrize(("mode", "seed"), SEEDS)
def test_after_faults_all_that_was_started_talks_and_all_that_was_removed_is_gone(
    mode: Mode, seed: int, tmp_path: Path
) -> None:
    request = Request(lab_name(f"chaos-{mode}"), (mode,), 30.0, seed, keep=False, report=tmp_path / "chaos.md")
    report = run(request, print)
    assert report.violations == (), report.markdown()
    assert report.rounds >= 2
    assert sum(report.faults.values()) >= 1
