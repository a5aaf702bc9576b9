"""Mode `ipvlan`: containers on the node's own network, by address pairs on the node's port."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.core.nesting.address_pairs import PairNesting
from fairlead.model.network import AddressPair, Port, PortChange
from fairlead.ports.network_service import NetworkService
from fairlead_lab.fakes import FakeCloud
from tests.unit.blocks.nodes import Kernel
from tests.unit.docker.dockerd import DriverError, HandClock, Host, Network
from tests.unit.docker.instance import CIDR, CIDR6, boot, container_ports, pairs


def binding(neutron: NetworkService, kernel: Kernel, _clock: HandClock) -> PairNesting:
    return PairNesting(neutron, kernel)


@pytest.fixture
async def booted(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[tuple[Host, Port]]:
    host, port = await boot(cloud, tmp_path, binding)
    yield host, port
    await host.stop()


async def own_network(node: Host, port: Port, *, subnet6: str = "", **more: str) -> Network:
    options = {"neutron.net.uuid": port.network_id}
    return await node.network_create(CIDR, subnet6=subnet6, options={**options, **more}, ipam_options=options)


async def set_pairs(cloud: FakeCloud, port: Port, *cidrs: str) -> None:
    async with NeutronService(cloud.credentials("member")) as neutron:
        change = PortChange(address_pairs=tuple(AddressPair(ip_network(one), written=one) for one in cidrs))
        await neutron.update_port(port.id, change)


async def test_a_container_has_a_pair_of_its_address_and_the_nodes_mac(
    cloud: FakeCloud, booted: tuple[Host, Port]
) -> None:
    node, port = booted
    network = await own_network(node, port, subnet6=CIDR6)
    container = await node.run(network)
    addresses = {container.address.split("/")[0], container.address6.split("/")[0]}
    # Without a prefix length: OVN looks for a port that has just this address.
    assert pairs(cloud, port) == dict.fromkeys(addresses, port.mac)
    assert container.mac == ""
    (attachment,) = node.dataplane.attachments.values()
    assert (attachment.mac, attachment.vlan) == ("", 0)
    assert container_ports(cloud)[attachment.port_id]["binding:host_id"] == ""
    await node.rm(container)
    assert pairs(cloud, port) == {}
    assert not container_ports(cloud)


async def test_foreign_pairs_are_left_as_they_are(cloud: FakeCloud, booted: tuple[Host, Port]) -> None:
    node, port = booted
    await set_pairs(cloud, port, "10.99.0.0/16", "10.30.0.240")
    network = await own_network(node, port)
    container = await node.run(network)
    assert len(pairs(cloud, port)) == 3
    await node.rm(container)
    await node.network_rm(network)
    assert set(pairs(cloud, port)) == {"10.99.0.0/16", "10.30.0.240"}


async def test_beyond_the_pair_limit_a_container_is_refused_with_the_reason(
    cloud: FakeCloud, booted: tuple[Host, Port]
) -> None:
    node, port = booted
    network = await own_network(node, port)
    containers = [await node.run(network) for _ in range(10)]
    with pytest.raises(DriverError, match=r"maximum 10.*max_allowed_address_pair"):
        await node.run(network)
    await node.behind(1)
    assert len(container_ports(cloud)) == 10
    await node.rm(containers[0])
    await node.run(network)
    assert len(pairs(cloud, port)) == 10


async def test_other_networks_are_refused_by_name(cloud: FakeCloud, booted: tuple[Host, Port]) -> None:
    node, port = booted
    with pytest.raises(DriverError, match=f"own network.*neutron.net.uuid={port.network_id}"):
        await node.network_create("10.20.0.0/24")
    assert len(cloud.store.resources["networks"]) == 1


async def test_the_nodes_own_range_must_be_named(booted: tuple[Host, Port]) -> None:
    node, port = booted
    options = {"neutron.net.uuid": port.network_id}
    with pytest.raises(DriverError, match=f"--subnet {CIDR}"):
        await node.network_create(options=options, ipam_options=options)


async def test_security_groups_of_its_own_are_refused(cloud: FakeCloud, booted: tuple[Host, Port]) -> None:
    node, port = booted
    with pytest.raises(DriverError, match="security groups"):
        await own_network(node, port, **{"neutron.security_groups": "default"})


async def test_a_chosen_mac_is_refused_and_a_chosen_address_is_not(cloud: FakeCloud, booted: tuple[Host, Port]) -> None:
    node, port = booted
    network = await own_network(node, port)
    with pytest.raises(DriverError, match="MAC address of its node"):
        await node.run(network, mac="02:00:00:00:00:77")
    await node.run(network, ip="10.30.0.77")
    assert "10.30.0.77" in pairs(cloud, port)


async def test_a_port_whose_address_changes_has_its_pair_changed(cloud: FakeCloud, booted: tuple[Host, Port]) -> None:
    node, port = booted
    network = await own_network(node, port, subnet6=CIDR6)
    container = await node.run(network, ip6="fd00:30::77")
    assert set(pairs(cloud, port)) == {container.address.split("/")[0], "fd00:30::77"}


async def test_a_node_without_port_security_is_told_so(cloud: FakeCloud, booted: tuple[Host, Port]) -> None:
    node, port = booted
    cloud.store.resources["ports"][port.id]["port_security_enabled"] = False
    with pytest.raises(DriverError, match="no port security"):
        await own_network(node, port)


async def test_a_lost_file_is_rebuilt(cloud: FakeCloud, booted: tuple[Host, Port]) -> None:
    node, port = booted
    network = await own_network(node, port)
    container = await node.run(network)
    await node.behind(10)
    await node.stop()
    for file in (node.directory / node.name).glob("node.sqlite*"):
        file.unlink()
    await node.start()
    await node.core.rebuild.ensure()
    (held,) = node.node.port_table
    assert (held.owner, held.mac) == (container.endpoint_id, "")
    await node.rm(container)
    assert pairs(cloud, port) == {}
