"""A node is told by an id of its own: hosts of one name leave each other alone, and a renamed host finds its own."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.records import Allocation, JoinedNetwork
from fairlead_lab.fakes import FakeCloud
from tests.unit.docker.dockerd import Host
from tests.unit.docker.instance import boot
from tests.unit.docker.test_rebuild import lose
from tests.unit.docker.test_trunk import binding

SUBNET = "10.20.0.0/24"
LONG = "magnum-swarm-x7kq2hd4-node-12.novalocal"


@asynccontextmanager
async def started(host: Host) -> AsyncIterator[Host]:
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


async def settle(host: Host, minutes: int = 2) -> None:
    """Let time pass, in which the agent does all that it does behind."""
    for _ in range(4 * minutes):
        await host.core.reconciliation.step()
        await host.behind(15)


def attached(host: Host) -> set[str]:
    return {one.id for one in host.node.port_table if one.owner}


async def test_a_second_host_of_a_name_leaves_the_first_ones_containers_alone(cloud: FakeCloud, tmp_path: Path) -> None:
    one = Host("node", cloud.credentials("member"), tmp_path / "a", PoolLimits(floor=2))
    other = Host("node", cloud.credentials("member"), tmp_path / "b", PoolLimits(floor=2))
    async with started(one):
        network = await one.network_create(SUBNET)
        for _ in range(6):
            await one.run(network)
        await one.behind(10)
        running, ports = attached(one), set(cloud.store.resources["ports"])
        assert len(running) == 6
        async with started(other):
            await other.core.rebuild.ensure()
            await settle(other)
            assert not other.dataplane.attachments
            assert not list(other.node.port_table)
            assert set(cloud.store.resources["ports"]) == ports
            # Both leave the one network: the first to do so does not take it away from under the second.
            theirs = await other.network_create(SUBNET)
            await other.run(theirs)
            await one.restart()
            await one.core.rebuild.ensure()
            assert attached(one) == running


async def test_a_second_instance_of_a_name_leaves_the_first_ones_sub_ports_alone(
    cloud: FakeCloud, tmp_path: Path
) -> None:
    one, _ = await boot(cloud, tmp_path / "a", binding, trunk=True)
    try:
        network = await one.network_create(SUBNET)
        for _ in range(3):
            await one.run(network)
        running = attached(one)
        assert len(running) == 3
        other, _ = await boot(cloud, tmp_path / "b", binding, trunk=True)
        try:
            await other.core.rebuild.ensure()
            await settle(other)
            assert running <= set(cloud.store.resources["ports"])
            assert not other.dataplane.attachments
        finally:
            await other.stop()
    finally:
        await one.stop()


async def test_two_hosts_of_a_name_that_share_a_docker_network_leave_it_one_after_the_other(
    cloud: FakeCloud, tmp_path: Path
) -> None:
    """As in a swarm, where a network has one id on all nodes."""
    one = Host("node", cloud.credentials("member"), tmp_path / "a")
    other = Host("node", cloud.credentials("member"), tmp_path / "b")
    async with started(one), started(other):
        first = await one.network_create(SUBNET, network_id="ab" * 32)
        second = await other.network_create(SUBNET, network_id="ab" * 32)
        await one.network_rm(first)
        assert len(cloud.store.resources["networks"]) == 1
        await other.network_rm(second)
        assert not cloud.store.resources["networks"]


async def test_a_host_that_is_renamed_leaves_its_networks(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    h1.dataplane.host = "h1.example.org"
    await h1.network_rm(network)
    assert not cloud.store.resources["networks"]


async def test_a_host_that_is_renamed_finds_its_ports_again(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    container = await h1.run(network)
    running = attached(h1)
    h1.dataplane.host = "h1.example.org"
    await lose(h1)
    await h1.core.rebuild.ensure()
    assert attached(h1) == running
    await h1.rm(container)
    await h1.network_rm(network)
    assert not [*cloud.store.resources["ports"], *cloud.store.resources["networks"]]


@pytest.mark.parametrize("name", ["h1", LONG, "n" * 250])
async def test_a_host_that_lost_its_memory_leaves_its_networks_however_long_its_name_is(
    cloud: FakeCloud, tmp_path: Path, name: str
) -> None:
    host = Host("state", cloud.credentials("member"), tmp_path)
    host.dataplane.host = name
    async with started(host):
        network = await host.network_create(SUBNET)
        await lose(host)
        await host.network_rm(network)
        await settle(host)
        left = [*cloud.store.resources["networks"], *host.store.all(JoinedNetwork), *host.store.all(Allocation)]
        assert not left


async def test_a_host_that_lost_its_whole_state_folder_keeps_what_is_plugged_in_its_switch(
    cloud: FakeCloud, h1: Host
) -> None:
    network = await h1.network_create(SUBNET)
    await h1.run(network)
    running = attached(h1)
    await h1.stop()
    shutil.rmtree(h1.directory / h1.name)
    await h1.start()
    await h1.core.rebuild.ensure()
    assert attached(h1) == running


async def test_what_was_tagged_before_nodes_had_ids_is_the_hosts_of_that_name(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await h1.run(network)
    running, ours = attached(h1), f"fairlead:node={h1.node.id}"
    for port in cloud.store.resources["ports"].values():
        port["tags"] = [tag for tag in port["tags"] if tag != ours]
    for made in cloud.store.resources["networks"].values():
        made["tags"] = [tag.replace(f":{h1.node.id}:", ":") for tag in made["tags"]]
    h1.dataplane.away.clear()
    await lose(h1)
    await h1.core.rebuild.ensure()
    assert {one.id for one in h1.node.port_table} == running
    await h1.network_rm(network)
    await settle(h1)
    assert not [*cloud.store.resources["ports"], *cloud.store.resources["networks"]]


async def test_a_network_that_is_just_being_made_is_found_again_by_its_nodes_id(cloud: FakeCloud, h1: Host) -> None:
    async with NeutronService(cloud.credentials("member")) as member:
        network = await h1.network_create(SUBNET)
        (made,) = await member.find_networks(own=True)
        assert made.description == f"Made by Fairlead on node {h1.node.id} for network {network.id[:12]}"
