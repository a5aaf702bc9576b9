"""`docker run` and `rm`: each container has a port of its own, and leaves nothing."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.records import Allocation
from fairlead_lab.fakes import FakeCloud, Fault
from fairlead_lab.fakes.ports import NOWHERE
from tests.unit.docker.dockerd import DriverError, Host

SUBNET, SUBNET6 = "10.20.0.0/24", "fd00:20::/64"


def ports(cloud: FakeCloud) -> list[dict[str, Any]]:
    return list(cloud.store.resources["ports"].values())


def addresses(port: dict[str, Any]) -> set[str]:
    return {fixed["ip_address"] for fixed in port["fixed_ips"]}


async def test_a_run_costs_one_request_and_a_rm_another(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await h1.rm(await h1.run(network))
    cloud.calls.clear()
    container = await h1.run(network)
    assert [(call.method, call.path) for call in cloud.calls] == [("POST", "/ports")]
    (port,) = ports(cloud)
    assert addresses(port) == {container.address.split("/")[0]}
    assert container.mac == port["mac_address"]
    cloud.calls.clear()
    await h1.rm(container)
    assert [(call.method, call.path) for call in cloud.calls] == [("DELETE", f"/ports/{port['id']}")]
    assert not ports(cloud)
    assert not h1.dataplane.attachments
    assert not h1.store.all(Allocation)


async def test_the_port_is_tagged_and_learns_its_endpoint_a_moment_later(cloud: FakeCloud, h1: Host) -> None:
    container = await h1.run(await h1.network_create(SUBNET))
    await h1.behind()
    (port,) = ports(cloud)
    assert port["name"] == "h1/waiting"
    await h1.behind(5)
    await h1.behind(5)
    (port,) = ports(cloud)
    assert port["name"] == f"h1/{container.endpoint_id[:12]}"
    assert port["device_id"] == container.endpoint_id
    assert port["device_owner"] == "fairlead:container"
    assert set(port["tags"]) == {"fairlead", "fairlead:at=h1", f"fairlead:node={h1.node.id}"}
    assert cloud.count("PUT", f"/ports/{port['id']}") == 1


async def test_the_container_gets_gateway_and_device_and_no_second_nic(cloud: FakeCloud, h1: Host) -> None:
    container = await h1.run(await h1.network_create(SUBNET, gateway="10.20.0.254"))
    (port,) = ports(cloud)
    assert container.join == {
        "InterfaceName": {"SrcName": f"flc{str(port['id'])[:11]}", "DstPrefix": "eth"},
        "Gateway": "10.20.0.254",
        "DisableGatewayService": True,
    }
    (attachment,) = h1.dataplane.attachments.values()
    assert attachment.mtu == next(iter(cloud.store.resources["networks"].values()))["mtu"]


async def test_an_internal_network_has_no_way_out(h1: Host) -> None:
    container = await h1.run(await h1.network_create(SUBNET, subnet6=SUBNET6, internal=True))
    assert "Gateway" not in container.join
    assert "GatewayIPv6" not in container.join


async def test_an_address_may_be_chosen(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    container = await h1.run(network, ip="10.20.0.77")
    assert container.address == "10.20.0.77/24"
    await h1.rm(container)
    assert (await h1.run(network, ip="10.20.0.77")).address == "10.20.0.77/24"


async def test_a_mac_may_be_chosen_and_keeps_the_address(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET, subnet6=SUBNET6)
    container = await h1.run(network, mac="02:42:0A:14:00:99")
    (port,) = ports(cloud)
    assert port["mac_address"] == "02:42:0a:14:00:99"
    assert addresses(port) == {container.address.split("/")[0], container.address6.split("/")[0]}
    await h1.rm(container)
    assert not ports(cloud)


async def test_both_families_are_one_port_made_by_one_request(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET, subnet6=SUBNET6)
    await h1.run(network)
    cloud.calls.clear()
    container = await h1.run(network)
    assert [call.method for call in cloud.calls] == ["POST"]
    port = next(one for one in ports(cloud) if container.address.split("/")[0] in addresses(one))
    assert addresses(port) == {container.address.split("/")[0], container.address6.split("/")[0]}
    assert container.join["GatewayIPv6"] == "fd00:20::1"
    await h1.rm(container)
    assert len(ports(cloud)) == 1


async def test_both_addresses_may_be_chosen(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET, subnet6=SUBNET6)
    container = await h1.run(network, ip="10.20.0.9", ip6="fd00:20::9")
    assert (container.address, container.address6) == ("10.20.0.9/24", "fd00:20::9/64")
    (port,) = ports(cloud)
    assert addresses(port) == {"10.20.0.9", "fd00:20::9"}


@given(seed=st.integers(min_value=0, max_value=2**32))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_dual_stack_starts_that_cross_end_with_their_own_pairs(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chance = random.Random(seed)

    async def starts() -> None:
        async with FakeCloud(latency=chance.random() / 200) as cloud:
            host = Host("h1", cloud.credentials("member"), tmp_path_factory.mktemp("host"))
            await host.start()
            try:
                network = await host.network_create(SUBNET, subnet6=SUBNET6)
                containers = await asyncio.gather(*(host.run(network) for _ in range(8)))
                pairs = [{one.address.split("/")[0], one.address6.split("/")[0]} for one in containers]
                assert sorted(map(sorted, pairs)) == sorted(sorted(addresses(port)) for port in ports(cloud))
                macs = {port["mac_address"] for port in ports(cloud)}
                assert {one.mac for one in containers} == macs
                await asyncio.gather(*(host.rm(one, behind=False) for one in containers))
                await host.behind()
                assert not ports(cloud)
            finally:
                await host.stop()

    asyncio.run(starts())


async def test_a_start_that_was_told_of_an_address_in_use_is_to_be_repeated(h1: Host) -> None:
    network = await h1.network_create(SUBNET, subnet6=SUBNET6)
    other = await h1.run(network)
    (pool_id, _, _) = network.pools[0]
    own = await h1.rpc("IpamDriver.RequestAddress", {"PoolID": pool_id, "Address": ""})
    crossed = {"Address": own["Address"], "AddressIPv6": other.address6}
    used = f"{other.address6.split('/')[0]} is used by endpoint {other.endpoint_id[:12]}: start the container again$"
    with pytest.raises(DriverError, match=used):
        await h1.rpc(
            "NetworkDriver.CreateEndpoint", {"NetworkID": network.id, "EndpointID": "e" * 64, "Interface": crossed}
        )


async def test_twenty_starts_on_two_hosts_get_different_addresses(cloud: FakeCloud, h1: Host, h2: Host) -> None:
    networks = [(host, await host.network_create(SUBNET)) for host in (h1, h2)]
    containers = await asyncio.gather(*(host.run(network) for host, network in networks for _ in range(10)))
    assert len({one.address for one in containers}) == 20


@pytest.mark.parametrize("role", ["member", "service"])
async def test_ports_are_bound_where_the_role_may(cloud: FakeCloud, h1: Host, role: str) -> None:
    h1.config = cloud.credentials(role)
    await h1.restart()
    await h1.run(await h1.network_create(SUBNET))
    (port,) = ports(cloud)
    assert port["binding:host_id"] == ("h1" if role == "service" else "")
    (vif,) = h1.dataplane.attachments.values()
    assert (vif.vif_type, vif.vif_details.bridge_name) == (("ovs", "br-int") if role == "service" else ("", ""))


@pytest.mark.parametrize("floor", [0, 2])
async def test_ports_that_can_not_be_bound_fail_their_start_and_are_not_kept(
    cloud: FakeCloud, tmp_path: Path, floor: int
) -> None:
    host = Host(NOWHERE, cloud.credentials("service"), tmp_path, PoolLimits(floor=floor, cool_down=0.0))
    await host.start()
    network = await host.network_create(SUBNET)
    with pytest.raises(DriverError, match="could not bind ports to host nowhere"):
        await host.run(network)
    await host.behind(10)
    assert not ports(cloud)
    await host.network_rm(network)
    await host.stop()


async def test_the_agent_may_restart_between_any_two_steps(
    cloud: FakeCloud, h1: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = h1.rpc

    async def restart_first(name: str, body: dict[str, object] | bytes | None = None) -> dict[str, object]:
        await h1.restart()
        return await answer(name, body)

    monkeypatch.setattr(h1, "rpc", restart_first)
    network = await h1.network_create(SUBNET, subnet6=SUBNET6)
    container = await h1.run(network)
    assert len(ports(cloud)) == 1
    await h1.rm(container)
    await h1.network_rm(network)
    assert not ports(cloud)
    assert not cloud.store.resources["networks"]


async def test_every_request_may_come_twice(cloud: FakeCloud, h1: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """dockerd repeats a request whose answer it lost. The address it then does not use goes back after a while."""
    answer = h1.rpc

    async def twice(name: str, body: dict[str, object] | bytes | None = None) -> dict[str, object]:
        await answer(name, body)
        return await answer(name, body)

    monkeypatch.setattr(h1, "rpc", twice)
    network = await h1.network_create(SUBNET, subnet6=SUBNET6)
    container = await h1.run(network)
    await h1.rm(container)
    h1.clock.time += 1000
    await h1.core.reconciliation.step()
    await h1.behind()
    await h1.network_rm(network)
    assert not ports(cloud)
    assert not cloud.store.resources["networks"]
    assert not h1.store.all(Allocation)


async def test_a_published_service_port_is_refused_with_what_to_do(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    with pytest.raises(DriverError, match="leave -p out"):
        await h1.run(network, options={"com.docker.network.portmap": [{"Proto": 6, "Port": 80, "HostPort": 8080}]})
    await h1.behind()
    assert not ports(cloud)


async def test_an_endpoint_tells_its_port(cloud: FakeCloud, h1: Host) -> None:
    container = await h1.run(await h1.network_create(SUBNET))
    ids = {"NetworkID": container.network.id, "EndpointID": container.endpoint_id}
    (port,) = ports(cloud)
    answer = await h1.rpc("NetworkDriver.EndpointOperInfo", ids)
    assert answer["Value"]["neutron.port.uuid"] == port["id"]


@pytest.mark.parametrize("status", [500, 503])
async def test_a_port_that_neutron_can_not_delete_stops_no_start(cloud: FakeCloud, tmp_path: Path, status: int) -> None:
    host = Host("h1", cloud.credentials("member"), tmp_path, PoolLimits(floor=3, cool_down=10.0))
    await host.start()
    try:
        network = await host.network_create(SUBNET)
        await host.behind(10)
        chosen = await host.run(network, ip="10.20.0.200")  # a port of its own, deleted when it goes
        port_id = next(one.id for one in host.node.port_table if one.owner == chosen.endpoint_id)
        cloud.fail(Fault(method="DELETE", path=port_id, status=status, times=10**9))
        await host.rm(chosen, behind=False)
        for _ in range(40):
            await host.behind(15)
        for _ in range(8):  # more than wait
            await host.run(network)
            await host.behind(60)
        assert [one.id for one in host.node.port_table.leaving()] == [port_id]
        assert host.core.warm.waiting(network.id) >= 3
    finally:
        await host.stop()
