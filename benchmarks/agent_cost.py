"""What an agent costs a host: memory, start-up, processor time of each RPC, and the start of the commands.

    python -m benchmarks.agent_cost [--sizes 0,100,1000,10000] [--joined 1000] [--churn 60]

A real `fairlead agent` process, on a private Open vSwitch, is sent what dockerd would send; Neutron is the fake one, in
another process. All of it runs in a network namespace of its own. Up to --joined endpoints are plugged into the switch;
the others get an address and a port only, since thousands of devices would measure the kernel and the switch.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import describe, machine
from benchmarks.production import PYTHON, install
from benchmarks.report import Benchmark, Column, Record, finish, number, options, p50, p99, say, table
from benchmarks.rig import Agent, Dockerd, Endpoint, Rig, endpoint, rig

SIZES = (0, 100, 1000, 10_000)
BATCH, BATCHES = 50, 7
SUBNET = "10.64.0.0/16"
COMMANDS = (["--version"], ["--help"], ["agent", "--help"], ["lab", "--help"], ["lab", "list"], ["completion", "bash"])
_STARTS, _COMMAND_STARTS = 3, 5
_REST = 4.0
"""Seconds in which what the agent does later (naming ports, two seconds after) is done."""

_INSIDE = "FAIRLEAD_BENCH_INSIDE"
Step = Callable[[Endpoint], Awaitable[None]]


@dataclass
class Size:
    """The agent with so many endpoints.

    memory, restarted: MB resident as it stands, and after a restart. started, asked: seconds, requests of each start.
    """

    endpoints: int
    joined: int
    memory: float = 0.0
    restarted: float = 0.0
    started: list[float] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)


def steps(dockerd: Dockerd) -> dict[str, Step]:
    """Return the RPCs of a container's life in dockerd's order."""
    return {
        "RequestAddress": dockerd.request_address,
        "CreateEndpoint": dockerd.create_endpoint,
        "Join": dockerd.join,
        "Leave": dockerd.leave,
        "DeleteEndpoint": dockerd.delete_endpoint,
        "ReleaseAddress": dockerd.release_address,
    }


def measure(sizes: Sequence[int], joined: int, churn: float) -> Record:
    """Run everything."""
    before = machine()
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as folder, rig(Path(folder)) as bench:
        with Agent(bench) as agent:
            pool = asyncio.run(_network(bench))
            rpcs = asyncio.run(_rpcs(bench, pool, agent))
            churned = asyncio.run(_churn(bench, pool, agent, churn)) if churn else []
        found = _sizes(bench, pool, sorted(sizes), joined)
    return {
        "machine": before,
        "sizes": [vars(size) for size in found],
        "rpcs": rpcs,
        "batch": BATCH,
        "churn": churned,
        "commands": _commands(),
    }


async def _network(bench: Rig) -> str:
    async with Dockerd(bench.socket) as dockerd:
        return await dockerd.create_network(SUBNET)


async def _rpcs(bench: Rig, pool: str, agent: Agent) -> dict[str, list[float]]:
    """Measure processor time of each RPC; returns seconds of each batch."""
    spent: dict[str, list[float]] = {}
    async with Dockerd(bench.socket, pool) as dockerd:
        for turn in range(BATCHES + 1):
            endpoints = [endpoint() for _ in range(BATCH)]
            for name, step in steps(dockerd).items():
                began = agent.cpu()
                for one in endpoints:
                    await step(one)
                if turn:  # the first batch warms everything
                    spent.setdefault(name, []).append(agent.cpu() - began)
                if name == "Join":
                    # The ports are named two seconds later; that is no RPC's.
                    await asyncio.sleep(_REST)
    say(f"processor time of {BATCHES} batches of {BATCH} RPCs")
    return spent


async def _churn(bench: Rig, pool: str, agent: Agent, seconds: float) -> list[tuple[float, int, float]]:
    """Let containers come and go; returns seconds, containers so far and MB, some sixty times."""
    began, count, seen = time.monotonic(), 0, []
    async with Dockerd(bench.socket, pool) as dockerd:
        life = steps(dockerd).values()
        due = 0.0
        while (now := time.monotonic() - began) < seconds:
            if now >= due:
                seen.append((round(now, 1), count, round(agent.memory(), 2)))
                due += seconds / 60
            one = endpoint()
            for step in life:
                await step(one)
            count += 1
    seen.append((round(time.monotonic() - began, 1), count, round(agent.memory(), 2)))
    say(f"{count} containers came and went in {seconds:.0f} s")
    return seen


def _sizes(bench: Rig, pool: str, sizes: Sequence[int], joined: int) -> list[Size]:
    """Grow the number of endpoints, and restart the agent at each size."""
    found, count = [], 0
    for wanted in sizes:
        began = time.monotonic()
        with Agent(bench) as agent:
            asyncio.run(_grow(bench, pool, count, wanted, joined))
            time.sleep(_REST)
            size = Size(wanted, min(wanted, joined), memory=agent.memory())
        count = wanted
        for _ in range(_STARTS):
            with Agent(bench) as agent:
                size.started.append(agent.started)
                size.asked.append(agent.asked)
                time.sleep(1.0)
                size.restarted = agent.memory()
        say(f"{wanted} endpoints: {size.memory:.0f} MB, {time.monotonic() - began:.0f} s")
        found.append(size)
    return found


async def _grow(bench: Rig, pool: str, have: int, wanted: int, joined: int) -> None:
    async with Dockerd(bench.socket, pool) as dockerd:
        for index in range(have, wanted):
            one = endpoint()
            await dockerd.request_address(one)
            await dockerd.create_endpoint(one)
            if index < joined:
                await dockerd.join(one)


def _commands() -> dict[str, Record]:
    """Time the start of each command, best of some, and look at what its imports cost."""
    program = [str(PYTHON), "-m", "fairlead"]
    found = {}
    for command in COMMANDS:
        seconds = []
        for _ in range(_COMMAND_STARTS):
            began = time.perf_counter()
            subprocess.run([*program, *command], check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
        traced = [program[0], "-X", "importtime", *program[1:], *command]
        told = subprocess.run(traced, check=True, capture_output=True, text=True).stderr
        found[" ".join(["fairlead", *command])] = {"best": min(seconds), "heaviest": heaviest(told)}
    return found


def heaviest(told: str, count: int = 3) -> list[tuple[str, float]]:
    """Return the packages with the most time of their own, in ms, of what `python -X importtime` wrote."""
    own: dict[str, float] = {}
    for line in told.splitlines():
        if found := re.match(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)", line):
            package = found[2].partition(".")[0]
            own[package] = own.get(package, 0.0) + int(found[1]) / 1000
    return sorted(own.items(), key=lambda item: -item[1])[:count]


def render(record: Record) -> str:
    """Write a table each for sizes, RPCs and commands, and a line on the churn."""
    sizes = [
        [
            number(one["endpoints"]),
            number(one["joined"]),
            number(one["memory"], 1),
            number(one["restarted"], 1),
            number(min(one["started"]) * 1000),
            number(max(one["asked"])),
        ]
        for one in record["sizes"]
    ]
    rpcs = [
        [f"`{name}`", *(number(of(spent) / record["batch"] * 1000, 2) for of in (p50, p99))]
        for name, spent in record["rpcs"].items()
    ]
    total = sum(p50(spent) for spent in record["rpcs"].values()) / record["batch"]
    commands = [
        [f"`{name}`", number(one["best"] * 1000), ", ".join(f"{module} {ms:.0f}" for module, ms in one["heaviest"])]
        for name, one in record["commands"].items()
    ]
    columns = [
        Column("endpoints"), Column("plugged in"), Column("resident MB"), Column("after a restart"),
        Column("to the first answer, ms"), Column("requests to Neutron in that time"),
    ]  # fmt: skip
    parts = [
        table(columns, sizes),
        table([Column("RPC", right=False), Column("CPU p50 ms"), Column("of the worst batch")], rpcs),
        f"A container's whole life costs the agent {number(total * 1000, 1)} ms of processor time.",
    ]
    if record["churn"]:
        (_, _, first), (seconds, count, last) = record["churn"][0], record["churn"][-1]
        middle, so_far, halfway = record["churn"][len(record["churn"]) // 2]
        parts.append(
            f"{number(count)} containers came and went in {seconds:.0f} s: {first:.2f} MB before,"
            f" {halfway:.2f} MB after {number(so_far)} of them ({middle:.0f} s), {last:.2f} MB after all."
        )
    title = [Column("command", right=False), Column("best, ms"), Column("heaviest imports, ms", right=False)]
    parts += [table(title, commands), f"{describe(record['machine'])}."]
    return "\n\n".join(parts)


def draw(record: Record, folder: Path) -> list[Path]:
    """Draw memory and start-up over the number of endpoints, and the churn."""
    from benchmarks.charts import Panel, lines  # noqa: PLC0415  a table needs no matplotlib

    x = [float(one["endpoints"]) for one in record["sizes"]]
    memory = {
        "as it stands": [one["memory"] for one in record["sizes"]],
        "after a restart": [one["restarted"] for one in record["sizes"]],
    }
    started = {"fairlead": [min(one["started"]) * 1000 for one in record["sizes"]]}
    panels = [
        Panel("Resident memory", "MB", x, memory, x_label="endpoints", log=True),
        Panel("From exec to the first answer", "ms", x, started, x_label="endpoints", log=True),
    ]
    if record["churn"]:
        times, _, sizes = zip(*record["churn"], strict=True)
        panels.append(Panel("Memory while containers come and go", "MB", times, {"fairlead": sizes}, x_label="seconds"))
    return [lines(panels, folder / "agent_cost.png", "What an agent costs a host")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    parser = options(__doc__)
    parser.add_argument("--sizes", type=_numbers, default=list(SIZES), help="[0,100,1000,10000]")
    parser.add_argument("--joined", type=int, default=1000, help="endpoints that are plugged in, at most [1000]")
    parser.add_argument("--churn", type=float, default=60.0, metavar="SECONDS", help="[60]; an hour is the whole test")
    chosen = parser.parse_args(arguments)
    _enter_namespace(chosen, arguments)
    benchmark = Benchmark("agent_cost", render, draw)
    finish(benchmark, chosen, lambda: measure(chosen.sizes, chosen.joined, chosen.churn))


def _enter_namespace(chosen: argparse.Namespace, arguments: Sequence[str] | None) -> None:
    """Start over in a network namespace of its own, which goes with the last process in it."""
    if chosen.again or os.environ.get(_INSIDE):
        return
    if os.geteuid():
        sys.exit("the agent needs root: run it with sudo")
    install()  # here: inside there is no way to a package index
    command = [sys.executable, "-m", "benchmarks.agent_cost", *(sys.argv[1:] if arguments is None else arguments)]
    inside = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    os.execvpe("unshare", inside, {**os.environ, _INSIDE: "1"})


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


if __name__ == "__main__":
    main()
