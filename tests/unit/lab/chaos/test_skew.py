"""A clock that is off by what a file says."""

import os
import subprocess
import sys
import time
from pathlib import Path

from fairlead_lab.chaos import skew
from fairlead_lab.chaos.skew.sitecustomize import skewed


def test_it_is_off_by_what_the_file_says_at_the_moment_and_right_without(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    now = skewed(lambda: 1000.0, file)
    assert now() == 1000.0
    file.write_text("-86400")
    assert now() == -85400.0
    file.unlink()
    assert now() == 1000.0


def test_a_python_that_starts_with_it_on_its_path_tells_another_time_and_sleeps_as_ever(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text("-86400")
    (folder,) = skew.__path__
    environment = {**os.environ, "PYTHONPATH": folder, "FAIRLEAD_CLOCK": str(tmp_path / "clock")}
    told = subprocess.run(
        [sys.executable, "-c", "import time; time.sleep(0.01); print(time.time())"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert 86000 < time.time() - float(told.stdout) < 86401
