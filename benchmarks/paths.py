"""Paths that packets take between two machines: how they are measured, compared in a table, and drawn.

iperf3 (installed where it is missing) measures TCP throughput of one stream and small UDP datagrams; latency is that of
one byte there and back over TCP. A lab's switch may run in user space: read the ratios, not the numbers.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.labs import docker, run_command
from benchmarks.machine import describe, machine
from benchmarks.report import Column, Record, number, options, p50, p99, ratio, say, table
from fairlead_lab.host import Host
from fairlead_lab.install import install, require_root
from fairlead_lab.lab import Silent
from fairlead_lab.packages import find_program, install_packages
from fairlead_lab.paths import CACHE_ROOT

MTUS = (1500, 9000)
DATAGRAM = 64
"""Bytes of a small datagram's payload."""

IN_USER_SPACE, SHORTCUT, WIRE = "netdev", "shortcut", "wire"
WIRE_GBITS = 10
_SWITCHES = {
    IN_USER_SPACE: "Open vSwitch's, in user space",
    SHORTCUT: "the kernel's VXLAN in the place of Open vSwitch",
    WIRE: f"the kernel's VXLAN in the place of Open vSwitch, over a wire of {WIRE_GBITS} Gbit/s",
    "system": "Open vSwitch's, in the kernel",
}
"""What carries packets between hosts: a lab's datapath, or what stands in for one."""

_PORT = 5201
_PROBE = str(Path(__file__).with_name("probe.py"))


@dataclass
class Sample:
    """One path at one MTU: bits/s of TCP, ns of each answer, small datagrams received a second; one for each round.

    mtu is the underlay's, inner the MTU a sender on the path has.
    """

    path: str
    mtu: int
    inner: int = 0
    tcp: list[float] = field(default_factory=list)
    datagrams: list[float] = field(default_factory=list)
    latency: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a path: its address, and the command that runs something in its network namespace.

    pid: of the container's first process; 0 for the host itself. netns: the pod's, where it has a name.
    """

    host: Host
    address: str
    pid: int = 0
    netns: str = ""

    def inside(self, *command: str) -> list[str]:
        """Return the command, for the host to run, that runs one at this end with the host's programs."""
        if self.netns:
            return ["ip", "netns", "exec", self.netns, *command]
        return ["nsenter", "-t", str(self.pid), "-n", *command] if self.pid else list(command)

    def run(self, *command: str, timeout: float) -> str:
        """Run a command here and return what it printed."""
        return self.host.run(self.inside(*command), timeout=timeout).stdout

    @contextmanager
    def serving(self, *command: str, ready: str) -> Iterator[None]:
        """Run a server here meanwhile, from when it prints a line with `ready` in it."""
        server = self.host.popen(self.inside(*command))
        try:
            assert server.stdout
            for line in server.stdout:
                if ready in line:
                    break
            yield
        finally:
            server.kill()
            server.wait()

    def mtu(self) -> int:
        """The MTU of the device that leads to the other end's network."""
        route = json.loads(self.run("ip", "-j", "route", "show", "match", self.address, timeout=10))
        (link,) = json.loads(self.run("ip", "-j", "link", "show", route[-1]["dev"], timeout=10))
        found: int = link["mtu"]
        return found


def prepare() -> None:
    """Install what a lab needs, and iperf3. Raises LabError."""
    require_root()
    asyncio.run(install(Silent()))
    if find_program("iperf3") is None:
        say("installing iperf3")
        install_packages(("iperf3",), CACHE_ROOT / "log" / "apt.log")


@dataclass
class Run:
    """A measurement of several paths at several MTUs, which take turns, so that the machine's moods hit all alike."""

    paths: Sequence[str]
    rounds: int
    seconds: float
    mtus: Sequence[int]
    switch: str = ""

    def __post_init__(self) -> None:
        prepare()
        self._before = machine()
        self._samples = {(path, mtu): Sample(path, mtu) for mtu in self.mtus for path in self.paths}

    def turns(self) -> Iterator[tuple[int, int, str]]:
        """Give each round's number, an MTU, and the name of a lab for it."""
        for turn in range(self.rounds):
            for mtu in self.mtus:
                yield turn, mtu, "bench" if mtu == self.mtus[0] else f"bench{mtu}"

    def measure(
        self, switch: str, turn: int, mtu: int, ends: Callable[[str], AbstractContextManager[tuple[End, End]]]
    ) -> None:
        """Measure all paths once on a switch, from client to server; each round begins with another one."""
        self.switch = switch
        shift = turn % len(self.paths)
        for path in (*self.paths[shift:], *self.paths[:shift]):
            with ends(path) as (client, server):
                measure_path(client, server, self._samples[path, mtu], self.seconds)
            say(f"round {turn + 1} of {self.rounds}, MTU {mtu}, the switch {_SWITCHES[switch]}: {path}")

    def record(self) -> Record:
        """Return what was found."""
        return {
            "machine": self._before,
            "switch": self.switch,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "mtus": list(self.mtus),
            "samples": [asdict(sample) for sample in self._samples.values()],
        }


def container(host: Host, path: str, network: str) -> End:
    """Start a container on a network, which is an end of a path."""
    name = f"end-{path}"
    host.run(run_command(name, network), timeout=120)
    (inspected,) = json.loads(docker(host, "inspect", name))
    address = inspected["NetworkSettings"]["Networks"][network]["IPAddress"]
    return End(host, address, inspected["State"]["Pid"])


def measure_path(client: End, server: End, sample: Sample, seconds: float) -> None:
    """Measure one path once; what fails is noted in the sample."""
    try:
        # The first packets between two ends teach the switches where they are; they are nobody's measurement.
        client.run("busybox", "ping", "-c", "5", "-i", "0.2", "-W", "1", server.address, timeout=30)
        sample.inner = client.mtu()
        # The first second, in which TCP finds its speed, is left out (-O).
        sample.tcp.append(_iperf(client, server, seconds, "-O", "1")["sum_received"]["bits_per_second"])
        flood = _iperf(client, server, seconds, "-u", "-b", "0", "-l", str(DATAGRAM))["sum"]
        sample.datagrams.append((flood["packets"] - flood["lost_packets"]) / flood["seconds"])
        answer = (sys.executable, _PROBE, "answer", server.address, str(_PORT + 1))
        with server.serving(*answer, ready="listening"):
            asked = client.run(
                sys.executable, _PROBE, "ask", server.address, str(_PORT + 1), str(seconds), timeout=seconds + 30
            )
        sample.latency += json.loads(asked)
    except (subprocess.SubprocessError, KeyError, ValueError) as error:
        notes = " ".join(getattr(error, "__notes__", []))
        sample.failures.append(f"{error} {notes}"[:300])
        say(f"{sample.path} at {sample.mtu} failed: {error} {notes}")


def _iperf(client: End, server: End, seconds: float, *more: str) -> Record:
    """Run iperf3 between two ends and return the `end` part of its report. Raises ValueError with what it says."""
    listen = ("iperf3", "-s", "-1", "-B", server.address, "-p", str(_PORT), "--forceflush")
    with server.serving(*listen, ready="Server listening"):
        command = ("iperf3", "-c", server.address, "-p", str(_PORT), "-J", "-t", str(seconds), *more)
        report: Record = json.loads(client.run(*command, timeout=seconds + 60))
    if "error" in report:
        raise ValueError(f"iperf3: {report['error']}")
    end: Record = report["end"]
    return end


def render(record: Record, paths: Sequence[str], bases: Sequence[str]) -> str:
    """Write one table: every path at every MTU, with ratios to some of them."""
    samples = _by_path(record)
    over = [Column(f"÷ {base}") for base in bases]
    columns = [
        Column("underlay MTU"), Column("path", right=False), Column("MTU inside"), Column("TCP Mbit/s"), *over,
        Column("answer p50 µs"), *over, Column("p99 µs"), Column("small datagrams/s"), *over, Column("failed"),
    ]  # fmt: skip
    rows = []
    for mtu in record["mtus"]:
        for path in paths:
            one = samples[path, mtu]

            def ratios(values: str, path: str = path, mtu: int = mtu) -> list[str]:
                mine = p50(samples[path, mtu][values])
                return [number(ratio(mine, p50(samples[base, mtu][values])), 2) for base in bases]

            row = [str(mtu), path, str(one["inner"] or "-"), number(p50(one["tcp"]) / 1e6), *ratios("tcp")]
            row += [number(p50(one["latency"]) / 1e3), *ratios("latency"), number(p99(one["latency"]) / 1e3)]
            row += [number(p50(one["datagrams"])), *ratios("datagrams"), str(len(one["failures"]))]
            rows.append(row)
    failures = [
        f"Failed: {one['path']} at {one['mtu']}: {said}" for one in samples.values() for said in one["failures"]
    ]
    how = f"{record['rounds']} rounds of {record['seconds']:g} s each; the switch is {_SWITCHES[record['switch']]}"
    return "\n\n".join([table(columns, rows), *failures, f"{how}. {describe(record['machine'])}."])


def draw(record: Record, paths: Sequence[str], file: Path, title: str) -> list[Path]:
    """Draw a panel for each measurement."""
    from benchmarks.charts import Panel, bars  # noqa: PLC0415  a table needs no matplotlib

    samples = _by_path(record)

    def panel(title: str, unit: str, values: str, scale: float, upper: Callable[..., float] | None = None) -> Panel:
        def of(statistic: Callable[..., float]) -> dict[str, list[float]]:
            return {path: [statistic(samples[path, mtu][values]) / scale for mtu in record["mtus"]] for path in paths}

        places = [f"underlay MTU {mtu}" for mtu in record["mtus"]]
        return Panel(title, unit, places, of(p50), of(upper) if upper else {})

    panels = [
        panel("TCP, one stream", "Mbit/s", "tcp", 1e6),
        panel("One byte there and back", "µs (whiskers: p99)", "latency", 1e3, p99),
        panel(f"UDP datagrams of {DATAGRAM} bytes", "received a second", "datagrams", 1),
    ]
    return [bars(panels, file, title, f"p50; the switch is {_SWITCHES[record['switch']]}: compare, don't quote")]


def choices(description: str | None, seconds: float = 3.0) -> argparse.ArgumentParser:
    """A parser with the options that these benchmarks have."""
    parser = options(description)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=seconds, help=f"of each measurement [{seconds:g}]")
    parser.add_argument(
        "--mtus", type=lambda text: [int(one) for one in text.split(",")], default=list(MTUS), help="[1500,9000]"
    )
    return parser


def _by_path(record: Record) -> Mapping[tuple[str, int], Record]:
    return {(one["path"], one["mtu"]): one for one in record["samples"]}
