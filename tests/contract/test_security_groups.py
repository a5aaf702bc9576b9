"""Security groups of our own, as the protocol promises them, on the fake and on a real Neutron."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.model.errors import QuotaExceeded, StillInUse
from fairlead.model.network import FixedIP, Network, NewPort, NewSecurityGroup, PortChange, SecurityGroup, Subnet
from tests.contract.conftest import Cloud, Operator
from tests.ports import create_port

FOUR, SIX = ip_network("10.5.0.0/16"), ip_network("fd00:5::/48")

Make = Callable[..., Awaitable[SecurityGroup]]


def unique(word: str = "pods") -> str:
    return f"{word}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def make(neutron: NeutronService, make_network: object) -> AsyncIterator[Make]:
    """Makes groups that go after the test."""
    made: list[str] = []

    async def make(name: str = "", tags: frozenset[str] = frozenset({"fairlead"}), *ingress: Any) -> SecurityGroup:
        group = await neutron.create_security_group(
            NewSecurityGroup(name or unique(), description="made by a test", tags=tags, ingress=ingress)
        )
        made.append(group.id)
        return group

    yield make
    for group_id in made:
        for port in await neutron.find_ports():
            if group_id in port.security_group_ids:
                await neutron.delete_port(port.id)
        await neutron.delete_security_group(group_id)


async def test_a_made_group_is_described_as_it_is_found_later(neutron: NeutronService, make: Make) -> None:
    name = unique()
    made = await make(name, frozenset({"fairlead", "flannel=1"}), FOUR, SIX)
    assert made.name == name
    assert made.tags == {"fairlead", "flannel=1"}
    assert made.ingress == {FOUR, SIX}
    assert await neutron.find_owned_security_groups(name=name) == [made]


async def test_a_group_lets_in_all_that_comes_from_its_ranges_and_lets_out_everything(cloud: Cloud, make: Make) -> None:
    made = await make("", frozenset(), FOUR, SIX)
    async with NeutronClient(cloud.member) as client:
        group = msgspec.json.decode(await client.call("GET", f"/security-groups/{made.id}"))["security_group"]
    assert group["description"] == "made by a test"
    rules = {
        (rule["direction"], rule["ethertype"], rule["remote_ip_prefix"], rule["protocol"], rule["remote_group_id"])
        for rule in group["security_group_rules"]
    }
    assert rules == {
        ("ingress", "IPv4", "10.5.0.0/16", None, None),
        ("ingress", "IPv6", "fd00:5::/48", None, None),
        ("egress", "IPv4", None, None, None),
        ("egress", "IPv6", None, None, None),
    }


async def test_a_range_given_twice_makes_one_rule(make: Make) -> None:
    assert (await make("", frozenset(), FOUR, FOUR)).ingress == {FOUR}


async def test_a_group_may_let_nothing_in(neutron: NeutronService, make: Make) -> None:
    name = unique()
    made = await make(name)
    assert [(group.id, group.ingress) for group in await neutron.find_owned_security_groups(name=name)] == [
        (made.id, frozenset())
    ]


async def test_only_rules_that_let_in_everything_count_as_ingress(neutron: NeutronService) -> None:
    (default,) = await neutron.find_owned_security_groups(name="default")
    assert default.ingress == frozenset()


async def test_groups_are_found_by_all_of_the_tags_given(neutron: NeutronService, make: Make) -> None:
    one, two = unique("tag"), unique("tag")
    both = await make("", frozenset({one, two}))
    await make("", frozenset({one}))
    assert [group.id for group in await neutron.find_owned_security_groups(tags=[one, two])] == [both.id]
    assert len(await neutron.find_owned_security_groups(tags=[one])) == 2
    assert await neutron.find_owned_security_groups(name="another", tags=[one]) == []


async def test_groups_of_one_name_come_in_the_same_order_for_everyone(neutron: NeutronService, make: Make) -> None:
    name = unique()
    made = {(await make(name)).id for _ in range(3)}
    first = await neutron.find_owned_security_groups(name=name)
    assert {group.id for group in first} == made
    assert await neutron.find_owned_security_groups(name=name) == first


async def test_another_projects_group_is_never_ours(
    neutron: NeutronService, as_service: NeutronService, operator: Operator
) -> None:
    name = unique()
    await operator.make("security_group", {"name": name})
    for service in (neutron, as_service):
        assert await service.find_owned_security_groups(name=name) == []


async def test_a_used_up_quota_of_groups_is_named(neutron: NeutronService, make: Make, operator: Operator) -> None:
    await make()
    limit = await operator.used("security_group")
    await operator.limit(security_group=limit)
    with pytest.raises(QuotaExceeded, match=rf"quota of security_groups \({limit}\)"):
        await make()


async def test_a_group_whose_rules_the_quota_forbids_is_not_left_behind(
    neutron: NeutronService, make: Make, operator: Operator
) -> None:
    name = unique()
    # Enough for the two rules that a new group has of its own.
    limit = await operator.used("security_group_rule") + 2
    await operator.limit(security_group_rule=limit)
    with pytest.raises(QuotaExceeded, match=rf"quota of security_group_rules \({limit}\)"):
        await make(name, frozenset({"fairlead"}), FOUR, SIX)
    assert await neutron.find_owned_security_groups(name=name) == []


async def test_ports_are_found_by_a_group_that_they_have(
    neutron: NeutronService, make: Make, network: Network, subnet: Subnet
) -> None:
    first, second = await make(), await make()
    groups = (first.id, second.id)
    port = await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),), security_group_ids=groups))
    await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),), security_group_ids=(first.id,)))
    assert [one.id for one in await neutron.find_ports(security_group=second.id)] == [port.id]
    assert len(await neutron.find_ports(security_group=first.id)) == 2
    await neutron.update_port(port.id, PortChange(security_group_ids=(first.id,)))
    assert await neutron.find_ports(security_group=second.id) == []


async def test_a_group_that_a_port_has_is_not_deleted(
    neutron: NeutronService, make: Make, network: Network, subnet: Subnet
) -> None:
    made = await make()
    port = await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),), security_group_ids=(made.id,)))
    with pytest.raises(StillInUse, match="take it off the ports"):
        await neutron.delete_security_group(made.id)
    await neutron.update_port(port.id, PortChange(security_group_ids=()))
    await neutron.delete_security_group(made.id)


async def test_a_group_is_deleted_and_that_is_fine_twice(neutron: NeutronService, make: Make) -> None:
    name = unique()
    made = await make(name, frozenset({"fairlead"}), FOUR)
    await neutron.delete_security_group(made.id)
    await neutron.delete_security_group(made.id)
    assert await neutron.find_owned_security_groups(name=name) == []
