"""What the adapter does around a request for several ports."""

from ipaddress import ip_network

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.model.errors import CloudUnavailable
from fairlead.model.network import FixedIP, NewNetwork, NewPort, NewSubnet
from fairlead_lab.fakes import FakeCloud, Fault
from fairlead_lab.fakes.record import How

TAGS = frozenset({"fairlead"})


async def test_each_port_is_tagged_by_a_request_of_its_own_where_the_cloud_tags_no_bulk() -> None:
    async with FakeCloud(tags_while_creating=False) as cloud, NeutronService(cloud.credentials()) as neutron:
        network = await neutron.create_network(NewNetwork("web"))
        made = await neutron.create_ports([NewPort(network.id, (), tags=TAGS)] * 3)
        assert all(port.tags == TAGS for port in made)
        assert len(await neutron.find_ports(tags=TAGS)) == 3
        assert [cloud.count("PUT", f"/ports/{port.id}/tags") for port in made] == [1, 1, 1]


async def test_where_one_port_can_not_be_tagged_all_are_deleted_again() -> None:
    async with FakeCloud(tags_while_creating=False) as cloud, NeutronService(cloud.credentials()) as neutron:
        network = await neutron.create_network(NewNetwork("web"))
        cloud.fail(Fault(How.LOSE, method="PUT", path="/tags"))
        cloud.fail(Fault(method="PUT", path="/tags", status=500))
        with pytest.raises(CloudUnavailable):
            await neutron.create_ports([NewPort(network.id, (), tags=TAGS)] * 3)
        assert await neutron.find_ports(network_id=network.id) == []


async def test_each_port_beyond_the_first_may_take_a_second_more(cloud: FakeCloud) -> None:
    async with NeutronService(cloud.credentials(), total_timeout=0.5) as neutron:
        network = await neutron.create_network(NewNetwork("web"))
        cloud.fail(Fault(How.HANG, "POST"))
        with pytest.raises(CloudUnavailable, match=r"within 1\.5 s"):
            await neutron.create_ports([NewPort(network.id, ())] * 2)
        cloud.port_latency = 0.3
        assert len(await neutron.create_ports([NewPort(network.id, ())] * 2)) == 2


async def test_a_bulk_whose_answer_is_lost_is_not_sent_twice(cloud: FakeCloud, neutron: NeutronService) -> None:
    network = await neutron.create_network(NewNetwork("web"))
    cloud.fail(Fault(How.LOSE, "POST"))
    with pytest.raises(CloudUnavailable):
        await neutron.create_ports([NewPort(network.id, (), device_id="batch")] * 3)
    assert len(await neutron.find_ports(device_id="batch")) == 3


async def test_what_a_lower_quota_leaves_no_room_for_is_not_less_than_nothing(
    cloud: FakeCloud, neutron: NeutronService
) -> None:
    network = await neutron.create_network(NewNetwork("web"))
    await neutron.create_ports([NewPort(network.id, ())] * 3)
    cloud.set_quota(port=1)
    assert (await neutron.headroom(network.id, {})).ports == 0


@pytest.mark.parametrize("status", [403, 404])
async def test_a_quota_that_is_not_told_is_not_asked_for_again(
    cloud: FakeCloud, neutron: NeutronService, status: int
) -> None:
    network = await neutron.create_network(NewNetwork("web"))
    cloud.fail(Fault(path="/quotas", status=status))
    assert (await neutron.headroom(network.id, {})).ports is None
    asked = cloud.count("GET")
    assert (await neutron.headroom(network.id, {})).ports is None
    assert cloud.count("GET") == asked


@pytest.mark.parametrize("path", ["/quotas", "/network-ip-availabilities"])
async def test_trouble_is_not_taken_for_a_refusal(cloud: FakeCloud, path: str) -> None:
    async with NeutronService(cloud.credentials("service")) as neutron:
        network = await neutron.create_network(NewNetwork("web"))
        subnet = await neutron.create_subnet(NewSubnet(network.id, ip_network("10.0.0.0/16"), None))
        cloud.fail(Fault(path=path, status=500))
        with pytest.raises(CloudUnavailable):
            await neutron.headroom(network.id, {subnet.id: subnet.cidr})
        room = await neutron.headroom(network.id, {subnet.id: subnet.cidr})
        assert (room.ports, room.addresses) == (500, 65534)


async def test_freed_addresses_of_the_fake_are_given_out_again(cloud: FakeCloud, neutron: NeutronService) -> None:
    network = await neutron.create_network(NewNetwork("web"))
    subnet = await neutron.create_subnet(NewSubnet(network.id, ip_network("10.0.0.0/29"), None))
    new = NewPort(network.id, (FixedIP(subnet.id),))
    made = await neutron.create_ports([new] * 6)
    for port in made[1:3]:
        await neutron.delete_port(port.id)
    again = await neutron.create_ports([new] * 2)
    assert [port.fixed_ips for port in again] == [port.fixed_ips for port in made[1:3]]


async def test_ports_being_made_are_waited_for_longer_than_other_answers() -> None:
    async with (
        FakeCloud() as cloud,
        NeutronService(cloud.credentials("member"), total_timeout=0.5, create_patience=5.0) as neutron,
    ):
        network = await neutron.create_network(NewNetwork("web"))
        cloud.latency = 0.7
        (made,) = await neutron.create_ports([NewPort(network.id, ())])
        assert made.network_id == network.id
        with pytest.raises(CloudUnavailable):
            await neutron.find_ports(network_id=network.id)
