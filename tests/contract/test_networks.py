"""Networks, as the protocol promises them, on the fake and on a real Neutron."""

import re
import uuid

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.model.errors import Conflict, InvalidInput, NotFound, PermissionDenied, QuotaExceeded, StillInUse
from fairlead.model.network import Network, NewNetwork, NewPort, Subnet
from tests.contract.conftest import Cloud, MakeNetwork, MakeSubnet, Operator
from tests.ports import create_port


def unique(word: str = "tag") -> str:
    return f"{word}-{uuid.uuid4().hex[:12]}"


async def test_a_made_network_is_described_as_it_is_found_later(
    neutron: NeutronService, make_network: MakeNetwork
) -> None:
    made = await make_network(unique("web"), tags=frozenset({"fairlead", "docker=1"}))
    assert await neutron.find_networks(network_id=made.id) == [made]
    assert await neutron.get_network(made.id) == made


async def test_a_made_network_belongs_to_the_project_and_has_an_mtu(cloud: Cloud, make_network: MakeNetwork) -> None:
    made = await make_network("web")
    assert (made.name, made.project_id, made.subnet_ids) == ("web", cloud.project_id, ())
    assert made.mtu >= 1280


async def test_the_moment_of_creation_is_told_to_the_second(network: Network) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", network.created_at)


async def test_networks_are_found_by_name(neutron: NeutronService, make_network: MakeNetwork) -> None:
    name = unique("web")
    first, second = await make_network(name), await make_network(name)
    assert {found.id for found in await neutron.find_networks(name=name)} == {first.id, second.id}


async def test_networks_are_found_by_all_of_the_tags_given(neutron: NeutronService, make_network: MakeNetwork) -> None:
    one, two = unique(), unique()
    both = await make_network(tags=frozenset({one, two}))
    await make_network(tags=frozenset({one}))
    assert [found.id for found in await neutron.find_networks(tags=[one, two])] == [both.id]
    assert len(await neutron.find_networks(tags=[one])) == 2


async def test_all_that_is_asked_for_must_match(neutron: NeutronService, make_network: MakeNetwork) -> None:
    tag, name = unique(), unique("web")
    made = await make_network(name, tags=frozenset({tag}))
    assert [found.id for found in await neutron.find_networks(name=name, tags=[tag], own=True)] == [made.id]
    assert await neutron.find_networks(name="another", tags=[tag]) == []


async def test_a_network_that_does_not_exist_is_not_found(neutron: NeutronService) -> None:
    assert await neutron.find_networks(network_id=str(uuid.uuid4())) == []
    assert await neutron.get_network(str(uuid.uuid4())) is None


async def test_a_network_names_its_subnets(neutron: NeutronService, network: Network, make_subnet: MakeSubnet) -> None:
    first, second = await make_subnet(network, "10.1.0.0/24"), await make_subnet(network, "10.2.0.0/24")
    (found,) = await neutron.find_networks(network_id=network.id)
    by_itself = await neutron.get_network(network.id)
    assert by_itself is not None
    assert set(found.subnet_ids) == set(by_itself.subnet_ids) == {first.id, second.id}
    assert found.revision == by_itself.revision


async def test_tags_of_docker_and_of_operators_survive(neutron: NeutronService, make_network: MakeNetwork) -> None:
    tags = frozenset({unique("fairlead:docker="), "docker.name=my web", "a+b&c=d%e?f#g;h", "ünï", "x" * 200})
    made = await make_network(tags=tags)
    assert made.tags == tags
    (found,) = await neutron.find_networks(tags=tags)
    assert found.id == made.id


async def test_a_tag_is_added_beside_the_others(neutron: NeutronService, make_network: MakeNetwork) -> None:
    made = await make_network(tags=frozenset({"first"}))
    await neutron.tag_network(made.id, "docker=0123abcd:second.json")
    await neutron.tag_network(made.id, "first")
    (found,) = await neutron.find_networks(network_id=made.id)
    assert found.tags == {"first", "docker=0123abcd:second.json"}


@pytest.mark.parametrize("tag", ["10.20.0.0/24", "ünï"])
async def test_a_tag_that_a_url_can_not_carry_is_refused_rather_than_bent(
    neutron: NeutronService, network: Network, tag: str
) -> None:
    with pytest.raises(InvalidInput):
        await neutron.tag_network(network.id, tag)
    with pytest.raises(InvalidInput):
        await neutron.untag_network(network.id, tag)


@pytest.mark.parametrize("tag", ["a.json", "a b?c#d%e&f", "fairlead:host=h1.lab.internal:0123456789ab", "a;b=c"])
async def test_a_tag_with_odd_characters_comes_and_goes_whole(
    neutron: NeutronService, network: Network, tag: str
) -> None:
    await neutron.tag_network(network.id, tag)
    (found,) = await neutron.find_networks(network_id=network.id)
    assert found.tags == {tag}
    await neutron.untag_network(network.id, tag)
    (found,) = await neutron.find_networks(network_id=network.id)
    assert found.tags == set()


async def test_a_tag_is_taken_off_and_that_is_fine_twice(neutron: NeutronService, make_network: MakeNetwork) -> None:
    made = await make_network(tags=frozenset({"first", "second"}))
    await neutron.untag_network(made.id, "first")
    await neutron.untag_network(made.id, "first")
    (found,) = await neutron.find_networks(network_id=made.id)
    assert found.tags == {"second"}


async def test_a_network_that_does_not_exist_can_not_be_tagged(neutron: NeutronService) -> None:
    with pytest.raises(NotFound):
        await neutron.tag_network(str(uuid.uuid4()), "first")


async def test_taking_a_tag_off_a_network_that_is_gone_is_fine(neutron: NeutronService) -> None:
    gone = str(uuid.uuid4())
    await neutron.untag_network(gone, "first")
    assert await neutron.find_networks(network_id=gone) == []


async def test_tagging_changes_the_revision(neutron: NeutronService, network: Network) -> None:
    await neutron.tag_network(network.id, "claimed")
    (tagged,) = await neutron.find_networks(network_id=network.id)
    await neutron.untag_network(network.id, "claimed")
    (untagged,) = await neutron.find_networks(network_id=network.id)
    assert network.revision < tagged.revision < untagged.revision


async def test_a_network_is_deleted_with_its_subnets(neutron: NeutronService, network: Network, subnet: Subnet) -> None:
    await neutron.delete_network(network.id)
    assert await neutron.find_networks(network_id=network.id) == []
    assert await neutron.find_subnets(network.id) == []


async def test_deleting_a_network_that_is_gone_is_fine(neutron: NeutronService, network: Network) -> None:
    await neutron.delete_network(network.id)
    await neutron.delete_network(network.id)
    await neutron.delete_network(network.id, revision=network.revision)
    assert await neutron.find_networks(network_id=network.id) == []


async def test_a_network_with_a_port_is_not_deleted(neutron: NeutronService, network: Network) -> None:
    await create_port(neutron, NewPort(network.id, ()))
    with pytest.raises(StillInUse):
        await neutron.delete_network(network.id)


async def test_a_network_is_deleted_if_its_revision_is_the_one_given(neutron: NeutronService, network: Network) -> None:
    await neutron.delete_network(network.id, revision=network.revision)
    assert await neutron.find_networks(network_id=network.id) == []


async def test_a_network_that_someone_has_tagged_meanwhile_is_not_deleted(
    neutron: NeutronService, network: Network
) -> None:
    await neutron.tag_network(network.id, "another host's")
    with pytest.raises(Conflict):
        await neutron.delete_network(network.id, revision=network.revision)
    assert len(await neutron.find_networks(network_id=network.id)) == 1


async def test_a_network_that_got_a_subnet_meanwhile_is_not_deleted(
    neutron: NeutronService, network: Network, make_subnet: MakeSubnet
) -> None:
    await make_subnet(network)
    with pytest.raises(Conflict):
        await neutron.delete_network(network.id, revision=network.revision)


async def test_a_shared_network_is_found_unless_only_the_projects_own_are_wanted(
    neutron: NeutronService, operator: Operator
) -> None:
    name = unique("shared")
    network_id = await operator.make("network", {"name": name, "shared": True})
    assert [found.id for found in await neutron.find_networks(name=name)] == [network_id]
    assert await neutron.find_networks(name=name, own=True) == []


async def test_another_projects_network_is_never_found(
    neutron: NeutronService, as_service: NeutronService, operator: Operator
) -> None:
    name = unique("private")
    network_id = await operator.make("network", {"name": name})
    for service in (neutron, as_service):
        assert await service.find_networks(name=name) == []
        assert await service.find_networks(network_id=network_id) == []


async def test_a_shared_network_of_another_project_can_not_be_deleted(
    neutron: NeutronService, operator: Operator
) -> None:
    network_id = await operator.make("network", {"name": unique("shared"), "shared": True})
    with pytest.raises(PermissionDenied):
        await neutron.delete_network(network_id)


async def test_a_used_up_quota_of_networks_is_named(
    neutron: NeutronService, network: Network, operator: Operator
) -> None:
    limit = len(await neutron.find_networks(own=True))
    await operator.limit(network=limit)
    with pytest.raises(QuotaExceeded, match=rf"quota of networks \({limit}\) is used up: .*openstack quota show"):
        await neutron.create_network(NewNetwork("one too many"))
