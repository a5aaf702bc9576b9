"""Start times of containers on Fairlead beside Docker's own networks, in one run on one lab, with exact counts.

    python -m benchmarks.docker_start [--rounds 10] [--lab NAME]

Brings up a lab of its own unless one is named. The kinds take turns, so that the machine's moods hit all of them alike.
Prints medians, p90 and ratios to Docker's bridge, and the requests to Neutron that each command made; absolute times
mean little on a machine with other work.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fairlead.lab import Lab, LabSpec

DOCKER = "/usr/bin/docker"
KINDS = ("none", "bridge", "fairlead")
COMMANDS = ("network create", "run", "start", "rm", "network rm")


@dataclass
class Sample:
    """One kind of network doing one command: seconds of each round, and requests to Neutron."""

    seconds: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p90(self) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]


def create(kind: str, name: str) -> list[str]:
    """Return the command that makes a network of a kind."""
    if kind == "fairlead":
        return ["network", "create", "-d", "fairlead", "--ipam-driver", "fairlead", "--subnet", "10.77.0.0/24", name]
    return ["network", "create", "-d", "bridge", name]


def measure(lab: Lab, rounds: int, progress: Callable[[str], None]) -> dict[tuple[str, str], Sample]:
    """Run every command on every kind of network, taking turns."""
    host = lab.host("h1")
    samples = {(kind, command): Sample() for kind in KINDS for command in COMMANDS}

    def timed(kind: str, command: str, *argv: str) -> None:
        before = len(lab.neutron_calls())
        started = time.perf_counter()
        host.run([DOCKER, *argv], timeout=120)
        samples[kind, command].seconds.append(time.perf_counter() - started)
        samples[kind, command].calls.append(len(lab.neutron_calls()) - before)

    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        for kind in KINDS:
            network = "none" if kind == "none" else f"bench-{kind}"
            if kind != "none":
                timed(kind, "network create", *create(kind, network))
            # The first container of a network meets things that later ones do not; it is not counted.
            host.run([DOCKER, "run", "-d", "--name", "first", "--network", network, "busybox", "sleep", "600"])
            timed(kind, "run", "run", "--rm", "--network", network, "busybox", "true")
            host.run([DOCKER, "create", "--name", "second", "--network", network, "busybox", "sleep", "600"])
            timed(kind, "start", "start", "second")
            # Let what is written behind pass, so that it is not counted as the removal's.
            time.sleep(4 if kind == "fairlead" else 0)
            timed(kind, "rm", "rm", "-f", "second")
            host.run([DOCKER, "rm", "-f", "first"])
            if kind != "none":
                timed(kind, "network rm", "network", "rm", network)
    return samples


def table(samples: dict[tuple[str, str], Sample]) -> str:
    """Write the figures as a Markdown table: milliseconds p50 / p90 (ratio to bridge), requests to Neutron."""
    lines = ["| command | " + " | ".join(KINDS) + " | requests to Neutron |", "|---|" + "---|" * (len(KINDS) + 1)]
    for command in COMMANDS:
        cells = []
        for kind in KINDS:
            sample = samples[kind, command]
            if not sample.seconds:
                cells.append("")
                continue
            ratio = sample.median / samples["bridge", command].median
            cells.append(f"{sample.median * 1000:.0f} / {sample.p90 * 1000:.0f} ({ratio:.2f})")
        calls = samples["fairlead", command].calls
        cells.append(f"{statistics.median(calls):.0f}")
        lines.append(f"| `{command}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--lab", default="", help="a lab that runs; otherwise one is brought up and taken down")
    chosen = parser.parse_args(arguments)
    lab = Lab.load(chosen.lab) if chosen.lab else Lab(LabSpec("bench", hosts=1))
    if not chosen.lab:
        lab.up()
    try:
        samples = measure(lab, chosen.rounds, lambda line: print(line, flush=True))
    finally:
        if not chosen.lab:
            lab.down()
    print(f"\nLinux {platform.release()}, {chosen.rounds} rounds; ms p50 / p90 (ratio to bridge)\n")
    print(table(samples))


if __name__ == "__main__":
    main()
