"""Two clouds, one suite: the fake in memory, and a real Keystone and Neutron."""

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
from keystoneauth1.loading import get_plugin_loader
from keystoneauth1.session import Session

from fairlead.adapters.neutron import CloudConfig, NeutronService, find_cloud
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.tokens import fetch_token
from fairlead.model.network import Network, NewNetwork, NewSubnet, Subnet
from fairlead_lab import Lab
from fairlead_lab.fakes import FakeCloud

HOW_TO_GET_A_CLOUD = (
    "the real tier needs a cloud: run `fairlead lab up` and set FAIRLEAD_LAB to its name, or set "
    "FAIRLEAD_CONTRACT_CLOUDS to a clouds.yaml with the clouds `demo` and `admin`"
)


@dataclass(frozen=True, slots=True)
class Cloud:
    """Credentials for one cloud: member and service in one project, admin in another."""

    member: CloudConfig
    service: CloudConfig
    admin: CloudConfig
    project_id: str


@asynccontextmanager
async def fake_cloud(*, tags_while_creating: bool) -> AsyncIterator[Cloud]:
    async with FakeCloud(tags_while_creating=tags_while_creating) as cloud:
        yield Cloud(
            member=cloud.credentials("member"),
            service=cloud.credentials("service"),
            admin=cloud.credentials("admin", project="other"),
            project_id=cloud.project_id(),
        )


@pytest.fixture(scope="session")
def clouds_yaml(request: pytest.FixtureRequest) -> Path:
    """The file that FAIRLEAD_CONTRACT_CLOUDS names, else that of the lab FAIRLEAD_LAB names, else the session's."""
    if named := os.environ.get("FAIRLEAD_CONTRACT_CLOUDS"):
        path = Path(named)
    elif lab := os.environ.get("FAIRLEAD_LAB"):
        path = Lab.load(lab).clouds_yaml
    else:
        try:
            path = request.getfixturevalue("lab").clouds_yaml
        except pytest.FixtureLookupError:
            pytest.fail(HOW_TO_GET_A_CLOUD)
    if not path.is_file():
        pytest.fail(f"{path} is not there; {HOW_TO_GET_A_CLOUD}")
    return path


@pytest.fixture(scope="session")
def real_cloud(clouds_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A real cloud, with a user of the role `service` made in the member's project for the session."""
    environ = {"OS_CLIENT_CONFIG_FILE": str(clouds_yaml), "HOME": str(tmp_path_factory.mktemp("home"))}
    member, admin = find_cloud("demo", environ=environ), find_cloud("admin", environ=environ)
    project_id = fetch_token(member, 10.0).project_id
    keystone = Session(auth=get_plugin_loader(admin.auth_type).load_from_options(**admin.auth))
    with service_user(keystone, admin.auth_url, project_id) as credentials:
        service = replace(admin, auth_type="password", auth=credentials, source="the contract suite")
        yield Cloud(member=member, service=service, admin=admin, project_id=project_id)
    keystone.session.close()


@contextmanager
def service_user(keystone: Session, url: str, project_id: str) -> Iterator[dict[str, str]]:
    """A user with the roles `service` and `member` in a project, and what it signs in with."""
    name, password = f"fairlead-contract-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    user = keystone.post(f"{url}/users", json={"user": {"name": name, "password": password}}).json()["user"]
    try:
        for role in ("service", "member"):
            (known,) = keystone.get(f"{url}/roles?name={role}").json()["roles"]
            keystone.put(f"{url}/projects/{project_id}/users/{user['id']}/roles/{known['id']}")
        yield {"auth_url": url, "user_id": user["id"], "password": password, "project_id": project_id}
    finally:
        keystone.delete(f"{url}/users/{user['id']}")


@pytest.fixture(params=["fake", "fake without tags while creating", pytest.param("real", marks=pytest.mark.real)])
async def cloud(request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    """A cloud. The real one takes tags with a port or does not, as the lab was made: `make test-untagged`."""
    if request.param == "real":
        yield request.getfixturevalue("real_cloud")
        return
    async with fake_cloud(tags_while_creating=request.param == "fake") as cloud:
        yield cloud


@pytest.fixture
async def neutron(cloud: Cloud) -> AsyncIterator[NeutronService]:
    """Neutron as an ordinary member."""
    async with NeutronService(cloud.member) as service:
        yield service


@pytest.fixture
async def as_service(cloud: Cloud) -> AsyncIterator[NeutronService]:
    """Neutron as the role that may bind."""
    async with NeutronService(cloud.service) as service:
        yield service


@dataclass
class Operator:
    """What an administrator does around the tests, and undoes after them."""

    client: NeutronClient
    project_id: str
    made: list[str] = field(default_factory=list)
    limited: bool = False

    async def limit(self, **limits: int) -> None:
        """Set the quota of the tests' project, to not less than it uses."""
        body = msgspec.json.encode({"quota": limits})
        await self.client.call("PUT", f"/quotas/{self.project_id}", body=body)
        self.limited = True

    async def used(self, resource: str) -> int:
        """Say how many of a resource the tests' project has."""
        body = await self.client.call("GET", f"/quotas/{self.project_id}/details.json")
        used: int = msgspec.json.decode(body)["quota"][resource]["used"]
        return used

    async def make(self, resource: str, attributes: dict[str, Any]) -> str:
        """Make something in the administrator's own project and give its id."""
        path = f"/{resource.replace('_', '-')}s"
        body = await self.client.call("POST", path, body=msgspec.json.encode({resource: attributes}))
        made_id: str = msgspec.json.decode(body)[resource]["id"]
        self.made.append(f"{path}/{made_id}")
        return made_id

    async def share(self, cidr: str) -> tuple[str, str]:
        """Make a network with a subnet that every project may use, and give the ids of both."""
        network_id = await self.make("network", {"name": "contract-shared", "shared": True})
        wanted = {"network_id": network_id, "cidr": cidr, "ip_version": 4, "enable_dhcp": False}
        return network_id, await self.make("subnet", wanted)

    async def undo_limits(self) -> None:
        if self.limited:
            await self.client.call("DELETE", f"/quotas/{self.project_id}")
            self.limited = False

    async def undo(self) -> None:
        await self.undo_limits()
        for path in reversed(self.made):
            await self.client.call("DELETE", path)


@pytest.fixture
async def operator(cloud: Cloud) -> AsyncIterator[Operator]:
    async with NeutronClient(cloud.admin) as client:
        operator = Operator(client, cloud.project_id)
        yield operator
        await operator.undo()


MakeNetwork = Callable[..., Awaitable[Network]]
MakeSubnet = Callable[..., Awaitable[Subnet]]
MakeRouter = Callable[..., Awaitable[str]]


@pytest.fixture
async def make_network(neutron: NeutronService, operator: Operator) -> AsyncIterator[MakeNetwork]:
    """Makes networks that go after the test, with all that is on them."""
    made: list[str] = []

    async def make(name: str = "", *, tags: frozenset[str] = frozenset()) -> Network:
        network = await neutron.create_network(NewNetwork(name or f"contract-{uuid.uuid4().hex[:8]}", tags=tags))
        made.append(network.id)
        return network

    yield make
    for network_id in made:
        for port in await neutron.find_ports(network_id=network_id):
            await neutron.delete_port(port.id)
        await neutron.delete_network(network_id)


@pytest.fixture
def make_subnet(neutron: NeutronService) -> MakeSubnet:
    """Makes subnets, which go with their network."""

    async def make(network: Network, cidr: str = "10.20.0.0/24", *, gateway: str = "") -> Subnet:
        return await neutron.create_subnet(
            NewSubnet(network.id, ip_network(cidr), ip_address(gateway) if gateway else None)
        )

    return make


@pytest.fixture
async def network(make_network: MakeNetwork) -> Network:
    return await make_network()


@pytest.fixture
async def subnet(network: Network, make_subnet: MakeSubnet) -> Subnet:
    return await make_subnet(network, gateway="10.20.0.1")


@pytest.fixture
async def make_router(cloud: Cloud, make_network: MakeNetwork, operator: Operator) -> AsyncIterator[MakeRouter]:
    """Makes the member's routers with interfaces on subnets, gives their ids, and takes them away after the test."""
    async with NeutronClient(cloud.member) as client:
        made: list[tuple[str, str]] = []

        async def put(router_id: str, action: str, body: Any) -> None:
            await client.call("PUT", f"/routers/{router_id}/{action}", body=msgspec.json.encode(body))

        async def make(*subnets: Subnet, name: str = "") -> str:
            body = await client.call("POST", "/routers", body=msgspec.json.encode({"router": {"name": name}}))
            router_id: str = msgspec.json.decode(body)["router"]["id"]
            made.append((router_id, ""))
            for subnet in subnets:
                await put(router_id, "add_router_interface", {"subnet_id": subnet.id})
                made.append((router_id, subnet.id))
            return router_id

        yield make
        # A limit below what a router has would forbid to take routes away.
        await operator.undo_limits()
        for router_id, subnet_id in reversed(made):
            await client.call("PUT", f"/routers/{router_id}", body=b'{"router": {"routes": []}}')
            if subnet_id:
                await put(router_id, "remove_router_interface", {"subnet_id": subnet_id})
            else:
                await client.call("DELETE", f"/routers/{router_id}")
