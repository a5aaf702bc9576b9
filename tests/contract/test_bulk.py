"""Several ports in one request, as the protocol promises them, on the fake and on a real Neutron."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.model.errors import AddressInUse, NoFreeAddress, NotFound, PermissionDenied, QuotaExceeded
from fairlead.model.network import FixedIP, Network, NewPort, Subnet
from tests.contract.conftest import Cloud, MakeSubnet, Operator

MAC = "fa:16:3e:aa:bb:cc"


@pytest.fixture
def calls() -> list[tuple[str, str, int]]:
    return []


@pytest.fixture
async def watched(cloud: Cloud, calls: list[tuple[str, str, int]]) -> AsyncIterator[NeutronService]:
    """Neutron as a member, with each exchange noted."""
    async with NeutronService(
        cloud.member, on_call=lambda method, path, status, seconds: calls.append((method, path, status))
    ) as service:
        yield service


async def test_several_ports_take_one_request_and_come_as_they_are_found_later(
    watched: NeutronService, calls: list[tuple[str, str, int]], network: Network, subnet: Subnet
) -> None:
    batch, tags = uuid.uuid4().hex, frozenset({"fairlead", "pool=1"})
    made = await watched.create_ports(
        [
            NewPort(
                network.id,
                (FixedIP(subnet.id),),
                name=f"spare {number}",
                device_id=batch,
                device_owner="fairlead:pool",
                tags=tags,
                description=f"number {number}",
            )
            for number in range(5)
        ]
    )
    # Without the extension a port is tagged by a request of its own.
    assert calls in ([("POST", "/ports", 201)], [("POST", "/ports", 201), *[("PUT", "/ports/{id}/tags", 200)] * 5])
    assert [(port.name, port.description) for port in made] == [(f"spare {n}", f"number {n}") for n in range(5)]
    assert all((port.device_id, port.device_owner, port.tags) == (batch, "fairlead:pool", tags) for port in made)
    assert len({port.mac for port in made}) == 5
    addresses = {fixed.address for port in made for fixed in port.fixed_ips}
    assert len(addresses) == 5
    assert all(address in subnet.cidr and address != subnet.gateway for address in addresses)
    found = await watched.find_ports(device_id=batch)
    # Tagged afterwards, they are at another revision by now.
    assert {replace(port, revision=0) for port in found} == {replace(port, revision=0) for port in made}


async def test_each_port_gets_the_address_and_the_mac_that_were_asked_for_it(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    fixed = FixedIP(subnet.id, ip_address("10.20.0.77"))
    anyone = NewPort(network.id, (FixedIP(subnet.id),))
    made = await neutron.create_ports([anyone, NewPort(network.id, (fixed,), mac=MAC), anyone])
    assert (made[1].fixed_ips, made[1].mac) == ((fixed,), MAC)
    assert fixed not in {*made[0].fixed_ips, *made[2].fixed_ips}


async def test_each_port_of_several_may_have_an_address_of_each_family(
    neutron: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    subnets = [await make_subnet(network, "10.20.0.0/24"), await make_subnet(network, "fd00:20::/64")]
    new = NewPort(network.id, tuple(FixedIP(subnet.id) for subnet in subnets))
    made = await neutron.create_ports([new] * 3)
    assert len({fixed.address for port in made for fixed in port.fixed_ips}) == 6
    assert all({fixed.address.version for fixed in port.fixed_ips if fixed.address} == {4, 6} for port in made)


async def test_one_port_and_no_port_are_fine_as_well(
    watched: NeutronService, calls: list[tuple[str, str, int]], network: Network
) -> None:
    assert len(await watched.create_ports([NewPort(network.id, ())])) == 1
    assert await watched.create_ports([]) == []
    assert calls == [("POST", "/ports", 201)]


async def test_more_ports_than_the_quota_allows_leave_none(
    neutron: NeutronService, network: Network, operator: Operator
) -> None:
    await operator.limit(port=2)
    with pytest.raises(QuotaExceeded, match=r"quota of ports \(2\)"):
        await neutron.create_ports([NewPort(network.id, ())] * 3)
    assert await neutron.find_ports(network_id=network.id) == []
    assert len(await neutron.create_ports([NewPort(network.id, ())] * 2)) == 2


async def test_more_ports_than_addresses_leave_none_and_take_no_address(
    neutron: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    subnet = await make_subnet(network, "10.20.0.0/29", gateway="10.20.0.1")
    new = NewPort(network.id, (FixedIP(subnet.id),))
    with pytest.raises(NoFreeAddress):
        await neutron.create_ports([new] * 6)
    assert await neutron.find_ports(network_id=network.id) == []
    assert len(await neutron.create_ports([new] * 5)) == 5


async def test_one_address_or_mac_that_is_taken_leaves_none(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    anyone, fixed = NewPort(network.id, (FixedIP(subnet.id),)), FixedIP(subnet.id, ip_address("10.20.0.77"))
    (other,) = await neutron.create_ports([NewPort(network.id, (fixed,), mac=MAC)])
    for wanted in (NewPort(network.id, (fixed,)), NewPort(network.id, (), mac=MAC)):
        with pytest.raises(AddressInUse):
            await neutron.create_ports([anyone, wanted])
    assert [port.id for port in await neutron.find_ports(network_id=network.id)] == [other.id]


async def test_one_port_that_can_not_be_leaves_none(neutron: NeutronService, network: Network, subnet: Subnet) -> None:
    anyone = NewPort(network.id, (FixedIP(subnet.id),))
    with pytest.raises(NotFound):
        await neutron.create_ports([anyone, NewPort(str(uuid.uuid4()), ())])
    with pytest.raises(NotFound):
        await neutron.create_ports([anyone, NewPort(network.id, (), security_group_ids=(str(uuid.uuid4()),))])
    with pytest.raises(PermissionDenied):
        await neutron.create_ports([anyone, NewPort(network.id, (), host="h1")])
    assert await neutron.find_ports(network_id=network.id) == []


async def test_the_role_service_binds_several_ports_to_a_host(
    as_service: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await as_service.create_ports([NewPort(network.id, (FixedIP(subnet.id),), host="h1")] * 2)
    assert [port.host for port in made] == ["h1", "h1"]
