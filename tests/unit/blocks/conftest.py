"""A cloud with two subnets behind one router, and instances on them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.model.network import NewNetwork, NewSubnet
from fairlead_lab.fakes import FakeCloud
from tests.unit.blocks.nodes import Instance, nova_port

Launch = Callable[..., Awaitable[Instance]]


class Site:
    """Two networks of the project's own, each with a subnet of both families, and one router on all of them."""

    def __init__(self, cloud: FakeCloud, owner: NeutronService) -> None:
        self.cloud, self.owner = cloud, owner
        self.networks: list[tuple[str, list[str]]] = []
        self.router_id = ""

    async def build(self) -> None:
        made = json.loads(await self.owner._client.call("POST", "/routers", body=b'{"router": {"name": "r"}}'))
        self.router_id = made["router"]["id"]
        for number in (30, 31):
            network = await self.owner.create_network(NewNetwork(f"instances-{number}"))
            subnet_ids = []
            for cidr in (f"10.{number}.0.0/24", f"fd00:{number}::/64"):
                range_ = ip_network(cidr)
                subnet = await self.owner.create_subnet(NewSubnet(network.id, range_, range_[1]))
                subnet_ids.append(subnet.id)
                body = json.dumps({"subnet_id": subnet.id}).encode()
                await self.owner._client.call("PUT", f"/routers/{self.router_id}/add_router_interface", body=body)
            self.networks.append((network.id, subnet_ids))

    async def routes(self) -> set[tuple[str, str]]:
        """The router's extra routes."""
        (router,) = await self.owner.find_routers(self.networks[0][1])
        return {(str(route.destination), str(route.nexthop)) for route in router.routes}


@pytest.fixture
async def cloud() -> AsyncIterator[FakeCloud]:
    async with FakeCloud() as cloud:
        yield cloud


@pytest.fixture
async def site(cloud: FakeCloud) -> AsyncIterator[Site]:
    async with NeutronService(cloud.credentials("member"), connect_timeout=1.0, total_timeout=2.0) as owner:
        site = Site(cloud, owner)
        await site.build()
        yield site


@pytest.fixture
async def launch(cloud: FakeCloud, site: Site, tmp_path: Path) -> AsyncIterator[Launch]:
    """Launch instance N, on the first of two networks or on the second."""
    async with AsyncExitStack() as running:

        async def launch(number: int, *, network: int = 0) -> Instance:
            network_id, subnet_ids = site.networks[network]
            host = 30 + network
            new = nova_port(network_id, subnet_ids, [f"10.{host}.0.{number + 10}", f"fd00:{host}::{number + 10}"])
            (port,) = await site.owner.create_ports([new])
            instance = Instance(number, port, {4: 24, 6: 64}, cloud.credentials("member"), tmp_path)
            await instance.start()
            running.push_async_callback(instance.stop)
            return instance

        yield launch
