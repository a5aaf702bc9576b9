"""Imported by a Python that starts with this folder on its path: its wall clock is as far off as a file says.

FAIRLEAD_CLOCK names the file, which holds seconds. Only `time.time` is off, by which an agent tells what time it is; no
library in C does as well, as those that stand before a program's libc break its `time.sleep`.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path


def skewed(true: Callable[[], float], file: Path) -> Callable[[], float]:
    """Return a clock that is as far off from the true one as the file says at the moment; without it, right."""

    def now() -> float:
        try:
            return true() + float(file.read_text())
        except FileNotFoundError:
            return true()

    return now


if name := os.environ.get("FAIRLEAD_CLOCK"):
    time.time = skewed(time.time, Path(name))
