"""What others do to one network of a node's keeps no other network from anything, and ends nothing behind."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.core.background.evidence import APART
from fairlead.model.errors import CloudUnavailable, Conflict, PermissionDenied
from fairlead.model.network import AddressPair, HostRoute, NewNetwork, NewSubnet, PortChange
from fairlead.model.records import JoinedNetwork, Lease, ReservedAddress, Step
from fairlead.model.tags import OWNED, routed_tag
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.blocks.test_docker import settle
from tests.unit.blocks.test_rebuild import lose
from tests.unit.docker.dockerd import DriverError, Network

ODD, WELL, LATER = "10.60.0.0/16", "10.70.0.0/16", "10.80.0.0/16"


@dataclass
class Scene:
    """Two nodes on two networks, of which one is to be meddled with: its id and its subnets as Neutron keeps them."""

    site: Site
    one: Instance
    two: Instance
    network_id: str
    peer: Lease
    patch: pytest.MonkeyPatch

    def subnets(self, node: Instance | None = None) -> list[dict[str, Any]]:
        every = self.site.cloud.store.resources["subnets"].values()
        port_id = node.port.id if node else ""
        return [one for one in every if one["network_id"] == self.network_id and one["name"].endswith(port_id)]

    def change(self, node: Instance | None = None, **values: Any) -> None:
        for subnet in self.subnets(node):
            subnet.update(values)

    def refuse(self, name: str, error: Exception) -> None:
        real = getattr(self.one.neutron, name)

        async def answer(*args: Any, **given: Any) -> Any:
            if self.network_id in (*args, *given.values()):
                raise error
            return await real(*args, **given)

        self.patch.setattr(self.one.neutron, name, answer)


Meddle = Callable[[Scene], Awaitable[None]]


async def route(scene: Scene) -> None:
    """An operator's own static route to a peer's block."""
    scene.one.kernel.table.clear()
    scene.one.kernel.foreign.add(scene.peer.parts[0])


async def router(scene: Scene) -> None:
    """A route to a peer's block on the router, by another node."""
    hop = next(each.address for each in scene.one.port.fixed_ips if each.address and each.address.version == 4)
    await scene.site.owner.add_routes(scene.site.router_id, [HostRoute(scene.peer.parts[0], hop)])


async def subnet(scene: Scene) -> None:
    """A subnet that somebody made for himself."""
    await scene.site.owner.create_subnet(NewSubnet(scene.network_id, ip_network("192.0.2.0/24"), None, name="mine"))


async def tagged(scene: Scene) -> None:
    """A subnet that somebody made, tagged as ours are, without what ours have."""
    cidr = ip_network("10.60.255.0/28")
    await scene.site.owner.create_subnet(NewSubnet(scene.network_id, cidr, None, name="", tags=frozenset({OWNED})))


async def nexthop(scene: Scene) -> None:
    """A block whose next hop is of the other family."""
    for one in scene.subnets(scene.two):
        one["host_routes"] = [{"destination": one["cidr"], "nexthop": "fd00::1"}]


def with_values(**values: Any) -> Meddle:
    async def meddle(scene: Scene) -> None:
        scene.change(**values)

    return meddle


def described(old: str, new: str) -> Meddle:
    async def meddle(scene: Scene) -> None:
        for one in scene.subnets():
            one["description"] = one["description"].replace(old, new)

    return meddle


async def own_name(scene: Scene) -> None:
    """A node's own block, named anew."""
    scene.change(scene.one, name="web")


async def tags(scene: Scene) -> None:
    """A network with a tag that looks like ours."""
    scene.site.cloud.store.resources["networks"][scene.network_id]["tags"].append("fairlead:routed=web")


async def twin(scene: Scene) -> None:
    """A second network of the same range."""
    tags = frozenset({OWNED, routed_tag(ip_network(ODD))})
    made = await scene.site.owner.create_network(NewNetwork("twin", tags=tags))
    await scene.site.owner.create_subnet(NewSubnet(made.id, ip_network(ODD), None))


async def pairs(scene: Scene) -> None:
    """Pairs that somebody made on a node's port, beside ours and within."""
    mine = [AddressPair(ip_network(one)) for one in ("10.60.200.0/24", "192.0.2.7/32")]
    have = (await scene.one.seen()).address_pairs
    await scene.site.owner.update_port(scene.one.port.id, PortChange(address_pairs=(*have, *mine)))


async def peers_port(scene: Scene) -> None:
    """A peer's port is gone."""
    async with NeutronService(scene.site.cloud.credentials("admin")) as nova:
        await nova.delete_port(scene.two.port.id)


async def network(scene: Scene) -> None:
    """The network is gone, with all blocks."""
    await scene.site.owner.delete_network(scene.network_id)


async def twice(scene: Scene) -> None:
    """A listing that shows each subnet twice."""
    real = scene.one.neutron.find_subnets

    async def listing(network_id: str) -> Sequence[Any]:
        return 2 * await real(network_id)

    scene.patch.setattr(scene.one.neutron, "find_subnets", listing)


def refused(name: str, error: Exception) -> Meddle:
    async def meddle(scene: Scene) -> None:
        scene.refuse(name, error)

    return meddle


MEDDLERS: dict[str, Meddle] = {
    "a route to a peer's block": route,
    "a route on the router": router,
    "a subnet of somebody's": subnet,
    "a tagged subnet of somebody's": tagged,
    "a next hop of the other family": nexthop,
    "an own block named anew": own_name,
    "blocks named anew": with_values(name="web"),
    "blocks without a name": with_values(name=""),
    "blocks without tags": with_values(tags=[]),
    "blocks without routes": with_values(host_routes=[]),
    "no description": with_values(description=""),
    "a description of somebody's": with_values(description="the web's, please keep"),
    "a range that is none": described(f"range {ODD}", "range web"),
    "a gateway that is none": described("gateway 10.60.0.1", "gateway here"),
    "a null for a description": with_values(description=None),
    "a null for a name": with_values(name=None),
    "a null for routes": with_values(host_routes=None),
    "a null for tags": with_values(tags=None),
    "a range that can't be read": with_values(cidr="web"),
    "a tag on the network": tags,
    "a second network of the range": twin,
    "pairs on the port": pairs,
    "a peer's port gone": peers_port,
    "the network gone": network,
    "subnets listed twice": twice,
    "a listing refused": refused("find_subnets", Conflict("somebody else is at it")),
    "a listing forbidden": refused("find_subnets", PermissionDenied("a policy forbids it")),
    "a listing that is never answered": refused("find_subnets", CloudUnavailable("no answer")),
    "a listing that makes no sense": refused("find_subnets", ValueError("what is web?")),
    "a deletion refused": refused("delete_network", Conflict("somebody else is at it")),
}


NO_BLOCKS = {"blocks without tags", "blocks without routes", "a next hop of the other family", "the network gone"}
"""Nothing of ours is left then of which one could tell."""

WAITED_FOR = {
    "a listing forbidden",
    "a listing that is never answered",
    "a range that can't be read",
    *(what for what in MEDDLERS if "null" in what),
}
"""What may be wrong with Neutron itself: a memory is rebuilt when that is over."""


async def scene_of(site: Site, launch: Launch, patch: pytest.MonkeyPatch) -> tuple[Scene, dict[str, Network]]:
    one, two = await launch(1), await launch(2)
    networks = {}
    for range_ in (ODD, WELL):
        await two.network_create(range_)
        networks[range_] = await one.network_create(range_)
    await settle(one, two)
    (joined,) = (one for one in one.store.all(JoinedNetwork) if str(one.subnets[0].cidr) == ODD)
    (peer,) = one.core.blocks.peers(joined.id)
    return Scene(site, one, two, joined.network_id, peer, patch), networks


@pytest.mark.parametrize("what", MEDDLERS)
async def test_other_networks_go_on(site: Site, launch: Launch, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    scene, networks = await scene_of(site, launch, monkeypatch)
    one, two = scene.one, scene.two
    await MEDDLERS[what](scene)
    for _ in range(3):
        await one.behind(40)
    later = await one.network_create(LATER)
    await one.rm(await one.run(later))
    well = await one.run(networks[WELL])
    (block,) = (lease for lease in one.store.all(Lease) if lease.id == networks[WELL].id)
    assert ip_address(well.address.partition("/")[0]) in block.parts[0]
    if what != "a peer's port gone":
        peers = one.core.blocks.peers(block.id)
        one.kernel.table.clear()
        await one.behind(10)
        assert one.routes()[peers[0].id] == two.address
    await one.rm(well)
    for network in (later, *networks.values()):
        await one.network_rm(network)
    for _ in range(4):
        await one.behind(60)
    left = {lease.joined_id for lease in one.store.all(Lease)} | {each.id for each in one.store.all(JoinedNetwork)}
    assert left <= {networks[ODD].id}
    assert not [each for each in await one.pairs() if each.startswith(("10.70.", "10.80."))]
    odd = one.store.get(JoinedNetwork, networks[ODD].id)
    assert odd is None or odd.step is Step.LEAVING


@pytest.mark.parametrize("what", [what for what in MEDDLERS if what not in WAITED_FOR])
async def test_a_memory_is_rebuilt_of_all_networks_but_the_one_that_was_meddled_with(
    site: Site, launch: Launch, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    scene, networks = await scene_of(site, launch, monkeypatch)
    one = scene.one
    running = {range_: await one.run(network) for range_, network in networks.items()}
    one.dataplane.away |= {each.endpoint_id for each in running.values()}
    await lose(one)
    await MEDDLERS[what](scene)
    with suppress(DriverError):
        await one.run(networks[WELL])
    one.clock.time += APART
    await one.run(networks[WELL])
    spared = {each.owner for each in one.store.all(ReservedAddress)}
    assert running[WELL].endpoint_id in spared
    if what not in NO_BLOCKS:
        assert running[ODD].endpoint_id in spared
    for steps in one.core.behind.values():
        await steps.step()
