"""A node of mode `routed` that is dead for good is retired: its blocks, pairs, routes and group go with it."""

from ipaddress import ip_network

import pytest

from fairlead.core.reconcile.retirement import Retirement
from fairlead.model.network import AddressPair, PortChange
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.blocks.test_docker import WEB, WEB6, blocks, left, settle
from tests.unit.docker.dockerd import HandClock


async def name_of(site: Site, node: Instance) -> str:
    """The name by which a node's blocks go."""
    networks = await site.owner.find_networks(tags=("fairlead",), own=True)
    names = [one.name for network in networks for one in await site.owner.find_subnets(network.id)]
    return next(name.split()[0] for name in names if name.endswith(node.port.id))


@pytest.mark.parametrize("far", [0, 1])
async def test_all_that_a_dead_node_had_is_removed_and_the_other_nodes_stays(
    site: Site, launch: Launch, far: int
) -> None:
    one, two = await launch(1), await launch(2, network=far)
    for node in (one, two):
        await node.network_create(WEB, subnet6=WEB6)
    await settle(one, two)
    mine = AddressPair(ip_network("192.0.2.0/24"))
    (port,) = await site.owner.find_ports(port_id=one.port.id)
    await site.owner.update_port(port.id, PortChange(address_pairs=(*port.address_pairs, mine)))
    retirement = Retirement(site.owner, HandClock())
    name = await name_of(site, one)
    await one.stop()
    site.cloud.store.resources["ports"][one.port.id]["status"] = "DOWN"
    (remains,) = await retirement.find(name)
    assert [line.split()[0] for line in remains.lines()] == ["block", "block"]
    assert await retirement.lives(remains, lambda _: None) is False
    await retirement.remove(remains)
    assert await retirement.find(name) == []
    assert set((await blocks(site)).values()) == {two.address, two.address6}
    (port,) = await site.owner.find_ports(port_id=one.port.id)
    assert port.address_pairs == (mine,)
    gone = {str(block.cidr) for _, block in remains.blocks}
    assert not gone & {destination for destination, _ in await site.routes()}
    await settle(two)
    assert await two.pairs() == set(await blocks(site))


async def test_the_last_node_takes_network_and_group_with_it(site: Site, launch: Launch) -> None:
    one = await launch(1)
    await one.network_create(WEB, subnet6=WEB6)
    await settle(one)
    name = await name_of(site, one)
    await one.stop()
    retirement = Retirement(site.owner, HandClock())
    (remains,) = await retirement.find(name)
    await retirement.remove(remains)
    assert await left(site) == []
    (port,) = await site.owner.find_ports(port_id=one.port.id)
    assert (port.address_pairs, port.security_group_ids) == ((), one.port.security_group_ids)


async def test_a_node_whose_port_is_active_lives(site: Site, launch: Launch) -> None:
    one = await launch(1)
    await one.network_create(WEB)
    site.cloud.store.resources["ports"][one.port.id]["status"] = "ACTIVE"
    retirement = Retirement(site.owner, HandClock())
    (remains,) = await retirement.find(await name_of(site, one))
    assert await retirement.lives(remains, lambda _: None) is True
