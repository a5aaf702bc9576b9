"""Neutron and nodes for virtual time: a hundred nodes join within one process, and each request costs its time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, ip_interface
from itertools import count
from random import Random
from typing import Any, TypeVar, cast

from fairlead.core.background.loops import Steps, keep
from fairlead.core.blocks.leases import Leases
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.model.errors import Conflict, StillInUse
from fairlead.model.network import (
    FixedIP,
    HostRoute,
    IPNetwork,
    NewSecurityGroup,
    Port,
    PortChange,
    Router,
    SecurityGroup,
)
from fairlead.ports.routing import Nic
from fairlead_lab.fakes.simulation import MemoryStore
from fairlead_lab.fakes.virtual_time import LoopClock
from tests.unit.blocks.nodes import Kernel

T = TypeVar("T")

RANGE = IPv4Network("10.100.0.0/16")

COSTS = {"GET": 0.024, "PUT": 0.19, "POST": 0.25, "DELETE": 0.137}
"""Seconds of one of Neutron's workers, as measured on a real one."""


@dataclass
class Neutron:
    """The part of NetworkService that routed mode needs. workers: requests worked on at once.

    A change of a router's routes is in the database when work on it begins; when it ends, the switch (OVN) gets the
    list as it was at the beginning. Work takes up to half as long again as COSTS, so that the last to begin is not
    always the last to end: what the real Neutron does to nodes that change a router at once.
    """

    random: Random
    workers: int = 2
    ports: dict[str, Port] = field(default_factory=dict)
    groups: dict[str, SecurityGroup] = field(default_factory=dict)
    routes: set[HostRoute] = field(default_factory=set)
    switch: set[HostRoute] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    _ids: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.workers)

    async def find_ports(
        self, *, port_id: str = "", network_id: str = "", mac: str = "", security_group: str = ""
    ) -> list[Port]:
        wanted = {"id": port_id, "network_id": network_id, "mac": mac}
        return await self._work(
            "GET ports",
            lambda: [
                port
                for port in self.ports.values()
                if all(not value or getattr(port, name) == value for name, value in wanted.items())
                and (not security_group or security_group in port.security_group_ids)
            ],
        )

    async def get_port(self, port_id: str) -> Port | None:
        return await self._work("GET port", lambda: self.ports.get(port_id))

    async def update_port(self, port_id: str, change: PortChange, *, revision: int | None = None) -> Port:
        def update() -> Port:
            port = self.ports[port_id]
            if revision is not None and revision != port.revision:
                raise Conflict("the port has changed")
            new = {
                name: value
                for name in ("address_pairs", "security_group_ids")
                if (value := getattr(change, name)) is not None
            }
            self.ports[port_id] = replace(port, revision=port.revision + 1, **new)
            return self.ports[port_id]

        return await self._work("PUT port", update)

    async def find_owned_security_groups(self, *, name: str, tags: Collection[str] = ()) -> list[SecurityGroup]:
        return await self._work("GET groups", lambda: [one for one in self.groups.values() if one.name == name])

    async def create_security_group(self, new: NewSecurityGroup) -> SecurityGroup:
        def make() -> SecurityGroup:
            made = SecurityGroup(f"group-{next(self._ids)}", new.name, new.tags, frozenset(new.ingress))
            self.groups[made.id] = made
            return made

        return await self._work("POST group", make)

    async def delete_security_group(self, group_id: str) -> None:
        def delete() -> None:
            if any(group_id in port.security_group_ids for port in self.ports.values()):
                raise StillInUse("the group is in use")
            self.groups.pop(group_id, None)

        await self._work("DELETE group", delete)

    async def find_routers(self, subnet_ids: Collection[str]) -> list[Router]:
        return await self._work("GET router", lambda: [self._router()])

    async def add_routes(self, router_id: str, routes: Collection[HostRoute]) -> Router:
        return await self._route("PUT routes", lambda: self.routes.update(routes))

    async def remove_routes(self, router_id: str, routes: Collection[HostRoute]) -> Router:
        return await self._route("PUT routes", lambda: self.routes.difference_update(routes))

    def _router(self) -> Router:
        return Router("router", "router", tuple(self.routes))

    async def _route(self, what: str, change: Callable[[], None]) -> Router:
        self.calls[what] += 1
        async with self._free:
            change()
            seen = set(self.routes)
            await asyncio.sleep(self._seconds(what))
            self.switch = seen
            self.lost += self.switch != self.routes
            return self._router()

    async def _work(self, what: str, act: Callable[[], T]) -> T:
        self.calls[what] += 1
        async with self._free:
            await asyncio.sleep(self._seconds(what))
            return act()

    def _seconds(self, what: str) -> float:
        return COSTS[what.partition(" ")[0]] * (1 + self.random.random() / 2)


class Node:
    """A node on one of several subnets, its agent at work. number: of its part 10.100.N.0/24."""

    def __init__(self, neutron: Neutron, number: int, subnet: int, random: Random) -> None:
        self.part, self.address = IPv4Network(f"10.100.{number}.0/24"), IPv4Address(f"10.{30 + subnet}.0.{number + 10}")
        # Neutron's ids are of chance, and nodes take turns by them.
        port_id = f"{random.getrandbits(128):032x}"
        port = Port(
            port_id, f"network-{subnet}", f"fa:16:3e:00:00:{number:02x}", (FixedIP(f"subnet-{subnet}", self.address),)
        )
        neutron.ports[port_id] = port
        self.kernel = Kernel(Nic("eth0", port.mac, 1442, (ip_interface(f"{self.address}/24"),)))
        self.store = MemoryStore()
        node = RoutedNode(cast(Any, neutron), self.kernel, self.store, LoopClock())
        self.reconciler = Reconciler(node, random=random.random)
        self.leases = Leases(node, self.reconciler.wake)
        self._work = [asyncio.create_task(_keep(steps)) for steps in self.reconciler.behind.values()]

    async def join(self) -> None:
        """Come up as flanneld does."""
        self.port_id = await self.leases.identify()
        ranges: tuple[IPNetwork, ...] = (RANGE,)
        self.leases.hold((self.part,), (self.address,), ranges)

    def hear(self, peer: "Node") -> None:
        """Let flanneld tell of a peer."""
        self.leases.add_peer(peer.part, peer.address, peer.port_id)

    def stop(self) -> None:
        for one in self._work:
            one.cancel()


async def _keep(steps: Steps) -> None:
    ready = asyncio.Event()
    ready.set()
    await keep(steps, ready, lambda: None)
