"""A Neutron of a few workers and a host without a kernel, both for virtual time: a thousand agents in one process.

Unlike FakeCloud it speaks no HTTP; it costs time. A worker does one request after the other, and one that the client
has given up on as well, because that is what a WSGI server does.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import count
from typing import Any, TypeVar

from fairlead.model.errors import CloudUnavailable, QuotaExceeded
from fairlead.model.network import CloudView, FixedIP, Headroom, IPNetwork, NewPort, Port, PortChange
from fairlead.model.sandbox import SandboxConfig
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import HostView, Plugged
from fairlead.ports.store import R, Record

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of one worker: to make a port, to change one, to delete one, to answer a GET; as measured (see docs)."""

    create: float = 0.24
    update: float = 0.19
    delete: float = 0.137
    read: float = 0.024


@dataclass(slots=True)
class SimulatedNeutron:
    """The part of NetworkService that ports need, shared by many agents.

    workers: requests worked on at once. patience: seconds that a client waits for an answer, create_patience: for new
    ports. port_quota: ports in all, None: no limit. down: no request is answered. calls, spent: how many, and seconds
    of workers, by request.
    """

    workers: int = 4
    costs: Costs = field(default_factory=Costs)
    patience: float = 20.0
    create_patience: float = 120.0
    port_quota: int | None = None
    down: bool = False
    ports: dict[str, Port] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    given_up: int = 0
    log: list[tuple[float, str]] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))
    _free: asyncio.Semaphore | None = None
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def view(self) -> CloudView:
        """Say that ports are not bound."""
        return CloudView("user", "project", "project", frozenset({"member"}), may_bind=False)

    async def create_ports(self, new: Sequence[NewPort]) -> list[Port]:
        """Make ports."""

        def make() -> list[Port]:
            if self.port_quota is not None and len(self.ports) + len(new) > self.port_quota:
                raise QuotaExceeded("over quota")
            return [self._keep(one) for one in new]

        return await self._request("POST ports", self.costs.create * len(new), make, patience=self.create_patience)

    async def update_port(self, port_id: str, change: PortChange, *, revision: int | None = None) -> Port:
        """Change nothing, at the cost of a change."""
        return await self._request("PUT port", self.costs.update, lambda: self.ports[port_id])

    async def delete_port(self, port_id: str) -> None:
        """Delete a port."""
        await self._request("DELETE port", self.costs.delete, lambda: self.ports.pop(port_id, None))

    async def find_ports(
        self,
        *,
        port_id: str = "",
        name: str = "",
        network_id: str = "",
        device_id: str = "",
        mac: str = "",
        security_group: str = "",
        tags: Collection[str] = (),
        brief: bool = False,
    ) -> list[Port]:
        """List the ports of an id, a device, or with tags."""

        def fits(port: Port) -> bool:
            return port_id in ("", port.id) and device_id in ("", port.device_id) and port.tags.issuperset(tags)

        return await self._request("GET ports", self.costs.read, lambda: [*filter(fits, self.ports.values())])

    async def headroom(self, network_id: str, subnets: Mapping[str, IPNetwork]) -> Headroom:
        """Say what the quota leaves."""
        left = None if self.port_quota is None else self.port_quota - len(self.ports)
        return await self._request("GET quota", self.costs.read, lambda: Headroom(ports=left, addresses=None))

    def _keep(self, new: NewPort) -> Port:
        number = next(self._ids)
        port = Port(
            id=f"port-{number}",
            network_id=new.network_id,
            mac=f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
            fixed_ips=tuple(FixedIP(fixed.subnet_id, IPv4Address(0x0A000000 + number)) for fixed in new.fixed_ips),
            device_id=new.device_id,
            device_owner=new.device_owner,
            tags=new.tags,
            description=new.description,
        )
        self.ports[port.id] = port
        return port

    async def _request(self, what: str, seconds: float, act: Callable[[], T], *, patience: float = 0.0) -> T:
        self.calls[what] += 1
        self.log.append((asyncio.get_running_loop().time(), what))
        task = asyncio.create_task(self._work(what, seconds, act))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        done, _ = await asyncio.wait([task], timeout=patience or self.patience)
        if not done:
            self.given_up += 1
            raise CloudUnavailable(f"no answer within {self.patience:g} s")
        return task.result()

    async def _work(self, what: str, seconds: float, act: Callable[[], T]) -> T:
        if self._free is None:
            self._free = asyncio.Semaphore(self.workers)
        if self.down:
            await asyncio.sleep(0.01)
            raise CloudUnavailable("503")
        async with self._free:
            await asyncio.sleep(seconds)
            self.spent[what] += seconds
            return act()


@dataclass(slots=True)
class MemoryStore:
    """A LeaseStore that forgets with its process."""

    records: dict[type[Record], dict[str, Any]] = field(default_factory=dict)

    def put(self, record: Record) -> None:
        """Write a record."""
        self.records.setdefault(type(record), {})[record.id] = record

    def get(self, kind: type[R], record_id: str) -> R | None:
        """Return one record."""
        found = self.records.get(kind, {}).get(record_id)
        return found if isinstance(found, kind) else None

    def all(self, kind: type[R]) -> list[R]:
        """Return every record of a kind."""
        return list(self.records.get(kind, {}).values())

    def delete(self, kind: type[R], record_id: str) -> None:
        """Forget a record."""
        self.records.get(kind, {}).pop(record_id, None)


@dataclass(frozen=True, slots=True)
class NoDataplane:
    """A host on which nothing is plugged, in no time."""

    host: str

    async def view(self) -> HostView:
        """Say what the host is called."""
        return HostView(self.host, "br-int", "system", ovn_controller=True)

    async def apply(self, vif: Vif) -> None:
        """Plug nothing."""

    async def remove(self, attachment_id: str) -> None:
        """Unplug nothing."""

    async def plugged(self) -> list[Plugged]:
        """List nothing."""
        return []

    def is_whole(self, vif: Vif) -> bool:
        """Say yes."""
        return True


@dataclass(frozen=True, slots=True)
class NoSandboxes:
    """No runtime leaves a device to be moved."""

    async def configure(self, netns: str, name: str, config: SandboxConfig) -> None:
        """Do nothing."""

    async def verify(self, netns: str, name: str, config: SandboxConfig) -> list[str]:
        """Find nothing wrong."""
        return []
