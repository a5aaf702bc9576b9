"""Routers and their extra routes, as the protocol promises them, on the fake and on a real Neutron."""

import asyncio
import uuid
from ipaddress import ip_address, ip_network

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.errors import AnswerError
from fairlead.model.errors import InvalidInput, NotFound, QuotaExceeded, StillInUse
from fairlead.model.network import FixedIP, HostRoute, Network, NewPort, Subnet
from tests.contract.conftest import Cloud, MakeRouter, MakeSubnet, Operator
from tests.ports import create_port


def route(destination: str, nexthop: str = "10.20.0.7") -> HostRoute:
    return HostRoute(ip_network(destination), ip_address(nexthop))


ONE, TWO, THREE = route("10.5.1.0/24"), route("10.5.2.0/24", "10.20.0.8"), route("10.5.3.0/24", "10.20.0.9")


async def test_routers_are_found_by_the_subnets_they_are_on(
    neutron: NeutronService, network: Network, make_subnet: MakeSubnet, make_router: MakeRouter
) -> None:
    first = await make_subnet(network, "10.20.0.0/24", gateway="10.20.0.1")
    second = await make_subnet(network, "10.21.0.0/24", gateway="10.21.0.1")
    third = await make_subnet(network, "10.22.0.0/24", gateway="10.22.0.1")
    alone = await make_subnet(network, "10.23.0.0/24", gateway="10.23.0.1")
    both, other = await make_router(first, second, name="both"), await make_router(third)
    assert [(found.id, found.name, found.routes) for found in await neutron.find_routers([first.id, second.id])] == [
        (both, "both", ())
    ]
    assert {found.id for found in await neutron.find_routers([second.id, third.id, alone.id])} == {both, other}
    assert await neutron.find_routers([alone.id]) == []
    assert await neutron.find_routers([]) == []
    assert await neutron.find_routers([str(uuid.uuid4())]) == []


async def test_a_router_of_both_families_is_found_by_either(
    neutron: NeutronService, network: Network, make_subnet: MakeSubnet, make_router: MakeRouter
) -> None:
    four = await make_subnet(network, "10.20.0.0/24", gateway="10.20.0.1")
    six = await make_subnet(network, "fd00:20::/64", gateway="fd00:20::1")
    router_id = await make_router(four, six)
    routes = [ONE, route("fd00:5:0:1::/64", "fd00:20::7")]
    added = await neutron.add_routes(router_id, routes)
    assert set(added.routes) == set(routes)
    for subnet in (four, six):
        assert [set(found.routes) for found in await neutron.find_routers([subnet.id])] == [set(routes)]


async def test_a_port_that_only_says_it_belongs_to_something_is_no_router(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    await create_port(
        neutron, NewPort(network.id, (FixedIP(subnet.id),), device_id="i-1", device_owner="fairlead:test")
    )
    assert await neutron.find_routers([subnet.id]) == []


async def test_another_projects_router_is_not_found(
    neutron: NeutronService, as_service: NeutronService, cloud: Cloud, operator: Operator
) -> None:
    _, subnet_id = await operator.share("10.30.0.0/24")
    router_id = await operator.make("router", {"name": "contract-shared"})
    body = msgspec.json.encode({"subnet_id": subnet_id})
    await operator.client.call("PUT", f"/routers/{router_id}/add_router_interface", body=body)
    try:
        for service in (neutron, as_service):
            assert await service.find_routers([subnet_id]) == []
            with pytest.raises(NotFound):
                await service.add_routes(router_id, [ONE])
        async with NeutronService(cloud.admin) as admin:
            assert [found.id for found in await admin.find_routers([subnet_id])] == [router_id]
    finally:
        await operator.client.call("PUT", f"/routers/{router_id}/remove_router_interface", body=body)


async def test_a_member_can_not_put_a_router_on_a_subnet_that_is_shared_with_everyone(
    cloud: Cloud, make_router: MakeRouter, operator: Operator
) -> None:
    _, subnet_id = await operator.share("10.30.0.0/24")
    router_id = await make_router()
    body = msgspec.json.encode({"subnet_id": subnet_id})
    async with NeutronClient(cloud.member) as client:
        with pytest.raises(AnswerError, match="HTTP 400 BadRequest"):
            await client.exchange("PUT", f"/routers/{router_id}/add_router_interface", body=body)


async def test_a_member_adds_routes_beside_those_that_are_there(
    neutron: NeutronService, subnet: Subnet, make_router: MakeRouter
) -> None:
    router_id = await make_router(subnet)
    first = await neutron.add_routes(router_id, [ONE])
    assert (first.id, first.routes) == (router_id, (ONE,))
    assert set((await neutron.add_routes(router_id, [TWO, THREE])).routes) == {ONE, TWO, THREE}
    (found,) = await neutron.find_routers([subnet.id])
    assert set(found.routes) == {ONE, TWO, THREE}


async def test_routes_are_added_and_removed_twice_without_harm(
    neutron: NeutronService, subnet: Subnet, make_router: MakeRouter
) -> None:
    router_id = await make_router(subnet)
    for _ in range(2):
        assert set((await neutron.add_routes(router_id, [ONE, TWO])).routes) == {ONE, TWO}
    for _ in range(2):
        assert (await neutron.remove_routes(router_id, [ONE, THREE])).routes == (TWO,)
    assert (await neutron.add_routes(router_id, [])).routes == (TWO,)


async def test_a_second_next_hop_is_added_to_the_first_and_removed_alone(
    neutron: NeutronService, subnet: Subnet, make_router: MakeRouter
) -> None:
    router_id = await make_router(subnet)
    other = HostRoute(ONE.destination, ip_address("10.20.0.99"))
    await neutron.add_routes(router_id, [ONE])
    assert set((await neutron.add_routes(router_id, [other])).routes) == {ONE, other}
    assert (await neutron.remove_routes(router_id, [ONE])).routes == (other,)


async def test_ten_who_add_and_remove_at_once_do_not_lose_each_others_routes(
    neutron: NeutronService, subnet: Subnet, make_router: MakeRouter
) -> None:
    router_id = await make_router(subnet)
    old = [route(f"10.6.{number}.0/24") for number in range(5)]
    new = [route(f"10.5.{number}.0/24") for number in range(5)]
    await neutron.add_routes(router_id, old)
    await asyncio.gather(
        *(neutron.add_routes(router_id, [one]) for one in new),
        *(neutron.remove_routes(router_id, [one]) for one in old),
    )
    (found,) = await neutron.find_routers([subnet.id])
    assert set(found.routes) == set(new)


@pytest.mark.parametrize(("nexthop", "reason"), [("10.99.0.7", "not connected"), ("10.20.0.1", "used by router")])
async def test_a_next_hop_that_is_no_neighbour_of_the_router_is_refused_and_nothing_is_added(
    neutron: NeutronService, subnet: Subnet, make_router: MakeRouter, nexthop: str, reason: str
) -> None:
    router_id = await make_router(subnet)
    with pytest.raises(InvalidInput, match=f"{router_id} does not take the routes: the nexthop is {reason}"):
        await neutron.add_routes(router_id, [ONE, route("10.5.9.0/24", nexthop)])
    (found,) = await neutron.find_routers([subnet.id])
    assert found.routes == ()


async def test_more_routes_than_a_router_may_have_are_refused_with_the_limit_that_is_to_be_raised(
    neutron: NeutronService, subnet: Subnet, make_router: MakeRouter, operator: Operator
) -> None:
    router_id = await make_router(subnet)
    await operator.limit(router_route=2)
    await neutron.add_routes(router_id, [ONE])
    with pytest.raises(QuotaExceeded, match=r"quota router_route \(2\) allows: .* raise the quota router_route"):
        await neutron.add_routes(router_id, [TWO, THREE])
    assert set((await neutron.add_routes(router_id, [TWO])).routes) == {ONE, TWO}


async def test_a_limit_below_what_a_router_has_forbids_to_remove_routes_unless_it_is_met(
    neutron: NeutronService, subnet: Subnet, make_router: MakeRouter, operator: Operator
) -> None:
    router_id = await make_router(subnet)
    await neutron.add_routes(router_id, [ONE, TWO, THREE])
    await operator.limit(router_route=1)
    with pytest.raises(QuotaExceeded, match="quota router_route"):
        await neutron.remove_routes(router_id, [THREE])
    assert (await neutron.remove_routes(router_id, [TWO, THREE])).routes == (ONE,)


async def test_a_router_that_does_not_exist_takes_no_routes(neutron: NeutronService) -> None:
    router_id = str(uuid.uuid4())
    for change in (neutron.add_routes, neutron.remove_routes):
        with pytest.raises(NotFound, match=router_id):
            await change(router_id, [ONE])


async def test_the_port_of_a_router_is_not_deleted_as_other_ports_are(
    neutron: NeutronService, subnet: Subnet, make_router: MakeRouter
) -> None:
    router_id = await make_router(subnet)
    (interface,) = await neutron.find_ports(device_id=router_id)
    assert (interface.device_owner, interface.port_security, interface.security_group_ids) == (
        "network:router_interface",
        False,
        (),
    )
    with pytest.raises(StillInUse):
        await neutron.delete_port(interface.id)


async def test_an_interface_that_a_route_needs_stays(
    cloud: Cloud, neutron: NeutronService, subnet: Subnet, make_router: MakeRouter
) -> None:
    router_id = await make_router(subnet)
    await neutron.add_routes(router_id, [ONE])
    body = msgspec.json.encode({"subnet_id": subnet.id})
    async with NeutronClient(cloud.member) as client:
        with pytest.raises(AnswerError, match="HTTP 409 RouterInterfaceInUseByRoute"):
            await client.exchange("PUT", f"/routers/{router_id}/remove_router_interface", body=body)
        with pytest.raises(AnswerError, match="HTTP 409 RouterInUse"):
            await client.exchange("DELETE", f"/routers/{router_id}")
