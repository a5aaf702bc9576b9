"""A thousand agents on one Neutron, in virtual time: what they ask of it, how long it takes, and whether it is fair.

    python -m benchmarks.scale [--agents 10,30,100,300,1000] [--containers 100] [--workers 16]

The agents are the real core with its keeper, sweep and pools; their Neutron is a queue before some workers that takes
the time for a request
which the real one took (fairlead_lab.fakes.simulation.Costs). Nothing is plugged. Three stories for
each number of agents, beginning at the same moment on every host, which is the worst that can be:

  idle    the agents come up, each with an empty pool for one network
  full    every host starts its containers at once, on pools that are empty; a start that fails is tried again
  churn   for ten minutes each host starts and removes a container every few seconds
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

import structlog

from benchmarks.charts import Panel, lines
from benchmarks.machine import describe, machine
from benchmarks.report import Benchmark, Column, Record, finish, number, options, p50, percentile, say, table
from fairlead.core.assembly import PortCore
from fairlead.core.warm.node import Node
from fairlead.core.warm.port_table import PortTable
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.attachment import AddressRequest, AttachmentKey, AttachmentRequest
from fairlead.model.errors import FairleadError
from fairlead.model.network import IPAddress
from fairlead.model.records import JoinedNetwork, JoinedSubnet, Origin, Step
from fairlead_lab.fakes import virtual_time
from fairlead_lab.fakes.simulation import Costs, MemoryStore, NoDataplane, NoSandboxes, SimulatedNeutron

RANGE = IPv4Network("10.0.0.0/8")
NETWORK = "web"
CHURN_SECONDS = 600.0
CHURN_PAUSE = 5.0
SWEEP_EVERY = 15.0
RETRY, LONGEST_RETRY = 10.0, 300.0
"""Seconds after which a failed start is tried again, give or take a half, and twice as many each time up to the second:
what orchestrators do."""


@dataclass
class Simulated:
    """One host: the core, and what runs beside it.

    supplied: the moment from which on it has had as many ports as containers were wanted.
    """

    neutron: SimulatedNeutron
    number: int
    containers: int
    supplied: float = 0.0
    work: list[asyncio.Task[None]] = field(default_factory=list)
    living: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        store = MemoryStore()
        subnet = JoinedSubnet(NETWORK, RANGE, None)
        store.put(Origin())
        store.put(JoinedNetwork(NETWORK, Step.HELD, 0.0, network_id=NETWORK, name=NETWORK, subnets=(subnet,)))
        host = NoDataplane(f"h{self.number}")
        node = Node(
            cast(Any, self.neutron), host, store, PortTable(store), virtual_time.LoopClock(), f"{self.number:012x}"
        )
        self.chance = random.Random(self.number)
        self.core = PortCore.over(node, PoolLimits(), NoSandboxes(), runtime=self, random=self.chance.random)
        self.failed = 0
        self.waits: list[float] = []
        self.work = [asyncio.create_task(self._keep()), asyncio.create_task(self._sweep())]

    async def _keep(self) -> None:
        while True:
            if not await self.core.keeper.step():
                await self.core.keeper.wake_up.wait()
            if not self.supplied and len(self.core.node.port_table) >= self.containers:
                self.supplied = asyncio.get_running_loop().time()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            await self.core.reconciliation.step()

    async def owners(self, joined_id: str) -> Collection[str]:  # noqa: ARG002
        """Say which containers there are: nothing of them is seen on this host."""
        return self.living

    async def run(self) -> IPAddress:
        """Start a container, as often as it takes."""
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), RETRY
        while True:
            try:
                address = (await self.core.attachments.reserve(NETWORK, AddressRequest(4))).ip
            except FairleadError:
                self.failed += 1
                await asyncio.sleep(pause * (0.5 + self.chance.random()))
                pause = min(2 * pause, LONGEST_RETRY)
                continue
            self.living.add(_key(address).owner)
            await self.core.attachments.prepare(_key(address), AttachmentRequest((address,)))
            self.waits.append(loop.time() - began)
            return address

    async def rm(self, address: IPAddress) -> None:
        """Remove a container."""
        self.living.discard(_key(address).owner)
        await self.core.attachments.detach(_key(address), by_runtime=True)
        await self.core.attachments.release(NETWORK, address)

    async def churn(self) -> None:
        """Start and remove containers, one at a time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + CHURN_SECONDS
        while loop.time() < end:
            address = await self.run()
            await asyncio.sleep(CHURN_PAUSE * self.chance.random())
            await self.rm(address)
            await asyncio.sleep(CHURN_PAUSE * self.chance.random())


def _key(address: IPAddress) -> AttachmentKey:
    return AttachmentKey(f"endpoint {address}", NETWORK)


def tell(story: str, agents: int, containers: int, workers: int) -> Record:
    """Simulate one story; returns its figures."""

    async def main() -> Record:
        neutron = SimulatedNeutron(workers=workers)
        loop = asyncio.get_running_loop()
        hosts = [Simulated(neutron, number, containers) for number in range(agents)]
        if story == "idle":
            finished = [await _filled(host) for host in hosts]
        elif story == "full":
            finished = await asyncio.gather(*(_full(host) for host in hosts))
        else:
            await asyncio.gather(*(host.churn() for host in hosts))
            finished = []
        took = loop.time()
        for task in (task for host in hosts for task in host.work):
            task.cancel()
        await asyncio.gather(*(task for host in hosts for task in host.work), return_exceptions=True)
        starts = sum(len(host.waits) for host in hosts)
        waits = sorted(wait for host in hosts for wait in host.waits)
        seconds = Counter(int(moment) for moment, _ in neutron.log)
        return {
            "story": story,
            "agents": agents,
            "took": took,
            "starts": starts,
            "failed": sum(host.failed for host in hosts),
            "calls": dict(neutron.calls),
            "spent": dict(neutron.spent),
            "busiest": max(seconds.values(), default=0),
            "ports": len(neutron.ports),
            "unanswered": neutron.given_up,
            "hosts": _spread(finished),
            "supplied": _spread([host.supplied for host in hosts]) if story == "full" else [],
            "waits": [p50(waits), percentile(waits, 0.99)] if waits else [],
            "ideal": (starts or len(neutron.ports)) * neutron.costs.create / workers,
        }

    return virtual_time.run(main())


async def _filled(host: Simulated) -> float:
    while host.core.warm.waiting(NETWORK) < host.core.warm.limits.floor:  # noqa: ASYNC110  virtual time is cheap
        await asyncio.sleep(1.0)
    return asyncio.get_running_loop().time()


async def _full(host: Simulated) -> float:
    await asyncio.gather(*(host.run() for _ in range(host.containers)))
    return asyncio.get_running_loop().time()


def _spread(moments: Sequence[float]) -> list[float]:
    return [min(moments), p50(moments), max(moments)] if moments else []


def measure(agents: Sequence[int], containers: int, workers: int) -> Record:
    """Tell every story for every number of agents."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found = []
    for count in agents:
        for story in ("idle", "full", "churn"):
            say(f"{story}: {count} agents")
            found.append(tell(story, count, containers, workers))
    return {
        "machine": machine(),
        "containers": containers,
        "workers": workers,
        "costs": {name: getattr(Costs(), name) for name in Costs.__dataclass_fields__},
        "stories": found,
    }


def render(record: Record) -> str:
    """Write the tables."""
    costs = ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in record["costs"].items())
    parts = [f"{record['workers']} workers; {costs}; {record['containers']} containers a host."]
    titles = {
        "idle": "Agents come up together, with empty pools",
        "full": "Every host starts all its containers at once, on empty pools",
        "churn": "Ten minutes in which every host starts and removes a container every five seconds",
    }
    for story, title in titles.items():
        rows = [_row(one) for one in record["stories"] if one["story"] == story]
        columns = [
            Column("agents"),
            Column("starts"),
            Column("failed, tried again"),
            Column("s until done (least possible)"),
            Column("first / median / last host, s"),
            Column("its ports there, s"),
            Column("start p50 / p99, s"),
            Column("POST"),
            Column("GET"),
            Column("DELETE"),
            Column("PUT (names)"),
            Column("calls a second, mean / busiest"),
            Column("per 1000 starts, without names: calls"),
            Column("workers' s"),
            Column("of them for questions"),
        ]
        parts += [f"**{title}**", table(columns, rows)]
    return "\n\n".join([*parts, f"{describe(record['machine'])}."])


def _row(one: Record) -> list[str]:
    calls, spent = (_by_method(one[what]) for what in ("calls", "spent"))
    ideal = f" ({number(one['ideal'])})" if one["story"] != "churn" else ""
    return [
        number(one["agents"]),
        number(one["starts"]),
        number(one["failed"]),
        f"{number(one['took'])}{ideal}",
        *(" / ".join(number(value) for value in one[what]) or "-" for what in ("hosts", "supplied")),
        " / ".join(number(value, 1) for value in one["waits"]) or "-",
        *(number(count) for count in calls.values()),
        f"{number(sum(calls.values()) / one['took'], 1)} / {number(one['busiest'])}",
        *_each_thousand(
            one["starts"], sum(calls.values()) - calls["PUT"], sum(spent.values()) - spent["PUT"], spent["GET"]
        ),
    ]


def _by_method(amounts: Mapping[str, float]) -> dict[str, float]:
    found = dict.fromkeys(("POST", "GET", "DELETE", "PUT"), 0.0)
    for what, amount in amounts.items():
        found[what.split()[0]] += amount
    return found


def _each_thousand(starts: int, *amounts: float) -> list[str]:
    return [number(1000 * amount / starts) if starts else "-" for amount in amounts]


def draw(record: Record, folder: Path) -> list[Path]:
    """Draw cost and time over the number of agents."""
    by_story = {
        story: [one for one in record["stories"] if one["story"] == story] for story in ("idle", "full", "churn")
    }
    x = [float(one["agents"]) for one in by_story["full"]]
    calls = {story: [float(sum(one["calls"].values())) / one["agents"] for one in of] for story, of in by_story.items()}
    took = {
        "until every host is full": [one["took"] for one in by_story["full"]],
        "least possible": [one["ideal"] for one in by_story["full"]],
    }
    panels = [
        Panel("Requests to Neutron for each agent", "requests", x, calls, x_label="agents", log=True),
        Panel(f"{record['containers']} containers on every host", "s", x, took, x_label="agents", log=True),
    ]
    return [
        lines(panels, folder / "scale.png", "A thousand agents on one Neutron, simulated", describe(record["machine"]))
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print and draw."""
    parser = options(__doc__)
    parser.add_argument("--agents", type=_numbers, default=[10, 30, 100, 300, 1000], help="[10,30,100,300,1000]")
    parser.add_argument("--containers", type=int, default=100, help="for each host, in the story `full` [100]")
    parser.add_argument("--workers", type=int, default=16, help="requests that Neutron works on at once [16]")
    chosen = parser.parse_args(arguments)
    finish(Benchmark("scale", render, draw), chosen, lambda: measure(chosen.agents, chosen.containers, chosen.workers))


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


if __name__ == "__main__":
    main()
