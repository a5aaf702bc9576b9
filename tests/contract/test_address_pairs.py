"""Address pairs, groups and revisions of ports, as the protocol promises them, on the fake and on a real Neutron."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.errors import AnswerError
from fairlead.model.errors import Conflict, InvalidInput, NotFound, PermissionDenied, QuotaExceeded
from fairlead.model.network import AddressPair, FixedIP, Network, NewPort, Port, PortChange, Subnet
from tests.contract.conftest import Cloud, Operator
from tests.ports import create_port

FOUR, SIX = AddressPair(ip_network("10.5.52.0/24")), AddressPair(ip_network("fd00:5:0:52::/64"))
NOBODY = "00000000-0000-0000-0000-000000000001"

Change = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def port(neutron: NeutronService, network: Network, subnet: Subnet) -> Port:
    """A port as Nova makes it: with an address, a group and port security."""
    return await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),)))


@pytest.fixture
async def change(cloud: Cloud) -> AsyncIterator[Change]:
    """Changes a port as another program of the project would, and gives what Neutron answers."""
    async with NeutronClient(cloud.member) as client:

        async def put(port: Port, **attributes: Any) -> dict[str, Any]:
            body = msgspec.json.encode({"port": attributes})
            answer = msgspec.json.decode(await client.exchange("PUT", f"/ports/{port.id}", body=body))
            changed: dict[str, Any] = answer["port"]
            return changed

        yield put


async def test_a_new_port_has_port_security_and_no_pairs(port: Port) -> None:
    assert (port.port_security, port.address_pairs) == (True, ())


async def test_a_member_lets_ranges_of_both_families_through_a_port(neutron: NeutronService, port: Port) -> None:
    changed = await neutron.update_port(port.id, PortChange(address_pairs=(FOUR, SIX)))
    assert set(changed.address_pairs) == {FOUR, SIX}
    (found,) = await neutron.find_ports(port_id=port.id)
    assert found == changed
    assert {pair.written for pair in found.address_pairs} == {""}


async def test_a_pair_may_have_a_mac_of_its_own(neutron: NeutronService, port: Port) -> None:
    pair = AddressPair(ip_network("10.5.52.0/24"), mac="fa:16:3e:00:00:01")
    changed = await neutron.update_port(port.id, PortChange(address_pairs=(FOUR, pair)))
    assert set(changed.address_pairs) == {FOUR, pair}


async def test_a_pair_with_the_ports_mac_is_the_ports_own(neutron: NeutronService, port: Port) -> None:
    pair = AddressPair(FOUR.cidr, mac=port.mac)
    changed = await neutron.update_port(port.id, PortChange(address_pairs=(pair,)))
    assert changed.address_pairs == (FOUR,)


async def test_pairs_are_replaced_as_a_whole_and_by_nothing_else(neutron: NeutronService, port: Port) -> None:
    await neutron.update_port(port.id, PortChange(address_pairs=(FOUR,)))
    kept = await neutron.update_port(port.id, PortChange(name="node"))
    assert kept.address_pairs == (FOUR,)
    replaced = await neutron.update_port(port.id, PortChange(address_pairs=(SIX,)))
    assert replaced.address_pairs == (SIX,)
    emptied = await neutron.update_port(port.id, PortChange(address_pairs=()))
    assert (emptied.address_pairs, emptied.name) == ((), "node")


@pytest.mark.parametrize("written", ["10.9.0.7", "10.9.0.7/32", "10.9.0.7/24", "10.9.0.0/24", "fd00::7", "FD00::7/128"])
async def test_what_others_have_paired_goes_back_as_they_wrote_it(
    neutron: NeutronService, port: Port, change: Change, written: str
) -> None:
    (before,) = (await change(port, allowed_address_pairs=[{"ip_address": written}]))["allowed_address_pairs"]
    (found,) = await neutron.find_ports(port_id=port.id)
    await neutron.update_port(port.id, PortChange(address_pairs=(*found.address_pairs, FOUR)))
    pairs = (await change(port, description="looked at"))["allowed_address_pairs"]
    assert before in pairs
    assert before["ip_address"] == written
    assert len(pairs) == 2


async def test_a_pair_with_host_bits_is_that_host(neutron: NeutronService, port: Port, change: Change) -> None:
    await change(port, allowed_address_pairs=[{"ip_address": "10.9.0.7/24"}])
    (found,) = await neutron.find_ports(port_id=port.id)
    assert found.address_pairs == (AddressPair(ip_network("10.9.0.7/32")),)


async def test_pairs_and_groups_change_the_revision(neutron: NeutronService, port: Port) -> None:
    paired = await neutron.update_port(port.id, PortChange(address_pairs=(FOUR,)))
    grouped = await neutron.update_port(port.id, PortChange(security_group_ids=()))
    unpaired = await neutron.update_port(port.id, PortChange(address_pairs=()))
    assert port.revision < paired.revision < grouped.revision < unpaired.revision


async def test_a_change_at_the_known_revision_is_made(neutron: NeutronService, port: Port) -> None:
    changed = await neutron.update_port(port.id, PortChange(address_pairs=(FOUR,)), revision=port.revision)
    again = await neutron.update_port(port.id, PortChange(address_pairs=()), revision=changed.revision)
    assert again.address_pairs == ()


async def test_a_change_decided_on_an_older_list_of_pairs_is_refused(
    neutron: NeutronService, port: Port, change: Change
) -> None:
    await change(port, allowed_address_pairs=[{"ip_address": "10.9.0.7"}])
    with pytest.raises(Conflict):
        await neutron.update_port(port.id, PortChange(address_pairs=(FOUR,)), revision=port.revision)
    (found,) = await neutron.find_ports(port_id=port.id)
    assert [pair.written for pair in found.address_pairs] == ["10.9.0.7"]


async def test_of_five_changes_decided_on_the_same_list_of_pairs_one_succeeds_and_is_kept(
    neutron: NeutronService, port: Port
) -> None:
    wanted = [AddressPair(ip_network(f"10.5.{number}.0/24")) for number in range(5)]
    answers = await asyncio.gather(
        *(neutron.update_port(port.id, PortChange(address_pairs=(pair,)), revision=port.revision) for pair in wanted),
        return_exceptions=True,
    )
    (made,) = [answer for answer in answers if isinstance(answer, Port)]
    assert sum(isinstance(answer, Conflict) for answer in answers) == 4
    (found,) = await neutron.find_ports(port_id=port.id)
    assert set(made.address_pairs) <= set(found.address_pairs)


async def test_pairs_and_groups_change_together_at_the_known_revision(neutron: NeutronService, port: Port) -> None:
    change = PortChange(address_pairs=(FOUR,), security_group_ids=())
    first = await neutron.update_port(port.id, change, revision=port.revision)
    change = PortChange(address_pairs=(SIX,), security_group_ids=port.security_group_ids)
    second = await neutron.update_port(port.id, change, revision=first.revision)
    assert (second.address_pairs, second.security_group_ids) == ((SIX,), port.security_group_ids)


async def test_more_pairs_than_a_port_may_have_are_refused_with_the_setting_that_limits_them(
    neutron: NeutronService, port: Port
) -> None:
    ranges = tuple(AddressPair(ip_network(f"10.5.{number}.0/24")) for number in range(11))
    await neutron.update_port(port.id, PortChange(address_pairs=ranges[:10]))
    with pytest.raises(QuotaExceeded, match="max_allowed_address_pair"):
        await neutron.update_port(port.id, PortChange(address_pairs=ranges))


async def test_a_pair_given_twice_is_refused(neutron: NeutronService, port: Port) -> None:
    with pytest.raises(InvalidInput):
        await neutron.update_port(port.id, PortChange(address_pairs=(FOUR, FOUR)))


async def test_a_multicast_range_is_refused(neutron: NeutronService, port: Port) -> None:
    with pytest.raises(InvalidInput):
        await neutron.update_port(port.id, PortChange(address_pairs=(AddressPair(ip_network("224.0.1.0/24")),)))


async def test_a_port_without_port_security_says_so_and_takes_no_pairs(
    neutron: NeutronService, port: Port, change: Change
) -> None:
    await change(port, port_security_enabled=False, security_groups=[])
    (found,) = await neutron.find_ports(port_id=port.id)
    assert not found.port_security
    with pytest.raises(Conflict, match="needs no address pairs"):
        await neutron.update_port(port.id, PortChange(address_pairs=(FOUR,)))
    with pytest.raises(AnswerError, match="PortSecurityAndIPRequiredForSecurityGroups"):
        await change(port, security_groups=list(port.security_group_ids))


async def test_a_member_pairs_and_groups_an_instances_port_and_does_not_delete_it(
    neutron: NeutronService, network: Network, subnet: Subnet, operator: Operator
) -> None:
    new = NewPort(network.id, (FixedIP(subnet.id),), device_id="i-1", device_owner="compute:nova")
    made = await create_port(neutron, new)
    try:
        changed = await neutron.update_port(made.id, PortChange(address_pairs=(FOUR,), security_group_ids=()))
        assert (changed.address_pairs, changed.security_group_ids) == ((FOUR,), ())
        with pytest.raises(PermissionDenied):
            await neutron.delete_port(made.id)
    finally:
        await operator.client.call("DELETE", f"/ports/{made.id}")


async def test_on_a_shared_network_a_member_may_not_pair_addresses(neutron: NeutronService, operator: Operator) -> None:
    network_id, subnet_id = await operator.share("10.30.0.0/24")
    made = await create_port(neutron, NewPort(network_id, (FixedIP(subnet_id),)))
    try:
        with pytest.raises(PermissionDenied, match="allowed_address_pairs"):
            await neutron.update_port(made.id, PortChange(address_pairs=(FOUR,)))
    finally:
        await neutron.delete_port(made.id)


async def test_a_port_gets_other_groups_and_keeps_its_pairs(neutron: NeutronService, port: Port) -> None:
    await neutron.update_port(port.id, PortChange(address_pairs=(FOUR,)))
    without = await neutron.update_port(port.id, PortChange(security_group_ids=()))
    assert without.security_group_ids == ()
    back = await neutron.update_port(port.id, PortChange(security_group_ids=port.security_group_ids))
    assert (back.security_group_ids, back.address_pairs) == (port.security_group_ids, (FOUR,))


async def test_a_group_that_does_not_exist_is_not_put_on_a_port(neutron: NeutronService, port: Port) -> None:
    with pytest.raises(NotFound, match=NOBODY):
        await neutron.update_port(port.id, PortChange(security_group_ids=(NOBODY,)))


async def test_a_port_is_found_by_its_id(neutron: NeutronService, port: Port) -> None:
    await create_port(neutron, NewPort(port.network_id, ()))
    assert await neutron.find_ports(port_id=port.id) == [port]
    assert await neutron.find_ports(port_id=NOBODY) == []
