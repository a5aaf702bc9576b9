"""What outlives an agent: the cloud, the node's memory, its kernel and switch; and agents that come and go on it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface, ip_network
from typing import Any, Protocol

import msgspec
from aiohttp import web
from yarl import URL

from fairlead.adapters.neutron import NeutronService
from fairlead.core.assembly import BlockCore, PortCore
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.core.nesting.address_pairs import PairNesting
from fairlead.core.nesting.nesting import Nesting, OnChassis
from fairlead.core.nesting.trunk import TrunkNesting
from fairlead.core.warm.node import Node
from fairlead.core.warm.port_table import PortTable
from fairlead.core.warm.sizing import PoolLimits
from fairlead.frontends.docker.app import make_app, rpcs_over
from fairlead.model.errors import FairleadError
from fairlead.model.network import FixedIP, NewNetwork, NewPort, NewSubnet, Port
from fairlead.model.records import Origin
from fairlead.ports.routing import Nic
from fairlead.ports.runtime import Runtime
from fairlead_lab.fakes import FakeCloud
from fairlead_lab.fakes.simulation import MemoryStore
from tests.ports import create_port
from tests.unit.blocks.nodes import Kernel, RuleBook
from tests.unit.docker.dockerd import PlugBoard, Sandboxes
from tests.unit.docker.instance import CIDR, CIDR6
from tests.unit.recovery.line import Request, ask, neutron
from tests.unit.recovery.trouble import Area, Frail, FrailStore, Life, Point, Trouble

HOST = "h1"
LIMITS = PoolLimits(floor=1, cool_down=10.0)
TURN = 50
"""Pieces of work in one turn, at most: what never ends is a fault of its own."""

BOARD_CHANGES = frozenset({"apply", "remove"})
KERNEL_CHANGES = frozenset({"put", "remove"})


class WorldClock:
    """The loop's time, moved so that a world goes on from when it was kept."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._begun, self._then = asyncio.get_running_loop().time(), now

    def now(self) -> float:
        return self._then + asyncio.get_running_loop().time() - self._begun

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class World:
    """One node in one mode. own: its own port, where it is an instance.

    Copies share one cloud, whose application takes longer to build than a test to run: of all of them one is alive, and
    the others have kept what the cloud was.
    """

    mode: str
    cloud: FakeCloud
    neutron: web.Application
    store: MemoryStore = field(default_factory=MemoryStore)
    board: PlugBoard = field(default_factory=lambda: PlugBoard(HOST))
    kernel: Kernel | None = None
    rules: RuleBook = field(default_factory=RuleBook)
    clock: WorldClock = field(default_factory=WorldClock)
    own: Port | None = None
    kept_cloud: dict[str, Any] = field(default_factory=dict)
    kept_at: float = 0.0

    def kept(self) -> "World":
        """Give a copy that nothing happens to."""
        return replace(self._copy(), kept_cloud=deepcopy(vars(self.cloud.store)), kept_at=self.clock.now())

    def alive(self) -> "World":
        """Give a copy that life goes on from."""
        vars(self.cloud.store).update(deepcopy(self.kept_cloud))
        return replace(self._copy(), clock=WorldClock(self.kept_at))

    def _copy(self) -> "World":
        rules = RuleBook()
        rules.node = self.rules.node
        return replace(
            self,
            store=MemoryStore({kind: dict(records) for kind, records in self.store.records.items()}),
            board=PlugBoard(HOST, dict(self.board.attachments), None, set(self.board.away)),
            kernel=replace(self.kernel, table=dict(self.kernel.table)) if self.kernel else None,
            rules=rules,
        )


async def make_world(mode: str) -> World:
    """Make the cloud, and for an instance its network, its port, and its trunk or router."""
    cloud = FakeCloud()
    world = World(mode, cloud, cloud.neutron.app())
    world.store.put(Origin())
    if mode == "ovs":
        return world
    member = neutron(world.cloud, world.neutron, Trouble(), Life())
    network = await member.create_network(NewNetwork("instances"))
    ranges = ip_network(CIDR), ip_network(CIDR6)
    subnets = [await member.create_subnet(NewSubnet(network.id, cidr, cidr[1])) for cidr in ranges]
    fixed = tuple(FixedIP(one.id) for one in subnets)
    port = world.own = await create_port(member, NewPort(network.id, fixed, "", device_owner="compute:nova"))
    world.cloud.store.resources["ports"][port.id]["status"] = "ACTIVE"
    if mode == "trunk":
        await _post(member, "/trunks", {"trunk": {"port_id": port.id}})
    lengths = {4: 24, 6: 64}
    addresses = tuple(one.address for one in port.fixed_ips if one.address)
    interfaces = tuple(ip_interface(f"{one}/{lengths[one.version]}") for one in addresses)
    world.kernel = Kernel(Nic("eth0", port.mac, 1442, interfaces))
    return world


async def _post(member: NeutronService, path: str, body: Any) -> None:
    await member._client.call("POST", path, body=msgspec.json.encode(body))


class Agent(Protocol):
    """One process of an agent's on a world."""

    life: Life

    async def turn(self) -> None:
        """Do what is due behind."""
        ...

    async def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """Answer one call: status and decoded body."""
        ...

    async def close(self) -> None:
        """End what it has started."""
        ...


class Door:
    """The agent's door: a call is a task of its own, which ends with the process."""

    def __init__(self, rpcs: Any, prepare: Callable[[], Awaitable[None]], life: Life, trouble: Trouble) -> None:
        self._life, self._trouble = life, trouble
        self._app = make_app(
            rpcs, prepare=prepare, new_request_id=lambda: "req-1", observe=lambda _path, _status, _seconds: None
        )

    async def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        self._life.require()
        answering = asyncio.create_task(ask(self._app, Request("POST", URL(path), body)))
        ended = asyncio.create_task(self._life.ended.wait())
        try:
            await asyncio.wait({answering, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, ended):
                if not task.done():
                    task.cancel()
            await asyncio.gather(answering, ended, return_exceptions=True)
        with self._trouble.through(Point(Area.ANSWER, path[1:], changes=True), self._life):
            response = answering.result()
            assert isinstance(response.body, bytes)
            return response.status, msgspec.json.decode(response.body)


class PortAgent:
    """An agent whose containers have ports: modes `ovs`, `trunk`, `ipvlan`."""

    def __init__(self, world: World, trouble: Trouble, runtime: Runtime) -> None:
        self.life = Life()
        board: Any = Frail(world.board, Area.HOST, BOARD_CHANGES, trouble, self.life)
        store: Any = FrailStore(world.store, trouble, self.life)
        service = neutron(world.cloud, world.neutron, trouble, self.life)
        kernel: Any = world.kernel
        nesting: Nesting = OnChassis()
        if world.mode == "trunk":
            nesting = TrunkNesting(service, kernel, world.clock)
        elif world.mode == "ipvlan":
            nesting = PairNesting(service, kernel)
        self.node = Node(service, board, store, PortTable(store), world.clock, "0123456789ab", nesting=nesting)
        self.core = PortCore.over(self.node, LIMITS, Sandboxes(), runtime=runtime, random=lambda: 0.5)
        rpcs = rpcs_over(store, self.core.networks, self.core.attachments, world.clock)
        self.answer = Door(rpcs, self.core.rebuild.ensure, self.life, trouble).answer

    async def turn(self) -> None:
        await self.core.reconciliation.step()
        for _ in range(TURN):
            if not (await self.core.devices.step() or await self.core.keeper.step()):
                return
        raise AssertionError("the background never has done")

    async def close(self) -> None:
        await self.core.unawaited.close()


class BlockAgent:
    """An agent whose containers have addresses of blocks: mode `routed`."""

    def __init__(self, world: World, trouble: Trouble, runtime: Runtime) -> None:
        self.life = Life()
        self._board: Any = Frail(world.board, Area.HOST, BOARD_CHANGES, trouble, self.life)
        store: Any = FrailStore(world.store, trouble, self.life)
        kernel: Any = Frail(world.kernel, Area.HOST, KERNEL_CHANGES, trouble, self.life)
        rules: Any = Frail(world.rules, Area.HOST, KERNEL_CHANGES, trouble, self.life)
        service = neutron(world.cloud, world.neutron, trouble, self.life)
        node = RoutedNode(service, kernel, store, world.clock)
        reconciler = Reconciler(node, random=lambda: 0.5)
        self.core = BlockCore.over(
            node, reconciler, self._board, rules, Sandboxes(), name=HOST, runtime=runtime, random=lambda: 0.5
        )
        self._begun = False
        rpcs = rpcs_over(store, self.core.networks, self.core.attachments, world.clock)
        self.answer = Door(rpcs, self.core.rebuild.ensure, self.life, trouble).answer

    async def turn(self) -> None:
        with suppress(FairleadError):
            if not self._begun:
                await self.core.blocks.guarding.bring()
                self._begun = True
        if self._begun:
            for steps in self.core.behind.values():
                await steps.step()

    async def close(self) -> None:
        """Nothing runs by itself."""


def start(world: World, trouble: Trouble, runtime: Runtime) -> Agent:
    """Start an agent on a world; runtime: tells which endpoints there are."""
    return (BlockAgent if world.mode == "routed" else PortAgent)(world, trouble, runtime)
