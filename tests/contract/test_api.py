"""The Networking API itself: what the fake answers is what Neutron answers, word by word where programs look."""

import uuid
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.errors import AnswerError
from fairlead.model.network import FixedIP, Network, NewPort, Subnet
from tests.contract.conftest import Cloud, MakeNetwork, MakeSubnet, Operator
from tests.ports import create_port

NOBODY = str(uuid.UUID(int=0))


class Api:
    """Raw requests, as a member."""

    def __init__(self, client: NeutronClient) -> None:
        self.client = client

    async def get(self, path: str, *query: tuple[str, str]) -> Any:
        return msgspec.json.decode(await self.client.exchange("GET", path, query=query))

    async def post(self, path: str, body: Any) -> Any:
        return msgspec.json.decode(await self.client.exchange("POST", path, body=msgspec.json.encode(body)))

    async def refused(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        with pytest.raises(AnswerError) as caught:
            await self.client.exchange(
                method,
                path,
                body=None if body is None else msgspec.json.encode(body),
                headers={name.replace("_", "-"): value for name, value in headers.items()},
            )
        return caught.value.status, caught.value.kind


@pytest.fixture
async def api(cloud: Cloud) -> AsyncIterator[Api]:
    async with NeutronClient(cloud.member) as client:
        yield Api(client)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("networks", "NetworkNotFound"), ("subnets", "SubnetNotFound"), ("ports", "PortNotFound")],
)
async def test_what_does_not_exist_is_404_with_its_kind(api: Api, path: str, kind: str) -> None:
    assert await api.refused("GET", f"/{path}/{NOBODY}") == (404, kind)
    assert await api.refused("DELETE", f"/{path}/{NOBODY}") == (404, kind)
    assert await api.refused("PUT", f"/{path}/{NOBODY}", {path[:-1]: {"name": "x"}}) == (404, kind)


async def test_refusals_of_ports_have_their_kinds(
    api: Api, neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    port = await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),)))
    taken = {"subnet_id": subnet.id, "ip_address": str(port.fixed_ips[0].address)}

    async def refused(**attributes: Any) -> tuple[int, str]:
        return await api.refused("POST", "/ports", {"port": {"network_id": network.id, **attributes}})

    assert await refused(fixed_ips=[taken]) == (409, "IpAddressAlreadyAllocated")
    assert await refused(mac_address=port.mac) == (409, "MacAddressInUse")
    assert await refused(fixed_ips=[{"subnet_id": NOBODY}]) == (404, "SubnetNotFound")
    assert await refused(fixed_ips=[{"ip_address": "192.0.2.1"}]) == (400, "InvalidIpForNetwork")
    assert await refused(fixed_ips=[{"subnet_id": subnet.id, "ip_address": "192.0.2.1"}]) == (400, "InvalidIpForSubnet")
    assert await refused(security_groups=[NOBODY]) == (404, "SecurityGroupNotFound")
    assert await refused(**{"binding:host_id": "h1"}) == (403, "PolicyNotAuthorized")
    assert await refused(network_id=NOBODY) == (404, "NetworkNotFound")


async def test_refusals_of_subnets_have_their_kinds(api: Api, network: Network, subnet: Subnet) -> None:
    async def refused(cidr: str, **attributes: Any) -> tuple[int, str]:
        wanted = {"network_id": network.id, "cidr": cidr, "ip_version": 4, **attributes}
        return await api.refused("POST", "/subnets", {"subnet": wanted})

    inside = [{"start": "10.30.0.2", "end": "10.30.0.9"}]
    beyond = [{"start": "10.31.0.2", "end": "10.31.0.9"}]
    assert await refused("10.20.0.0/25") == (400, "InvalidInput")
    assert await refused("10.30.0.0/24", gateway_ip="10.30.0.0") == (400, "InvalidInput")
    assert await refused("10.30.0.0/24", gateway_ip="10.30.0.5", allocation_pools=inside) == (
        409,
        "GatewayConflictWithAllocationPools",
    )
    assert await refused("10.30.0.0/24", allocation_pools=beyond) == (400, "OutOfBoundsAllocationPool")
    assert await refused("10.30.0.0/24", allocation_pools=inside * 2) == (409, "OverlappingAllocationPools")
    assert await refused("nonsense") == (400, "InvalidInput")


async def test_what_is_in_use_is_409_with_its_kind(
    api: Api, neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),)))
    assert await api.refused("DELETE", f"/networks/{network.id}") == (409, "NetworkInUse")
    assert await api.refused("DELETE", f"/subnets/{subnet.id}") == (409, "SubnetInUse")


async def test_if_match_holds_for_changes_and_deletions(api: Api, network: Network) -> None:
    stale = f"revision_number={network.revision + 1}"
    expected = (412, "RevisionNumberConstraintFailed")
    assert await api.refused("DELETE", f"/networks/{network.id}", If_Match=stale) == expected
    change = {"network": {"name": "other"}}
    assert await api.refused("PUT", f"/networks/{network.id}", change, If_Match=stale) == expected


async def test_over_quota_is_409_before_policy_is_asked(api: Api, network: Network, operator: Operator) -> None:
    await operator.limit(port=0)
    wanted = {"port": {"network_id": network.id, "binding:host_id": "h1"}}
    assert await api.refused("POST", "/ports", wanted) == (409, "OverQuota")


async def test_a_member_reads_the_own_projects_quota_and_no_others(api: Api, cloud: Cloud) -> None:
    quota = (await api.get(f"/quotas/{cloud.project_id}"))["quota"]
    assert {"network", "subnet", "port", "security_group"} <= set(quota)
    assert (await api.refused("PUT", f"/quotas/{cloud.project_id}", {"quota": {"port": 1}}))[0] == 403


async def test_a_member_is_not_told_how_full_a_network_is(api: Api, network: Network) -> None:
    assert await api.refused("GET", f"/network-ip-availabilities/{network.id}") == (404, "HTTPNotFound")
    assert await api.refused("GET", f"/network-ip-availabilities/{NOBODY}") == (404, "NetworkNotFound")


async def test_the_role_service_is_told_how_full_a_network_is(
    cloud: Cloud, neutron: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    four = await make_subnet(network, "10.20.0.0/28", gateway="10.20.0.1")
    six = await make_subnet(network, "fd00:20::/120", gateway="fd00:20::1")
    outside = FixedIP(four.id, ip_address("10.20.0.1"))
    await create_port(neutron, NewPort(network.id, (FixedIP(four.id), outside, FixedIP(six.id))))
    async with NeutronClient(cloud.service) as client:
        answer = msgspec.json.decode(await client.exchange("GET", f"/network-ip-availabilities/{network.id}"))
    usage = answer["network_ip_availability"]
    told = {each["subnet_id"]: each for each in usage["subnet_ip_availability"]}
    assert (told[four.id]["total_ips"], told[four.id]["used_ips"]) == (13, 2)
    assert told[four.id]["ip_availability_details"] == {
        "total_ips_in_subnet": 14,
        "total_ips_in_allocation_pool": 13,
        "used_ips_in_subnet": 2,
        "used_ips_in_allocation_pool": 1,
    }
    assert (told[six.id]["total_ips"], told[six.id]["used_ips"]) == (254, 1)
    assert (usage["total_ips"], usage["used_ips"]) == (267, 3)


async def test_a_member_reads_what_the_own_project_uses_and_no_other(
    api: Api, neutron: NeutronService, network: Network, cloud: Cloud
) -> None:
    path = f"/quotas/{cloud.project_id}/details.json"
    before = (await api.get(path))["quota"]["port"]
    await create_port(neutron, NewPort(network.id, ()))
    assert (await api.get(path))["quota"]["port"] == {**before, "used": before["used"] + 1}
    assert await api.refused("GET", f"/quotas/{uuid.uuid4().hex}/details.json") == (403, "AdminRequired")


async def test_a_bulk_of_nothing_is_refused(api: Api) -> None:
    assert await api.refused("POST", "/ports", {"ports": []}) == (400, "HTTPBadRequest")


async def test_only_an_administrator_shares_a_network(api: Api) -> None:
    assert await api.refused("POST", "/networks", {"network": {"shared": True}}) == (403, "PolicyNotAuthorized")


async def test_an_unknown_filter_is_refused(api: Api) -> None:
    with pytest.raises(AnswerError) as caught:
        await api.get("/networks", ("colour", "red"))
    assert (caught.value.status, caught.value.kind) == (400, "HTTPBadRequest")


async def test_ports_are_filtered_by_address_and_subnet(
    api: Api, neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    port = await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),)))
    await create_port(neutron, NewPort(network.id, ()))
    address = str(port.fixed_ips[0].address)

    async def found(*filters: str) -> list[str]:
        query = [("fixed_ips", each) for each in filters]
        return [item["id"] for item in (await api.get("/ports", ("network_id", network.id), *query))["ports"]]

    assert await found(f"ip_address={address}", f"subnet_id={subnet.id}") == [port.id]
    assert await found(f"subnet_id={subnet.id}") == [port.id]
    assert await found("ip_address=10.20.0.254") == []


async def test_tags_are_filtered_in_four_ways(api: Api, make_network: MakeNetwork) -> None:
    name, one, two = (f"{word}-{uuid.uuid4().hex[:8]}" for word in ("web", "one", "two"))
    both = await make_network(name, tags=frozenset({one, two}))
    single = await make_network(name, tags=frozenset({one}))
    bare = await make_network(name)

    async def found(how: str) -> set[str]:
        return {item["id"] for item in (await api.get("/networks", ("name", name), (how, f"{one},{two}")))["networks"]}

    assert await found("tags") == {both.id}
    assert await found("tags-any") == {both.id, single.id}
    assert await found("not-tags") == {single.id, bare.id}
    assert await found("not-tags-any") == {bare.id}


async def test_only_the_fields_that_are_asked_for_come(api: Api, network: Network) -> None:
    listed = await api.get("/networks", ("id", network.id), ("fields", "id"), ("fields", "mtu"))
    assert listed["networks"] == [{"id": network.id, "mtu": network.mtu}]
    shown = await api.get(f"/networks/{network.id}", ("fields", "name"))
    assert shown == {"network": {"name": network.name}}


async def test_pages_are_linked_until_the_last(api: Api, make_network: MakeNetwork) -> None:
    name = f"web-{uuid.uuid4().hex[:8]}"
    made = {(await make_network(name)).id for _ in range(3)}
    first = await api.get("/networks", ("name", name), ("limit", "2"))
    marker = first["networks"][-1]["id"]
    second = await api.get("/networks", ("name", name), ("limit", "2"), ("marker", marker))
    assert {item["id"] for item in first["networks"] + second["networks"]} == made
    assert "next" in {link["rel"] for link in first["networks_links"]}
    assert "next" not in {link["rel"] for link in second.get("networks_links", [])}


async def test_a_cidr_with_host_bits_is_taken_without_them(api: Api, network: Network) -> None:
    wanted = {"network_id": network.id, "cidr": "10.40.0.9/24", "ip_version": 4}
    made = (await api.post("/subnets", {"subnet": wanted}))["subnet"]
    assert (made["cidr"], made["gateway_ip"]) == ("10.40.0.0/24", "10.40.0.1")
    assert made["allocation_pools"] == [{"start": "10.40.0.2", "end": "10.40.0.254"}]


async def test_a_port_without_fixed_ips_gets_an_address_of_each_family(
    api: Api, network: Network, subnet: Subnet
) -> None:
    six = {"network_id": network.id, "cidr": "fd00:40::/64", "ip_version": 6, "enable_dhcp": False}
    await api.post("/subnets", {"subnet": six})
    made = (await api.post("/ports", {"port": {"network_id": network.id}}))["port"]
    assert len(made["fixed_ips"]) == 2


async def test_a_member_is_not_shown_where_a_port_is_bound(
    api: Api, as_service: NeutronService, network: Network
) -> None:
    port = await create_port(as_service, NewPort(network.id, (), host="h1"))
    shown = (await api.get(f"/ports/{port.id}"))["port"]
    assert "binding:host_id" not in shown
    assert shown["binding:vnic_type"] == "normal"
