"""The host's clock is set a day back or forth: all that is done behind is done nevertheless, in every mode of ports."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.records import FREE, Use
from fairlead_lab.fakes import FakeCloud
from tests.unit.docker.dockerd import Host, Network
from tests.unit.docker.instance import CIDR, boot, container_ports
from tests.unit.docker.test_ipvlan import binding as ipvlan
from tests.unit.docker.test_trunk import binding as trunk

SUBNET = "10.20.0.0/24"
DAY = 86400.0
LIMITS = PoolLimits(floor=2, ceiling=2, cool_down=10.0)


@dataclass
class Node:
    """A host with the network that its containers are on. chosen: an address of it that nobody would pick."""

    host: Host
    network: Network
    chosen: str


@pytest.fixture(params=["ovs", "trunk", "ipvlan"])
async def node(request: pytest.FixtureRequest, cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Node]:
    cidr, own = SUBNET, {}
    if request.param == "ovs":
        host = Host("h1", cloud.credentials("member"), tmp_path, LIMITS)
        await host.start()
    elif request.param == "trunk":
        host, _ = await boot(cloud, tmp_path, trunk, limits=LIMITS, trunk=True)
    else:
        host, port = await boot(cloud, tmp_path, ipvlan, limits=LIMITS)
        cidr, own = CIDR, {"neutron.net.uuid": port.network_id}
    network = await host.network_create(cidr, options=own, ipam_options=own)
    await host.behind(10)
    yield Node(host, network, cidr.replace("0/24", "200"))
    await host.stop()


async def patient(host: Host, seconds: float) -> None:
    """Let time pass as the agent does: the reconciler, then devices and keeper as long as there is something to do."""
    for _ in range(int(seconds / 15)):
        await host.behind(15)
        await host.core.reconciliation.step()


async def reserve(node: Node) -> None:
    """Ask for an address as a start does that then is heard of no more."""
    body = {"PoolID": node.network.pools[0][0], "Address": "", "Options": {}}
    await node.host.rpc("IpamDriver.RequestAddress", body)


@pytest.mark.parametrize("restarted", [False, True], ids=["while it runs", "while it is away"])
@pytest.mark.parametrize("by", [-DAY, DAY], ids=["back", "forth"])
async def test_a_clock_that_is_set_stops_nothing_that_is_done_behind(
    cloud: FakeCloud, node: Node, by: float, restarted: bool
) -> None:
    host, network = node.host, node.network
    for container in (await host.run(network, ip=node.chosen), await host.run(network)):
        await host.rm(container, behind=False)
    await reserve(node)
    host.clock.set(by)
    if restarted:
        await host.restart()
    await patient(host, 900)
    table = host.node.port_table
    assert table.count(network.id, Use.LEAVING) == table.count(network.id, Use.RESERVED) == 0
    assert len(container_ports(cloud)) == host.core.warm.waiting(network.id) == 2
    assert set(host.dataplane.attachments) == set(container_ports(cloud)), "what waits is plugged, and nothing else"
    again = await host.run(network)
    await patient(host, 60)
    assert next(one.told for one in table if one.owner) == again.endpoint_id, "Neutron shows whose it is"
    await host.rm(again)
    await host.network_rm(network)
    await patient(host, 60)
    assert not container_ports(cloud)


@pytest.mark.parametrize("by", [-DAY, DAY], ids=["back", "forth"])
async def test_a_memory_that_is_made_anew_after_the_clock_was_set_serves_as_before(
    cloud: FakeCloud, node: Node, by: float
) -> None:
    host, network = node.host, node.network
    await host.run(network)
    await host.stop()
    for file in (host.directory / host.name).glob("node.sqlite*"):
        file.unlink()
    host.clock.set(by)
    await host.start()
    await host.core.rebuild.ensure()
    await patient(host, 900)
    assert host.core.warm.waiting(network.id) == 1
    (free,) = host.node.port_table.in_use(network.id, *FREE)
    assert set(host.dataplane.attachments) == set(container_ports(cloud)) > {free.id}


@pytest.mark.parametrize("by", [-DAY, DAY], ids=["back", "forth"])
async def test_an_address_that_was_just_given_is_not_taken_back_because_the_clock_was_set(
    node: Node, by: float
) -> None:
    host, network = node.host, node.network
    await reserve(node)
    host.clock.set(by)
    await patient(host, 60)
    assert host.node.port_table.count(network.id, Use.RESERVED) == 1
    await patient(host, 300)
    assert host.node.port_table.count(network.id, Use.RESERVED) == 0


async def test_a_clock_that_goes_back_by_itself_stops_nothing(cloud: FakeCloud, node: Node) -> None:
    """As the one above, told by the hands of the clock alone."""
    container = await node.host.run(node.network, ip=node.chosen)
    node.host.clock.time -= DAY
    await node.host.rm(container, behind=False)
    await patient(node.host, 900)
    assert len(container_ports(cloud)) == node.host.core.warm.waiting(node.network.id) == 2
