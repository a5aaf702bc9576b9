"""What can't be done is said in one line that names cause and remedy, in bounded time, and leaves nothing."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from fairlead.frontends.docker.records import AddressPool
from fairlead.model.errors import SwitchUnavailable, WiringTimeout
from fairlead.model.records import Allocation, Batch, JoinedNetwork
from fairlead_lab.fakes import FakeCloud, Fault
from fairlead_lab.fakes.record import How
from tests.unit.docker.dockerd import DriverError, Host

SUBNET = "10.20.0.0/24"
WEB = {"neutron.net.name": "web"}


def nothing_left(cloud: FakeCloud, host: Host) -> bool:
    made = [*cloud.store.resources["networks"], *cloud.store.resources["subnets"], *cloud.store.resources["ports"]]
    kept = [*host.store.all(AddressPool), *host.store.all(JoinedNetwork), *host.store.all(Allocation)]
    return not made and not kept and not host.dataplane.attachments


def one_line(text: str) -> bool:
    return "\n" not in text and ": " in text and len(text) < 400


async def refused(work: Awaitable[object]) -> str:
    with pytest.raises(DriverError) as caught:
        await work
    text = str(caught.value)
    assert one_line(text)
    return text


async def test_no_range_and_no_name(cloud: FakeCloud, h1: Host) -> None:
    assert "add --subnet CIDR" in await refused(h1.network_create())
    assert nothing_left(cloud, h1)


async def test_an_unknown_network_name(cloud: FakeCloud, h1: Host) -> None:
    text = await refused(h1.network_create(options=WEB, ipam_options=WEB))
    assert "no Neutron network named 'web'" in text
    assert "openstack network list" in text
    assert nothing_left(cloud, h1)


async def test_an_unknown_network_id(cloud: FakeCloud, h1: Host) -> None:
    option = {"neutron.net.uuid": "11111111-2222-3333-4444-555555555555"}
    assert "11111111" in await refused(h1.network_create(SUBNET, options=option, ipam_options=option))
    assert nothing_left(cloud, h1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"neutron.net.nam": "web"}, "unknown option"),
        ({"neutron.net.name": " "}, "needs a value"),
        ({"neutron.net.name": "a", "neutron.net.uuid": "b"}, "give one of them"),
    ],
)
async def test_options_that_make_no_sense(cloud: FakeCloud, h1: Host, options: dict[str, str], expected: str) -> None:
    assert expected in await refused(h1.network_create(SUBNET, options=options))
    assert expected in await refused(h1.network_create(SUBNET, ipam_options=options))
    assert nothing_left(cloud, h1)


async def test_options_that_contradict_each_other(cloud: FakeCloud, h1: Host) -> None:
    text = await refused(h1.network_create(SUBNET, options=WEB, ipam_options={"neutron.net.name": "db"}))
    assert "give the same neutron.net" in text
    assert nothing_left(cloud, h1)


async def test_another_address_management(cloud: FakeCloud, h1: Host) -> None:
    request = {"NetworkID": "a" * 64, "IPv4Data": [{"AddressSpace": "LocalDefault", "Pool": SUBNET}]}
    assert "add --ipam-driver fairlead" in await refused(h1.rpc("NetworkDriver.CreateNetwork", request))
    assert nothing_left(cloud, h1)


async def test_a_range_that_is_none_or_of_the_other_family(cloud: FakeCloud, h1: Host) -> None:
    assert "is not a range" in await refused(h1.network_create("10.20.0.0/99"))
    assert "add --ipv6" in await refused(h1.network_create("fd00:20::/64"))
    assert nothing_left(cloud, h1)


async def test_a_part_that_is_outside_of_the_range_or_less_than_the_subnet_gives_out(
    cloud: FakeCloud, h1: Host, h2: Host
) -> None:
    assert "outside of 10.20.0.0/24" in await refused(h1.network_create(SUBNET, ip_range="10.20.1.0/25"))
    assert nothing_left(cloud, h1)
    await h1.network_create(SUBNET)
    assert "allocation-pool" in await refused(h2.network_create(SUBNET, ip_range="10.20.0.128/25"))


async def test_a_gateway_outside_of_the_range_or_not_the_subnets(cloud: FakeCloud, h1: Host, h2: Host) -> None:
    assert "is outside of" in await refused(h1.network_create(SUBNET, gateway="10.99.0.1"))
    await h1.network_create(SUBNET)
    assert "exists with gateway 10.20.0.1" in await refused(h2.network_create(SUBNET, gateway="10.20.0.7"))


async def test_a_range_that_overlaps_on_this_host(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    for other in (SUBNET, "10.20.0.0/16"):
        text = await refused(h1.network_create(other))
        assert f"{other} overlaps {SUBNET}" in text
        assert "another Neutron network" in text
    assert network.pools == [(pool.id, str(pool.cidr), False) for pool in h1.store.all(AddressPool)]
    assert len(cloud.store.resources["networks"]) == 1


async def test_a_range_that_overlaps_in_the_same_neutron_network(cloud: FakeCloud, h1: Host, h2: Host) -> None:
    await h1.network_create(SUBNET, options=WEB, ipam_options=WEB)
    text = await refused(h2.network_create("10.20.0.0/16", options=WEB, ipam_options=WEB))
    assert "overlaps" in text
    assert len(cloud.store.resources["subnets"]) == 1
    assert not h2.store.all(JoinedNetwork)
    (network,) = cloud.store.resources["networks"].values()
    assert not [tag for tag in network["tags"] if "h2" in tag]


async def test_an_address_that_is_taken_or_outside(cloud: FakeCloud, h1: Host, h2: Host) -> None:
    first, second = await h1.network_create(SUBNET), await h2.network_create(SUBNET)
    await h1.run(first, ip="10.20.0.5")
    assert "10.20.0.5" in await refused(h1.run(first, ip="10.20.0.5"))
    assert "10.20.0.5" in await refused(h2.run(second, ip="10.20.0.5"))
    assert "outside of" in await refused(h1.run(first, ip="10.21.0.5"))
    assert len(cloud.store.resources["ports"]) == 1
    assert len(h1.store.all(Allocation)) == 1
    assert not h2.store.all(Allocation)


@pytest.mark.parametrize(("resource", "wanted"), [("network", "network"), ("subnet", "subnet")])
async def test_a_quota_that_forbids_a_network(cloud: FakeCloud, h1: Host, resource: str, wanted: str) -> None:
    cloud.set_quota("demo", **{resource: 0})
    text = await refused(h1.network_create(SUBNET))
    assert "quota" in text
    assert wanted in text
    assert nothing_left(cloud, h1)


async def test_a_quota_that_forbids_a_port(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    cloud.set_quota(port=1)
    await h1.run(network)
    assert "quota" in await refused(h1.run(network))
    assert len(h1.store.all(Allocation)) == 1


async def test_no_neutron(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    cloud.fail(Fault(times=1000, status=503))
    started = time.monotonic()
    text = await refused(h1.run(network))
    assert "503" in text
    assert time.monotonic() - started < 10
    assert not h1.dataplane.attachments


async def test_a_neutron_that_hangs(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    cloud.fail(Fault(How.HANG, times=1000))
    assert "within" in await refused(asyncio.wait_for(h1.run(network), 20))


async def test_no_keystone(cloud: FakeCloud, h1: Host) -> None:
    await cloud.stop()
    text = await refused(h1.network_create(SUBNET))
    assert "Keystone" in text
    assert "127.0.0.1" in text


async def test_a_wrong_password(cloud: FakeCloud, h1: Host) -> None:
    h1.config = replace(h1.config, auth={**h1.config.auth, "password": "not this one"})
    await h1.restart()
    text = await refused(h1.network_create(SUBNET))
    assert "not this one" not in text
    assert "401" in text or "refuse" in text or "accept" in text
    assert nothing_left(cloud, h1)


async def test_a_port_whose_answer_was_lost_is_found_again_and_deleted(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await h1.node.network_service.view()
    cloud.fail(Fault(How.LOSE, method="POST", path="^/ports$"))
    await refused(h1.run(network))
    assert len(cloud.store.resources["ports"]) == 1
    await h1.restart()
    h1.clock.time += 130
    await h1.core.reconciliation.step()
    await h1.behind()
    assert not cloud.store.resources["ports"]
    assert not h1.store.all(Allocation)


async def test_a_port_that_could_not_be_deleted_is_deleted_later(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    container = await h1.run(network)
    cloud.fail(Fault(method="DELETE", path="^/ports/", times=50))
    await h1.rm(container)
    assert len(cloud.store.resources["ports"]) == 1
    cloud._faults.clear()
    await h1.restart()
    await h1.core.reconciliation.step()
    await h1.behind()
    assert not cloud.store.resources["ports"]
    assert not h1.store.all(Allocation)


@pytest.mark.parametrize("path", ["^/networks$", "^/subnets$"])
async def test_a_network_whose_answer_was_lost_is_found_again_and_deleted(
    cloud: FakeCloud, h1: Host, path: str
) -> None:
    cloud.fail(Fault(How.LOSE, method="POST", path=path))
    await refused(h1.network_create(SUBNET))
    await h1.restart()
    h1.clock.time += 130
    await h1.core.reconciliation.step()
    await h1.behind()
    assert nothing_left(cloud, h1)


@pytest.mark.parametrize(
    "trouble", [SwitchUnavailable("OVSDB is down", remedy="start it"), WiringTimeout("no flows", remedy="look")]
)
async def test_no_switch(cloud: FakeCloud, h1: Host, trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    network = await h1.network_create(SUBNET)

    async def broken(_: object) -> None:
        raise trouble

    monkeypatch.setattr(h1.dataplane, "apply", broken)
    assert str(trouble) == await refused(h1.run(network))
    await h1.behind()
    assert not cloud.store.resources["ports"]
    assert not h1.store.all(Allocation)
    monkeypatch.undo()
    await h1.run(network)


async def test_no_switch_from_the_beginning(cloud: FakeCloud, h1: Host) -> None:
    h1.dataplane.broken = SwitchUnavailable("OVSDB is down", remedy="start it")
    await refused(h1.network_create(SUBNET))
    h1.dataplane.broken = None
    h1.clock.time += 130
    await h1.core.reconciliation.step()
    await h1.behind()
    assert nothing_left(cloud, h1)


@pytest.mark.parametrize(
    ("rpc", "body"),
    [
        ("NetworkDriver.CreateNetwork", b"{"),
        ("NetworkDriver.CreateNetwork", b""),
        ("NetworkDriver.CreateNetwork", b"[]"),
        ("NetworkDriver.CreateNetwork", b'{"NetworkID": 5}'),
        ("NetworkDriver.CreateNetwork", b'{"NetworkID": "x", "Options": {"com.docker.network.generic": 1}}'),
        (
            "NetworkDriver.CreateEndpoint",
            b'{"NetworkID": "x", "EndpointID": "y", "Interface": {"Address": "nonsense"}}',
        ),
        ("NetworkDriver.Join", b'{"NetworkID": "unknown", "EndpointID": "y"}'),
        ("NetworkDriver.DeleteEndpoint", b'{"NetworkID": "x"}'),
        ("IpamDriver.RequestPool", b'{"V6": "yes"}'),
        ("IpamDriver.RequestAddress", b'{"PoolID": "unknown"}'),
        ("IpamDriver.ReleaseAddress", b'{"PoolID": "unknown", "Address": "nonsense"}'),
        ("IpamDriver.ReleaseAddress", b"\xff\xfe"),
        ("NetworkDriver.Nonsense", b"{}"),
    ],
)
async def test_a_malformed_request(cloud: FakeCloud, h1: Host, rpc: str, body: bytes) -> None:
    with pytest.raises(DriverError) as caught:
        await h1.rpc(rpc, body)
    assert "unexpectedly" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert nothing_left(cloud, h1)


async def test_what_is_gone_may_be_deleted_again(h1: Host) -> None:
    ids = {"NetworkID": "a" * 64, "EndpointID": "b" * 64}
    for rpc in ("Leave", "DeleteEndpoint", "RevokeExternalConnectivity", "DeleteNetwork"):
        assert await h1.rpc(f"NetworkDriver.{rpc}", ids) == {}
    assert await h1.rpc("IpamDriver.ReleaseAddress", {"PoolID": "x", "Address": "10.0.0.1"}) == {}
    assert await h1.rpc("IpamDriver.ReleasePool", {"PoolID": "x"}) == {}


async def test_a_request_that_never_arrived_leaves_no_intent_behind(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await h1.node.network_service.view()
    await cloud.stop()
    await refused(h1.run(network))
    assert not h1.store.all(Batch)


async def test_an_answer_that_was_lost_leaves_the_intent(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    await h1.node.network_service.view()
    cloud.fail(Fault(How.LOSE, method="POST", path="^/ports$"))
    await refused(h1.run(network, ip="10.20.0.77"))
    assert len(h1.store.all(Batch)) == 1
    h1.clock.time += 5
    await h1.core.keeper.step()
    assert not h1.store.all(Batch)
    (found,) = h1.node.port_table
    assert found.single_use, "made for one container, it serves no other"


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "zz", "02:42:0a"])
async def test_a_mac_that_no_device_has(cloud: FakeCloud, h1: Host, mac: str) -> None:
    network = await h1.network_create(SUBNET)
    assert "is not the MAC address of a device" in await refused(h1.run(network, mac=mac))


async def test_a_mac_that_another_port_has_costs_nobody_an_address(cloud: FakeCloud, h1: Host, h2: Host) -> None:
    networks = await h1.network_create(SUBNET), await h2.network_create(SUBNET)
    theirs = await h2.run(networks[1])
    pool_id = networks[0].pools[0][0]
    given = await h1.rpc("IpamDriver.RequestAddress", {"PoolID": pool_id, "Address": "", "Options": {}})
    ids = {"NetworkID": networks[0].id, "EndpointID": "e" * 64}
    made = {**ids, "Interface": {"Address": given["Address"], "MacAddress": theirs.mac}}
    assert "is used by another port" in await refused(h1.rpc("NetworkDriver.CreateEndpoint", made))
    made["Interface"] = {"Address": given["Address"]}
    await h1.rpc("NetworkDriver.CreateEndpoint", made)


async def test_an_address_of_no_range_of_the_network(cloud: FakeCloud, h1: Host) -> None:
    network = await h1.network_create(SUBNET)
    given = await h1.rpc("IpamDriver.RequestAddress", {"PoolID": network.pools[0][0], "Address": "", "Options": {}})
    ids = {"NetworkID": network.id, "EndpointID": "e" * 64}
    interface = {"Address": given["Address"], "AddressIPv6": "fd00:99::7/64"}
    assert "fd00:99::7" in await refused(h1.rpc("NetworkDriver.CreateEndpoint", {**ids, "Interface": interface}))
