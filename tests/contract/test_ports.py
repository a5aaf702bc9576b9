"""Ports, as the protocol promises them, on the fake and on a real Neutron."""

import asyncio
import uuid
from ipaddress import ip_address

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.model.errors import (
    AddressInUse,
    InvalidInput,
    NoFreeAddress,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
)
from fairlead.model.network import FixedIP, Network, NewPort, PortChange, Subnet, VifDetails
from tests.contract.conftest import MakeNetwork, MakeSubnet, Operator
from tests.ports import create_port

MAC = "fa:16:3e:aa:bb:cc"


def at(subnet: Subnet, address: str) -> tuple[FixedIP, ...]:
    return (FixedIP(subnet.id, ip_address(address)),)


async def test_a_made_port_is_described_as_it_is_found_later(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await create_port(
        neutron,
        NewPort(
            network.id,
            at(subnet, "10.20.0.7"),
            name="web",
            device_id="0123456789abcdef" * 4,
            device_owner="fairlead:endpoint",
            mac=MAC,
            tags=frozenset({"fairlead", "endpoint=1"}),
            description="the web server's",
        ),
    )
    (found,) = await neutron.find_ports(network_id=network.id)
    assert (found.id, found.name, found.mac, found.fixed_ips) == (made.id, "web", MAC, at(subnet, "10.20.0.7"))
    assert (found.device_id, found.device_owner) == ("0123456789abcdef" * 4, "fairlead:endpoint")
    assert found.tags == made.tags == {"fairlead", "endpoint=1"}
    assert found.description == made.description == "the web server's"
    assert found.security_group_ids == made.security_group_ids
    assert await neutron.get_port(made.id) == found


async def test_neutron_picks_address_and_mac_where_none_is_given(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),)))
    (fixed,) = made.fixed_ips
    assert fixed.address in subnet.cidr
    assert fixed.address != subnet.gateway
    assert len(made.mac) == len(MAC)


async def test_a_port_may_have_an_address_of_each_family(
    neutron: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    subnets = [await make_subnet(network, "10.20.0.0/24"), await make_subnet(network, "fd00:20::/64")]
    made = await create_port(neutron, NewPort(network.id, tuple(FixedIP(subnet.id) for subnet in subnets)))
    assert {fixed.address.version for fixed in made.fixed_ips if fixed.address} == {4, 6}


async def test_a_port_may_have_no_address(neutron: NeutronService, network: Network, subnet: Subnet) -> None:
    made = await create_port(neutron, NewPort(network.id, ()))
    assert made.fixed_ips == ()


async def test_a_port_gets_the_default_group_unless_told_otherwise(neutron: NeutronService, network: Network) -> None:
    (default,) = await neutron.find_security_groups(["default"])
    grouped = await create_port(neutron, NewPort(network.id, ()))
    without = await create_port(neutron, NewPort(network.id, (), security_group_ids=()))
    assert grouped.security_group_ids == (default.id,)
    assert without.security_group_ids == ()


async def test_an_address_outside_the_pools_is_taken(
    neutron: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    subnet = await make_subnet(network, "10.20.0.0/24", gateway="10.20.0.1")
    made = await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.1")))
    assert made.fixed_ips == at(subnet, "10.20.0.1")


async def test_an_address_that_another_port_has_is_refused(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.7")))
    with pytest.raises(AddressInUse, match=r"10\.20\.0\.7"):
        await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.7")))


async def test_a_mac_that_another_port_has_is_refused(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    await create_port(neutron, NewPort(network.id, (), mac=MAC))
    with pytest.raises(AddressInUse, match=MAC):
        await create_port(neutron, NewPort(network.id, (), mac=MAC.upper()))


async def test_ten_at_once_get_ten_addresses(neutron: NeutronService, network: Network, subnet: Subnet) -> None:
    made = await asyncio.gather(*(create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),))) for _ in range(10)))
    assert len({port.fixed_ips[0].address for port in made}) == 10


async def test_ten_who_want_one_address_at_once_leave_one_who_has_it(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    answers = await asyncio.gather(
        *(create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.7"))) for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(answer, AddressInUse) for answer in answers) == 9
    assert len(await neutron.find_ports(network_id=network.id)) == 1


@pytest.mark.parametrize("address", ["10.21.0.7", "10.20.0.0", "10.20.0.255"])
async def test_an_address_that_is_not_of_the_subnet_is_refused(
    neutron: NeutronService, network: Network, subnet: Subnet, address: str
) -> None:
    with pytest.raises(InvalidInput):
        await create_port(neutron, NewPort(network.id, at(subnet, address)))


async def test_a_subnet_of_another_network_is_refused(
    neutron: NeutronService, network: Network, subnet: Subnet, make_network: MakeNetwork, make_subnet: MakeSubnet
) -> None:
    other = await make_subnet(await make_network())
    with pytest.raises(InvalidInput):
        await create_port(neutron, NewPort(network.id, (FixedIP(other.id),)))


async def test_a_full_subnet_has_no_free_address(
    neutron: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    subnet = await make_subnet(network, "10.20.0.0/30", gateway="10.20.0.1")
    await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),)))
    with pytest.raises(NoFreeAddress):
        await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),)))


async def test_an_address_is_free_again_when_its_port_is_gone(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    first = await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.7")))
    await neutron.delete_port(first.id)
    second = await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.7")))
    assert second.fixed_ips == first.fixed_ips


async def test_a_network_that_does_not_exist_gets_no_port(neutron: NeutronService) -> None:
    with pytest.raises(NotFound):
        await create_port(neutron, NewPort(str(uuid.uuid4()), ()))


async def test_a_subnet_that_does_not_exist_gives_no_address(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    with pytest.raises(NotFound):
        await create_port(neutron, NewPort(network.id, (FixedIP(str(uuid.uuid4())),)))


async def test_a_group_that_does_not_exist_is_named(neutron: NeutronService, network: Network) -> None:
    group_id = str(uuid.uuid4())
    with pytest.raises(NotFound, match=group_id):
        await create_port(neutron, NewPort(network.id, (), security_group_ids=(group_id,)))


async def test_another_projects_network_gets_no_port(neutron: NeutronService, operator: Operator) -> None:
    network_id = await operator.make("network", {"name": "contract-private"})
    with pytest.raises(NotFound):
        await create_port(neutron, NewPort(network_id, ()))


async def test_on_a_shared_network_a_member_gets_an_address_but_does_not_choose_it(
    neutron: NeutronService, operator: Operator
) -> None:
    network_id, subnet_id = await operator.share("10.30.0.0/24")
    made = await create_port(neutron, NewPort(network_id, (FixedIP(subnet_id),)))
    try:
        with pytest.raises(PermissionDenied):
            await create_port(neutron, NewPort(network_id, (FixedIP(subnet_id, ip_address("10.30.0.77")),)))
    finally:
        await neutron.delete_port(made.id)


async def test_a_used_up_quota_of_ports_is_named(neutron: NeutronService, network: Network, operator: Operator) -> None:
    await operator.limit(port=0)
    with pytest.raises(QuotaExceeded, match="quota of ports"):
        await create_port(neutron, NewPort(network.id, ()))


async def test_ports_are_found_by_what_they_are_for(neutron: NeutronService, network: Network, subnet: Subnet) -> None:
    tag, device = f"tag-{uuid.uuid4()}", uuid.uuid4().hex
    wanted = await create_port(
        neutron, NewPort(network.id, (), device_id=device, mac=MAC, tags=frozenset({tag, "fairlead"}))
    )
    await create_port(neutron, NewPort(network.id, (), tags=frozenset({"fairlead"})))
    assert len(await neutron.find_ports(network_id=network.id)) == 2
    assert [port.id for port in await neutron.find_ports(device_id=device)] == [wanted.id]
    assert [port.id for port in await neutron.find_ports(network_id=network.id, mac=MAC)] == [wanted.id]
    assert [port.id for port in await neutron.find_ports(tags=["fairlead", tag])] == [wanted.id]
    assert await neutron.find_ports(network_id=network.id, device_id="another") == []


async def test_a_port_is_found_by_its_address(neutron: NeutronService, network: Network, subnet: Subnet) -> None:
    wanted = await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.7")))
    await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.77")))
    found = await neutron.find_ports(network_id=network.id, address=ip_address("10.20.0.7"))
    assert [port.id for port in found] == [wanted.id]
    assert await neutron.find_ports(network_id=network.id, address=ip_address("10.20.0.8")) == []


async def test_a_ports_name_device_description_and_addresses_change(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.7"), name="spare", tags=frozenset({"t"})))
    change = PortChange(name="web", device_id="c0ffee", fixed_ips=at(subnet, "10.20.0.8"), description="taken")
    changed = await neutron.update_port(made.id, change)
    assert changed.description == "taken"
    assert (changed.name, changed.device_id, changed.fixed_ips) == ("web", "c0ffee", at(subnet, "10.20.0.8"))
    assert (changed.mac, changed.tags) == (made.mac, frozenset({"t"}))
    assert changed.revision > made.revision


async def test_what_a_change_does_not_name_stays(neutron: NeutronService, network: Network, subnet: Subnet) -> None:
    new = NewPort(network.id, at(subnet, "10.20.0.7"), name="web", device_id="c0ffee", description="spare")
    made = await create_port(neutron, new)
    changed = await neutron.update_port(made.id, PortChange(name=""))
    assert (changed.name, changed.device_id, changed.fixed_ips) == ("", "c0ffee", made.fixed_ips)
    assert changed.description == "spare"


async def test_a_port_keeps_an_address_while_it_gets_another(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.7")))
    both = (*at(subnet, "10.20.0.7"), *at(subnet, "10.20.0.9"))
    changed = await neutron.update_port(made.id, PortChange(fixed_ips=both))
    assert set(changed.fixed_ips) == set(both)


async def test_a_port_can_not_be_given_anothers_address(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    await create_port(neutron, NewPort(network.id, at(subnet, "10.20.0.7")))
    made = await create_port(neutron, NewPort(network.id, ()))
    with pytest.raises(AddressInUse):
        await neutron.update_port(made.id, PortChange(fixed_ips=at(subnet, "10.20.0.7")))


async def test_a_port_can_not_be_given_an_address_outside_its_subnet(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await create_port(neutron, NewPort(network.id, ()))
    with pytest.raises(InvalidInput):
        await neutron.update_port(made.id, PortChange(fixed_ips=at(subnet, "10.21.0.7")))


async def test_a_port_that_does_not_exist_is_not_changed(neutron: NeutronService) -> None:
    with pytest.raises(NotFound):
        await neutron.update_port(str(uuid.uuid4()), PortChange(name="web"))


async def test_a_port_is_deleted_and_that_is_fine_twice(neutron: NeutronService, network: Network) -> None:
    made = await create_port(neutron, NewPort(network.id, ()))
    await neutron.delete_port(made.id)
    await neutron.delete_port(made.id)
    assert await neutron.find_ports(network_id=network.id) == []
    assert await neutron.get_port(made.id) is None


async def test_a_member_may_not_bind_a_port_to_a_host(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    with pytest.raises(PermissionDenied):
        await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),), host="h1"))
    assert await neutron.find_ports(network_id=network.id) == []


async def test_the_role_service_binds_a_port_and_sees_its_host(
    neutron: NeutronService, as_service: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await create_port(as_service, NewPort(network.id, (FixedIP(subnet.id),), host="h1"))
    assert (made.host, made.vif_type, made.vif_details.bridge_name) == ("h1", "ovs", "br-int")
    assert made.vif_details.datapath_type in {"system", "netdev"}
    (seen_by_member,) = await neutron.find_ports(network_id=network.id)
    assert (seen_by_member.host, seen_by_member.vif_type, seen_by_member.vif_details) == ("", "", VifDetails())


async def test_a_port_that_can_not_be_bound_is_made_and_says_so(
    as_service: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await create_port(as_service, NewPort(network.id, (FixedIP(subnet.id),), host="nowhere"))
    assert (made.host, made.vif_type) == ("nowhere", "binding_failed")


async def test_the_role_service_leaves_a_port_unbound_when_no_host_is_named(
    as_service: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await create_port(as_service, NewPort(network.id, (FixedIP(subnet.id),)))
    assert (made.host, made.vif_type) == ("", "unbound")


async def test_a_port_is_tagged_and_untagged_without_touching_its_other_tags(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    made = await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),), tags=frozenset({"fairlead", "a"})))
    for _ in range(2):
        await neutron.tag_port(made.id, "fairlead:asked-whether-it-lives")
    assert (await neutron.find_ports(port_id=made.id))[0].tags == {"fairlead", "a", "fairlead:asked-whether-it-lives"}
    for _ in range(2):
        await neutron.untag_port(made.id, "fairlead:asked-whether-it-lives")
    assert (await neutron.find_ports(port_id=made.id))[0].tags == {"fairlead", "a"}


async def test_a_port_that_is_gone_is_not_tagged_and_has_no_tags_to_take_off(neutron: NeutronService) -> None:
    with pytest.raises(NotFound):
        await neutron.tag_port(str(uuid.uuid4()), "a")
    await neutron.untag_port(str(uuid.uuid4()), "a")


async def test_ports_are_found_by_their_name_and_tell_what_the_request_itself_described(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    """So a port is known for ours before it is tagged."""
    name, described = f"h1/{uuid.uuid4().hex}", "Container network 1, batch 2"
    fixed_ips = (FixedIP(subnet.id),)
    wanted = [NewPort(network.id, fixed_ips, name=name, description=described, device_owner="fairlead:x")] * 2
    made = await neutron.create_ports([*wanted, NewPort(network.id, fixed_ips, name=f"{name}-other")])
    found = await neutron.find_ports(name=name)
    assert {port.id for port in found} == {port.id for port in made[:2]}
    assert {(port.description, port.device_owner) for port in found} == {(described, "fairlead:x")}


async def test_a_list_in_brief_has_the_same_ports_with_addresses_and_tags(
    neutron: NeutronService, network: Network, subnet: Subnet
) -> None:
    tag = uuid.uuid4().hex
    wanted = [NewPort(network.id, (FixedIP(subnet.id),), name="web", tags=frozenset({tag}))] * 2
    made = await neutron.create_ports(wanted)
    brief = await neutron.find_ports(tags=[tag], brief=True)
    assert {(port.id, port.mac, port.fixed_ips, port.tags) for port in brief} == {
        (port.id, port.mac, port.fixed_ips, port.tags) for port in made
    }
    assert {port.name for port in brief} == {""}
