"""Neutron compared with what is remembered: ports that nobody would delete, and ports that somebody has deleted."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path

import pytest

from fairlead.core.reconcile.reconciliation import APART, CLOUD_EVERY
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.errors import CloudUnavailable, WiringTimeout
from fairlead.model.records import Use
from fairlead.model.vif import Vif
from fairlead_lab.fakes import FakeCloud, Fault
from tests.unit.docker.dockerd import NO_POOL, DriverError, Host
from tests.unit.docker.instance import boot
from tests.unit.docker.test_trunk import binding

SUBNET = "10.20.0.0/24"


@pytest.fixture
async def untagging() -> AsyncIterator[FakeCloud]:
    """Neutron's default: no port takes tags in the POST."""
    async with FakeCloud(tags_while_creating=False) as cloud:
        yield cloud


async def made(mode: str, cloud: FakeCloud, folder: Path, limits: PoolLimits = NO_POOL) -> Host:
    """A host of a mode, started."""
    if mode == "trunk":
        host, _ = await boot(cloud, folder, binding, limits=limits, trunk=True)
        return host
    host = Host("h1", cloud.credentials("member"), folder, limits)
    await host.start()
    return host


def container_ports(cloud: FakeCloud) -> set[str]:
    ports = cloud.store.resources["ports"].items()
    return {key for key, port in ports if port["description"].startswith("Container network")}


@pytest.mark.parametrize("mode", ["ovs", "trunk"])
@pytest.mark.parametrize("status", [503, 403, 400])
async def test_ports_whose_tagging_was_cut_short_and_that_could_not_be_deleted_then_are_not_lost(
    untagging: FakeCloud, tmp_path: Path, mode: str, status: int
) -> None:
    host = await made(mode, untagging, tmp_path)
    try:
        network = await host.network_create(SUBNET)
        untagging.fail(Fault(method="PUT", path="/ports/.*/tags", status=status, times=3))
        untagging.fail(Fault(method="DELETE", path="/ports/", status=503, times=3))
        with pytest.raises(DriverError):
            await host.run(network)
        assert container_ports(untagging)
        await host.patient(3600)
        assert not container_ports(untagging)
    finally:
        await host.stop()


@pytest.mark.parametrize("memory", ["kept", "lost"])
@pytest.mark.parametrize("mode", ["ovs", "trunk"])
async def test_an_agent_that_is_killed_while_it_tags_ports_one_by_one_loses_none_of_them(
    tmp_path: Path, mode: str, memory: str
) -> None:
    async with FakeCloud(tags_while_creating=False, latency=0.02) as cloud:
        host = await made(mode, cloud, tmp_path, PoolLimits(floor=10))
        await host.network_create(SUBNET)
        cloud.calls.clear()
        host.clock.time += 10
        filling = asyncio.create_task(host.core.keeper.step())
        async with asyncio.timeout(20):
            while not (len(container_ports(cloud)) == 10 and cloud.count("PUT") > 3):  # noqa: ASYNC110  rings nothing
                await asyncio.sleep(0.01)
        # As kill -9 leaves it: what the store and Neutron have now is what the next agent finds.
        folder = tmp_path / "copy"
        if memory == "kept":
            shutil.copytree(tmp_path / host.name, folder / host.name, ignore=shutil.ignore_patterns("*.lock"))
        else:
            (folder / host.name).mkdir(parents=True)
            shutil.copy(tmp_path / host.name / "node-id", folder / host.name)
        resources = deepcopy(cloud.store.resources)
        await asyncio.gather(filling, return_exceptions=True)
        await host.stop()
        for kind, kept in resources.items():
            cloud.store.resources[kind].clear()
            cloud.store.resources[kind].update(kept)
        snapshot = container_ports(cloud)
        again = Host(host.name, host.config, folder, PoolLimits(floor=10), host.bind)
        again.clock.time += 10
        await again.start()
        try:
            await again.core.rebuild.ensure()
            await again.patient(1800)
            known = {one.id for one in again.node.port_table}
            assert snapshot & container_ports(cloud) <= known
            assert container_ports(cloud) == known
        finally:
            await again.stop()


async def test_ports_that_wait_and_were_deleted_in_neutron_are_not_given_out(cloud: FakeCloud, pooled: Host) -> None:
    """An operator's script deletes ports that are DOWN, as those of a member always are on OVN."""
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    for port_id in list(cloud.store.resources["ports"]):
        cloud.store.drop("ports", port_id)
    await pooled.patient(1800)
    for _ in range(5):
        await pooled.run(network)
    attached = {one.id for one in pooled.node.port_table if one.owner}
    assert len(attached) == 5
    assert attached <= set(cloud.store.resources["ports"])
    assert {one.id for one in pooled.node.port_table} == set(cloud.store.resources["ports"])
    assert set(pooled.dataplane.attachments) <= set(cloud.store.resources["ports"])


async def test_a_port_that_is_never_wired_because_it_was_deleted_is_made_again_within_the_start(
    cloud: FakeCloud, pooled: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    deleted = set(cloud.store.resources["ports"])
    monkeypatch.setattr("fairlead.core.warm.devices.DOUBT", 0.01)
    apply = pooled.dataplane.apply

    async def wired(vif: Vif) -> None:
        """Plug, and wait for ever for a port that OVN does not know."""
        await apply(vif)
        if vif.port_id not in cloud.store.resources["ports"]:
            await asyncio.Event().wait()

    monkeypatch.setattr(pooled.dataplane, "apply", wired)
    monkeypatch.setattr(pooled.dataplane, "is_whole", lambda vif: vif.port_id in cloud.store.resources["ports"])
    for port_id in deleted:
        cloud.store.drop("ports", port_id)
    containers = [await pooled.run(network) for _ in range(5)]
    ports = {port["mac_address"]: port for port in cloud.store.resources["ports"].values()}
    for one in containers:
        assert ports[one.mac]["fixed_ips"][0]["ip_address"] == one.address.split("/")[0]
    for one in containers:
        await pooled.rm(one)
    await pooled.behind(60)
    await pooled.network_rm(network)
    assert not cloud.store.resources["ports"]
    assert not pooled.dataplane.attachments


async def test_a_waiting_port_that_can_not_be_wired_keeps_no_other_from_it(
    cloud: FakeCloud, pooled: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pooled.network_create(SUBNET)
    apply, refused = pooled.dataplane.apply, list[str]()

    async def wire_all_but_one(vif: Vif) -> None:
        if not refused:
            refused.append(vif.id)
        if vif.id in refused:
            raise WiringTimeout("OVN did not wire it")
        await apply(vif)

    monkeypatch.setattr(pooled.dataplane, "apply", wire_all_but_one)
    await pooled.behind(10)
    assert len(pooled.dataplane.attachments) == 2
    assert len(cloud.store.resources["ports"]) == 3


async def test_a_containers_port_that_was_deleted_is_told_of_and_not_used_again(cloud: FakeCloud, pooled: Host) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    running = await pooled.run(network)
    (port_id,) = {one.id for one in pooled.node.port_table if one.owner}
    cloud.store.drop("ports", port_id)
    pooled.clock.time += 1
    report = await pooled.core.reconciliation.reconcile(dry_run=False)
    (outcome,) = report.outcomes
    assert (outcome.finding.what, outcome.state) == (f"port {port_id} ({running.address.split('/')[0]})", "failed")
    assert "start the container again" in outcome.error
    assert pooled.node.port_table.of_owner(running.endpoint_id)
    await pooled.rm(running)
    assert pooled.node.port_table.get(port_id) is None


async def test_a_port_with_this_nodes_tags_that_an_old_memory_lacks_is_deleted_after_two_looks(
    cloud: FakeCloud, pooled: Host
) -> None:
    await pooled.network_create(SUBNET)
    await pooled.behind(10)
    forgotten = next(iter(pooled.node.port_table)).id
    await pooled.node.dataplane.remove(forgotten)
    pooled.node.port_table.delete(forgotten)
    (port, kept) = (cloud.store.resources["ports"][forgotten], dict(cloud.store.resources["ports"]))
    await pooled.core.reconciliation.step()
    pooled.clock.time += 20
    await pooled.core.reconciliation.step()
    assert cloud.store.resources["ports"] == kept
    pooled.clock.time += APART
    await pooled.core.reconciliation.step()
    assert port["id"] not in cloud.store.resources["ports"]
    assert len(cloud.store.resources["ports"]) == len(kept) - 1


@pytest.mark.parametrize("lacking", ["fairlead", "fairlead:node={}"])
async def test_a_port_without_all_of_this_nodes_tags_is_never_touched(
    cloud: FakeCloud, pooled: Host, lacking: str
) -> None:
    await pooled.network_create(SUBNET)
    await pooled.behind(10)
    foreign = next(iter(pooled.node.port_table)).id
    pooled.node.port_table.delete(foreign)
    cloud.store.resources["ports"][foreign]["tags"].remove(lacking.format(pooled.node.id))
    await pooled.patient(3600, step=60)
    assert foreign in cloud.store.resources["ports"]


async def test_an_answer_that_lacks_all_ports_once_takes_nothing(
    cloud: FakeCloud, pooled: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    running, before = await pooled.run(network), {one.id for one in pooled.node.port_table}
    real = pooled.node.network_service.find_ports

    async def none(**_: object) -> list[object]:
        return []

    monkeypatch.setattr(pooled.node.network_service, "find_ports", none)
    pooled.clock.time += CLOUD_EVERY
    await pooled.core.reconciliation.step()
    monkeypatch.setattr(pooled.node.network_service, "find_ports", real)
    await pooled.patient(1800, step=60)
    assert {one.id for one in pooled.node.port_table} >= before
    assert before <= set(cloud.store.resources["ports"])
    assert pooled.node.port_table.of_owner(running.endpoint_id)


async def test_an_hour_without_trouble_costs_neutron_one_list_each_five_minutes_at_most(
    cloud: FakeCloud, pooled: Host
) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    await pooled.run(network)
    await pooled.patient(120)
    cloud.calls.clear()
    await pooled.patient(3600)
    asked = [(call.method, call.path) for call in cloud.calls]
    assert set(asked) == {("GET", "/ports")}
    assert 3600 / (1.5 * CLOUD_EVERY) <= len(asked) <= 3600 / CLOUD_EVERY + 1


async def test_while_neutron_is_down_the_host_is_looked_at_all_the_same(cloud: FakeCloud, pooled: Host) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    running = await pooled.run(network)
    await pooled.behind(60)
    cloud.fail(Fault(status=503, times=10**9))
    pooled.rm_unheard(running)
    await pooled.patient(120)
    assert not pooled.node.port_table.in_use(network.id, Use.ATTACHED)
    report = await pooled.core.reconciliation.reconcile(dry_run=True)
    assert [where for where, _ in report.unseen] == ["Neutron"]


async def test_what_a_batch_that_is_under_way_makes_is_no_stray(
    cloud: FakeCloud, pooled: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    real = pooled.node.network_service.create_ports

    async def made_and_silent(new: object) -> object:
        await real(new)  # type: ignore[arg-type]
        raise CloudUnavailable("no answer")

    monkeypatch.setattr(pooled.node.network_service, "create_ports", made_and_silent)
    with pytest.raises(DriverError):
        await pooled.run(network, ip="10.20.0.77")
    for _ in range(3):
        pooled.clock.time += APART
        report = await pooled.core.reconciliation.reconcile(dry_run=True)
        assert not report.outcomes
    assert len(cloud.store.resources["ports"]) == 4
