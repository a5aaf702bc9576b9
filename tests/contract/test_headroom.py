"""How many more ports there may be, as the protocol promises it, on the fake and on a real Neutron."""

import uuid
from ipaddress import ip_address, ip_network

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.model.network import AddressRange, FixedIP, Headroom, IPNetwork, Network, NewPort, NewSubnet, Subnet
from tests.contract.conftest import Cloud, MakeNetwork, MakeSubnet, Operator


@pytest.fixture(params=["member", "service"])
def asker(request: pytest.FixtureRequest, neutron: NeutronService, as_service: NeutronService) -> NeutronService:
    """A member, who counts ports, and the role service, which Neutron tells."""
    return neutron if request.param == "member" else as_service


def ranges(*subnets: Subnet) -> dict[str, IPNetwork]:
    return {subnet.id: subnet.cidr for subnet in subnets}


async def test_what_ports_take_of_quota_and_subnet_is_no_longer_there(
    neutron: NeutronService, asker: NeutronService, network: Network, subnet: Subnet, operator: Operator
) -> None:
    await operator.limit(port=10)
    assert await asker.headroom(network.id, ranges(subnet)) == Headroom(ports=10, addresses=253)
    (port, _, _) = await neutron.create_ports([NewPort(network.id, (FixedIP(subnet.id),))] * 3)
    assert await asker.headroom(network.id, ranges(subnet)) == Headroom(ports=7, addresses=250)
    await neutron.delete_port(port.id)
    assert await asker.headroom(network.id, ranges(subnet)) == Headroom(ports=8, addresses=251)


async def test_without_a_limit_the_quota_leaves_no_number(
    asker: NeutronService, network: Network, subnet: Subnet, operator: Operator
) -> None:
    await operator.limit(port=-1)
    assert await asker.headroom(network.id, ranges(subnet)) == Headroom(ports=None, addresses=253)


async def test_a_used_up_quota_leaves_nothing(
    neutron: NeutronService, asker: NeutronService, network: Network, operator: Operator
) -> None:
    await operator.limit(port=2)
    await neutron.create_ports([NewPort(network.id, ())] * 2)
    assert (await asker.headroom(network.id, {})).ports == 0


async def test_the_subnet_with_the_fewest_addresses_counts(
    neutron: NeutronService, asker: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    four = await make_subnet(network, "10.20.0.0/28", gateway="10.20.0.1")
    six = await make_subnet(network, "fd00:20::/120", gateway="fd00:20::1")
    await neutron.create_ports([NewPort(network.id, (FixedIP(four.id), FixedIP(six.id)))] * 2)
    assert (await asker.headroom(network.id, ranges(four, six))).addresses == 11
    assert (await asker.headroom(network.id, ranges(six))).addresses == 252


async def test_beside_an_endless_range_the_other_family_counts(
    asker: NeutronService, network: Network, subnet: Subnet, make_subnet: MakeSubnet
) -> None:
    six = await make_subnet(network, "fd00:20::/64", gateway="fd00:20::1")
    assert (await asker.headroom(network.id, ranges(subnet, six))).addresses == 253


async def test_only_addresses_of_the_pools_are_free(
    neutron: NeutronService, asker: NeutronService, network: Network
) -> None:
    pool = AddressRange(ip_address("10.20.0.16"), ip_address("10.20.0.31"))
    subnet = await neutron.create_subnet(
        NewSubnet(network.id, ip_network("10.20.0.0/24"), ip_address("10.20.0.1"), allocation_pools=(pool,))
    )
    outside = FixedIP(subnet.id, ip_address("10.20.0.200"))
    await neutron.create_ports([NewPort(network.id, (FixedIP(subnet.id),)), NewPort(network.id, (outside,))])
    assert (await asker.headroom(network.id, ranges(subnet))).addresses == 15


async def test_a_full_subnet_has_room_for_nothing(
    neutron: NeutronService, asker: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    subnet = await make_subnet(network, "10.20.0.0/30", gateway="10.20.0.1")
    await neutron.create_ports([NewPort(network.id, (FixedIP(subnet.id),))])
    assert (await asker.headroom(network.id, ranges(subnet))).addresses == 0


async def test_of_a_large_range_only_the_role_service_is_told(
    neutron: NeutronService, as_service: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    subnet = await make_subnet(network, "10.20.0.0/16", gateway="10.20.0.1")
    assert (await neutron.headroom(network.id, ranges(subnet))).addresses is None
    assert (await as_service.headroom(network.id, ranges(subnet))).addresses == 65533


async def test_on_a_shared_network_a_member_can_not_count_what_others_have(
    neutron: NeutronService, as_service: NeutronService, operator: Operator
) -> None:
    network_id, subnet_id = await operator.share("10.30.0.0/24")
    subnets: dict[str, IPNetwork] = {subnet_id: ip_network("10.30.0.0/24")}
    assert (await neutron.headroom(network_id, subnets)).addresses is None
    assert (await as_service.headroom(network_id, subnets)).addresses == 253


async def test_of_a_network_that_does_not_exist_nothing_is_known(asker: NeutronService, subnet: Subnet) -> None:
    assert (await asker.headroom(str(uuid.uuid4()), ranges(subnet))).addresses is None


async def test_what_was_refused_is_not_asked_for_again(
    cloud: Cloud, make_network: MakeNetwork, make_subnet: MakeSubnet
) -> None:
    first, second = await make_network(), await make_network()
    calls: list[str] = []
    async with NeutronService(cloud.member, on_call=lambda _method, path, _status, _seconds: calls.append(path)) as one:
        for network in (first, second):
            await one.headroom(network.id, ranges(await make_subnet(network)))
    usage, counted = "/network-ip-availabilities/{id}", ["/subnets", "/ports"]
    quota = f"/quotas/{cloud.project_id}/details.json"
    assert calls == [quota, usage, *counted, quota, *counted]
