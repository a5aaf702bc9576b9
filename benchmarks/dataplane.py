"""Packets between two hosts: the hosts themselves, Docker's overlay and Fairlead, on underlays of MTU 1500 and 9000.

    python -m benchmarks.dataplane [--rounds 2] [--seconds 3] [--mtus 1500,9000]

Each round brings up a lab for each MTU, and in it the three paths take turns, so that the machine's moods hit all
alike. TCP throughput of one stream and small UDP datagrams are iperf3's (installed where it is missing), latency is
that of one byte there and back over TCP. The lab's switch may run in user space: read the ratios, not the numbers.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.labs import docker, lab_for, networks, remove_containers, run_command
from benchmarks.machine import describe, machine
from benchmarks.report import Benchmark, Column, Record, finish, number, options, p50, p99, ratio, say, table
from fairlead.lab import Lab, LabSpec
from fairlead.lab.host import Host
from fairlead.lab.install import install, require_root
from fairlead.lab.lab import Silent
from fairlead.lab.manifest import load
from fairlead.lab.packages import find_program, install_packages
from fairlead.lab.paths import CACHE_ROOT
from fairlead.lab.spec import underlay_address

PATHS = ("host", "overlay", "fairlead")
MTUS = (1500, 9000)
DATAGRAM = 64
"""Bytes of a small datagram's payload."""

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


def measure(rounds: int, seconds: float, mtus: Sequence[int]) -> Record:
    """Run everything, taking turns."""
    prepare()
    before = machine()
    samples = {(path, mtu): Sample(path, mtu) for mtu in mtus for path in PATHS}
    datapath = ""
    for turn in range(rounds):
        for mtu in mtus:
            with lab_for(LabSpec("bench" if mtu == mtus[0] else f"bench{mtu}", hosts=2, mtu=mtu)) as lab:
                datapath = load(lab.paths).datapath
                with networks(lab, lab.hosts, [path for path in PATHS if path != "host"]) as names:
                    ends = {path: _ends(lab, path, names.get(path, "")) for path in PATHS}
                    shift = turn % len(PATHS)
                    for path in (*PATHS[shift:], *PATHS[:shift]):
                        measure_path(*ends[path], samples[path, mtu], seconds)
                        say(f"round {turn + 1} of {rounds}, MTU {mtu}: {path}")
                    for host in lab.hosts:
                        remove_containers(host)
    return {
        "machine": before,
        "datapath": datapath,
        "rounds": rounds,
        "seconds": seconds,
        "mtus": list(mtus),
        "samples": [asdict(sample) for sample in samples.values()],
    }


def _ends(lab: Lab, path: str, network: str) -> tuple[End, End]:
    first, second = lab.hosts
    if path == "host":
        return End(first, str(underlay_address(first.name))), End(second, str(underlay_address(second.name)))
    return container(first, path, network), container(second, path, network)


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
        client.run("busybox", "ping", "-c", "5", "-W", "1", server.address, timeout=30)
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


def render(record: Record) -> str:
    """Write one table: every path at every MTU, with ratios to the hosts themselves and to the overlay."""
    samples = {(one["path"], one["mtu"]): one for one in record["samples"]}
    columns = [
        Column("underlay MTU"), Column("path", right=False), Column("MTU inside"), Column("TCP Mbit/s"),
        Column("÷ host"), Column("÷ overlay"), Column("answer p50 µs"), Column("÷ host"), Column("÷ overlay"),
        Column("p99 µs"), Column("small datagrams/s"), Column("÷ host"), Column("÷ overlay"), Column("failed"),
    ]  # fmt: skip
    rows = []
    for mtu in record["mtus"]:
        host, overlay = samples["host", mtu], samples["overlay", mtu]
        for path in PATHS:
            one = samples[path, mtu]
            row = [str(mtu), path, str(one["inner"] or "-"), number(p50(one["tcp"]) / 1e6)]
            row += [number(ratio(p50(one["tcp"]), p50(base["tcp"])), 2) for base in (host, overlay)]
            row.append(number(p50(one["latency"]) / 1e3))
            row += [number(ratio(p50(one["latency"]), p50(base["latency"])), 2) for base in (host, overlay)]
            row += [number(p99(one["latency"]) / 1e3), number(p50(one["datagrams"]))]
            row += [number(ratio(p50(one["datagrams"]), p50(base["datagrams"])), 2) for base in (host, overlay)]
            rows.append([*row, str(len(one["failures"]))])
    failures = [
        f"Failed: {one['path']} at {one['mtu']}: {said}" for one in samples.values() for said in one["failures"]
    ]
    where = "in user space" if record["datapath"] == "netdev" else "the kernel's"
    how = f"{record['rounds']} rounds of {record['seconds']:g} s each; the switch is {where}"
    return "\n\n".join([table(columns, rows), *failures, f"{how}. {describe(record['machine'])}."])


def draw(record: Record, folder: Path) -> list[Path]:
    """Draw a panel for each measurement."""
    from benchmarks.charts import Panel, bars  # noqa: PLC0415  a table needs no matplotlib

    samples = {(one["path"], one["mtu"]): one for one in record["samples"]}

    def panel(title: str, unit: str, values: str, scale: float, upper: Callable[..., float] | None = None) -> Panel:
        def of(statistic: Callable[..., float]) -> dict[str, list[float]]:
            return {path: [statistic(samples[path, mtu][values]) / scale for mtu in record["mtus"]] for path in PATHS}

        places = [f"underlay MTU {mtu}" for mtu in record["mtus"]]
        return Panel(title, unit, places, of(p50), of(upper) if upper else {})

    panels = [
        panel("TCP, one stream", "Mbit/s", "tcp", 1e6),
        panel("One byte there and back", "µs (whiskers: p99)", "latency", 1e3, p99),
        panel(f"UDP datagrams of {DATAGRAM} bytes", "received a second", "datagrams", 1),
    ]
    where = "a switch in user space" if record["datapath"] == "netdev" else "the kernel's switch"
    return [bars(panels, folder / "dataplane.png", "Between two hosts", f"p50; {where}: compare, don't quote")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement [3]")
    parser.add_argument(
        "--mtus", type=lambda text: [int(one) for one in text.split(",")], default=list(MTUS), help="[1500,9000]"
    )
    chosen = parser.parse_args(arguments)
    finish(Benchmark("dataplane", render, draw), chosen, lambda: measure(chosen.rounds, chosen.seconds, chosen.mtus))


if __name__ == "__main__":
    main()
