"""`docker network create` and `rm`, on one host and on several."""

import asyncio
from ipaddress import ip_address, ip_network

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.frontends.docker.records import AddressPool
from fairlead.model.network import NewNetwork, NewSubnet
from fairlead.model.records import Allocation, JoinedNetwork
from fairlead_lab.fakes import FakeCloud
from tests.unit.docker.dockerd import DriverError, Host

SUBNET = "10.20.0.0/24"
WEB = {"neutron.net.name": "web"}


def names(cloud: FakeCloud) -> list[str]:
    return sorted(network["name"] for network in cloud.store.resources["networks"].values())


async def test_the_first_host_makes_network_and_subnet_in_few_calls(cloud: FakeCloud, h1: Host) -> None:
    await h1.node.network_service.view()
    await h1.core.rebuild.ensure()
    cloud.calls.clear()
    network = await h1.network_create(SUBNET, options=WEB, ipam_options=WEB)
    (made,) = cloud.store.resources["networks"].values()
    assert made["name"] == "web"
    assert set(made["tags"]) == {"fairlead", f"fairlead:host=h1:{h1.node.id}:{network.id[:12]}"}
    assert network.id[:12] in made["description"]
    assert [(call.method, call.path.split("/")[1]) for call in cloud.calls] == [
        ("GET", "networks"),
        ("GET", "networks"),
        ("POST", "networks"),
        ("PUT", "networks"),  # its tags
        ("GET", "networks"),
        ("GET", "networks"),
        ("POST", "subnets"),
        ("PUT", "subnets"),
        ("GET", "subnets"),
    ]


async def test_the_second_host_joins_what_the_first_made(cloud: FakeCloud, h1: Host, h2: Host) -> None:
    await h1.network_create(SUBNET, gateway="10.20.0.254")
    network = await h2.network_create(SUBNET)
    assert names(cloud) == ["fairlead-10.20.0.0-24"]
    assert network.gateways == ["10.20.0.254/24"]
    assert cloud.count("POST", "/networks") == cloud.count("POST", "/subnets") == 1


@pytest.mark.parametrize("options", [{}, WEB])
async def test_hosts_that_create_at_once_share_one_network(
    cloud: FakeCloud, h1: Host, h2: Host, options: dict[str, str]
) -> None:
    cloud.latency = 0.01
    await asyncio.gather(*(host.network_create(SUBNET, options=options, ipam_options=options) for host in (h1, h2)))
    assert len(cloud.store.resources["networks"]) == 1
    assert len(cloud.store.resources["subnets"]) == 1


async def test_the_last_host_out_deletes_the_network(cloud: FakeCloud, h1: Host, h2: Host) -> None:
    first, second = await h1.network_create(SUBNET), await h2.network_create(SUBNET)
    await h1.network_rm(first)
    assert len(cloud.store.resources["networks"]) == 1
    await h2.network_rm(second)
    assert not cloud.store.resources["networks"]
    assert not cloud.store.resources["subnets"]
    for host in (h1, h2):
        assert not [*host.store.all(AddressPool), *host.store.all(JoinedNetwork), *host.store.all(Allocation)]


async def test_a_network_that_was_there_is_adopted_and_never_changed_or_deleted(cloud: FakeCloud, h1: Host) -> None:
    service = h1.node.network_service
    theirs = await service.create_network(NewNetwork("web"))
    await service.create_subnet(NewSubnet(theirs.id, ip_network(SUBNET), ip_address("10.20.0.1")))
    network = await h1.network_create(ipam_options=WEB, options=WEB)
    assert network.pools[0][1] == SUBNET
    container = await h1.run(network)
    await h1.rm(container)
    await h1.network_rm(network)
    (left,) = cloud.store.resources["networks"].values()
    assert left["tags"] == []
    assert not cloud.store.resources["ports"]


async def test_the_option_for_the_network_alone_is_enough(cloud: FakeCloud, h1: Host) -> None:
    await h1.network_create(SUBNET, options=WEB)
    assert names(cloud) == ["web"]


async def test_two_networks_of_one_range_are_two_when_they_have_names(cloud: FakeCloud, h1: Host) -> None:
    for name in ("red", "blue"):
        option = {"neutron.net.name": name}
        await h1.network_create(SUBNET, options=option, ipam_options=option)
    assert names(cloud) == ["blue", "red"]


async def test_auxiliary_addresses_are_kept_out_of_the_allocation_pools(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create("10.20.0.0/29", aux=("10.20.0.2", "10.20.0.3"))
    given = [(await h1.run(network)).address for _ in range(3)]
    assert sorted(given) == ["10.20.0.4/29", "10.20.0.5/29", "10.20.0.6/29"]
    with pytest.raises(DriverError, match=r"free address|addresses"):
        await h1.run(network)


async def test_an_ip_range_is_what_neutron_picks_from_and_the_rest_is_the_users(
    cloud: FakeCloud, h1: Host, h2: Host
) -> None:
    for host in (h1, h2):
        reserved = ("10.20.0.130",) if host is h1 else ()
        network = await host.network_create(SUBNET, ip_range="10.20.0.128/25", aux=reserved)
    (subnet,) = cloud.store.resources["subnets"].values()
    assert subnet["gateway_ip"] == "10.20.0.1"
    assert subnet["allocation_pools"] == [
        {"start": "10.20.0.128", "end": "10.20.0.129"},
        {"start": "10.20.0.131", "end": "10.20.0.254"},
    ]
    assert int((await h2.run(network)).address.split("/")[0].split(".")[3]) >= 128
    assert (await h2.run(network, ip="10.20.0.5")).address == "10.20.0.5/24"


async def test_a_repeated_create_is_the_same_network(cloud: FakeCloud, h1: Host) -> None:
    first = await h1.network_create(SUBNET)
    await h1.rpc(
        "NetworkDriver.CreateNetwork",
        {"NetworkID": first.id, "IPv4Data": [{"AddressSpace": "fairlead-local", "Pool": SUBNET}]},
    )
    assert len(cloud.store.resources["networks"]) == 1


async def test_security_groups_are_found_by_name(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET, options={"neutron.security_groups": "default"})
    await h1.run(network)
    with pytest.raises(DriverError, match="no security groups are named 'nosuch'"):
        await h1.network_create("10.21.0.0/24", options={"neutron.security_groups": "default, nosuch"})
    assert len(cloud.store.resources["networks"]) == 1


async def test_a_network_is_left_though_nobody_told_of_a_containers_end(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await h1.run(network)
    with pytest.raises(DriverError, match="has endpoints"):
        await h1.network_rm(network)
    h1.dataplane.away.clear()  # its namespace is gone, and dockerd's word of it came while no agent was there
    await h1.network_rm(network)
    assert h1.dataplane.attachments == {}
    assert names(cloud) == []
    assert not cloud.store.resources["ports"]


async def share(cloud: FakeCloud, name: str) -> str:
    """Share another project's network of a name with everybody, and return its id."""
    async with NeutronService(cloud.credentials("member", "other")) as other:
        made = await other.create_network(NewNetwork(name))
        await other.create_subnet(NewSubnet(made.id, ip_network(SUBNET), ip_network(SUBNET)[1]))
    cloud.store.resources["networks"][made.id]["shared"] = True
    return made.id


async def test_a_name_is_one_of_the_projects_own_networks_whatever_others_share(cloud: FakeCloud, h1: Host) -> None:
    shared = await share(cloud, "web")
    network = await h1.network_create(SUBNET, options=WEB, ipam_options=WEB)
    assert h1.core.networks.get(network.id).network_id != shared
    assert len(cloud.store.resources["networks"]) == 2


async def test_several_shared_networks_of_a_name_keep_nobody_from_having_one(cloud: FakeCloud, h1: Host) -> None:
    shared = {await share(cloud, "web") for _ in range(2)}
    network = await h1.network_create(SUBNET, options=WEB, ipam_options=WEB)
    assert h1.core.networks.get(network.id).network_id not in shared


async def test_a_network_that_another_project_shares_is_named_by_its_id(cloud: FakeCloud, h1: Host) -> None:
    shared = await share(cloud, "web")
    with pytest.raises(DriverError, match=f"another project's.*neutron.net.uuid={shared}"):
        await h1.network_create(ipam_options=WEB, options=WEB)
    by_id = {"neutron.net.uuid": shared}
    network = await h1.network_create(ipam_options=by_id, options=by_id)
    assert h1.core.networks.get(network.id).network_id == shared
