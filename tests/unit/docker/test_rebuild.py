"""A node's file that is lost or damaged is rebuilt from Neutron and the switch; one that is whole asks nobody."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.core.background.evidence import APART
from fairlead.core.warm.sizing import PoolLimits
from fairlead.frontends.docker.records import AddressPool
from fairlead.model.errors import CloudUnavailable
from fairlead.model.network import Port
from fairlead.model.records import Allocation, JoinedNetwork, Use
from fairlead_lab.fakes import FakeCloud, Fault
from tests.unit.docker.dockerd import DriverError, Host, Network, Running

SUBNET, SUBNET6 = "10.20.0.0/24", "fd00:20::/64"


@pytest.fixture
async def pooled(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host = Host("h1", cloud.credentials("member"), tmp_path, PoolLimits(floor=3, cool_down=10.0))
    await host.start()
    yield host
    await host.stop()


async def lose(host: Host) -> None:
    await host.stop()
    for file in (host.directory / host.name).glob("node.sqlite*"):
        file.unlink()
    await host.start()


async def some(host: Host) -> tuple[Network, Running, Running]:
    network = await host.network_create(SUBNET, subnet6=SUBNET6)
    await host.behind(10)
    first = await host.run(network)
    await host.behind(5)
    # Neutron has not been told yet whose this one's port is.
    chosen = await host.run(network, ip="10.20.0.200")
    return network, first, chosen


def nothing_left(cloud: FakeCloud, host: Host) -> bool:
    resources = cloud.store.resources
    records = [*host.store.all(JoinedNetwork), *host.store.all(Allocation), *host.dataplane.attachments]
    return not [*resources["ports"], *resources["networks"], *records]


async def test_a_restart_with_a_whole_file_asks_nothing(cloud: FakeCloud, pooled: Host) -> None:
    network, first, _ = await some(pooled)
    await pooled.restart()
    cloud.calls.clear()
    second = await pooled.run(network)
    await pooled.rm(first, behind=False)
    await pooled.rm(second, behind=False)
    assert not cloud.calls


async def test_a_lost_file_is_rebuilt_and_containers_go_on_and_end_well(cloud: FakeCloud, pooled: Host) -> None:
    network, first, chosen = await some(pooled)
    before = {one.owner: one.id for one in pooled.node.port_table if one.owner}
    ports = len(cloud.store.resources["ports"])
    await lose(pooled)
    await pooled.core.rebuild.ensure()
    after = {one.owner: one.id for one in pooled.node.port_table if one.owner}
    assert sorted(after.values()) == sorted(before.values())
    assert after[first.endpoint_id] == before[first.endpoint_id]
    await pooled.core.reconciliation.step()
    assert set(before.values()) <= set(pooled.dataplane.attachments)
    pooled.clock.time += 10
    second = await pooled.run(network)
    assert second.join["Gateway"] == "10.20.0.1"
    assert len(cloud.store.resources["ports"]) == ports
    for one in (first, chosen, second):
        await pooled.rm(one)
    await pooled.network_rm(network)
    await pooled.behind(60)
    assert nothing_left(cloud, pooled)


async def test_what_a_rebuilt_memory_holds_is_what_was_there(cloud: FakeCloud, pooled: Host) -> None:
    await pooled.network_create(SUBNET, internal=True, options={"neutron.security_groups": "default"})
    await pooled.behind(10)
    (joined,) = pooled.store.all(JoinedNetwork)
    waiting = pooled.node.port_table.count(joined.id, Use.FRESH)
    assert waiting == 3
    await lose(pooled)
    await pooled.core.rebuild.ensure()
    (rebuilt,) = pooled.store.all(JoinedNetwork)
    for name in ("id", "step", "network_id", "name", "mtu", "owned", "internal", "security_group_ids"):
        assert getattr(rebuilt, name) == getattr(joined, name)
    assert [(one.subnet_id, one.cidr, one.gateway) for one in rebuilt.subnets] == [
        (one.subnet_id, one.cidr, one.gateway) for one in joined.subnets
    ]
    assert pooled.node.port_table.count(joined.id, Use.RETURNED) == waiting


async def test_a_network_without_a_port_is_known_by_its_tag(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await lose(h1)
    container = await h1.run(network)
    await h1.rm(container)
    await h1.network_rm(network)
    assert nothing_left(cloud, h1)


async def test_a_network_that_only_is_removed_after_the_loss_goes_from_neutron(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await lose(h1)
    await h1.network_rm(network)
    assert nothing_left(cloud, h1)


async def test_a_network_that_was_being_left_is_left(cloud: FakeCloud, pooled: Host) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    cloud.fail(Fault(method="DELETE", path="^/ports/", times=1000, status=503))
    await pooled.network_rm(network)
    cloud._faults.clear()
    await lose(pooled)
    again = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    assert len(pooled.store.all(JoinedNetwork)) == 1
    await pooled.rm(await pooled.run(again))
    await pooled.network_rm(again)
    assert nothing_left(cloud, pooled)


async def test_another_hosts_ports_and_networks_are_left_alone(cloud: FakeCloud, h1: Host, h2: Host) -> None:
    network = await h1.network_create(SUBNET)
    container = await h2.run(await h2.network_create(SUBNET))
    await lose(h1)
    await h1.network_rm(network)
    (port,) = cloud.store.resources["ports"].values()
    assert port["fixed_ips"][0]["ip_address"] == container.address.split("/")[0]
    assert len(cloud.store.resources["networks"]) == 1


async def test_while_neutron_does_not_tell_requests_say_so_and_nothing_is_unplugged(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    container = await h1.run(network)
    await lose(h1)
    cloud.fail(Fault(times=1000, status=503))
    with pytest.raises(DriverError, match="503"):
        await h1.run(network)
    assert len(h1.dataplane.attachments) == 1
    cloud._faults.clear()
    await h1.rm(container)
    assert not h1.dataplane.attachments


async def test_a_damaged_file_is_rebuilt_as_a_lost_one_is(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    container = await h1.run(network)
    await h1.stop()
    (h1.directory / "h1" / "node.sqlite").write_bytes(b"scribble" * 4096)
    await h1.start()
    await h1.rm(container)
    await h1.network_rm(network)
    assert nothing_left(cloud, h1)


async def test_two_networks_of_one_name_are_told_apart_after_a_loss(cloud: FakeCloud, h1: Host) -> None:
    named = {"neutron.net.name": "web"}
    first = await h1.network_create(SUBNET, options=named, ipam_options=named)
    second = await h1.network_create("10.30.0.0/24", options=named, ipam_options=named)
    containers = [await h1.run(first), await h1.run(second)]
    await lose(h1)
    for container in containers:
        await h1.rm(container)
    assert (await h1.run(second)).address.startswith("10.30.0.")


async def test_a_range_is_still_in_use_when_its_network_is_known_by_its_whole_id_again(h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await lose(h1)
    await h1.run(network)
    with pytest.raises(DriverError, match=f"overlaps {SUBNET}, which network {network.id[:12]} uses"):
        await h1.network_create("10.20.0.0/16")


async def test_nothing_of_a_network_is_kept_that_is_removed_after_the_loss(h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await lose(h1)
    await h1.network_rm(network)
    assert not h1.store.all(AddressPool)


async def test_a_network_that_is_made_again_after_a_loss_is_there_already(cloud: FakeCloud, pooled: Host) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    await lose(pooled)
    ranges = [{"AddressSpace": "fairlead-local", "Pool": SUBNET, "Gateway": "10.20.0.1/24"}]
    await pooled.rpc("NetworkDriver.CreateNetwork", {"NetworkID": network.id, "Options": {}, "IPv4Data": ranges})
    assert len(cloud.store.resources["networks"]) == 1
    await pooled.rm(await pooled.run(network))


async def test_a_memory_is_not_rebuilt_of_a_listing_that_knows_less_than_the_switch(
    cloud: FakeCloud, pooled: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that lags behind, or a policy that is being changed: the containers would be cut off."""
    await some(pooled)
    before = {one.id for one in pooled.node.port_table if one.owner}
    await lose(pooled)

    async def none(**_: object) -> list[Port]:
        return []

    with monkeypatch.context() as lagging:
        lagging.setattr(pooled.node.network_service, "find_ports", none)
        with pytest.raises(CloudUnavailable, match="does not tell of port"):
            await pooled.core.rebuild.ensure()
    await pooled.core.rebuild.ensure()
    await pooled.patient(120)
    assert {one.id for one in pooled.node.port_table if one.owner} == before


async def test_a_port_that_a_later_look_does_not_know_either_is_no_more(
    cloud: FakeCloud, pooled: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some(pooled)
    cloud.store.resources["ports"].clear()
    await lose(pooled)
    with pytest.raises(CloudUnavailable):
        await pooled.core.rebuild.ensure()
    pooled.clock.time += APART
    await pooled.core.rebuild.ensure()
    assert not list(pooled.node.port_table)
