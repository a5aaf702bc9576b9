"""Docker networks in mode `routed`, on the fake cloud: blocks held and given back, addresses, peers."""

import asyncio
from ipaddress import ip_address, ip_network

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.model.errors import CloudUnavailable
from fairlead.model.network import Subnet
from fairlead.model.records import JoinedNetwork
from fairlead_lab.fakes import Fault
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.docker.dockerd import DriverError

WEB, WEB6 = "10.60.0.0/16", "fd00:60::/64"


async def blocks(site: Site) -> dict[str, str]:
    """Next hop by block, of every network that Fairlead made."""
    networks = await site.owner.find_networks(tags=("fairlead",), own=True)
    subnets = [subnet for network in networks for subnet in await site.owner.find_subnets(network.id)]
    return {str(one.cidr): str(one.host_routes[0].nexthop) for one in subnets}


async def left(site: Site, *nodes: Instance) -> list[object]:
    """What of Fairlead's is in Neutron."""
    pairs = [pair for node in nodes for pair in await node.pairs()]
    groups = await site.owner.find_owned_security_groups(tags=("fairlead",))
    networks = await site.owner.find_networks(tags=("fairlead",), own=True)
    return [*pairs, *groups, *networks, *await site.routes()]


async def settle(*nodes: Instance) -> None:
    for _ in range(3):
        for node in nodes:
            await node.behind(30.0)


async def test_a_node_holds_a_block_of_each_range_and_its_port_lets_them_through(site: Site, launch: Launch) -> None:
    node = await launch(1)
    await node.network_create(WEB, subnet6=WEB6)
    held = await blocks(site)
    assert set(held.values()) == {node.address, node.address6}
    assert await node.pairs() == set(held)
    assert {ip_network(one).prefixlen for one in held} == {26, 112}
    (guarded,) = node.guard.networks
    assert {str(one) for one in guarded.blocks} == set(held)


async def test_a_container_gets_an_address_alone_on_its_link_and_the_gateway_by_a_connected_route(
    launch: Launch,
) -> None:
    node = await launch(1)
    network = await node.network_create(WEB, subnet6=WEB6)
    one = await node.run(network)
    assert one.address.endswith("/32")
    assert one.address6.endswith("/128")
    assert one.join["Gateway"] == "10.60.0.1"
    assert one.join["GatewayIPv6"] == "fd00:60::1"
    assert {"Destination": "10.60.0.1/32", "NextHop": "", "RouteType": 1} in one.join["StaticRoutes"] or {
        "Destination": "10.60.0.1/32",
        "RouteType": 1,
    } in one.join["StaticRoutes"]


async def test_an_address_rests_also_where_the_agent_was_restarted(launch: Launch) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    one = await node.run(network)
    await node.stop()
    await node.start()
    await node.rm(one, behind=False)
    assert (await node.run(network)).address != one.address


async def test_starts_and_stops_make_no_call_of_neutrons(site: Site, launch: Launch) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    before = len(site.cloud.calls)
    for container in [await node.run(network) for _ in range(20)]:
        await node.rm(container, behind=False)
    assert len(site.cloud.calls) == before


async def test_nodes_that_join_at_once_make_one_network_with_a_block_each(site: Site, launch: Launch) -> None:
    nodes = [await launch(number, network=number % 2) for number in range(1, 9)]
    await asyncio.gather(*(node.network_create(WEB) for node in nodes))
    held = await blocks(site)
    assert len(await site.owner.find_networks(tags=("fairlead",), own=True)) == 1
    assert set(held.values()) == {node.address for node in nodes}


async def test_peers_on_the_same_link_are_routed_by_the_kernel_and_others_by_the_router(
    site: Site, launch: Launch
) -> None:
    one, two, far = await launch(1), await launch(2), await launch(3, network=1)
    for node in (one, two, far):
        await node.network_create(WEB)
    await settle(one, two, far)
    held = await blocks(site)
    assert one.routes() == {block: hop for block, hop in held.items() if hop == two.address}
    assert far.routes() == {}
    assert await site.routes() == set(held.items())


async def test_who_joins_tells_the_others_and_they_look_at_once(launch: Launch) -> None:
    one, two = await launch(1), await launch(2)
    await one.network_create(WEB)
    await one.behind(30.0)
    await two.network_create(WEB)
    ((told, hint),) = two.told
    assert str(told) == one.address
    one.keeper.look(hint)
    await one.behind(1.0)
    await one.behind()
    assert two.address in one.routes().values()


async def test_the_last_to_leave_deletes_the_network_and_nothing_is_left(site: Site, launch: Launch) -> None:
    one, far = await launch(1), await launch(2, network=1)
    networks = {node: await node.network_create(WEB, subnet6=WEB6) for node in (one, far)}
    await settle(one, far)
    await one.network_rm(networks[one])
    assert set((await blocks(site)).values()) == {far.address, far.address6}
    await far.network_rm(networks[far])
    await settle(one, far)
    assert await left(site, one, far) == []
    assert one.routes() == {}
    assert one.guard.networks == ()


async def test_a_full_block_is_followed_by_another_and_given_back_when_it_has_long_been_empty(
    site: Site, launch: Launch
) -> None:
    node = await launch(1)
    network = await node.network_create("10.61.0.0/24")
    assert {ip_network(one).prefixlen for one in await blocks(site)} == {28}
    running = [await node.run(network) for _ in range(40)]
    assert len({one.address for one in running}) == 40
    held = await blocks(site)
    assert len(held) == 3
    assert await node.pairs() == set(held)
    for one in running:
        await node.rm(one, behind=False)
    for _ in range(8):
        await node.behind(200.0)
    assert len(await blocks(site)) == 1
    assert await node.pairs() == set(await blocks(site))


async def test_more_blocks_than_a_port_may_have_pairs_are_refused_with_the_reason(site: Site, launch: Launch) -> None:
    node = await launch(1)
    network = await node.network_create("10.61.0.0/24")
    started = await asyncio.gather(*(node.run(network) for _ in range(200)), return_exceptions=True)
    refusals = [str(one) for one in started if isinstance(one, DriverError)]
    assert len(refusals) in range(40, 44)  # the range's first and last address and its gateway may be in the blocks
    assert all("pair" in refusal for refusal in refusals)
    assert await node.pairs() == set(await blocks(site))


async def test_a_chosen_address_is_given_out_of_the_own_block_or_one_that_nobody_holds(
    site: Site, launch: Launch
) -> None:
    one, two = await launch(1), await launch(2)
    network = await one.network_create("10.61.0.0/24")
    await two.network_create("10.61.0.0/24")
    (own,) = [ip_network(block) for block, hop in (await blocks(site)).items() if hop == one.address]
    (other,) = [ip_network(block) for block, hop in (await blocks(site)).items() if hop == two.address]
    chosen = str(own[5])
    assert (await one.run(network, ip=chosen)).address == f"{chosen}/32"
    with pytest.raises(DriverError, match="is used by endpoint"):
        await one.run(network, ip=chosen)
    with pytest.raises(DriverError, match=f"another node .{two.address}. holds"):
        await one.run(network, ip=str(other[5]))
    nobodys = next(
        address
        for address in (ip_address(f"10.61.0.{last}") for last in range(20, 250, 16))
        if address not in own and address not in other
    )
    assert (await one.run(network, ip=str(nobodys))).address == f"{nobodys}/32"
    with pytest.raises(DriverError, match="the network's own"):
        await one.run(network, ip="10.61.0.1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neutron.security_groups": "db"}, "share the node's port"),
        ({"neutron.net.name": "mine"}, "divided among the nodes"),
    ],
)
async def test_what_needs_ports_is_refused_by_name(
    site: Site, launch: Launch, options: dict[str, str], message: str
) -> None:
    node = await launch(1)
    with pytest.raises(DriverError, match=message):
        await node.network_create(WEB, options=options)
    assert await left(site, node) == []


async def test_a_range_too_small_for_blocks_is_refused(launch: Launch) -> None:
    node = await launch(1)
    with pytest.raises(DriverError, match="too small"):
        await node.network_create("10.61.0.0/30")


async def test_a_restarted_agent_knows_its_networks_and_addresses(site: Site, launch: Launch) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    one = await node.run(network)
    await node.stop()
    await node.start()
    two = await node.run(network)
    assert two.address != one.address
    await node.rm(one)
    await node.rm(two)
    await node.network_rm(network)
    await settle(node)
    assert await left(site, node) == []


async def test_a_network_is_left_though_nobody_told_of_a_containers_end(site: Site, launch: Launch) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    await node.run(network)
    with pytest.raises(DriverError, match="has endpoints"):
        await node.network_rm(network)
    node.dataplane.away.clear()  # its namespace is gone, and dockerd's word of it never came
    await node.network_rm(network)
    await settle(node)
    assert await left(site, node) == []
    assert node.dataplane.attachments == {}


async def test_a_dead_nodes_blocks_are_deleted_by_another(site: Site, launch: Launch) -> None:
    one, dead = await launch(1), await launch(2, network=1)
    await one.network_create(WEB)
    await dead.network_create(WEB)
    await settle(one, dead)
    async with NeutronService(site.cloud.credentials("admin")) as nova:
        await nova.delete_port(dead.port.id)
    await dead.stop()
    for _ in range(4):
        await one.behind(100.0)
    assert set((await blocks(site)).values()) == {one.address}
    assert {hop for _, hop in await site.routes()} <= {one.address}
    await dead.start()


async def test_a_dead_nodes_block_that_can_not_be_deleted_keeps_no_other_from_it(site: Site, launch: Launch) -> None:
    one, stuck, dead = await launch(1), await launch(2), await launch(3)
    for node in (one, stuck, dead):
        await node.network_create(WEB)
    await settle(one, stuck, dead)
    held = {hop: block for block, hop in (await blocks(site)).items()}
    (subnet_id,) = (
        one["id"] for one in site.cloud.store.resources["subnets"].values() if one["cidr"] == held[stuck.address]
    )
    site.cloud.fail(Fault(method="DELETE", path=f"/subnets/{subnet_id}", status=409, times=1000))
    async with NeutronService(site.cloud.credentials("admin")) as nova:
        await nova.delete_port(stuck.port.id)
        await nova.delete_port(dead.port.id)
    for _ in range(12):
        await one.behind(100.0)
    assert set(await blocks(site)) == {held[one.address], held[stuck.address]}


async def test_leaving_while_neutron_is_away_is_finished_behind(site: Site, launch: Launch) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    site.cloud.fail(Fault(method="PUT", path="/ports/"))
    await node.rpc("NetworkDriver.DeleteNetwork", {"NetworkID": network.id})
    assert node.guard.networks == ()
    assert await left(site, node) != []
    for _ in range(4):
        await node.behind(60.0)
    assert await left(site, node) == []


async def test_a_block_that_somebody_deleted_is_made_anew(site: Site, launch: Launch) -> None:
    node = await launch(1)
    await node.network_create(WEB)
    before = await blocks(site)
    (network,) = await site.owner.find_networks(tags=("fairlead",), own=True)
    for subnet in await site.owner.find_subnets(network.id):
        await site.owner.delete_subnet(subnet.id)
    await node.behind(40.0)
    assert await blocks(site) == before


async def test_docker_and_flannel_share_a_node(site: Site, launch: Launch) -> None:
    one, two = await launch(1), await launch(2)
    await one.join()
    await two.join(one)
    network = await one.network_create(WEB)
    await settle(one, two)
    (block,) = await blocks(site)
    assert await one.pairs() == {block, one.subnet}
    await one.network_rm(network)
    await settle(one, two)
    assert await one.pairs() == {one.subnet}
    assert two.subnet in one.routes()


async def test_a_network_of_which_neutron_tells_nothing_keeps_no_other_from_being_looked_at(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await launch(1), await launch(2)
    bad, good = await one.network_create("10.61.0.0/24"), await one.network_create("10.62.0.0/24")
    bad_id = next(each.network_id for each in one.store.all(JoinedNetwork) if each.id == bad.id)
    find = one.neutron.find_subnets

    async def find_subnets(network_id: str) -> list[Subnet]:
        if network_id == bad_id:
            raise CloudUnavailable("Neutron answers HTTP 500", answered=True)
        return await find(network_id)

    monkeypatch.setattr(one.neutron, "find_subnets", find_subnets)
    await one.behind(30)
    await two.network_create("10.62.0.0/24")
    for _ in range(10):
        await one.behind(15)
    peers = {str(peer.parts[0]) for peer in one.core.blocks.peers(good.id)}
    assert peers
    assert peers <= set(one.routes())


async def test_what_is_picked_leaves_the_lower_part_of_a_block_to_people_until_no_other_is_left(launch: Launch) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    (block,) = node.guard.networks[0].blocks
    boundary = block[block.num_addresses // 2]

    async def run() -> int:
        return int(ip_address((await node.run(network)).address.split("/")[0]))

    upper = [await run() for _ in range(block.num_addresses // 2)]
    assert sorted(upper) == list(range(int(boundary), int(block[-1]) + 1))
    chosen = block[5]
    assert (await node.run(network, ip=str(chosen))).address == f"{chosen}/32"
    lower = [await run() for _ in range(20)]
    assert lower == sorted(lower, reverse=True)
    assert max(lower) == int(boundary) - 1


async def test_an_address_that_was_given_back_rests_while_others_of_the_block_are_free(launch: Launch) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    first = await node.run(network)
    await node.rm(first)
    assert first.address not in {(await node.run(network)).address for _ in range(20)}


async def test_a_network_that_is_made_again_keeps_its_routes_while_the_former_one_is_forgotten(
    site: Site, launch: Launch
) -> None:
    """A node tends to hold the same block again, and what is left of the former lease is looked for twice."""
    one, two = await launch(1), await launch(2, network=1)
    former = [await node.network_create(WEB) for node in (one, two)]
    await settle(one, two)
    for node, network in zip((one, two), former, strict=True):
        await node.network_rm(network)
    for node in (one, two):
        await node.network_create(WEB)
    wanted = set((await blocks(site)).items())
    assert len(wanted) == 2
    seen = []
    for _ in range(20):
        for node in (one, two):
            await node.behind(2)
            seen.append(await site.routes() == wanted)
    assert seen[-1]
    assert all(seen[seen.index(True) :]), "a route went and came"
