"""What dockerd does, as far as a driver sees it: the RPCs of each command, in its order."""

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp.test_utils import TestClient, TestServer

from fairlead.adapters.neutron import CloudConfig, NeutronService
from fairlead.adapters.store.identity import node_identity
from fairlead.adapters.store.sqlite import SqliteStore
from fairlead.agent.clock import SystemClock
from fairlead.core.assembly import PortCore
from fairlead.core.background.moments import bring_back
from fairlead.core.nesting.nesting import Nesting, OnChassis
from fairlead.core.warm.node import Node
from fairlead.core.warm.port_table import PortTable
from fairlead.core.warm.sizing import PoolLimits
from fairlead.frontends.docker import records as docker_records
from fairlead.frontends.docker.app import make_app, rpcs_over
from fairlead.model.records import KINDS
from fairlead.model.sandbox import SandboxConfig
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import HostView, Plugged

NO_POOL = PoolLimits(floor=0, ceiling=0, cool_down=0.0)
"""Nothing is made ahead, and what is given back goes: what Neutron has then is what containers need."""


class DriverError(Exception):
    """What the docker user would read."""


@dataclass
class PlugBoard:
    """A data plane that remembers what was plugged; `broken` is raised by the next calls."""

    host: str
    attachments: dict[str, Vif] = field(default_factory=dict)
    broken: Exception | None = None
    away: set[str] = field(default_factory=set)

    def _check(self) -> None:
        if self.broken:
            raise self.broken

    async def view(self) -> HostView:
        self._check()
        return HostView(self.host, "br-int", "netdev", ovn_controller=True)

    async def apply(self, vif: Vif) -> None:
        self._check()
        self.attachments[vif.id] = vif

    async def remove(self, attachment_id: str) -> None:
        self._check()
        self.attachments.pop(attachment_id, None)

    async def plugged(self) -> list[Plugged]:
        self._check()
        return [Plugged(one.port_id or one.id, one.id in self.away, one.addresses) for one in self.attachments.values()]

    def is_whole(self, vif: Vif) -> bool:
        return vif.id in self.attachments


class HandClock:
    """The clocks of a host, which go only when they are told to, read as the agent reads the machine's.

    time: of the host's wall clock, epoch seconds. Put forward, so much time passes; put back, somebody sets the clock,
    because time does not go back.
    """

    def __init__(self, time: float = 1_000_000.0) -> None:
        self._wall, self._passed = time, 0.0
        self.begin()

    def begin(self) -> None:
        """Read the clocks as a new process does."""
        self._read = SystemClock(lambda: self._wall, lambda: self._passed)

    @property
    def time(self) -> float:
        return self._wall

    @time.setter
    def time(self, wall: float) -> None:
        self._passed += max(0.0, wall - self._wall)
        self._wall = wall

    def set(self, by: float) -> None:
        """Set the host's clock by so many seconds, forth or back, while no time passes."""
        self._wall += by

    def now(self) -> float:
        return self._read.now()

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Running:
    """A container's endpoint on one network."""

    network: "Network"
    endpoint_id: str
    address: str
    address6: str
    mac: str
    join: dict[str, Any]


@dataclass
class Network:
    """A network as dockerd stores it."""

    id: str
    pools: list[tuple[str, str, bool]]  # pool id, range, IPv6
    gateways: list[str]


@dataclass
class Sandboxes:
    """Sandboxes that remember what they were given, by namespace and device."""

    configs: dict[tuple[str, str], SandboxConfig] = field(default_factory=dict)

    async def configure(self, netns: str, name: str, config: SandboxConfig) -> None:
        self.configs[netns, name] = config

    async def verify(self, netns: str, name: str, config: SandboxConfig) -> list[str]:
        return [] if self.configs.get((netns, name)) == config else [f"{name} is not in {netns}"]


@dataclass
class Endpoints:
    """What dockerd has written down of endpoints, by network; silent: it does not answer."""

    known: dict[str, set[str]] = field(default_factory=dict)
    silent: bool = False

    async def owners(self, joined_id: str) -> set[str] | None:
        return None if self.silent else self.known.get(joined_id, set())


class Dockerd:
    """The commands of Docker's users, as RPCs to the agent of the host that this is."""

    client: TestClient[Any, Any]
    dataplane: PlugBoard
    endpoints: Endpoints

    async def behind(self, seconds: float = 0.0) -> None:
        """Let time pass, and the agent catch up."""
        raise NotImplementedError

    async def rpc(self, name: str, body: dict[str, Any] | bytes | None = None) -> dict[str, Any]:
        """Send one RPC. Raises DriverError with the line that the user would read."""
        data = {"data": body} if isinstance(body, bytes) else {"json": body or {}}
        async with self.client.post(f"/{name}", **data) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
        if response.status != 200:
            raise DriverError(answer["Err"])
        return answer

    async def network_create(
        self,
        subnet: str = "",
        *,
        subnet6: str = "",
        gateway: str = "",
        options: dict[str, str] | None = None,
        ipam_options: dict[str, str] | None = None,
        aux: tuple[str, ...] = (),
        ip_range: str = "",
        internal: bool = False,
        network_id: str = "",
    ) -> Network:
        """Run `docker network create -d fairlead --ipam-driver fairlead`; a failure takes back what was requested."""
        network = Network(network_id or uuid4().hex * 2, [], [])
        data: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        reserved: list[tuple[str, str]] = []
        wanted = [(subnet, ip_range, False), *([(subnet6, "", True)] if subnet6 else [])]
        try:
            spaces = await self.rpc("IpamDriver.GetDefaultAddressSpaces")
            space = spaces["LocalDefaultAddressSpace"]
            for cidr, part, v6 in wanted:
                pool = await self.rpc(
                    "IpamDriver.RequestPool",
                    {
                        "AddressSpace": space,
                        "Pool": cidr,
                        "SubPool": part,
                        "Options": ipam_options,
                        "V6": v6,
                    },
                )
                network.pools.append((pool["PoolID"], pool["Pool"], v6))
                given = pool["Data"].get("com.docker.network.gateway")
                if gateway or not given:
                    answer = await self.rpc(
                        "IpamDriver.RequestAddress",
                        {
                            "PoolID": pool["PoolID"],
                            "Address": "" if v6 else gateway,
                            "Options": {"RequestAddressType": "com.docker.network.gateway"},
                        },
                    )
                    given = answer["Address"]
                for address in () if v6 else aux:
                    await self.rpc("IpamDriver.RequestAddress", {"PoolID": pool["PoolID"], "Address": address})
                    reserved.append((pool["PoolID"], address))
                network.gateways.append(given)
                data[v6].append({"AddressSpace": space, "Pool": pool["Pool"], "Gateway": given})
            await self.rpc(
                "NetworkDriver.CreateNetwork",
                {
                    "NetworkID": network.id,
                    "Options": {
                        "com.docker.network.enable_ipv6": bool(subnet6),
                        "com.docker.network.generic": options or {},
                        **({"com.docker.network.internal": True} if internal else {}),
                    },
                    "IPv4Data": data[False],
                    "IPv6Data": data[True],
                },
            )
        except DriverError:
            for pool_id, address in reserved:
                await self.tried("IpamDriver.ReleaseAddress", {"PoolID": pool_id, "Address": address})
            await self._release_pools(network)
            raise
        return network

    async def network_rm(self, network: Network) -> None:
        """Run `docker network rm`, and let the keeper catch up."""
        errors = await self._release_pools(network)
        errors.append(await self.tried("NetworkDriver.DeleteNetwork", {"NetworkID": network.id}))
        _raise_first(errors)
        await self.behind()

    async def tried(self, name: str, body: dict[str, Any]) -> DriverError | None:
        """Send an RPC whose error dockerd logs, going on all the same; return that error."""
        try:
            await self.rpc(name, body)
        except DriverError as error:
            return error
        return None

    async def _release_pools(self, network: Network) -> list[DriverError | None]:
        gateways = zip(network.pools, network.gateways, strict=False)
        return [
            *[
                await self.tried("IpamDriver.ReleaseAddress", {"PoolID": pool_id, "Address": gateway.split("/")[0]})
                for (pool_id, _, _), gateway in gateways
            ],
            *[await self.tried("IpamDriver.ReleasePool", {"PoolID": pool_id}) for pool_id, _, _ in network.pools],
        ]

    async def run(
        self, network: Network, *, ip: str = "", ip6: str = "", mac: str = "", options: dict[str, Any] | None = None
    ) -> Running:
        """Run `docker run --network`. An IPv4 address whose IPv6 one is refused libnetwork never releases."""
        given: list[tuple[str, str, bool]] = []
        for pool_id, _, v6 in network.pools:
            answer = await self.rpc(
                "IpamDriver.RequestAddress", {"PoolID": pool_id, "Address": ip6 if v6 else ip, "Options": {}}
            )
            given.append((pool_id, answer["Address"], v6))
        return await self.connect(network, given, mac=mac, options=options)

    async def connect(
        self,
        network: Network,
        given: list[tuple[str, str, bool]],
        *,
        mac: str = "",
        options: dict[str, Any] | None = None,
    ) -> Running:
        """Do what follows for a container with addresses (pool id, address, IPv6); a failure takes them back.

        An endpoint that was not made libnetwork does not delete.
        """
        endpoint_id = uuid4().hex * 2
        address = next((one for _, one, v6 in given if not v6), "")
        address6 = next((one for _, one, v6 in given if v6), "")
        interface = {"Address": address, "AddressIPv6": address6, "MacAddress": mac}
        ids = {"NetworkID": network.id, "EndpointID": endpoint_id}
        try:
            created = await self.rpc(
                "NetworkDriver.CreateEndpoint", {**ids, "Interface": interface, "Options": options or {}}
            )
            self.endpoints.known.setdefault(network.id, set()).add(endpoint_id)
            try:
                joined = await self.rpc(
                    "NetworkDriver.Join",
                    {**ids, "SandboxKey": f"/var/run/docker/netns/{endpoint_id[:12]}", "Options": {}},
                )
            except DriverError:
                await self.tried("NetworkDriver.DeleteEndpoint", ids)
                self._forget(network.id, endpoint_id)
                raise
        except DriverError:
            for pool_id, one, _ in given:
                await self.tried("IpamDriver.ReleaseAddress", {"PoolID": pool_id, "Address": one.split("/")[0]})
            raise
        self.dataplane.away |= self._ports(joined["InterfaceName"]["SrcName"])
        mac = created.get("Interface", {}).get("MacAddress", mac)
        return Running(network, endpoint_id, address, address6, mac, joined)

    async def rm(self, container: Running, *, behind: bool = True) -> None:
        """Run `docker rm -f`; behind: and let the keeper catch up."""
        ids = {"NetworkID": container.network.id, "EndpointID": container.endpoint_id}
        errors = [await self.tried("NetworkDriver.Leave", ids)]
        self.dataplane.away -= self._ports(container.join["InterfaceName"]["SrcName"])
        errors.append(await self.tried("NetworkDriver.DeleteEndpoint", ids))
        self._forget(container.network.id, container.endpoint_id)
        for pool_id, _, v6 in container.network.pools:
            address = container.address6 if v6 else container.address
            released = {"PoolID": pool_id, "Address": address.split("/")[0]}
            errors.append(await self.tried("IpamDriver.ReleaseAddress", released))
        _raise_first(errors)
        if behind:
            await self.behind()

    def rm_unheard(self, container: Running) -> None:
        """Run `docker rm -f` while no agent answers: dockerd takes the device back, and forgets the rest."""
        self.dataplane.away -= self._ports(container.join["InterfaceName"]["SrcName"])
        self._forget(container.network.id, container.endpoint_id)

    def _forget(self, network_id: str, endpoint_id: str) -> None:
        self.endpoints.known.get(network_id, set()).discard(endpoint_id)

    def _ports(self, device: str) -> set[str]:
        return {one.id for one in self.dataplane.attachments.values() if one.sandbox_device == device}


def _raise_first(errors: Iterable[DriverError | None]) -> None:
    """Raise what dockerd only logs, so that no test overlooks it."""
    for error in errors:
        if error:
            raise error


Bind = Callable[[NeutronService, HandClock], Nesting]


class Host(Dockerd):
    """A host with an agent and a dockerd. `restart` gives it a new agent on the same file."""

    def __init__(
        self,
        name: str,
        config: CloudConfig,
        directory: Path,
        limits: PoolLimits = NO_POOL,
        bind: Bind = lambda _neutron, _clock: OnChassis(),
    ) -> None:
        self.name = name
        self.bind = bind
        self.limits = limits
        self.config = config
        self.directory = directory
        self.dataplane = PlugBoard(name)
        self.endpoints = Endpoints()
        self.clock = HandClock()
        self.observed: list[tuple[str, int]] = []

    async def start(self) -> None:
        self._stack = AsyncExitStack()
        self.store = SqliteStore(self.directory / self.name / "node.sqlite", (*KINDS, *docker_records.KINDS))
        self._stack.callback(self.store.close)
        self.clock.begin()
        bring_back(self.store, KINDS, self.clock.now())
        neutron = await self._stack.enter_async_context(
            NeutronService(self.config, connect_timeout=1.0, total_timeout=2.0)
        )
        nesting = self.bind(neutron, self.clock)
        node_id = node_identity(self.directory / self.name)
        self.node = Node(
            neutron, self.dataplane, self.store, PortTable(self.store), self.clock, node_id, nesting=nesting
        )
        self.sandboxes = Sandboxes()
        self.core = PortCore.over(self.node, self.limits, self.sandboxes, runtime=self.endpoints, random=lambda: 0.5)
        app = make_app(
            rpcs_over(self.store, self.core.networks, self.core.attachments, self.clock),
            prepare=self.core.rebuild.ensure,
            new_request_id=lambda: f"req-{uuid4()}",
            observe=lambda path, status, _: self.observed.append((path, status)),
        )
        self.client = await self._stack.enter_async_context(TestClient(TestServer(app)))

    async def stop(self) -> None:
        await self._stack.aclose()

    async def behind(self, seconds: float = 0.0) -> None:
        """Let time pass, and the keeper do all that is due then."""
        self.clock.time += seconds
        while await self.core.devices.step() or await self.core.keeper.step():
            pass

    async def patient(self, seconds: float, step: float = 15.0) -> None:
        """Let time pass, and the agent do all that it does behind, step by step."""
        for _ in range(int(seconds / step)):
            await self.core.reconciliation.step()
            await self.behind(step)

    async def restart(self) -> None:
        await self.stop()
        await self.start()
