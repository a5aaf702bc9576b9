"""Trunks and their sub-ports, as the protocol promises them, on the fake and on a real Neutron."""

import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.model.errors import Conflict, InvalidInput, NotFound, StillInUse
from fairlead.model.network import FixedIP, Network, NewPort, Port, PortChange, Subnet, SubPort, Trunk
from tests.contract.conftest import Cloud
from tests.ports import create_port


@pytest.fixture
async def parent(neutron: NeutronService, network: Network, subnet: Subnet) -> Port:
    return await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),)))


@pytest.fixture
async def trunk(cloud: Cloud, neutron: NeutronService, parent: Port) -> AsyncIterator[Trunk]:
    """A trunk without sub-ports, made by the member; it goes before its ports do."""
    async with NeutronClient(cloud.member) as client:
        body = await client.call("POST", "/trunks", body=msgspec.json.encode({"trunk": {"port_id": parent.id}}))
        trunk_id = msgspec.json.decode(body)["trunk"]["id"]
        (made,) = await neutron.find_trunks(parent.id)
        yield made
        await client.call("DELETE", f"/trunks/{trunk_id}")


async def make_ports(neutron: NeutronService, network: Network, subnet: Subnet, count: int) -> list[Port]:
    return await neutron.create_ports([NewPort(network.id, (FixedIP(subnet.id),))] * count)


async def test_a_trunk_is_found_by_its_parent(neutron: NeutronService, parent: Port, trunk: Trunk) -> None:
    assert trunk == Trunk(trunk.id, parent.id, ())
    assert await neutron.find_trunks(str(uuid.uuid4())) == []
    assert trunk in await neutron.find_trunks()


async def test_a_member_adds_sub_ports_and_removes_them(
    neutron: NeutronService, network: Network, subnet: Subnet, parent: Port, trunk: Trunk
) -> None:
    one, two, three = await make_ports(neutron, network, subnet, 3)
    await neutron.add_sub_ports(trunk.id, [SubPort(one.id, 101), SubPort(two.id, 102)])
    await neutron.add_sub_ports(trunk.id, [SubPort(three.id, 103)])
    (found,) = await neutron.find_trunks(parent.id)
    assert set(found.sub_ports) == {SubPort(one.id, 101), SubPort(two.id, 102), SubPort(three.id, 103)}
    await neutron.remove_sub_ports(trunk.id, [one.id, three.id])
    (found,) = await neutron.find_trunks(parent.id)
    assert found.sub_ports == (SubPort(two.id, 102),)


async def test_removing_what_is_not_there_is_fine_and_removes_the_rest(
    neutron: NeutronService, network: Network, subnet: Subnet, parent: Port, trunk: Trunk
) -> None:
    one, two = await make_ports(neutron, network, subnet, 2)
    await neutron.add_sub_ports(trunk.id, [SubPort(one.id, 101)])
    await neutron.remove_sub_ports(trunk.id, [one.id, two.id, str(uuid.uuid4())])
    (found,) = await neutron.find_trunks(parent.id)
    assert found.sub_ports == ()
    await neutron.remove_sub_ports(trunk.id, [one.id])
    await neutron.remove_sub_ports(str(uuid.uuid4()), [one.id])


async def test_a_vlan_id_is_used_once_and_a_refused_request_adds_nothing(
    neutron: NeutronService, network: Network, subnet: Subnet, parent: Port, trunk: Trunk
) -> None:
    one, two, three = await make_ports(neutron, network, subnet, 3)
    await neutron.add_sub_ports(trunk.id, [SubPort(one.id, 101)])
    with pytest.raises(Conflict, match="101"):
        await neutron.add_sub_ports(trunk.id, [SubPort(two.id, 102), SubPort(three.id, 101)])
    with pytest.raises(InvalidInput):
        await neutron.add_sub_ports(trunk.id, [SubPort(two.id, 4095)])
    (found,) = await neutron.find_trunks(parent.id)
    assert found.sub_ports == (SubPort(one.id, 101),)


async def test_a_port_is_on_one_trunk_at_most(
    neutron: NeutronService, network: Network, subnet: Subnet, trunk: Trunk
) -> None:
    (one,) = await make_ports(neutron, network, subnet, 1)
    await neutron.add_sub_ports(trunk.id, [SubPort(one.id, 101)])
    with pytest.raises(Conflict, match="trunk"):
        await neutron.add_sub_ports(trunk.id, [SubPort(one.id, 102)])


async def test_what_is_not_there_can_not_be_added(
    neutron: NeutronService, network: Network, subnet: Subnet, trunk: Trunk
) -> None:
    (one,) = await make_ports(neutron, network, subnet, 1)
    with pytest.raises(NotFound):
        await neutron.add_sub_ports(trunk.id, [SubPort(str(uuid.uuid4()), 101)])
    with pytest.raises(NotFound):
        await neutron.add_sub_ports(str(uuid.uuid4()), [SubPort(one.id, 101)])


async def test_a_port_with_a_device_id_can_not_be_added(
    neutron: NeutronService, network: Network, subnet: Subnet, trunk: Trunk
) -> None:
    port = await create_port(neutron, NewPort(network.id, (FixedIP(subnet.id),), device_id="busy"))
    with pytest.raises(Conflict, match=r"busy.*device_id"):
        await neutron.add_sub_ports(trunk.id, [SubPort(port.id, 101)])
    await neutron.update_port(port.id, PortChange(device_id=""))
    await neutron.add_sub_ports(trunk.id, [SubPort(port.id, 101)])


async def test_a_sub_port_takes_a_name_and_a_device_id_and_keeps_its_tags(
    neutron: NeutronService, network: Network, subnet: Subnet, trunk: Trunk
) -> None:
    new = NewPort(network.id, (FixedIP(subnet.id),), tags=frozenset({"fairlead"}), device_owner="fairlead:container")
    port = await create_port(neutron, new)
    await neutron.add_sub_ports(trunk.id, [SubPort(port.id, 101)])
    await neutron.update_port(port.id, PortChange(name="i1/web", device_id="web"))
    (found,) = await neutron.find_ports(port_id=port.id)
    assert (found.name, found.device_id, found.device_owner) == ("i1/web", "web", "trunk:subport")
    assert found.tags == {"fairlead"}


async def test_a_sub_port_is_not_deleted_before_it_is_off_its_trunk(
    neutron: NeutronService, network: Network, subnet: Subnet, parent: Port, trunk: Trunk
) -> None:
    (one,) = await make_ports(neutron, network, subnet, 1)
    await neutron.add_sub_ports(trunk.id, [SubPort(one.id, 101)])
    with pytest.raises(StillInUse, match="trunk"):
        await neutron.delete_port(one.id)
    with pytest.raises(StillInUse, match="trunk"):
        await neutron.delete_port(parent.id)
    await neutron.remove_sub_ports(trunk.id, [one.id])
    await neutron.delete_port(one.id)
