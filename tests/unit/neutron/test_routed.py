"""What routed mode asks of Neutron where the cloud lacks something, or fails in the middle."""

from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.model.errors import (
    CloudUnavailable,
    Conflict,
    PermissionDenied,
    QuotaExceeded,
    UnsupportedRequest,
)
from fairlead.model.network import (
    AddressPair,
    FixedIP,
    HostRoute,
    NewNetwork,
    NewPort,
    NewSecurityGroup,
    NewSubnet,
    PortChange,
    Subnet,
)
from fairlead_lab.fakes import FakeCloud, Fault
from fairlead_lab.fakes.record import How
from tests.ports import create_port

ROUTE = HostRoute(ip_network("10.5.1.0/24"), ip_address("10.20.0.7"))
PAIR = AddressPair(ip_network("10.5.1.0/24"))
NEW = NewSecurityGroup("pods", tags=frozenset({"fairlead"}), ingress=(ip_network("10.5.0.0/16"),))


@pytest.fixture
async def subnet(neutron: NeutronService) -> Subnet:
    network = await neutron.create_network(NewNetwork("nodes"))
    return await neutron.create_subnet(NewSubnet(network.id, ip_network("10.20.0.0/24"), ip_address("10.20.0.1")))


async def make_router(cloud: FakeCloud, subnet: Subnet) -> str:
    """A router of the project's on the subnet, by its id."""
    async with NeutronClient(cloud.credentials()) as client:
        made = await client.call("POST", "/routers", body=b'{"router": {"name": "r"}}')
        router_id: str = msgspec.json.decode(made)["router"]["id"]
        body = msgspec.json.encode({"subnet_id": subnet.id})
        await client.call("PUT", f"/routers/{router_id}/add_router_interface", body=body)
    return router_id


async def test_without_single_routes_a_change_is_refused_before_neutron_is_asked(
    cloud: FakeCloud, neutron: NeutronService
) -> None:
    cloud.neutron.extensions.discard("extraroute-atomic")
    for change in (neutron.add_routes, neutron.remove_routes):
        with pytest.raises(UnsupportedRequest, match="extraroute-atomic"):
            await change("r", [ROUTE])
    assert cloud.count("PUT") == 0


async def test_where_no_router_is_on_the_subnets_no_routers_are_asked_for(
    cloud: FakeCloud, neutron: NeutronService, subnet: Subnet
) -> None:
    assert await neutron.find_routers([subnet.id]) == []
    assert cloud.count("GET", "/routers") == 0


async def test_an_older_neutrons_limit_of_routes_is_named_as_its_operator_knows_it(
    cloud: FakeCloud, neutron: NeutronService
) -> None:
    message = "Unable to complete operation for r. The number of routes exceeds the maximum 30."
    cloud.fail(Fault(method="PUT", path="add_extraroutes", status=400, kind="RoutesExhausted", message=message))
    with pytest.raises(QuotaExceeded, match=r"router r .* max_routes in neutron\.conf"):
        await neutron.add_routes("r", [ROUTE])


async def test_a_quota_of_routes_that_can_not_be_read_is_named_without_its_number(
    cloud: FakeCloud, neutron: NeutronService
) -> None:
    message = "Quota exceeded for resources: ['router_route']."
    cloud.fail(Fault(method="PUT", path="add_extraroutes", status=409, kind="OverQuota", message=message))
    cloud.fail(Fault(path="quotas", times=10))
    with pytest.raises(QuotaExceeded, match="more routes than the project's quota router_route allows"):
        await neutron.add_routes("r", [ROUTE])


async def test_routes_whose_answer_is_lost_are_sent_again_and_are_there_once(
    cloud: FakeCloud, neutron: NeutronService, subnet: Subnet
) -> None:
    router_id = await make_router(cloud, subnet)
    cloud.fail(Fault(How.TRUNCATE, "PUT", "add_extraroutes"))
    assert (await neutron.add_routes(router_id, [ROUTE])).routes == (ROUTE,)
    assert cloud.count("PUT", f"/routers/{router_id}/add_extraroutes") == 2


@pytest.mark.parametrize("path", ["security-group-rules$", "tags$"])
async def test_a_group_that_can_not_be_finished_is_not_left_behind(
    cloud: FakeCloud, neutron: NeutronService, path: str
) -> None:
    cloud.fail(Fault(path=path))
    with pytest.raises(CloudUnavailable):
        await neutron.create_security_group(NEW)
    assert await neutron.find_owned_security_groups(name="pods") == []


async def test_a_group_is_found_by_its_tags_only_when_its_rules_are_there(
    cloud: FakeCloud, neutron: NeutronService
) -> None:
    await neutron.create_security_group(NEW)
    made = [call.path.partition("/tags")[1] or call.path for call in cloud.calls if call.method in {"POST", "PUT"}]
    assert made == ["/security-groups", "/security-group-rules", "/tags"]


async def test_a_change_that_names_no_revision_is_made_at_any(
    cloud: FakeCloud, neutron: NeutronService, subnet: Subnet
) -> None:
    port = await create_port(neutron, NewPort(subnet.network_id, (FixedIP(subnet.id),)))
    await neutron.update_port(port.id, PortChange(name="node"))
    assert (await neutron.update_port(port.id, PortChange(address_pairs=(PAIR,)))).address_pairs == (PAIR,)
    with pytest.raises(Conflict, match="look at it again"):
        await neutron.update_port(port.id, PortChange(address_pairs=()), revision=port.revision)


async def test_a_change_that_neutron_made_beside_anothers_is_told_from_one_made_alone(
    cloud: FakeCloud, neutron: NeutronService, subnet: Subnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await create_port(neutron, NewPort(subnet.network_id, (FixedIP(subnet.id),)))

    def revise_twice(item: dict[str, Any]) -> None:
        item["revision_number"] += 2

    monkeypatch.setattr(cloud.store, "revise", revise_twice)
    with pytest.raises(Conflict, match="at the same moment"):
        await neutron.update_port(port.id, PortChange(address_pairs=(PAIR,)), revision=port.revision)


async def test_a_pair_of_the_ports_own_mac_is_sent_without_it(
    cloud: FakeCloud, neutron: NeutronService, subnet: Subnet
) -> None:
    port = await create_port(neutron, NewPort(subnet.network_id, (FixedIP(subnet.id),)))
    await neutron.update_port(port.id, PortChange(address_pairs=(PAIR,)))
    assert cloud.calls[-1].body == {"port": {"allowed_address_pairs": [{"ip_address": "10.5.1.0/24"}]}}


async def test_a_reader_sees_routers_and_groups_and_changes_none(cloud: FakeCloud, subnet: Subnet) -> None:
    router_id = await make_router(cloud, subnet)
    async with NeutronService(cloud.credentials("reader")) as reader:
        assert [found.id for found in await reader.find_routers([subnet.id])] == [router_id]
        for refused in (reader.add_routes(router_id, [ROUTE]), reader.create_security_group(NEW)):
            with pytest.raises(PermissionDenied):
                await refused


async def test_a_cloud_without_pairs_and_port_security_is_read_as_one_that_has_none_set(
    cloud: FakeCloud, neutron: NeutronService, subnet: Subnet
) -> None:
    port = await create_port(neutron, NewPort(subnet.network_id, (FixedIP(subnet.id),)))
    for stored in cloud.store.resources["ports"].values():
        del stored["allowed_address_pairs"], stored["port_security_enabled"]
    (found,) = await neutron.find_ports(port_id=port.id)
    assert (found.address_pairs, found.port_security) == ((), True)
