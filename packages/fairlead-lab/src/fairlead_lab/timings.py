"""How long the stages of `up` took, kept for `status`."""

from dataclasses import dataclass

import msgspec

from fairlead_lab.graph import StageTime
from fairlead_lab.paths import LabPaths


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of the last `up` that made something, in all and by stage. `warm`: from a snapshot of the databases."""

    total: float
    warm: bool
    stages: tuple[StageTime, ...]


def read_timings(paths: LabPaths) -> Timings:
    """Timings of the last `up`; empty ones when there are none."""
    try:
        return msgspec.json.decode(paths.timings.read_bytes(), type=Timings)
    except FileNotFoundError:
        return Timings(0.0, warm=False, stages=())


def write_timings(paths: LabPaths, timings: Timings) -> None:
    """Keep timings, the former ones being forgotten."""
    paths.timings.write_bytes(msgspec.json.format(msgspec.json.encode(timings), indent=1))
