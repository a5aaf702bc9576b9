"""Starts that a short wait mends, addresses that people choose, and MACs that neighbours know."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from fairlead.core.warm.provisioning import make_ports
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.errors import FairleadError, WiringTimeout
from fairlead.model.network import NewPort, Port
from fairlead.model.records import JoinedNetwork, Use
from fairlead_lab.fakes import FakeCloud, Fault
from fairlead_lab.fakes.record import How
from tests.unit.docker.dockerd import DriverError, Host, Network, Running

SUBNET, SUBNET6 = "10.20.0.0/27", "fd00:20::/64"
LIMITS = PoolLimits()
"""An agent's own: ports wait, and rest for ten seconds."""


async def started(name: str, cloud: FakeCloud, directory: Path) -> Host:
    host = Host(name, cloud.credentials("member"), directory, LIMITS)
    await host.start()
    return host


@pytest.fixture
async def one(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host = await started("h1", cloud, tmp_path)
    yield host
    await host.stop()


@pytest.fixture
async def two(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host = await started("h2", cloud, tmp_path)
    yield host
    await host.stop()


def ports(cloud: FakeCloud) -> list[dict[str, Any]]:
    return list(cloud.store.resources["ports"].values())


@asynccontextmanager
async def refill(host: Host, count: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Make ports ahead whose answer comes as soon as a start has been refused for the want of what they took."""
    made, refused = asyncio.Event(), asyncio.Event()
    create = host.node.network_service.create_ports

    async def slow(new: Sequence[NewPort]) -> list[Port]:
        if made.is_set():
            try:
                return await create(new)
            except FairleadError:
                refused.set()
                raise
        ports = await create(new)
        made.set()
        await refused.wait()
        return ports

    monkeypatch.setattr(host.node.network_service, "create_ports", slow)
    work = asyncio.create_task(make_ports(host.node, joined(host), count=count))
    await made.wait()
    yield
    await work


def bare(container: Running) -> str:
    return container.address.split("/")[0]


def joined(host: Host) -> JoinedNetwork:
    (only,) = host.store.all(JoinedNetwork)
    return only


@pytest.mark.parametrize("others", [4, 5])
async def test_a_container_that_ends_and_starts_again_on_a_full_range_starts_at_once(one: Host, others: int) -> None:
    network = await one.network_create("10.20.0.0/29")
    await one.behind(5)
    running = [await one.run(network) for _ in range(others)]
    for _ in range(5):
        again = running.pop() if others == 5 else await one.run(network)
        await one.rm(again)
        again = await one.run(network)
        assert bare(again) not in {bare(other) for other in running}
        if others == 5:
            running.append(again)
        else:
            await one.rm(again)


async def test_a_full_range_that_was_emptied_is_filled_again_at_once(one: Host) -> None:
    network = await one.network_create("10.20.0.0/28")
    for _ in range(3):
        containers = await asyncio.gather(*(one.run(network) for _ in range(13)))
        assert len({bare(container) for container in containers}) == 13
        await asyncio.gather(*(one.rm(container, behind=False) for container in containers))


@pytest.mark.parametrize("chosen", ["", "10.20.0.7"])
async def test_the_only_address_of_a_range_is_had_again_at_once(one: Host, chosen: str) -> None:
    network = await one.network_create(SUBNET, ip_range="10.20.0.7/32")
    for _ in range(3):
        container = await one.run(network, ip=chosen)
        assert bare(container) == "10.20.0.7"
        await one.rm(container, behind=False)


async def test_an_address_that_was_chosen_before_serves_who_finds_no_other(one: Host) -> None:
    network = await one.network_create(SUBNET, ip_range="10.20.0.7/32")
    await one.rm(await one.run(network, ip="10.20.0.7"))
    assert bare(await one.run(network)) == "10.20.0.7"


async def test_what_rested_longest_is_given_first_where_nothing_else_is_left(one: Host) -> None:
    network = await one.network_create("10.20.0.0/29")
    containers = [await one.run(network) for _ in range(5)]
    for container in (containers[2], containers[0], containers[4]):
        await one.rm(container)
        one.clock.time += 1
    assert [bare(await one.run(network)) for _ in range(3)] == [bare(containers[index]) for index in (2, 0, 4)]


async def test_a_rest_is_kept_while_other_addresses_are_free(one: Host) -> None:
    network = await one.network_create(SUBNET)
    first = await one.run(network)
    await one.rm(first)
    assert bare(first) not in {bare(await one.run(network)) for _ in range(5)}


async def test_a_start_while_a_refill_takes_the_last_addresses_is_served_by_it(
    one: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await one.network_create("10.20.0.0/29", ip_range="10.20.0.4/30")
    async with refill(one, 2, monkeypatch):
        containers = await asyncio.gather(*(one.run(network) for _ in range(3)))
    assert len({bare(container) for container in containers}) == 3


async def test_a_start_at_the_quota_is_served_by_a_refill_under_way(
    cloud: FakeCloud, one: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await one.network_create(SUBNET)
    cloud.set_quota(port=2)
    async with refill(one, 2, monkeypatch):
        served = await one.run(network)
    assert bare(served) in {port["fixed_ips"][0]["ip_address"] for port in ports(cloud)}
    assert len(ports(cloud)) == 2


async def test_at_the_quota_a_waiting_port_gives_way_to_a_chosen_address(cloud: FakeCloud, one: Host) -> None:
    network = await one.network_create(SUBNET)
    await make_ports(one.node, joined(one), count=2)
    cloud.set_quota(port=2)
    assert bare(await one.run(network, ip="10.20.0.5")) == "10.20.0.5"
    assert len(ports(cloud)) == 2


async def test_a_chosen_address_whose_answer_was_lost_is_had_by_the_next_start(cloud: FakeCloud, one: Host) -> None:
    network = await one.network_create(SUBNET)
    await one.rm(await one.run(network))
    before = len(ports(cloud))
    cloud.fail(Fault(how=How.LOSE, method="POST", path="^/ports$"))
    with pytest.raises(DriverError):
        await one.run(network, ip="10.20.0.5")
    assert "10.20.0.5" in {port["fixed_ips"][0]["ip_address"] for port in ports(cloud)}
    assert bare(await one.run(network, ip="10.20.0.5")) == "10.20.0.5"
    assert len(ports(cloud)) == before + 1


async def test_a_chosen_address_that_is_being_made_ahead_is_given_to_who_chose_it(
    one: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await one.network_create(SUBNET, ip_range="10.20.0.8/29")
    async with refill(one, 3, monkeypatch):
        assert bare(await one.run(network, ip="10.20.0.8")) == "10.20.0.8"


async def fill(host: Host, network: Network) -> list[IPv4Address]:
    """Start containers until one is refused."""
    given: list[IPv4Address] = []
    while True:
        try:
            given.append(IPv4Address(bare(await host.run(network))))
        except DriverError:
            return given


async def up(host: Host, network: Network, fixed: tuple[str, ...], others: int) -> list[Running]:
    """Start services all at once, as compose does."""
    return list(
        await asyncio.gather(*(host.run(network) for _ in range(others)), *(host.run(network, ip=ip) for ip in fixed))
    )


@pytest.mark.parametrize(
    "fixed", [("10.20.0.2", "10.20.0.3"), ("10.20.0.10", "10.20.0.11"), ("10.20.0.5", "10.20.0.4")]
)
async def test_services_with_low_addresses_start_beside_those_without_every_time(
    one: Host, fixed: tuple[str, ...]
) -> None:
    network = await one.network_create(SUBNET)
    for _ in range(5):
        containers = await up(one, network, fixed, 6)
        assert [bare(container) for container in containers[6:]] == list(fixed)
        await asyncio.gather(*(one.rm(container, behind=False) for container in containers))
        await one.behind(1)


async def test_what_is_picked_or_made_ahead_leaves_the_lower_part_to_people_until_no_other_is_left(
    cloud: FakeCloud, one: Host, two: Host
) -> None:
    networks = [(host, await host.network_create(SUBNET)) for host in (one, two)]
    for host, _ in networks:
        await host.behind(5)
    boundary = IPv4Address("10.20.0.16")
    assert all(IPv4Address(port["fixed_ips"][0]["ip_address"]) >= boundary for port in ports(cloud))
    given = [IPv4Address(bare(await host.run(network))) for host, network in networks for _ in range(5)]
    assert min(given) >= boundary
    for host, network in networks:
        given += await fill(host, network)
    # What the other host holds waiting is not to be had, and nothing else is missing.
    held = [IPv4Address(port["fixed_ips"][0]["ip_address"]) for port in ports(cloud)]
    assert sorted(held) == [IPv4Address("10.20.0.0") + number for number in range(2, 31)]
    lower = [address for address in given if address < boundary]
    assert min(lower[:7]) == IPv4Address("10.20.0.9")


async def test_an_auxiliary_address_is_never_given_out_however_full_the_range_is(one: Host, two: Host) -> None:
    aux = ("10.20.0.4", "10.20.0.20")
    await one.network_create(SUBNET, aux=aux)
    network = await two.network_create(SUBNET)
    given = {str(address) for address in await fill(two, network)}
    assert not given & set(aux)
    assert {"10.20.0.5", "10.20.0.30"} <= given


async def test_a_second_host_can_not_keep_out_what_the_subnet_gives_out_in_need(one: Host, two: Host) -> None:
    await one.network_create(SUBNET)
    with pytest.raises(DriverError, match="is in its allocation pools"):
        await two.network_create(SUBNET, aux=("10.20.0.4",))


async def test_a_subnet_that_fairlead_did_not_make_keeps_its_allocation_pools(cloud: FakeCloud, one: Host) -> None:
    await one.network_create(SUBNET)
    (network,) = cloud.store.resources["networks"].values()
    (subnet,) = cloud.store.resources["subnets"].values()
    subnet["tags"] = []
    subnet["allocation_pools"] = [{"start": "10.20.0.20", "end": "10.20.0.21"}]
    for item in (network, subnet):
        item["tags"] = [tag for tag in item["tags"] if "spares" not in tag]
    (own,) = one.core.node.store.all(JoinedNetwork)
    with pytest.raises(DriverError, match="addresses"):
        await asyncio.gather(*(one.run(Network(own.id, [(f"*@{SUBNET}", SUBNET, False)], [])) for _ in range(3)))
    assert subnet["allocation_pools"] == [{"start": "10.20.0.20", "end": "10.20.0.21"}]


async def test_the_refusal_names_who_has_a_chosen_address(cloud: FakeCloud, one: Host, two: Host) -> None:
    networks = {host: await host.network_create(SUBNET, ip_range="10.20.0.16/28") for host in (one, two)}
    there = await two.run(networks[two])
    await two.behind(10)
    await two.behind(10)
    with pytest.raises(DriverError, match="a container on host h2, by port"):
        await one.run(networks[one], ip=bare(there))
    (waits,) = [port.address(4) for port in two.node.port_table.in_use(networks[two].id, Use.FRESH)][:1]
    with pytest.raises(DriverError, match="a port that waits on host h2 for a container"):
        await one.run(networks[one], ip=str(waits))
    port = next(port for port in ports(cloud) if port["fixed_ips"][0]["ip_address"] == bare(there))
    port.update(tags=[], name="router", description="")
    with pytest.raises(DriverError, match=rf"port {port['id']} \(router\), which is not Fairlead's"):
        await one.run(networks[one], ip=bare(there))
    here = await one.run(networks[one])
    with pytest.raises(DriverError, match=f"used by endpoint {here.endpoint_id[:12]} on this host"):
        await one.run(networks[one], ip=bare(here))


async def test_a_chosen_address_moves_to_another_host_as_soon_as_the_first_gives_it_up(
    one: Host, two: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = {host: await host.network_create(SUBNET, subnet6=SUBNET6) for host in (one, two)}
    before = await one.run(networks[one], ip="10.20.0.5")
    await one.rm(before)
    assert one.node.port_table.in_use(networks[one].id, Use.KEPT)
    waited = two.clock.sleep

    async def both_wait(seconds: float) -> None:
        await waited(seconds)
        await one.behind(seconds)

    monkeypatch.setattr(two.clock, "sleep", both_wait)
    after = await two.run(networks[two], ip="10.20.0.5")
    assert (bare(after), after.mac) == ("10.20.0.5", before.mac)


async def test_a_container_with_its_own_address_starts_again_on_the_same_port_and_asks_nothing(
    cloud: FakeCloud, one: Host
) -> None:
    network = await one.network_create(SUBNET, subnet6=SUBNET6)
    before = await one.run(network, ip="10.20.0.5")
    (port,) = [port for port in ports(cloud) if port["fixed_ips"][0]["ip_address"] == "10.20.0.5"]
    cloud.calls.clear()
    for _ in range(3):
        await one.rm(before, behind=False)
        after = await one.run(network, ip="10.20.0.5")
        assert (after.mac, after.address6) == (before.mac, before.address6)
        before = after
    assert not cloud.calls
    assert before.mac == port["mac_address"] == "02:42:0a:14:00:05"
    await one.rm(before)
    await one.behind(LIMITS.cool_down - 1)
    assert port in ports(cloud)
    await one.behind(2)
    assert port not in ports(cloud)
    assert (await one.run(network, ip="10.20.0.5")).mac == before.mac


async def test_a_mac_of_its_own_is_kept_with_the_address(cloud: FakeCloud, one: Host) -> None:
    network, mac = await one.network_create(SUBNET), "02:00:00:00:00:77"
    await one.rm(await one.run(network, ip="10.20.0.5", mac=mac))
    cloud.calls.clear()
    assert (await one.run(network, ip="10.20.0.5", mac=mac)).mac == mac
    assert not cloud.calls


async def test_a_mac_that_somebody_else_has_is_no_reason_to_refuse_an_address(one: Host) -> None:
    network = await one.network_create(SUBNET)
    await one.run(network, mac="02:42:0a:14:00:05")
    assert bare(await one.run(network, ip="10.20.0.5")) == "10.20.0.5"


async def test_a_kept_port_gives_its_second_address_up_to_who_chooses_it(one: Host) -> None:
    network = await one.network_create(SUBNET, subnet6=SUBNET6)
    await one.rm(await one.run(network, ip="10.20.0.5", ip6="fd00:20::5"))
    after = await one.run(network, ip="10.20.0.6", ip6="fd00:20::5")
    assert (bare(after), after.address6) == ("10.20.0.6", "fd00:20::5/64")


async def test_a_port_that_was_not_wired_is_kept_for_nobody(cloud: FakeCloud, one: Host) -> None:
    network = await one.network_create(SUBNET)
    one.dataplane.broken = WiringTimeout("not wired")
    with pytest.raises(DriverError):
        await one.run(network, ip="10.20.0.5")
    one.dataplane.broken = None
    await one.behind(1)
    assert not [port for port in ports(cloud) if port["fixed_ips"][0]["ip_address"] == "10.20.0.5"]


async def test_no_port_is_deleted_twice_however_many_want_it_gone(cloud: FakeCloud, one: Host) -> None:
    network = await one.network_create(SUBNET)
    await one.behind(5)
    cloud.latency = 0.02
    for number in range(4):
        container, _ = await asyncio.gather(one.run(network, mac=f"02:00:00:00:00:0{number}"), one.behind(1))
        await asyncio.gather(one.rm(container), one.behind(LIMITS.cool_down + 1))
    await one.behind(LIMITS.cool_down + 1)
    deleted = Counter(call.path for call in cloud.calls if call.method == "DELETE")
    assert deleted
    assert set(deleted.values()) == {1}


@pytest.mark.parametrize("cidr", ["10.20.0.0/31", "10.20.0.0/32"])
async def test_a_range_without_an_address_for_a_container_is_refused_by_its_flag(
    cloud: FakeCloud, one: Host, cidr: str
) -> None:
    with pytest.raises(DriverError, match=rf"{cidr} is too small.*give a larger --subnet"):
        await one.network_create(cidr)
    with pytest.raises(DriverError, match=r"fd00:20::/127 is too small.*give a larger --subnet"):
        await one.network_create(SUBNET, subnet6="fd00:20::/127")
    assert not cloud.store.resources["networks"]


@pytest.mark.parametrize(("cidr", "most"), [("10.20.0.0/30", 1), ("10.20.0.0/29", 5), ("10.20.0.0/26", 61)])
async def test_every_address_of_a_range_can_be_had(one: Host, cidr: str, most: int) -> None:
    network = await one.network_create(cidr)
    given = {IPv4Address(bare(await one.run(network))) for _ in range(most)}
    assert given == {*IPv4Network(cidr).hosts()} - {IPv4Network(cidr)[1]}
