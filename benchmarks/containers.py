"""Containers up and down on every kind of network, one at a time and many at once, in one run on one lab.

    python -m benchmarks.containers [--rounds 3] [--kinds none,bridge,…] [--levels 1,10,50] [--lab NAME]

The kinds take turns, each round beginning with another, so that the machine's moods hit all alike. A container of each
network runs throughout: the first one of a network meets things that later ones do not. Every failure is counted.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired

from benchmarks import kuryr as peer
from benchmarks.kuryr import Kuryr
from benchmarks.labs import DOCKER, lab_for, networks, remove_containers, run_command
from benchmarks.machine import describe, machine
from benchmarks.report import Benchmark, Column, Record, finish, number, options, p50, p99, ratio, say, table
from fairlead_lab import Lab, LabSpec
from fairlead_lab.host import Host
from fairlead_lab.spec import underlay_address

KINDS = ("none", "bridge", "overlay", "kuryr", "fairlead")
LEVELS = (1, 10, 50)
OPERATIONS = {"run": "docker run -d", "rm": "docker rm -f"}
ONE_BY_ONE = 5
"""Operations of level 1 in a round, so that there are enough of them."""

QUIET = {"fairlead": 3.5, "kuryr": 0.5}
"""Seconds without a request to Neutron after which a kind has done what it does behind a container's back."""

_PATIENCE = 30.0


@dataclass
class Sample:
    """One kind doing one operation at one level.

    seconds: of each operation that succeeded; bursts: of each burst until its last one ended; failures: what was said;
    during and behind: requests to Neutron of each burst until it ended, and from then until all was quiet; done:
    operations asked for.
    """

    kind: str
    level: int
    operation: str
    seconds: list[float] = field(default_factory=list)
    bursts: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    during: list[int] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)
    done: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One command: how long it took, and what it said where it failed."""

    seconds: float
    error: str = ""


class Bench:
    """Measures on one host of a lab."""

    def __init__(self, lab: Lab, host: Host, names: dict[str, str], kuryr: Kuryr | None) -> None:
        self._lab = lab
        self._host = host
        self._names = names
        self._kuryr = kuryr
        self.samples: dict[tuple[str, int, str], Sample] = {}

    def warm_up(self, kind: str, levels: Sequence[int]) -> None:
        """Start the container that stays, and let each level's come and go once, uncounted: pools grow by demand."""
        with self._turn(kind):
            self._host.run(run_command(f"first-{kind}", self._names[kind]), timeout=120)
            for level in levels:
                self._come_and_go(kind, level)
        for operation in OPERATIONS:
            for level in levels:
                del self.samples[kind, level, operation]

    def measure(self, kind: str, levels: Sequence[int]) -> None:
        """Let one kind have its turn."""
        with self._turn(kind):
            for level in levels:
                for _ in range(ONE_BY_ONE if level == 1 else 1):
                    self._come_and_go(kind, level)

    def _come_and_go(self, kind: str, level: int) -> None:
        containers = [f"bench-{kind}-{index}" for index in range(level)]
        self._burst(kind, level, "run", [run_command(one, self._names[kind]) for one in containers])
        self._burst(kind, level, "rm", [[DOCKER, "rm", "-f", one] for one in containers])

    @contextmanager
    def _turn(self, kind: str) -> Iterator[None]:
        with ExitStack() as stack:
            if kind == "kuryr" and self._kuryr:
                stack.enter_context(self._kuryr.serving())
            yield

    def _burst(self, kind: str, level: int, operation: str, commands: Sequence[list[str]]) -> None:
        sample = self.samples.setdefault((kind, level, operation), Sample(kind, level, operation))
        before = self._requests(kind)
        started = time.perf_counter()
        with ThreadPoolExecutor(len(commands)) as pool:
            outcomes = list(pool.map(self._timed, commands))
        sample.bursts.append(time.perf_counter() - started)
        ended = self._requests(kind)
        self._settle(kind)
        sample.done += len(outcomes)
        sample.seconds += [one.seconds for one in outcomes if not one.error]
        sample.failures += [one.error for one in outcomes if one.error]
        sample.during.append(ended - before)
        sample.behind.append(self._requests(kind) - ended)

    def _timed(self, command: list[str]) -> Outcome:
        started = time.perf_counter()
        try:
            done = self._host.run(command, check=False, timeout=300)
        except TimeoutExpired:
            return Outcome(300.0, "no end within 300 s")
        seconds = time.perf_counter() - started
        if done.returncode == 0:
            return Outcome(seconds)
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return Outcome(seconds, said[-1][:300] if said else f"exit status {done.returncode}")

    def _requests(self, kind: str) -> int:
        """Count what this kind has asked Neutron from this host so far."""
        if kind not in QUIET:
            return 0
        address = str(underlay_address(self._host.name))
        ours = [call["user_agent"] == "fairlead" for call in self._lab.neutron_calls() if call["client"] == address]
        return sum(ours) if kind == "fairlead" else len(ours) - sum(ours)

    def _settle(self, kind: str) -> None:
        """Wait until the kind is done with Neutron."""
        if kind not in QUIET:
            return
        count, since, limit = self._requests(kind), time.monotonic(), time.monotonic() + _PATIENCE
        while (now := time.monotonic()) < min(limit, since + QUIET[kind]):
            time.sleep(0.1)
            if (fresh := self._requests(kind)) != count:
                count, since = fresh, now


def measure(lab: Lab, rounds: int, kinds: Sequence[str], levels: Sequence[int], limits: dict[str, list[int]]) -> Record:
    """Run everything, taking turns."""
    host = lab.host("h1")
    before = machine()
    with ExitStack() as stack:
        kuryr = None
        if "kuryr" in kinds:
            kuryr = Kuryr(lab, host, peer.install())
            stack.callback(kuryr.remove)
        remove_containers(host)
        names = stack.enter_context(networks(lab, [host], kinds, kuryr))
        bench = Bench(lab, host, dict(names), kuryr)
        chosen = {kind: [level for level in levels if level in limits.get(kind, levels)] for kind in kinds}
        for kind in kinds:
            bench.warm_up(kind, chosen[kind])
        for turn in range(rounds):
            shift = turn % len(kinds)
            for kind in (*kinds[shift:], *kinds[:shift]):
                started = time.monotonic()
                bench.measure(kind, chosen[kind])
                say(f"round {turn + 1} of {rounds}: {kind:<9} {time.monotonic() - started:6.1f} s")
    return {
        "machine": before,
        "rounds": rounds,
        "kinds": list(kinds),
        "levels": list(levels),
        "limits": limits,
        "samples": [asdict(sample) for sample in bench.samples.values()],
    }


def render(record: Record) -> str:
    """Write a table for each operation, and below them what failed and on what machine."""
    samples = {(one["kind"], one["level"], one["operation"]): one for one in record["samples"]}
    columns = [
        Column("at once"), Column("network", right=False), Column("p50 ms"), Column("÷ bridge"), Column("p99 ms"),
        Column("÷ bridge"), Column("all done, s"), Column("done"), Column("failed"), Column("requests to Neutron each"),
        Column("and behind"),
    ]  # fmt: skip
    parts = []
    for operation, title in OPERATIONS.items():
        rows = []
        for level in record["levels"]:
            bridge = samples.get(("bridge", level, operation), {"seconds": []})["seconds"]
            for kind in record["kinds"]:
                if sample := samples.get((kind, level, operation)):
                    rows.append([str(level), kind, *_cells(sample, bridge)])
        parts.append(f"`{title}`\n\n{table(columns, rows)}")
    parts += _remarks(record)
    return "\n\n".join(parts)


def _cells(sample: Record, bridge: Sequence[float]) -> list[str]:
    seconds = sample["seconds"]
    asks = sample["kind"] in QUIET
    return [
        number(p50(seconds) * 1000),
        number(ratio(p50(seconds), p50(bridge)), 2),
        number(p99(seconds) * 1000),
        number(ratio(p99(seconds), p99(bridge)), 2),
        number(statistics.median(sample["bursts"]), 1),
        str(sample["done"]),
        str(len(sample["failures"])),
        f"{sum(sample['during']) / sample['done']:.1f}" if asks else "0",
        f"{sum(sample['behind']) / sample['done']:.1f}" if asks else "0",
    ]


def _remarks(record: Record) -> list[str]:
    remarks = []
    for kind, levels in record["limits"].items():
        left_out = [str(level) for level in record["levels"] if level not in levels]
        if kind in record["kinds"] and left_out:
            remarks.append(f"{kind} was not asked for {' and '.join(left_out)} at once (`--limit`).")
    failures = Counter(
        f"{one['kind']}, {OPERATIONS[one['operation']]}, {one['level']} at once: {said}"
        for one in record["samples"]
        for said in one["failures"]
    )
    remarks += [f"Failed {count} times: {said}" for said, count in failures.most_common(10)]
    return [*remarks, f"{record['rounds']} rounds. {describe(record['machine'])}."]


def draw(record: Record, folder: Path) -> list[Path]:
    """Draw a panel for each level."""
    from benchmarks.charts import Panel, bars  # noqa: PLC0415  a table needs no matplotlib

    found = {(one["kind"], one["level"], one["operation"]): one["seconds"] for one in record["samples"]}

    def values(kind: str, level: int, of: Callable[[Sequence[float]], float]) -> list[float]:
        return [of(found.get((kind, level, operation), [])) * 1000 for operation in OPERATIONS]

    panels = []
    for level in record["levels"]:
        kinds = [kind for kind in record["kinds"] if (kind, level, "run") in found]
        panels.append(
            Panel(
                title="one at a time" if level == 1 else f"{level} at once",
                unit="ms, from the command to its return",
                x=list(OPERATIONS.values()),
                series={kind: values(kind, level, p50) for kind in kinds},
                upper={kind: values(kind, level, p99) for kind in kinds},
            )
        )
    return [bars(panels, folder / "containers.png", "Containers up and down", "bars: p50, whiskers: p99")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS), help=", ".join(KINDS))
    parser.add_argument("--levels", type=_numbers, default=list(LEVELS), help="how many at once [1,10,50]")
    parser.add_argument(
        "--limit", action="append", default=["kuryr=1,10"], metavar="KIND=LEVELS", help="[kuryr=1,10]; kuryr=1,10,50"
    )
    parser.add_argument("--lab", default="", help="a lab that runs; otherwise one is brought up and taken down")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(unknown)}")
    limits = {kind: _numbers(levels) for kind, _, levels in (text.partition("=") for text in chosen.limit)}

    def run() -> Record:
        with lab_for(LabSpec("bench", hosts=2), chosen.lab) as lab:
            return measure(lab, chosen.rounds, chosen.kinds, chosen.levels, limits)

    finish(Benchmark("containers", render, draw), chosen, run)


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


if __name__ == "__main__":
    main()
