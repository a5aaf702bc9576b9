"""A node's file that is lost is rebuilt from Neutron and the kernel, and containers notice nothing."""

from typing import Any

import pytest

from fairlead.frontends.docker.pools import AddressPools
from fairlead.frontends.docker.records import AddressPool
from fairlead.model.records import JoinedNetwork, Lease, ReservedAddress
from fairlead_lab.fakes import Fault
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.blocks.test_docker import WEB, WEB6, blocks, left, settle
from tests.unit.docker.dockerd import DriverError, Network, Running


async def lose(node: Instance) -> None:
    """Lose the file while the agent is down."""
    await node.stop()
    for file in (node.folder / f"i{node.number}").glob("routed.sqlite*"):
        file.unlink()
    await node.start()


async def some(node: Instance, **options: Any) -> tuple[Network, Running]:
    network = await node.network_create(WEB, subnet6=WEB6, **options)
    running = await node.run(network)
    node.dataplane.away.add(running.endpoint_id)
    return network, running


def known(node: Instance) -> set[object]:
    """What a memory tells, but for when."""
    store = node.store
    return {
        *((one.id, one.step, one.network_id, one.internal, one.mtu, one.subnets) for one in store.all(JoinedNetwork)),
        *((one.id, frozenset(one.parts), one.addresses, one.ranges, one.own) for one in store.all(Lease)),
        *((one.id, one.owner, one.mac) for one in store.all(ReservedAddress)),
    }


def pools(node: Instance, *pool_ids: str) -> set[AddressPool | None]:
    """Docker's pools, as they are when Docker names them."""
    known = AddressPools(node.store, node.core.networks, node.clock)
    return {known.find(one) for one in pool_ids}


async def test_what_a_rebuilt_memory_tells_is_what_was_known(launch: Launch) -> None:
    node, peer = await launch(1), await launch(2)
    await some(node, internal=True, gateway="10.60.0.9", ip_range="10.60.128.0/20")
    await peer.network_create(WEB, subnet6=WEB6)
    await settle(node, peer)
    named = [one.id for one in node.store.all(AddressPool)]
    before, routes, guarded = (known(node), pools(node, *named)), node.routes(), node.guard.networks
    await lose(node)
    await node.rebuild.ensure()
    assert not node.store.all(AddressPool)
    assert (known(node), pools(node, *named)) == before
    await node.behind(30.0)
    assert node.routes() == routes
    assert {(one.ranges, frozenset(one.blocks), one.internal) for one in node.guard.networks} == {
        (one.ranges, frozenset(one.blocks), one.internal) for one in guarded
    }


async def test_containers_go_on_and_end_well(site: Site, launch: Launch) -> None:
    node = await launch(1)
    network, one = await some(node)
    await lose(node)
    two = await node.run(network)
    assert two.address != one.address
    assert two.join["Gateway"] == "10.60.0.1"
    for running in (one, two):
        await node.rm(running)
    await node.network_rm(network)
    await settle(node)
    assert await left(site, node) == []
    assert not [*node.store.all(JoinedNetwork), *node.store.all(ReservedAddress), *node.store.all(Lease)]


async def test_a_network_that_was_being_left_is_left(site: Site, launch: Launch) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    away = Fault(method="DELETE", path="^/subnets/", times=1000, status=503)
    site.cloud.fail(away)
    await node.network_rm(network)
    await lose(node)
    await node.rebuild.ensure()
    away.times = 0
    for _ in range(5):
        await settle(node)
    assert await left(site, node) == []
    assert await blocks(site) == {}


async def test_a_restart_with_a_whole_file_asks_nothing(site: Site, launch: Launch) -> None:
    node = await launch(1)
    network, _ = await some(node)
    await node.stop()
    await node.start()
    site.cloud.calls.clear()
    await node.run(network)
    assert site.cloud.calls == []


async def test_without_neutron_a_lost_memory_waits_and_says_so(site: Site, launch: Launch) -> None:
    node = await launch(1)
    network, _ = await some(node)
    await lose(node)
    away = Fault(times=1000, status=503)
    site.cloud.fail(away)
    with pytest.raises(DriverError, match="503"):
        await node.run(network)
    away.times = 0
    await node.run(network)


@pytest.mark.parametrize("range_", [WEB, "10.60.0.0/20"])
async def test_a_range_is_still_in_use_after_the_loss(site: Site, launch: Launch, range_: str) -> None:
    node = await launch(1)
    network, _ = await some(node)
    held = await blocks(site)
    await lose(node)
    with pytest.raises(DriverError, match=f"overlaps {WEB}, which network {network.id[:12]} uses"):
        await node.network_create(range_)
    assert await blocks(site) == held
