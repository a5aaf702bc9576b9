"""A whole agent on an instance of the fake cloud's: its doors on real sockets, its kernel a pretence."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any, Self, cast

import aiohttp
import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.agent.run import serve
from fairlead.agent.service_manager import ServiceManager
from fairlead.agent.settings import AgentSettings, CloudSettings, FlannelSettings, PoolSettings, Settings
from fairlead.agent.wiring import wire_agent
from fairlead.model.network import FixedIP, NewNetwork, NewPort, NewSubnet, Port
from fairlead.ports.routing import Nic
from fairlead_lab.fakes import FakeCloud
from tests.ports import create_port
from tests.unit.blocks.nodes import Kernel, RuleBook
from tests.unit.docker.dockerd import Dockerd, Endpoints, PlugBoard
from tests.unit.docker.instance import CIDR

PART, RANGE = "10.100.1.0/24", "10.100.0.0/16"


class Board(PlugBoard):
    """A data plane that may be closed, as a NIC's is."""

    async def close(self) -> None:
        """Nothing is open."""


class Docker(Dockerd):
    """Docker's commands at the agent's socket. What is done behind, the agent does itself."""

    def __init__(self, client: aiohttp.ClientSession, dataplane: PlugBoard) -> None:
        self.client, self.dataplane, self.endpoints = cast(Any, client), dataplane, Endpoints()

    async def behind(self, seconds: float = 0.0) -> None:
        """Let the agent be."""


class Running:
    """An agent at work. doors, tasks: their names. heard: the test knows how the agent ended."""

    def __init__(self, settings: Settings, board: Board, kernel: Kernel, stop: asyncio.Event) -> None:
        self.settings, self.board, self.kernel, self.stop = settings, board, kernel, stop
        self.doors: list[str] = []
        self.tasks: list[str] = []
        self.serving: asyncio.Task[None]
        self.heard = False
        self.docker = Docker(_session(settings.agent.socket), board)
        self.flannel_session = _session(settings.flannel.socket)

    async def flannel(self, command: str, **body: str) -> dict[str, Any]:
        """Run one of flannel's commands."""
        async with self.flannel_session.post(f"/flannel/{command}", json=body) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status == 200, answer
            return answer

    async def hold_lease(self, port: Port) -> None:
        """Come up as flanneld does."""
        await self.flannel("pre-startup")
        address = str(port.fixed_ips[0].address)
        await self.flannel("post-startup", NETWORK=RANGE, SUBNET=PART, PUBLIC_IP=address)

    async def metrics(self, door: str = "docker") -> str:
        """Read the counters at a door."""
        session = cast(Any, self.docker.client) if door == "docker" else self.flannel_session
        async with session.get("/metrics") as response:
            return str(await response.text())

    async def ended(self) -> None:
        """Wait until the agent ends by itself. Raises what ended it."""
        self.heard = True
        async with asyncio.timeout(20):
            await asyncio.shield(self.serving)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await cast(Any, self.docker.client).close()
        await self.flannel_session.close()


def _session(path: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession("http://agent", connector=aiohttp.UnixConnector(path))


async def instance_port(cloud: FakeCloud, *, trunk: bool = False) -> Port:
    """Make the port of an instance on a network of its own, behind a router."""
    member = cloud.credentials("member")
    async with NeutronService(member) as neutron:
        network = await neutron.create_network(NewNetwork("instances"))
        cidr = ip_network(CIDR)
        subnet = await neutron.create_subnet(NewSubnet(network.id, cidr, cidr[1]))
        new = NewPort(network.id, (FixedIP(subnet.id),), "i1", device_owner="compute:nova")
        port = await create_port(neutron, new)
    cloud.store.resources["ports"][port.id]["status"] = "ACTIVE"
    if trunk:
        async with NeutronClient(member) as client:
            await client.call("POST", "/trunks", body=msgspec.json.encode({"trunk": {"port_id": port.id}}))
    return port


def settings_of(folder: Path, mode: str, doors: Sequence[str]) -> Settings:
    """Settings of an agent that makes no ports ahead."""
    return Settings(
        cloud=CloudSettings(name="demo", connect_timeout=1.0, timeout=2.0),
        agent=AgentSettings(
            mode=mode,  # type: ignore[arg-type]  # a literal
            doors=tuple(doors),
            socket=str(folder / "docker.sock"),
            state_dir=str(folder / "state"),
            host="i1",
        ),
        flannel=FlannelSettings(socket=str(folder / "flannel.sock")),
        pool=PoolSettings(floor=0, ceiling=0, cool_down=0.0),
    )


@asynccontextmanager
async def running_agent(
    cloud: FakeCloud, port: Port, settings: Settings, patch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    """Serve an agent on an instance, until the block ends."""
    folder = Path(settings.agent.state_dir).parent
    cloud.write_clouds_yaml(folder / "clouds.yaml")
    addresses = tuple(ip_interface(f"{fixed.address}/24") for fixed in port.fixed_ips)
    board, kernel = Board("i1"), Kernel(Nic("eth0", port.mac, 1442, addresses))
    for module in ("leases", "modes"):
        patch.setattr(f"fairlead.agent.{module}.KernelRoutes", lambda: kernel)
    for module in ("leases", "routed"):
        patch.setattr(f"fairlead.agent.{module}.become_router", lambda _nic: None)
    patch.setattr("fairlead.agent.modes.NicDataplane", lambda *_args, **_more: board)
    patch.setattr("fairlead.agent.routed.RoutedDataplane", lambda **_more: board)
    patch.setattr("fairlead.agent.routed.NftGuard", lambda _openings: RuleBook())
    # One node does not wait for others to make the group.
    patch.setattr("fairlead.core.blocks.port_security.GROUP_SPREAD", 0.0)
    environ, stop = {"OS_CLIENT_CONFIG_FILE": str(folder / "clouds.yaml")}, asyncio.Event()
    async with wire_agent(settings, environ) as agent, Running(settings, board, kernel, stop) as running:
        running.doors = [door.name for door in agent.doors]
        running.tasks = [task.name for task in agent.tasks]
        serving = running.serving = asyncio.create_task(serve(agent, stop, {}, ServiceManager()))
        await until(lambda: serving.done() or all(door.socket.is_socket() for door in agent.doors))
        yield running
        stop.set()
        if not running.heard:
            await serving


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that the agent does behind."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # what is waited for rings nothing
            await asyncio.sleep(0.01)
