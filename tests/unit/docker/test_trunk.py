"""Mode `trunk`: containers' ports are sub-ports of the node's own trunk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.core.nesting.trunk import TrunkNesting
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.network import FixedIP, NewPort, Port, SubPort
from fairlead.model.records import Batch, Use
from fairlead.ports.network_service import NetworkService
from fairlead_lab.fakes import FakeCloud, Fault
from fairlead_lab.fakes.record import How
from tests.ports import create_port
from tests.unit.blocks.nodes import Kernel
from tests.unit.docker.dockerd import DriverError, HandClock, Host, Network
from tests.unit.docker.instance import boot, container_ports, sub_ports

SUBNET = "10.20.0.0/24"


def binding(neutron: NetworkService, kernel: Kernel, clock: HandClock) -> TrunkNesting:
    return TrunkNesting(neutron, kernel, clock)


@pytest.fixture
async def node(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host, _ = await boot(cloud, tmp_path, binding, trunk=True)
    yield host
    await host.stop()


@pytest.fixture
async def pooled(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host, _ = await boot(cloud, tmp_path, binding, limits=PoolLimits(floor=3, cool_down=10.0), trunk=True)
    yield host
    await host.stop()


async def foreign_sub_port(cloud: FakeCloud, vlan: int) -> Port:
    """Somebody else's sub-port on the node's trunk."""
    (trunk,) = cloud.store.resources["trunks"].values()
    async with NeutronService(cloud.credentials("member")) as neutron:
        port = await create_port(neutron, NewPort(cloud.store.resources["ports"][trunk["port_id"]]["network_id"], ()))
        await neutron.add_sub_ports(trunk["id"], [SubPort(port.id, vlan)])
    return port


async def stray(node: Host, network: Network, batch_id: str = "") -> Port:
    """A port made just before a crash, and never attached."""
    joined = node.core.networks.get(network.id)
    new = NewPort(
        joined.network_id,
        (FixedIP(joined.subnets[0].subnet_id),),
        name="i1/waiting",
        description=f"Container network {network.id}, batch {batch_id}",
        tags=frozenset({"fairlead", "fairlead:at=i1"}),
    )
    return await create_port(node.node.network_service, new)


def attachments(cloud: FakeCloud) -> int:
    return sum(call.path.endswith("/add_subports") and call.status == 200 for call in cloud.calls)


async def test_a_containers_port_is_a_sub_port_and_its_device_has_the_vlan_id(cloud: FakeCloud, node: Host) -> None:
    network = await node.network_create(SUBNET)
    container = await node.run(network)
    (attachment,) = node.dataplane.attachments.values()
    assert sub_ports(cloud) == {attachment.port_id: attachment.vlan}
    assert attachment.mac == container.mac == container_ports(cloud)[attachment.port_id]["mac_address"]
    await node.behind(10)
    port = container_ports(cloud)[attachment.port_id]
    assert (port["device_owner"], port["device_id"]) == ("trunk:subport", container.endpoint_id)


async def test_a_pool_is_attached_in_one_request_ahead_of_the_containers(cloud: FakeCloud, pooled: Host) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    assert len(sub_ports(cloud)) == 3
    assert attachments(cloud) == 1
    cloud.calls.clear()
    containers = [await pooled.run(network) for _ in range(3)]
    await pooled.rm(containers[0], behind=False)
    assert not cloud.calls
    assert len({one.vlan for one in pooled.dataplane.attachments.values()}) == 3


async def test_foreign_sub_ports_keep_their_vlan_ids_and_stay(cloud: FakeCloud, node: Host) -> None:
    foreign = await foreign_sub_port(cloud, 1)
    network = await node.network_create(SUBNET)
    container = await node.run(network)
    assert sorted(sub_ports(cloud).values()) == [1, 2]
    await node.rm(container)
    await node.network_rm(network)
    assert sub_ports(cloud) == {foreign.id: 1}


async def test_a_vlan_id_that_somebody_took_meanwhile_is_chosen_anew(cloud: FakeCloud, node: Host) -> None:
    network = await node.network_create(SUBNET)
    cloud.fail(Fault(method="PUT", path="add_subports", status=409, kind="DuplicateSubPort", message="taken"))
    await node.run(network)
    assert len(sub_ports(cloud)) == 1


async def test_a_lost_answer_attaches_a_port_once(cloud: FakeCloud, node: Host) -> None:
    network = await node.network_create(SUBNET)
    cloud.fail(Fault(How.LOSE, method="PUT", path="add_subports"))
    await node.run(network)
    (attachment,) = node.dataplane.attachments.values()
    assert sub_ports(cloud) == {attachment.port_id: attachment.vlan}


async def test_ports_that_can_not_be_attached_are_deleted(cloud: FakeCloud, node: Host) -> None:
    network = await node.network_create(SUBNET)
    cloud.fail(Fault(method="PUT", path="add_subports", times=99, status=409, kind="TrunkDisabled", message="disabled"))
    with pytest.raises(DriverError, match="disabled"):
        await node.run(network)
    await node.behind(1)
    assert not container_ports(cloud)


async def test_ports_made_just_before_a_crash_are_attached_and_used(cloud: FakeCloud, node: Host) -> None:
    network = await node.network_create(SUBNET)
    batch = Batch("b" * 32, network.id, node.clock.now())
    made = await stray(node, network, batch.id)
    node.store.put(batch)
    await node.restart()
    await node.core.keeper.step()
    (held,) = node.node.port_table
    assert (held.id, held.use, held.vlan) == (made.id, Use.FRESH, sub_ports(cloud)[made.id])


async def test_leaving_a_network_takes_its_ports_off_in_one_request_and_leaves_nothing(
    cloud: FakeCloud, pooled: Host
) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    cloud.calls.clear()
    await pooled.network_rm(network)
    assert sum(call.path.endswith("/remove_subports") for call in cloud.calls) == 1
    assert not container_ports(cloud)
    assert not sub_ports(cloud)


async def test_a_chosen_mac_and_address_are_a_sub_ports_too(cloud: FakeCloud, node: Host) -> None:
    network = await node.network_create(SUBNET)
    await node.run(network, ip="10.20.0.77", mac="02:00:00:00:00:77")
    (port,) = container_ports(cloud).values()
    assert (port["mac_address"], port["fixed_ips"][0]["ip_address"]) == ("02:00:00:00:00:77", "10.20.0.77")
    assert set(sub_ports(cloud)) == {port["id"]}


async def test_a_lost_file_is_rebuilt_with_the_trunks_vlan_ids(cloud: FakeCloud, pooled: Host) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    await pooled.run(network)
    before = {one.id: one.vlan for one in pooled.node.port_table}
    made = await stray(pooled, network)
    await pooled.stop()
    for file in (pooled.directory / pooled.name).glob("node.sqlite*"):
        file.unlink()
    await pooled.start()
    await pooled.core.rebuild.ensure()
    assert {one.id: one.vlan for one in pooled.node.port_table if not one.leaving} == before
    assert [one.id for one in pooled.node.port_table.leaving()] == [made.id]
    assert sum(bool(one.owner) for one in pooled.node.port_table) == 1


async def test_a_node_without_a_trunk_is_told_how_to_make_one(cloud: FakeCloud, tmp_path: Path) -> None:
    host, port = await boot(cloud, tmp_path, binding)
    with pytest.raises(DriverError, match=f"trunk create --parent-port {port.id}"):
        await host.network_create(SUBNET)
    assert not host.store.all(Batch)
    await host.stop()


async def test_a_sub_port_that_does_not_become_active_is_waited_for_within_bounds(cloud: FakeCloud, node: Host) -> None:
    network = await node.network_create(SUBNET)
    for port in cloud.store.resources["ports"].values():
        port["status"] = "DOWN"  # the parent's, and so its sub-ports'
    started = node.clock.now()
    await node.run(network)
    assert 10 <= node.clock.now() - started < 15
