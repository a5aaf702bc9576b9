"""A node of mode `routed` compared with what is remembered: containers, devices, routes and blocks."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from fairlead.core.reconcile.reconciliation import HERE_EVERY
from fairlead.model.records import Lease, ReservedAddress
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import Plugged
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.blocks.test_docker import WEB, blocks
from tests.unit.docker.dockerd import DriverError, Network, Running


async def one(node: Instance, ip: str = "") -> tuple[Network, Running]:
    """A container that has run for a while."""
    network = await node.network_create(WEB)
    running = await node.run(network, ip=ip)
    await node.behind(60)
    return network, running


async def patient(node: Instance, seconds: float) -> None:
    for _ in range(int(seconds / 15)):
        await node.core.reconciliation.step()
        await node.behind(15)


def address(running: Running) -> str:
    return running.address.split("/")[0]


@pytest.mark.parametrize("asked_for", [True, False])
async def test_a_container_removed_while_the_agent_was_away_gives_its_address_back(
    launch: Launch, asked_for: bool
) -> None:
    node = await launch(1)
    network, running = await one(node)
    await node.stop()
    node.rm_unheard(running)
    await node.start()
    if not asked_for:
        await patient(node, 60)
        assert not node.store.all(ReservedAddress)
        assert not node.dataplane.attachments
    again = await node.run(network, ip=address(running))
    assert address(again) == address(running)
    assert [each.owner for each in node.store.all(ReservedAddress)] == [again.endpoint_id]


async def test_a_container_that_lives_keeps_its_address_also_while_dockerd_is_silent(launch: Launch) -> None:
    node = await launch(1)
    network, running = await one(node)
    for node.endpoints.silent in (False, True):
        await patient(node, 1800)
        with pytest.raises(DriverError, match="is used by"):
            await node.run(network, ip=address(running))


async def test_a_device_that_belongs_to_no_address_is_removed(launch: Launch) -> None:
    node = await launch(1)
    await one(node)
    known = dict(node.dataplane.attachments)
    node.dataplane.attachments["orphan"] = Vif("orphan", "", "02:00:00:00:00:01", 1442)
    node.clock.time += HERE_EVERY
    await node.core.reconciliation.step()
    assert node.dataplane.attachments == known


async def test_a_containers_route_that_somebody_removed_is_made_again(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await launch(1)
    _, running = await one(node)
    plugged, applied, again = node.dataplane.plugged, node.dataplane.apply, list[Vif]()

    async def without_routes() -> list[Plugged]:
        return [each if again else replace(each, addresses=()) for each in await plugged()]

    async def apply(vif: Vif) -> None:
        again.append(vif)
        await applied(vif)

    monkeypatch.setattr(node.dataplane, "plugged", without_routes)
    monkeypatch.setattr(node.dataplane, "apply", apply)
    await patient(node, 90)
    assert [vif.id for vif in again] == [running.endpoint_id]
    assert [str(each) for each in again[0].addresses] == [address(running)]


@pytest.mark.parametrize("tagged", [True, False])
async def test_a_block_that_names_this_node_and_is_not_remembered_is_given_back_after_two_looks(
    site: Site, launch: Launch, tagged: bool
) -> None:
    node, peer = await launch(1), await launch(2)
    network, running = await one(node)
    await peer.network_create(WEB)
    async with node.core.networks.locks.hold(network.id):
        joined = node.core.networks.get(network.id)
        lease = await node.core.blocks.grow(joined, 4)
    forgotten = lease.parts[-1]
    if not tagged:
        for subnet in site.cloud.store.resources["subnets"].values():
            if subnet["cidr"] == str(forgotten):
                subnet["tags"] = []
    before = await blocks(site)
    node.store.put(replace(lease, parts=lease.parts[:-1]))
    report = await node.core.reconciliation.reconcile(dry_run=True)
    assert [each.finding.what for each in report.outcomes] == [f"block {forgotten} of network {network.id[:12]}"]
    assert await blocks(site) == before
    report = await node.core.reconciliation.reconcile(dry_run=False)
    assert [each.state for each in report.outcomes] == ["done"]
    kept = node.store.get(Lease, network.id)
    assert kept is not None
    assert ip_network(forgotten) not in kept.parts
    assert len(await blocks(site)) == len(before) - 1
    assert any(running.endpoint_id == each.owner for each in node.store.all(ReservedAddress))
