"""Packets between two hosts: the hosts themselves, Docker's overlay and Fairlead, on underlays of MTU 1500 and 9000.

    python -m benchmarks.dataplane [--rounds 2] [--seconds 3] [--mtus 1500,9000]

Each round brings up a lab for each MTU, and in it the three paths take turns. How they are measured: see `paths`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import paths
from benchmarks.labs import lab_for, networks, remove_containers
from benchmarks.paths import End, Run, container
from benchmarks.report import Benchmark, Record, finish
from fairlead_lab import Lab, LabSpec
from fairlead_lab.manifest import load
from fairlead_lab.spec import underlay_address

PATHS = ("host", "overlay", "fairlead")


def measure(rounds: int, seconds: float, mtus: Sequence[int]) -> Record:
    """Run everything, taking turns."""
    run = Run(PATHS, rounds, seconds, mtus)
    for turn, mtu, name in run.turns():
        with (
            lab_for(LabSpec(name, hosts=2, mtu=mtu)) as lab,
            networks(lab, lab.hosts, [path for path in PATHS if path != "host"]) as names,
        ):
            run.measure(load(lab.paths).datapath, turn, mtu, partial(_ends, lab, names))
    return run.record()


@contextmanager
def _ends(lab: Lab, names: Mapping[str, str], path: str) -> Iterator[tuple[End, End]]:
    first, second = lab.hosts
    if path == "host":
        yield End(first, str(underlay_address(first.name))), End(second, str(underlay_address(second.name)))
        return
    try:
        yield container(first, path, names[path]), container(second, path, names[path])
    finally:
        for host in lab.hosts:
            remove_containers(host)


def render(record: Record) -> str:
    """Write one table: every path at every MTU, with ratios to the hosts themselves and to the overlay."""
    return paths.render(record, PATHS, ("host", "overlay"))


def draw(record: Record, folder: Path) -> list[Path]:
    """Draw a panel for each measurement."""
    return paths.draw(record, PATHS, folder / "dataplane.png", "Between two hosts")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    chosen = paths.choices(__doc__).parse_args(arguments)
    finish(Benchmark("dataplane", render, draw), chosen, lambda: measure(chosen.rounds, chosen.seconds, chosen.mtus))


if __name__ == "__main__":
    main()
