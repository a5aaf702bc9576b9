"""Trunks where the cloud lacks them, or somebody else changes them at the same moment."""

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.model.errors import Conflict, UnsupportedRequest
from fairlead.model.network import NewNetwork, NewPort, SubPort
from fairlead_lab.fakes import FakeCloud, Fault


@pytest.fixture
async def trunk(cloud: FakeCloud, neutron: NeutronService) -> tuple[str, str]:
    """A trunk's id, and the id of its only sub-port."""
    network = await neutron.create_network(NewNetwork("nodes"))
    parent, child = await neutron.create_ports([NewPort(network.id, ())] * 2)
    async with NeutronClient(cloud.credentials()) as client:
        body = msgspec.json.encode({"trunk": {"port_id": parent.id}})
        made = msgspec.json.decode(await client.call("POST", "/trunks", body=body))
    await neutron.add_sub_ports(made["trunk"]["id"], [SubPort(child.id, 1)])
    return made["trunk"]["id"], child.id


async def test_a_neutron_without_trunks_is_told_from_one_where_the_port_has_none(
    cloud: FakeCloud, neutron: NeutronService
) -> None:
    assert await neutron.find_trunks("p") == []
    cloud.neutron.extensions.discard("trunk")
    async with NeutronService(cloud.credentials()) as other:
        with pytest.raises(UnsupportedRequest, match="this Neutron has no trunks"):
            await other.find_trunks("p")


async def test_a_trunk_that_keeps_changing_is_given_up(
    cloud: FakeCloud, neutron: NeutronService, trunk: tuple[str, str]
) -> None:
    trunk_id, child = trunk
    cloud.fail(Fault(method="PUT", path="remove_subports", status=404, kind="SubPortNotFound", times=100))
    with pytest.raises(Conflict, match=f"the trunk {trunk_id} changes all the time"):
        await neutron.remove_sub_ports(trunk_id, [child])


async def test_another_refusal_to_take_a_sub_port_off_is_not_tried_again(
    cloud: FakeCloud, neutron: NeutronService, trunk: tuple[str, str]
) -> None:
    trunk_id, child = trunk
    cloud.fail(Fault(method="PUT", path="remove_subports", status=409, kind="TrunkInErrorState", message="broken"))
    with pytest.raises(Conflict, match="broken"):
        await neutron.remove_sub_ports(trunk_id, [child])
    await neutron.remove_sub_ports(trunk_id, [child])
