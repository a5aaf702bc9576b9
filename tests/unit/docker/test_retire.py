"""A host that is dead for good is retired by another: nothing of it is left, and one that lives is refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.core.reconcile.retirement import ANSWER_WITHIN, Remains, Retirement
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.network import NewNetwork
from fairlead.model.tags import ASKED
from fairlead_lab.fakes import FakeCloud
from tests.unit.docker import test_ipvlan, test_trunk
from tests.unit.docker.dockerd import HandClock, Host
from tests.unit.docker.instance import CIDR6, boot, pairs, sub_ports

SUBNET = "10.20.0.0/24"


@pytest.fixture
async def member(cloud: FakeCloud) -> AsyncIterator[NeutronService]:
    async with NeutronService(cloud.credentials("member")) as neutron:
        yield neutron


@pytest.fixture
def retirement(member: NeutronService) -> Retirement:
    return Retirement(member, HandClock())


async def the_only(retirement: Retirement, name: str) -> Remains:
    (remains,) = await retirement.find(name)
    return remains


async def test_all_that_a_dead_host_had_is_removed_and_what_others_have_stays(
    cloud: FakeCloud, h1: Host, h2: Host, retirement: Retirement
) -> None:
    both = await h1.network_create(SUBNET), await h2.network_create(SUBNET)
    await h1.network_create("10.21.0.0/24")
    await h1.run(both[0], ip="10.20.0.50")
    theirs = await h2.run(both[1])
    await h1.stop()
    remains = await the_only(retirement, "h1")
    assert (remains.host, remains.node) == ("h1", h1.node.id)
    assert [line.split()[0] for line in remains.lines()] == ["port", "its", "its"]
    await retirement.remove(remains)
    assert await retirement.find("h1") == []
    (left,) = cloud.store.resources["networks"].values()
    assert [tag for tag in left["tags"] if ":host=" in tag] == [f"fairlead:host=h2:{h2.node.id}:{both[1].id[:12]}"]
    assert {one["fixed_ips"][0]["ip_address"] for one in cloud.store.resources["ports"].values()} == {
        theirs.address.split("/")[0]
    }
    await h2.rm(theirs)
    assert (await h2.run(both[1], ip="10.20.0.50")).address == "10.20.0.50/24"


async def test_what_is_found_changes_nothing(cloud: FakeCloud, h1: Host, retirement: Retirement) -> None:
    await h1.run(await h1.network_create(SUBNET))
    cloud.calls.clear()
    assert await retirement.find("h1")
    assert {call.method for call in cloud.calls if call.path != "/auth/tokens"} == {"GET"}


async def test_a_removal_that_was_cut_short_is_taken_up_again(h1: Host, retirement: Retirement) -> None:
    await h1.run(await h1.network_create(SUBNET))
    await h1.stop()
    remains = await the_only(retirement, "h1")
    await retirement.remove(remains)
    await retirement.remove(remains)
    assert await retirement.find("h1") == []


async def test_a_host_that_answers_lives_and_one_that_does_not_is_dead(
    cloud: FakeCloud, h1: Host, member: NeutronService
) -> None:
    await h1.run(await h1.network_create(SUBNET))
    clock = HandClock()
    retirement = Retirement(member, clock)
    remains, told, began = await the_only(retirement, "h1"), list[float](), clock.now()
    assert not await retirement.lives(remains, told.append)
    assert told[0] == ANSWER_WITHIN
    assert clock.now() - began >= ANSWER_WITHIN
    assert not any(ASKED in port["tags"] for port in cloud.store.resources["ports"].values())

    def answer(left: float) -> None:
        if left < ANSWER_WITHIN / 2:
            for port in cloud.store.resources["ports"].values():
                port["tags"] = [tag for tag in port["tags"] if tag != ASKED]

    assert await retirement.lives(remains, answer)


async def test_nothing_answers_for_a_host_without_ports(h1: Host, retirement: Retirement) -> None:
    await h1.network_create(SUBNET)
    assert await retirement.lives(await the_only(retirement, "h1"), lambda _: None) is None


async def test_nodes_of_one_name_are_told_apart_by_their_ids(
    cloud: FakeCloud, tmp_path: Path, retirement: Retirement
) -> None:
    hosts = [Host("node", cloud.credentials("member"), tmp_path / name) for name in "ab"]
    for host in hosts:
        await host.start()
        await host.run(await host.network_create(SUBNET))
    found = await retirement.find("node")
    assert {one.node for one in found} == {host.node.id for host in hosts}
    await retirement.remove(await the_only(retirement, hosts[0].node.id))
    assert (await the_only(retirement, "node")).node == hosts[1].node.id
    for host in hosts:
        await host.stop()


async def test_what_lacks_our_tag_is_never_found(
    cloud: FakeCloud, member: NeutronService, retirement: Retirement
) -> None:
    made = await member.create_network(NewNetwork("h1", tags=frozenset({"fairlead:host=h1:0123456789ab"})))
    assert made
    assert await retirement.find("h1") == []


async def test_the_sub_ports_of_a_dead_instance_go_off_its_trunk(
    cloud: FakeCloud, tmp_path: Path, retirement: Retirement
) -> None:
    host, port = await boot(cloud, tmp_path, test_trunk.binding, limits=PoolLimits(floor=2), trunk=True)
    network = await host.network_create(SUBNET)
    await host.run(network)
    await host.behind(10)
    await host.stop()
    remains = await the_only(retirement, "i1")
    assert len(remains.ports) == len(sub_ports(cloud)) > 1
    await retirement.remove(remains)
    assert sub_ports(cloud) == {}
    assert set(cloud.store.resources["ports"]) == {port.id}


async def test_the_pairs_of_a_dead_instance_go_off_its_port(
    cloud: FakeCloud, tmp_path: Path, retirement: Retirement
) -> None:
    host, port = await boot(cloud, tmp_path, test_ipvlan.binding)
    network = await test_ipvlan.own_network(host, port, subnet6=CIDR6)
    await host.run(network)
    await host.stop()
    assert len(pairs(cloud, port)) == 2
    await retirement.remove(await the_only(retirement, "i1"))
    assert pairs(cloud, port) == {}
    assert set(cloud.store.resources["ports"]) == {port.id}
