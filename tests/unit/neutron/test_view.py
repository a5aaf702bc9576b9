"""How the adapter finds out whether it may bind ports."""

from fairlead.adapters.neutron import NeutronService
from fairlead.model.network import NewNetwork, NewPort
from fairlead_lab.fakes import FakeCloud
from tests.ports import create_port


async def test_what_is_found_out_once_is_not_asked_again(cloud: FakeCloud, neutron: NeutronService) -> None:
    await neutron.create_network(NewNetwork("web"))
    first = await neutron.view()
    asked = cloud.count()
    assert await neutron.view() == first
    assert cloud.count() == asked


async def test_an_operators_policy_that_lets_members_bind_is_noticed() -> None:
    async with FakeCloud(members_bind=True) as cloud, NeutronService(cloud.credentials()) as neutron:
        network = await neutron.create_network(NewNetwork("web"))
        assert (await neutron.view()).may_bind is True
        assert (await create_port(neutron, NewPort(network.id, (), host="h1"))).network_id == network.id


async def test_with_no_network_to_try_it_on_the_roles_decide_until_there_is_one() -> None:
    async with FakeCloud(members_bind=True) as cloud, NeutronService(cloud.credentials()) as neutron:
        assert (await neutron.view()).may_bind is False
        await neutron.create_network(NewNetwork("web"))
        assert (await neutron.view()).may_bind is True


async def test_the_role_service_may_bind_before_there_is_a_network(cloud: FakeCloud) -> None:
    async with NeutronService(cloud.credentials("service")) as neutron:
        assert (await neutron.view()).may_bind is True


async def test_ports_are_tagged_in_one_request_where_the_cloud_can() -> None:
    async with FakeCloud(tags_while_creating=True) as cloud, NeutronService(cloud.credentials()) as neutron:
        network = await neutron.create_network(NewNetwork("web"))
        made = await create_port(neutron, NewPort(network.id, (), tags=frozenset({"fairlead"})))
        assert made.tags == {"fairlead"}
        assert not any(call.path.endswith("/tags") for call in cloud.calls)


async def test_ports_are_tagged_by_a_second_request_where_it_can_not() -> None:
    async with FakeCloud(tags_while_creating=False) as cloud, NeutronService(cloud.credentials()) as neutron:
        network = await neutron.create_network(NewNetwork("web"))
        made = await create_port(neutron, NewPort(network.id, (), tags=frozenset({"fairlead"})))
        assert [port.id for port in await neutron.find_ports(tags=["fairlead"])] == [made.id]
        assert cloud.count("PUT", f"/ports/{made.id}/tags") == 1
