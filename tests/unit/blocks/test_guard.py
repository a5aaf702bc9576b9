"""What the packet filter is told, and that no container runs ahead of it."""

from ipaddress import ip_address

import pytest

from fairlead.model.errors import DataplaneError, NotFound
from fairlead.ports.guard import GuardedNode
from tests.unit.blocks.conftest import Launch
from tests.unit.blocks.nodes import RuleBook
from tests.unit.docker.dockerd import DriverError

WEB, WEB6 = "10.60.0.0/16", "fd00:60::/64"


class Refusing(RuleBook):
    """A packet filter that can't be made."""

    async def put(self, node: GuardedNode) -> None:
        raise DataplaneError("`nft -f -` failed")


async def test_a_container_is_not_wired_before_the_packet_filter_is_there(launch: Launch) -> None:
    one = await launch(1)
    network = await one.network_create(WEB)
    await one.stop()
    one.guard.node = GuardedNode()  # the machine was rebooted: nftables is empty
    await one.start()  # dockerd starts its containers before anything behind has begun
    await one.run(network)
    assert len(one.guard.networks) == 1


async def test_a_container_is_not_wired_where_the_packet_filter_can_not_be_made(launch: Launch) -> None:
    one = await launch(1)
    network = await one.network_create(WEB)
    await one.stop()
    guard, one.guard = one.guard, Refusing()
    await one.start()
    with pytest.raises(DriverError, match="nft"):
        await one.run(network)
    assert not one.dataplane.attachments
    await one.stop()
    one.guard = guard
    await one.start()
    await one.run(network)
    assert len(one.guard.networks) == 1


async def test_the_filter_knows_the_nic_the_gateways_and_the_other_nodes(launch: Launch) -> None:
    one, two, far = await launch(1), await launch(2), await launch(3, network=1)
    for node in (one, two, far):
        await node.network_create(WEB, subnet6=WEB6)
    guarded = far.guard.node
    assert guarded.nic == "eth0"
    assert set(map(str, guarded.peers)) == {one.address, one.address6, two.address, two.address6}
    assert guarded.networks[0].gateways == (ip_address("10.60.0.1"), ip_address("fd00:60::1"))
    await one.behind(40.0)
    await one.behind(40.0)
    assert ip_address(far.address) in one.guard.node.peers, "a node that came later"


async def test_a_lost_default_route_leaves_the_nic_known(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await launch(1)
    network = await one.network_create(WEB)

    async def lost() -> None:
        raise NotFound("this host has no default route")

    monkeypatch.setattr(one.kernel, "nic", lost)
    await one.core.blocks.guarding.bring()
    assert one.guard.node.nic == "eth0"
    await one.stop()
    await one.start()
    await one.run(network)  # no node's packets come in until the NIC is known, and the filter is there
    assert one.guard.node.nic == ""
    assert len(one.guard.networks) == 1
