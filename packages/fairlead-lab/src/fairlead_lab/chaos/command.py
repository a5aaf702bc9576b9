"""`fairlead lab chaos`: a lab, a run on it, its report, and the lab's end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fairlead_lab.chaos import clock
from fairlead_lab.chaos.evidence import collect
from fairlead_lab.chaos.model import Mode
from fairlead_lab.chaos.report import Report
from fairlead_lab.chaos.run import Chaos, topology
from fairlead_lab.lab import Lab
from fairlead_lab.manifest import ManifestFile
from fairlead_lab.paths import LabPaths
from fairlead_lab.spec import LabSpec


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks for. seconds: in which rounds begin. keep: leave the lab up where something was found."""

    name: str
    modes: tuple[Mode, ...]
    seconds: float
    seed: int
    keep: bool
    report: Path


def run(request: Request, say: Callable[[str], None]) -> Report:
    """Run chaos on the lab of a name, or on one made for it; the report is written as it ends.

    Where something is found, a folder beside the report has what is needed to look into it. A lab that was there stays.
    Raises LabError where there can't be a run.
    """
    known = ManifestFile(LabPaths(request.name).manifest).read()
    instances = 3 if "routed" in request.modes else 0
    lab = Lab(
        known.spec if known else LabSpec(request.name, instances=instances, instance_subnets=2 if instances else 1)
    )
    report = Report(request.seed, request.modes)
    try:
        lab.up()
        say(f"seed {request.seed}")
        where = topology(lab, request.modes)
        clock.prepare(lab, where.all_machines)
        Chaos(lab, where, report, say).run(request.seconds)
        if report.violations:
            collect(lab, _evidence(request))
    finally:
        if known is None and not (request.keep and report.violations):
            lab.down()
        elif known is not None:
            clock.restore(lab, lab.spec.machine_names)
        if report.rounds or report.violations:
            request.report.parent.mkdir(parents=True, exist_ok=True)
            request.report.write_text(report.markdown())
    if report.violations:
        say(f"seen at the first violation: {_evidence(request)}")
    return report


def _evidence(request: Request) -> Path:
    return request.report.with_name(f"{request.report.stem}-{request.seed}")
