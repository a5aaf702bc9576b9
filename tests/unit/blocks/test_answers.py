"""One answer of Neutron's that lacks what is there deletes nothing, neither a peer's nor this node's own."""

from collections.abc import Callable
from typing import Any

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.core.background.evidence import APART
from fairlead.model.records import JoinedNetwork, Lease, ReservedAddress
from fairlead_lab.fakes import Fault
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.blocks.test_docker import WEB, blocks, left, settle
from tests.unit.blocks.test_rebuild import lose
from tests.unit.docker.dockerd import DriverError

LISTINGS = (
    "find_networks",
    "find_subnets",
    "find_ports",
    "get_port",
    "get_network",
    "find_routers",
    "find_owned_security_groups",
)
"""All that a node in mode `routed` asks Neutron for."""


NOT_AT_REST = {"find_networks", "get_port", "get_network"}
"""What it asks for only where something is made, goes, or seems to have gone."""


class Lagging:
    """A Neutron that answers some calls as if there was nothing, so many times, and otherwise as it is."""

    def __init__(self, node: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
        self._node, self._patch = node, monkeypatch
        self.empty: dict[str, int] = {}
        self.lied: list[str] = []
        for name in LISTINGS:
            monkeypatch.setattr(node.neutron, name, self._answer(name, getattr(node.neutron, name)))

    def _answer(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(*args: Any, **given: Any) -> Any:
            if self.empty.get(name, 0) > 0:
                self.empty[name] -= 1
                self.lied.append(name)
                return None if name.startswith("get") else []
            return await real(*args, **given)

        return answer


def world(site: Site) -> dict[str, object]:
    """All that Neutron has, but for revisions and times."""
    changing = {"revision_number", "updated_at", "created_at"}
    return {
        id_: {name: value for name, value in one.items() if name not in changing}
        for resources in site.cloud.store.resources.values()
        for id_, one in resources.items()
    }


@pytest.mark.parametrize("listing", [*LISTINGS, "all of them"])
@pytest.mark.parametrize("times", [1, 2])
async def test_an_empty_answer_takes_nothing_from_neutron_nor_from_a_kernel(
    site: Site, launch: Launch, monkeypatch: pytest.MonkeyPatch, listing: str, times: int
) -> None:
    one, two, far = await launch(1), await launch(2), await launch(3, network=1)
    nodes = (one, two, far)
    for node in nodes:
        await node.network_create(WEB)
    await one.join()
    await two.join(one)
    await far.join(one, two)
    for _ in range(3):
        await settle(*nodes)
    before, routes = world(site), one.routes()
    assert len(routes) == 2, "to the other node's block and its lease"
    site.cloud.store.advance(1000)
    lagging = Lagging(one, monkeypatch)
    for _ in range(6):  # each of them a moment in which everything is looked at
        lagging.empty = dict.fromkeys(LISTINGS if listing == "all of them" else [listing], times)
        await one.behind(100)
        assert one.routes() == routes, lagging.lied
        lagging.empty.clear()
        await one.behind(100)
        assert one.routes() == routes, lagging.lied
        after = world(site)
        assert {id_: after.get(id_) for id_ in before} == before, lagging.lied
    await settle(*nodes)
    assert world(site) == before
    assert listing in {*lagging.lied, *NOT_AT_REST, "all of them"}


async def test_a_peers_port_that_is_missing_is_looked_for_again_and_by_itself_before_its_blocks_go(
    site: Site, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, dead = await launch(1), await launch(2)
    await one.network_create(WEB)
    await dead.network_create(WEB)
    await settle(one, dead)
    before = await blocks(site)
    await dead.stop()
    async with NeutronService(site.cloud.credentials("admin")) as nova:
        await nova.delete_port(dead.port.id)
    await one.behind(120)
    assert await blocks(site) == before
    await one.behind(APART / 2)
    assert await blocks(site) == before
    await one.behind(120)
    assert set((await blocks(site)).values()) == {one.address}
    await dead.start()


@pytest.mark.parametrize("listing", LISTINGS)
async def test_a_network_is_left_whole_though_an_answer_shows_nothing(
    site: Site, launch: Launch, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    one, far = await launch(1), await launch(2, network=1)
    networks = {node: await node.network_create(WEB) for node in (one, far)}
    await settle(one, far)
    lagging = Lagging(one, monkeypatch)
    lagging.empty = {listing: 1}
    await one.network_rm(networks[one])
    assert set((await blocks(site)).values()) >= {far.address}, "the other's is not this one's to delete"
    await settle(one, far)
    assert set((await blocks(site)).values()) == {far.address}
    assert await one.pairs() == set()
    await far.network_rm(networks[far])
    for _ in range(3):
        await settle(one, far)
    assert await left(site, one, far) == []
    assert not one.store.all(Lease)


@pytest.mark.parametrize("listing", ["find_networks", "find_subnets"])
async def test_a_memory_is_not_rebuilt_of_an_answer_that_knows_less_than_the_kernel(
    site: Site, launch: Launch, monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    running = await node.run(network)
    node.dataplane.away.add(running.endpoint_id)
    await lose(node)
    lagging = Lagging(node, monkeypatch)
    lagging.empty = {listing: 1}
    with pytest.raises(DriverError, match="Neutron tells of no block"):
        await node.run(network)
    await node.rebuild.ensure()
    for _ in range(3):
        await node.core.reconciliation.step()
        node.clock.time += 30
    assert {one.owner for one in node.store.all(ReservedAddress)} == {running.endpoint_id}
    assert running.endpoint_id in node.dataplane.attachments
    await node.run(network)


async def test_what_a_second_look_does_not_know_either_is_no_more(site: Site, launch: Launch) -> None:
    node = await launch(1)
    running = await node.run(await node.network_create(WEB))
    node.dataplane.away.add(running.endpoint_id)
    await lose(node)
    (network,) = await site.owner.find_networks(tags=("fairlead",), own=True)
    await site.owner.delete_network(network.id)
    for _ in range(2):
        with pytest.raises(DriverError, match="Neutron tells of no block"):
            await node.run(running.network)
    node.clock.time += APART
    await node.rebuild.ensure()
    assert not node.store.all(JoinedNetwork)


async def test_an_own_port_that_an_answer_lacks_is_still_this_nodes(
    site: Site, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await launch(1)
    await node.network_create(WEB)
    lagging = Lagging(node, monkeypatch)
    lagging.empty = {"find_ports": 1, "get_port": 1}
    await node.behind(60)
    assert lagging.lied
    (lease,) = node.store.all(Lease)
    assert lease.port_id == node.port.id


async def test_a_routers_change_that_could_not_be_said_again_is_said_again_later(site: Site, launch: Launch) -> None:
    one, far = await launch(1), await launch(2, network=1)
    await one.join()
    await far.join(one)
    await one.behind(30)
    site.cloud.calls.clear()
    site.cloud.fail(Fault(method="PUT", path="add_extraroutes", status=503, times=2))
    for _ in range(8):
        await one.behind(10)
    told = [call for call in site.cloud.calls if "add_extraroutes" in call.path]
    assert [call.status for call in told][-1:] == [200]
    assert one.reconciler.trouble == {}
