"""Leases come and go, somebody changes things, Neutron fails: what ports, router and kernels have then."""

import asyncio
import shutil
from ipaddress import IPv4Network, ip_network
from typing import Any

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.core.blocks.reconciler import DOUBT, LAST_RITES
from fairlead.model.network import AddressPair, NewSecurityGroup, Port, PortChange, SecurityGroup
from fairlead.model.tags import OWNED
from fairlead_lab.fakes import FakeCloud, Fault
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import RANGE, CommandError, Instance
from tests.unit.docker.dockerd import DriverError


async def let_groups_go(node: Instance) -> None:
    """Let a group be looked at, and deleted when nobody has had it for a while."""
    for _ in range(4):
        await node.behind(30.0)


async def settle(*nodes: Instance, seconds: float = 0.0) -> None:
    for _ in range(3):
        for node in nodes:
            await node.behind(seconds)


async def test_two_nodes_on_one_subnet_have_pairs_a_group_and_routes_and_no_router_is_asked(
    site: Site, launch: Launch
) -> None:
    one, two = await launch(1), await launch(2)
    await one.join()
    await two.join(one)
    await settle(one, two)
    assert (await one.pairs(), await two.pairs()) == ({"10.100.1.0/24"}, {"10.100.2.0/24"})
    assert one.routes() == {"10.100.2.0/24": two.address}
    assert two.routes() == {"10.100.1.0/24": one.address}
    (group,) = await site.owner.find_owned_security_groups(tags=(OWNED,))
    assert group.name == f"fairlead-{RANGE}"
    assert group.ingress == {ip_network(RANGE)}
    for node in (one, two):
        assert {*node.port.security_group_ids, group.id} == set((await node.seen()).security_group_ids)
    assert await site.routes() == set()
    assert not [call for call in site.cloud.calls if "extraroutes" in call.path]


async def test_dual_stack_peers_are_learnt_from_their_ports(launch: Launch) -> None:
    one, two = await launch(1), await launch(2)
    await one.join(dual=True)
    await two.join(one, dual=True)
    await settle(one, two, seconds=4)
    assert await one.pairs() == {"10.100.1.0/24", "fd00:100:0:1::/64"}
    assert one.routes() == {"10.100.2.0/24": two.address, "fd00:100:0:2::/64": two.address6}
    assert two.routes() == {"10.100.1.0/24": one.address, "fd00:100:0:1::/64": one.address6}


async def test_nodes_on_two_subnets_are_reached_by_the_router(site: Site, launch: Launch) -> None:
    one, two, far = await launch(1), await launch(2), await launch(3, network=1)
    await one.join()
    await two.join(one)
    await far.join(one, two)
    await settle(one, two, far)
    assert await site.routes() == {(node.subnet, node.address) for node in (one, two, far)}
    assert far.routes() == {}
    assert one.routes() == {two.subnet: two.address}
    await one.hear("subnet-remove", far)
    await two.hear("subnet-remove", far)
    await settle(one, two, seconds=LAST_RITES)
    assert await site.routes() == set()
    assert await far.pairs() == set()


async def test_a_dead_nodes_pair_and_routes_go_with_its_lease_and_foreign_pairs_stay(
    site: Site, launch: Launch
) -> None:
    one, two = await launch(1), await launch(2)
    foreign = AddressPair(IPv4Network("192.0.2.0/24"))
    await site.owner.update_port(two.port.id, PortChange(address_pairs=(foreign,)))
    await one.join()
    await two.join(one)
    await settle(one, two)
    assert await two.pairs() == {"192.0.2.0/24", two.subnet}
    await one.hear("subnet-remove", two)
    await settle(one, seconds=LAST_RITES)
    assert await two.pairs() == {"192.0.2.0/24"}
    assert one.routes() == {}
    assert (await one.command("status"))["leases"][1:] == []


async def test_what_somebody_changes_is_repaired(site: Site, launch: Launch) -> None:
    one, two = await launch(1), await launch(2, network=1)
    await one.join()
    await two.join(one)
    await settle(one, two)
    one.kernel.table.clear()
    await site.owner.update_port(one.port.id, PortChange(address_pairs=(), security_group_ids=()))
    (router,) = await site.owner.find_routers(site.networks[0][1])
    await site.owner.remove_routes(router.id, router.routes)
    await settle(one, two, seconds=25)
    assert await one.pairs() == {one.subnet}
    (group,) = await site.owner.find_owned_security_groups(tags=(OWNED,))
    assert (await one.seen()).security_group_ids == (group.id,)
    assert await site.routes() == {(one.subnet, one.address), (two.subnet, two.address)}


async def test_a_replaced_node_with_another_address_takes_the_route_over_and_no_second_is_left(
    site: Site, launch: Launch
) -> None:
    one, far, new = await launch(1), await launch(2, network=1), await launch(3, network=1)
    await one.join()
    await far.join(one)
    await settle(one, far)
    new.subnet = far.subnet
    await one.hear("subnet-remove", far)
    await new.join(one)
    await settle(one, new, seconds=LAST_RITES)
    assert (far.subnet, new.address) in await site.routes()
    assert (far.subnet, far.address) not in await site.routes()
    assert await new.pairs() == {far.subnet}


async def test_a_replaced_node_with_the_same_address_and_subnet_takes_its_place(site: Site, launch: Launch) -> None:
    one, far, old = await launch(1), await launch(2, network=1), await launch(3)
    await one.join()
    await far.join(one)
    await old.join(one, far)
    await settle(one, far, old)
    await old.stop()
    shutil.rmtree(old.folder / "i3")
    async with NeutronService(site.cloud.credentials("admin")) as nova:
        await nova.delete_port(old.port.id)
    new = await launch(3)
    assert (new.address, new.port.id != old.port.id) == (old.address, True)
    # Its lease is the old one's, by its address: nobody is told that one ended.
    await new.join(one, far)
    await settle(one, far, new, seconds=LAST_RITES)
    assert await new.pairs() == {new.subnet}
    assert await site.routes() == {(node.subnet, node.address) for node in (one, far, new)}
    assert one.routes() == {new.subnet: new.address}
    for node in (one, far):
        status = await node.command("status")
        assert status["trouble"] == {}
        assert new.port.id in {lease["port"] for lease in status["leases"]}


async def test_a_node_that_gets_another_subnet_gives_the_first_up(launch: Launch) -> None:
    one = await launch(1)
    await one.join()
    await settle(one)
    one.subnet = "10.100.77.0/24"
    await one.join()
    await settle(one)
    assert await one.pairs() == {"10.100.77.0/24"}


async def test_leave_removes_everything(site: Site, launch: Launch) -> None:
    one, two = await launch(1), await launch(2, network=1)
    await one.join()
    await two.join(one)
    await settle(one, two)
    for node in (one, two):
        await node.command("leave")
        await let_groups_go(node)
        assert await node.pairs() == set()
        assert (await node.seen()).security_group_ids == node.port.security_group_ids
        assert node.routes() == {}
        assert (await node.command("status"))["leases"] == []
    assert await site.routes() == set()
    assert await site.owner.find_owned_security_groups(tags=(OWNED,)) == []


async def test_commands_are_taken_down_while_neutron_is_away_and_carried_out_later(
    cloud: FakeCloud, launch: Launch
) -> None:
    one, two = await launch(1), await launch(2)
    await one.join()
    await two.join()
    await settle(one, two)
    for _ in range(2):
        cloud.fail(Fault(status=503))
    await one.hear("subnet-add", two)
    await one.behind()
    assert one.routes() == {two.subnet: two.address}
    await one.stop()
    await one.start()
    await settle(one, seconds=100)
    assert (await one.command("status"))["trouble"] == {}


async def test_flanneld_may_start_anew_while_neutron_is_away_where_the_node_is_known(
    cloud: FakeCloud, launch: Launch
) -> None:
    one, new = await launch(1), await launch(2)
    await one.join()
    await settle(one)
    await cloud.stop()
    assert (await one.command("pre-startup"))["data"] == one.data
    await one.join()
    with pytest.raises(CommandError, match="be reached"):
        await new.join()


async def test_a_foreign_route_is_told_of_and_left(launch: Launch) -> None:
    one, two = await launch(1), await launch(2)
    one.kernel.foreign.add(ip_network(two.subnet))
    await one.join()
    await two.join(one)
    await settle(one, two)
    status = await one.command("status")
    assert "Fairlead did not make" in status["trouble"][f"route to {two.subnet}"]
    assert one.routes() == {}


async def test_a_router_that_is_full_is_told_of_with_the_remedy(cloud: FakeCloud, site: Site, launch: Launch) -> None:
    one, far = await launch(1), await launch(2, network=1)
    cloud.set_quota(router_route=0)
    await one.join()
    await far.join(one)
    await settle(one)
    (trouble,) = (await one.command("status"))["trouble"].values()
    assert "route" in trouble
    assert await one.pairs() == {one.subnet}


async def test_a_port_that_somebody_else_changes_at_the_same_time_loses_nothing(
    site: Site, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await launch(1)
    await one.join()
    found: Any = one.neutron.find_ports
    foreign = AddressPair(IPv4Network("192.0.2.0/24"))
    raced: list[Port] = []

    async def find_and_lose_the_race(**given: str) -> list[Port]:
        ports: list[Port] = await found(**given)
        if given.get("port_id") and not raced:
            raced.append(await site.owner.update_port(one.port.id, PortChange(address_pairs=(foreign,))))
        return ports

    monkeypatch.setattr(one.neutron, "find_ports", find_and_lose_the_race)
    await settle(one)
    assert await one.pairs() == {"192.0.2.0/24", one.subnet}


async def test_two_nodes_that_make_the_group_at_once_end_with_one(
    site: Site, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await launch(1)
    await one.join()
    create = one.neutron.create_security_group

    async def create_late(new: NewSecurityGroup) -> SecurityGroup:
        await site.owner.create_security_group(new)
        return await create(new)

    monkeypatch.setattr(one.neutron, "create_security_group", create_late)
    await let_groups_go(one)
    (group,) = await site.owner.find_owned_security_groups(tags=(OWNED,))
    assert group.id in (await one.seen()).security_group_ids


async def test_a_group_goes_only_when_no_port_has_had_it_for_a_while(site: Site, launch: Launch) -> None:
    one, two = await launch(1), await launch(2)
    await one.join()
    await two.join(one)
    await settle(one, two)
    await one.command("leave")
    await two.command("leave")
    await one.behind()
    await two.behind()
    # What took it off the last port may still be on its way to OVN, which could then never be told of that port again.
    assert len(await site.owner.find_owned_security_groups(tags=(OWNED,))) == 1
    await two.stop()
    await two.start()
    await let_groups_go(two)
    assert await site.owner.find_owned_security_groups(tags=(OWNED,)) == []


async def test_what_is_no_lease_of_ours_is_refused_in_words(launch: Launch) -> None:
    one = await launch(1)
    with pytest.raises(CommandError, match="let flanneld run this"):
        await one.command("post-startup")
    with pytest.raises(CommandError, match=r"outside of the flannel network"):
        await one.command("post-startup", NETWORK="10.5.0.0/16", SUBNET=one.subnet, PUBLIC_IP=one.address)
    with pytest.raises(CommandError, match=r"is not Fairlead's"):
        await one.command("subnet-add", SUBNET=one.subnet, PUBLIC_IP=one.address, DATA="a vxlan's")


async def test_a_change_of_a_router_is_said_again_soon_and_once(site: Site, launch: Launch) -> None:
    """Neutron may lose one of several on the way to OVN, and brings OVN to the whole list at the next request."""
    one, far = await launch(1), await launch(2, network=1)
    await one.join()
    await far.join(one)

    def asked() -> int:
        return sum("add_extraroutes" in call.path for call in site.cloud.calls)

    await one.behind()
    assert asked() == 1
    await one.behind(5)
    assert asked() == 2
    await settle(one, seconds=25)
    assert asked() == 2


async def test_a_lease_that_is_given_up_while_neutron_is_asked_stays_given_up(site: Site, launch: Launch) -> None:
    one, far = await launch(1), await launch(2, network=1)
    await one.join()
    await far.join(one)
    await settle(one)
    await site.owner.update_port(one.port.id, PortChange(address_pairs=()))
    update = one.neutron.update_port

    async def update_and_leave(port_id: str, change: PortChange, *, revision: int | None = None) -> Port:
        await one.command("leave")
        return await update(port_id, change, revision=revision)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one.neutron, "update_port", update_and_leave)
        await one.behind(25)
    await settle(one, seconds=25)
    assert (await one.command("status"))["leases"] == []
    assert await one.pairs() == set()
    assert await site.routes() == set()


async def test_a_lease_that_ended_while_flannel_was_away_is_found_out(launch: Launch) -> None:
    one, two, gone = await launch(1), await launch(2), await launch(3)
    await one.join()
    await two.join(one)
    await gone.join(one)
    await settle(one, two, gone)
    await one.join()  # flanneld starts again, and tells of those that are there
    await one.hear("subnet-add", two)
    await settle(one, seconds=DOUBT / 4)
    assert one.routes() == {two.subnet: two.address, gone.subnet: gone.address}
    await settle(one, seconds=DOUBT / 4)
    assert one.routes() == {two.subnet: two.address}
    assert await gone.pairs() == set()
    assert await two.pairs() == {two.subnet}


async def test_what_a_join_asks_of_neutron_is_counted(site: Site, launch: Launch) -> None:
    one, two, far = await launch(1), await launch(2), await launch(3, network=1)
    await one.join()
    await settle(one)

    async def asked(node: Instance, *, seconds: float = 0.0) -> list[str]:
        site.cloud.calls.clear()
        if not seconds:
            await node.join()
        await node.behind(seconds)
        calls = [(call.method, call.path.split("/")) for call in site.cloud.calls]
        return [f"{method} {path[-1] if len(path) > 3 else path[1]}" for method, path in calls]

    # Which port it is (flanneld's question, and the reconciler's), the port, the group; then groups and pairs.
    joined = ["GET ports", "GET ports", "GET ports", "GET security-groups", "PUT ports", "PUT ports"]
    assert await asked(two) == joined
    await far.hear("subnet-add", one)
    # The routers of its subnets, and once in an agent's life whether they take single routes.
    routed = ["GET ports", "GET routers", "GET extensions", "PUT add_extraroutes"]
    assert await asked(far) == [*joined, *routed]
    assert await asked(far, seconds=5) == ["PUT add_extraroutes"]


async def test_many_nodes_that_join_at_once_cost_neutron_a_few_requests_each_and_none_is_lost(
    site: Site, launch: Launch
) -> None:
    nodes = [await launch(number) for number in range(1, 31)]
    site.cloud.calls.clear()
    await asyncio.gather(*(node.join() for node in nodes))
    for node in nodes:
        for peer in nodes:
            if peer is not node:
                await node.hear("subnet-add", peer)
    await asyncio.gather(*(node.behind() for node in nodes))
    assert len(site.cloud.calls) <= 9 * len(nodes)
    await settle(*nodes, seconds=8)
    site.cloud.calls.clear()
    await asyncio.gather(*(node.behind(25) for node in nodes))
    assert len(site.cloud.calls) <= 2 * len(nodes), "at rest: the port, and the group"
    for node in nodes:
        assert await node.pairs() == {node.subnet}
        assert node.routes() == {peer.subnet: peer.address for peer in nodes if peer is not node}
    (group,) = await site.owner.find_owned_security_groups(tags=(OWNED,))
    assert all([group.id in (await node.seen()).security_group_ids for node in nodes])


async def test_trouble_of_what_is_gone_is_forgotten(site: Site, launch: Launch) -> None:
    one = await launch(1)
    await one.join()
    network = await one.network_create("10.60.0.0/16")
    await settle(one)
    away = Fault(status=503, times=1000)
    site.cloud.fail(away)
    await one.behind(40)
    assert (await one.command("status"))["trouble"]
    away.times = 0
    await one.network_rm(network)
    await one.command("leave")
    await settle(one, seconds=30)
    assert (await one.command("status"))["trouble"] == {}


async def test_trouble_of_a_route_that_is_wanted_no_more_is_forgotten(launch: Launch) -> None:
    one, two = await launch(1), await launch(2)
    one.kernel.foreign.add(ip_network(two.subnet))
    await one.join()
    await two.join(one)
    await settle(one, two)
    assert (await one.command("status"))["trouble"]
    await one.hear("subnet-remove", two)
    await settle(one, seconds=LAST_RITES)
    assert (await one.command("status"))["trouble"] == {}


@pytest.mark.parametrize("range_", ["10.100.0.0/20", RANGE, "10.0.0.0/8"])
async def test_ranges_of_flannel_and_docker_that_overlap_are_refused_to_whichever_comes_second(
    site: Site, launch: Launch, range_: str
) -> None:
    one, two = await launch(1), await launch(2)
    await one.join()
    with pytest.raises(DriverError, match=f"{range_} overlaps {RANGE}.*choose another --subnet"):
        await one.network_create(range_)
    await settle(one, seconds=30)
    assert await one.pairs() == {one.subnet}
    network = await two.network_create(range_)
    before = await two.pairs()
    with pytest.raises(CommandError, match=f"{RANGE} overlaps {range_}.*give flannel another Network"):
        await two.join()
    await settle(two, seconds=30)
    assert await two.pairs() == before
    await two.network_rm(network)
    await two.join()
    await settle(two, seconds=30)
    assert await two.pairs() == {two.subnet}


async def test_ranges_that_are_asked_for_at_once_are_given_to_one_of_them(launch: Launch) -> None:
    one = await launch(1)
    ended = await asyncio.gather(one.network_create("10.100.0.0/20"), one.join(), return_exceptions=True)
    assert [isinstance(each, DriverError | CommandError) for each in ended].count(True) == 1


async def test_a_nodes_own_former_lease_is_called_so_and_is_no_peers(launch: Launch) -> None:
    one, two = await launch(1), await launch(2)
    await one.join()
    await two.join(one)
    await settle(one, two)
    # Its address changed, so flanneld took another subnet, and goes on announcing the old one until that ends.
    former = (one.subnet, one.address)
    one.subnet, one.address = "10.100.77.0/24", "10.30.0.99"
    await one.join(two)
    for _ in range(2):
        await one.command("subnet-add", SUBNET=former[0], PUBLIC_IP=former[1], DATA=one.data)
        await settle(one, two, seconds=30)
    states = {lease["subnets"][0]: lease["state"] for lease in (await one.command("status"))["leases"]}
    assert states == {one.subnet: "own", former[0]: "former", two.subnet: "peer"}
    assert one.routes() == {two.subnet: two.address}
    assert await one.pairs() == {one.subnet}
    await one.command("subnet-remove", SUBNET=former[0], PUBLIC_IP=former[1], DATA=one.data)
    await settle(one, seconds=LAST_RITES)
    states = {lease["subnets"][0]: lease["state"] for lease in (await one.command("status"))["leases"]}
    assert states == {one.subnet: "own", two.subnet: "peer"}
    assert await one.pairs() == {one.subnet}
