"""Subnets, as the protocol promises them, on the fake and on a real Neutron."""

import asyncio
import uuid
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.model.errors import (
    Conflict,
    InvalidInput,
    NoFreeAddress,
    NotFound,
    OverlappingSubnet,
    PermissionDenied,
    QuotaExceeded,
    StillInUse,
)
from fairlead.model.network import AddressRange, FixedIP, HostRoute, Network, NewPort, NewSubnet, Subnet
from tests.contract.conftest import MakeNetwork, MakeSubnet, Operator
from tests.ports import create_port


def new_subnet(
    network: Network, cidr: str, gateway: str = "", pools: tuple[tuple[str, str], ...] = (), **others: Any
) -> NewSubnet:
    return NewSubnet(
        network.id,
        ip_network(cidr),
        ip_address(gateway) if gateway else None,
        allocation_pools=tuple(AddressRange(ip_address(first), ip_address(last)) for first, last in pools),
        **others,
    )


async def test_a_made_subnet_is_described_as_it_is_found_later(neutron: NeutronService, network: Network) -> None:
    tags = frozenset({"fairlead", "docker=1"})
    made = await neutron.create_subnet(
        new_subnet(network, "10.20.0.0/24", "10.20.0.1", name="web", description="of a test", tags=tags)
    )
    assert await neutron.find_subnets(network.id) == [made]
    assert (made.name, made.description, made.network_id, made.tags) == ("web", "of a test", network.id, tags)


async def test_without_pools_every_address_but_the_gateway_is_given_out(
    neutron: NeutronService, network: Network
) -> None:
    made = await neutron.create_subnet(new_subnet(network, "10.20.0.0/24", "10.20.0.9"))
    assert set(made.allocation_pools) == {
        AddressRange(ip_address("10.20.0.1"), ip_address("10.20.0.8")),
        AddressRange(ip_address("10.20.0.10"), ip_address("10.20.0.254")),
    }


async def test_pools_are_kept_as_given(neutron: NeutronService, network: Network) -> None:
    pools = (("10.20.0.16", "10.20.0.31"), ("10.20.0.64", "10.20.0.79"))
    made = await neutron.create_subnet(new_subnet(network, "10.20.0.0/24", "10.20.0.1", pools))
    assert {(str(pool.first), str(pool.last)) for pool in made.allocation_pools} == set(pools)


async def test_pools_may_grow_and_ports_get_addresses_of_what_is_new(neutron: NeutronService, network: Network) -> None:
    made = await neutron.create_subnet(
        new_subnet(network, "10.20.0.0/29", "10.20.0.1", (("10.20.0.6", "10.20.0.6"),), tags=frozenset({"fairlead"}))
    )
    first = await create_port(neutron, NewPort(network.id, (FixedIP(made.id),)))
    with pytest.raises(NoFreeAddress):
        await create_port(neutron, NewPort(network.id, (FixedIP(made.id),)))
    ranges = [AddressRange(ip_address("10.20.0.5"), ip_address("10.20.0.6"))]
    grown = await neutron.update_subnet(made.id, ranges)
    assert (grown.allocation_pools, grown.tags, grown.gateway) == (tuple(ranges), made.tags, made.gateway)
    second = await create_port(neutron, NewPort(network.id, (FixedIP(made.id),)))
    assert [str(port.fixed_ips[0].address) for port in (first, second)] == ["10.20.0.6", "10.20.0.5"]


async def test_pools_may_not_overlap_nor_leave_the_subnet_nor_take_the_gateway(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    wrong = (("10.20.0.1", "10.20.0.9"),), (("10.20.1.2", "10.20.1.9"),), (("10.20.0.2", "10.20.0.9"),) * 2
    for pools in wrong:
        with pytest.raises(InvalidInput):
            await neutron.update_subnet(subnet.id, new_subnet(network, "10.20.0.0/24", pools=pools).allocation_pools)
    with pytest.raises(NotFound):
        await neutron.update_subnet(str(uuid.uuid4()), subnet.allocation_pools)


async def test_a_subnet_may_have_no_gateway(neutron: NeutronService, network: Network) -> None:
    made = await neutron.create_subnet(new_subnet(network, "10.20.0.0/24"))
    assert made.gateway is None
    assert made.allocation_pools == (AddressRange(ip_address("10.20.0.1"), ip_address("10.20.0.254")),)


@pytest.mark.parametrize("cidr", ["fd00:20::/64", "fd00:20::/109", "fd00:20::/119", "10.20.0.0/30", "10.20.0.0/31"])
async def test_ranges_of_every_size_are_taken(neutron: NeutronService, network: Network, cidr: str) -> None:
    made = await neutron.create_subnet(new_subnet(network, cidr))
    assert made.cidr == ip_network(cidr)


async def test_one_network_takes_both_families(
    neutron: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    await make_subnet(network, "10.20.0.0/24", gateway="10.20.0.1")
    await make_subnet(network, "fd00:20::/64", gateway="fd00:20::1")
    assert {subnet.cidr.version for subnet in await neutron.find_subnets(network.id)} == {4, 6}


@pytest.mark.parametrize("cidr", ["10.20.0.0/24", "10.20.0.128/25", "10.0.0.0/8"])
async def test_a_range_that_overlaps_another_of_the_network_is_refused(
    neutron: NeutronService, network: Network, subnet: Subnet, cidr: str
) -> None:
    with pytest.raises(OverlappingSubnet, match=r"overlaps .*--subnet"):
        await neutron.create_subnet(new_subnet(network, cidr))


async def test_two_networks_may_have_the_same_range(make_network: MakeNetwork, make_subnet: MakeSubnet) -> None:
    first, second = await make_network(), await make_network()
    assert (await make_subnet(first)).cidr == (await make_subnet(second)).cidr


@pytest.mark.parametrize(
    ("cidr", "gateway", "pools"),
    [
        ("10.20.0.0/24", "10.20.0.255", ()),
        ("10.20.0.0/24", "10.20.0.5", (("10.20.0.2", "10.20.0.9"),)),
        ("10.20.0.0/24", "10.20.0.1", (("10.20.1.2", "10.20.1.9"),)),
        ("10.20.0.0/24", "10.20.0.1", (("10.20.0.2", "10.20.0.9"), ("10.20.0.8", "10.20.0.20"))),
        ("10.20.0.0/24", "fd00:20::1", ()),
        ("0.0.0.0/0", "", ()),
    ],
    ids=["broadcast gateway", "gateway in pool", "pool outside", "pools overlap", "other family", "everything"],
)
async def test_what_can_not_be_is_refused(
    neutron: NeutronService, network: Network, cidr: str, gateway: str, pools: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(InvalidInput):
        await neutron.create_subnet(new_subnet(network, cidr, gateway, pools))
    assert await neutron.find_subnets(network.id) == []


async def test_a_gateway_outside_the_range_is_taken(neutron: NeutronService, network: Network) -> None:
    made = await neutron.create_subnet(new_subnet(network, "10.20.0.0/24", "192.0.2.1"))
    assert made.gateway == ip_address("192.0.2.1")


async def test_a_network_that_does_not_exist_gets_no_subnet(neutron: NeutronService) -> None:
    with pytest.raises(NotFound):
        await neutron.create_subnet(NewSubnet(str(uuid.uuid4()), ip_network("10.20.0.0/24"), None))


async def test_a_shared_network_of_another_project_gets_no_subnet(neutron: NeutronService, operator: Operator) -> None:
    network_id = await operator.make("network", {"name": "contract-shared", "shared": True})
    with pytest.raises(PermissionDenied):
        await neutron.create_subnet(NewSubnet(network_id, ip_network("10.20.0.0/24"), None))


async def test_a_subnet_is_deleted_and_that_is_fine_twice(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    await neutron.delete_subnet(subnet.id)
    await neutron.delete_subnet(subnet.id)
    assert await neutron.find_subnets(network.id) == []


async def test_a_subnet_with_an_address_in_use_is_not_deleted(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),)))
    with pytest.raises(StillInUse):
        await neutron.delete_subnet(subnet.id)


async def test_a_used_up_quota_of_subnets_is_named(
    neutron: NeutronService, network: Network, operator: Operator
) -> None:
    await operator.limit(subnet=0)
    with pytest.raises(QuotaExceeded, match="quota of subnets"):
        await neutron.create_subnet(new_subnet(network, "10.20.0.0/24"))


async def test_host_routes_are_kept_as_given(neutron: NeutronService, network: Network) -> None:
    block = ip_network("10.20.64.0/26")
    routes = (HostRoute(block, ip_address("10.30.0.11")),)
    made = await neutron.create_subnet(new_subnet(network, str(block), host_routes=routes))
    assert made.host_routes == routes
    assert await neutron.find_subnets(network.id) == [made]


async def test_of_subnets_that_overlap_and_are_made_at_once_one_is_made(
    neutron: NeutronService, network: Network
) -> None:
    wishes = [new_subnet(network, cidr) for cidr in ("10.20.64.0/26", "10.20.64.32/27", "10.20.64.0/24") * 2]
    done = await asyncio.gather(*map(neutron.create_subnet, wishes), return_exceptions=True)
    assert [type(one) for one in done if not isinstance(one, Subnet)] == [OverlappingSubnet] * 5
    assert len(await neutron.find_subnets(network.id)) == 1


async def test_who_makes_a_subnet_keeps_another_from_deleting_the_network_unseen(
    neutron: NeutronService, network: Network
) -> None:
    (before,) = await neutron.find_networks(network_id=network.id)
    await neutron.create_subnet(new_subnet(network, "10.20.64.0/26"))
    with pytest.raises(Conflict):
        await neutron.delete_network(network.id, revision=before.revision)
    assert len(await neutron.find_subnets(network.id)) == 1
