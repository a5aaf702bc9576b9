"""Several of pytest's workers beside each other (`-n`): each takes whole modules, and has labs of its own.

Most of a test's time is spent waiting for Neutron, for a daemon, or for a packet that must not come, so more workers
than processors make sense.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from fairlead_lab.down import down
from fairlead_lab.paths import LabPaths, existing_labs

LONGEST_FIRST = (
    "test_modes.py",
    "test_chaos.py",
    "test_routed.py",
    "test_lifecycle.py",
    "test_virtual_machine.py",
    "test_warm.py",
    "test_reachability.py",
    "test_isolation.py",
    "test_systemd.py",
    "test_boot.py",
    "test_pods.py",
    "test_routers.py",
    "test_flannel.py",
    "test_lab_leaves_nothing.py",
    "test_readme.py",
    "test_routed_packets.py",
    "test_instances.py",
    "test_bad_input.py",
    "test_address_pairs.py",
)
"""Modules that take about a minute or more: begun last, they would be waited for alone."""


def worker() -> str:
    """This worker's name, `gw0` and so on; empty where there is only one process."""
    return os.environ.get("PYTEST_XDIST_WORKER", "")


def lab_name(name: str) -> str:
    """A name that no other worker's lab has."""
    return f"{name}-{worker()}" if worker() else name


def turn(module: Path) -> int:
    """Where a module's turn is among others, which keep their order."""
    return LONGEST_FIRST.index(module.name) if module.name in LONGEST_FIRST else len(LONGEST_FIRST)


def take_down_what_workers_left(before: Iterable[str]) -> None:
    """Take down the labs of workers that had to be killed, as one that is slow to end after an interrupt is.

    before: the labs that were there already.
    """
    for name in set(existing_labs()) - set(before):
        if re.search(r"-gw\d+$", name):
            down(LabPaths(name))
