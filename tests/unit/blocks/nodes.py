"""Nodes in routed mode: what flanneld runs on each, and a kernel that remembers its routes."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from fairlead.adapters.neutron import CloudConfig, NeutronService
from fairlead.adapters.store.sqlite import SqliteStore
from fairlead.core.assembly import BlockCore
from fairlead.core.background.moments import bring_back
from fairlead.core.blocks.leases import Leases
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.frontends.docker import records as docker_records
from fairlead.frontends.docker.app import make_app as make_docker_app
from fairlead.frontends.docker.app import rpcs_over
from fairlead.frontends.flannel.app import Flannel, make_app
from fairlead.model.errors import Conflict
from fairlead.model.network import FixedIP, IPAddress, IPNetwork, NewPort, Port
from fairlead.model.records import KINDS
from fairlead.ports.guard import GuardedNetwork, GuardedNode
from fairlead.ports.routing import Nic
from tests.unit.docker.dockerd import Dockerd, Endpoints, HandClock, PlugBoard, Sandboxes

RANGE, RANGE6 = "10.100.0.0/16", "fd00:100::/48"


class CommandError(Exception):
    """What flanneld would log."""


@dataclass
class Kernel:
    """Routing that remembers. foreign: destinations that somebody else routes. broken: raised by the next changes."""

    nic_: Nic
    table: dict[IPNetwork, IPAddress] = field(default_factory=dict)
    foreign: set[IPNetwork] = field(default_factory=set)
    broken: Exception | None = None

    async def nic(self) -> Nic:
        return self.nic_

    async def routes(self) -> dict[IPNetwork, IPAddress]:
        return dict(self.table)

    async def put(self, destination: IPNetwork, nexthop: IPAddress) -> None:
        if self.broken:
            raise self.broken
        if destination in self.foreign:
            raise Conflict(f"a route to {destination} is there that Fairlead did not make")
        self.table[destination] = nexthop

    async def remove(self, destination: IPNetwork) -> None:
        if self.broken:
            raise self.broken
        self.table.pop(destination, None)


class RuleBook:
    """A Guard that remembers. broken: raised by the next changes."""

    def __init__(self) -> None:
        self.node = GuardedNode()
        self.broken: Exception | None = None

    @property
    def networks(self) -> tuple[GuardedNetwork, ...]:
        return self.node.networks

    async def put(self, node: GuardedNode) -> None:
        if self.broken:
            raise self.broken
        self.node = node


class Instance(Dockerd):
    """An instance with an agent. number: of flannel's subnet 10.100.N.0/24, and of its addresses."""

    def __init__(self, number: int, port: Port, lengths: dict[int, int], config: CloudConfig, folder: Path) -> None:
        self.number, self.port, self.config, self.folder = number, port, config, folder
        addresses = [fixed.address for fixed in port.fixed_ips if fixed.address]
        interfaces = tuple(ip_interface(f"{one}/{lengths[one.version]}") for one in addresses)
        self.kernel = Kernel(Nic("eth0", port.mac, 1442, interfaces))
        self.clock = HandClock()
        self.dataplane = PlugBoard(f"i{number}")
        self.endpoints = Endpoints()
        self.guard = RuleBook()
        self.told: list[tuple[IPAddress, bytes]] = []
        self.address = str(next(one for one in addresses if one.version == 4))
        self.address6 = next((str(one) for one in addresses if one.version == 6), "")
        self.subnet, self.subnet6 = f"10.100.{number}.0/24", f"fd00:100:0:{number}::/64"

    async def start(self) -> None:
        self._stack = AsyncExitStack()
        self.store = SqliteStore(self.folder / f"i{self.number}" / "routed.sqlite", (*KINDS, *docker_records.KINDS))
        self._stack.callback(self.store.close)
        self.clock.begin()
        bring_back(self.store, KINDS, self.clock.now())
        self.neutron = await self._stack.enter_async_context(
            NeutronService(self.config, connect_timeout=1.0, total_timeout=2.0)
        )
        node = RoutedNode(self.neutron, self.kernel, self.store, self.clock)
        self.reconciler = Reconciler(node, random=lambda: 0.5)
        app = make_app(Flannel(Leases(node, self.reconciler.wake), self.reconciler), new_request_id=lambda: "req-1")
        self.sandboxes = Sandboxes()
        core = BlockCore.over(
            node,
            self.reconciler,
            self.dataplane,
            self.guard,
            self.sandboxes,
            name=f"i{self.number}",
            runtime=self.endpoints,
            tell=lambda nodes, hint: self.told.extend((node, hint) for node in nodes),
            random=lambda: 0.5,
        )
        self.core, self.rebuild, self.keeper = core, core.rebuild, core.keeper
        docker = make_docker_app(
            rpcs_over(self.store, core.networks, core.attachments, self.clock),
            prepare=self.rebuild.ensure,
            new_request_id=lambda: "req-1",
            observe=lambda _path, _status, _seconds: None,
        )
        self.client = await self._stack.enter_async_context(TestClient(TestServer(docker)))
        self._client: TestClient[Any, Any] = await self._stack.enter_async_context(TestClient(TestServer(app)))

    async def stop(self) -> None:
        await self._stack.aclose()

    async def command(self, name: str, **body: str) -> dict[str, Any]:
        """Run one of flannel's commands. Raises CommandError."""
        async with self._client.post(f"/flannel/{name}", json=body) as response:
            answer: dict[str, Any] = await response.json()
            if response.status != 200:
                raise CommandError(answer["error"])
            return answer

    async def join(self, *peers: "Instance", dual: bool = False) -> None:
        """Come up as flanneld does, and learn of the peers, which learn of this one."""
        self.data = (await self.command("pre-startup"))["data"]
        variables = {"NETWORK": RANGE, "SUBNET": self.subnet, "PUBLIC_IP": self.address}
        none = {"IPV6SUBNET": "::/0", "PUBLIC_IPV6": "<nil>"}
        six = {"IPV6NETWORK": RANGE6, "IPV6SUBNET": self.subnet6, "PUBLIC_IPV6": self.address6}
        await self.command("post-startup", **variables, **(six if dual else none))
        for peer in peers:
            await self.hear("subnet-add", peer)
            await peer.hear("subnet-add", self)

    async def hear(self, event: str, peer: "Instance") -> None:
        """Let flanneld tell of a peer."""
        await self.command(event, SUBNET=peer.subnet, PUBLIC_IP=peer.address, DATA=peer.data + "\n")

    async def behind(self, seconds: float = 0.0) -> None:
        """Let time pass, and all that works behind do what is due."""
        self.clock.time += seconds
        for steps in self.core.behind.values():
            await steps.step()

    async def seen(self) -> Port:
        """This node's port, as Neutron has it."""
        (port,) = await self.neutron.find_ports(port_id=self.port.id)
        return port

    async def pairs(self) -> set[str]:
        return {str(pair.cidr) for pair in (await self.seen()).address_pairs}

    def routes(self) -> dict[str, str]:
        return {str(destination): str(hop) for destination, hop in self.kernel.table.items()}


def nova_port(network_id: str, subnet_ids: list[str], addresses: list[str]) -> NewPort:
    """A port as Nova makes one."""
    fixed = zip(subnet_ids, addresses, strict=True)
    return NewPort(
        network_id=network_id,
        fixed_ips=tuple(FixedIP(subnet_id, ip_address(address)) for subnet_id, address in fixed),
        name="",
        device_id="",
        device_owner="compute:nova",
    )
