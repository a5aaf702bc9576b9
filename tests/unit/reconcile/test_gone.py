"""A container that goes without a word gives back what it had; one that lives keeps it."""

import pytest

from fairlead.core.reconcile.gone import UNTOLD
from fairlead.core.reconcile.reconciliation import HERE_EVERY
from fairlead.model.errors import SwitchUnavailable
from fairlead.model.records import Allocation, Use
from fairlead_lab.fakes import FakeCloud
from tests.unit.docker.dockerd import DriverError, Host, Network, Running

SUBNET = "10.20.0.0/24"
CHOSEN = "10.20.0.50"


async def one(host: Host) -> tuple[Network, Running]:
    """A container with an address of its own, that has run for a while."""
    network = await host.network_create(SUBNET)
    await host.behind(10)
    running = await host.run(network, ip=CHOSEN)
    await host.behind(60)
    return network, running


async def go_unheard(host: Host, running: Running) -> None:
    """Remove a container while the agent is away."""
    await host.stop()
    host.rm_unheard(running)
    await host.start()


def attached(host: Host) -> list[str]:
    return [each.owner for each in host.node.port_table if each.owner]


def is_left(cloud: FakeCloud, host: Host) -> bool:
    """Say whether anything of the chosen address is left."""
    ports = [port for port in cloud.store.resources["ports"].values() if port["fixed_ips"][0]["ip_address"] == CHOSEN]
    known = [each for each in host.store.all(Allocation) if str(each.addresses[0]) == CHOSEN]
    return bool(ports or known or {port["id"] for port in ports} & set(host.dataplane.attachments))


async def test_a_container_removed_while_the_agent_was_away_gives_its_address_back_at_once_when_it_is_asked_for(
    cloud: FakeCloud, pooled: Host
) -> None:
    network, running = await one(pooled)
    await go_unheard(pooled, running)
    again = await pooled.run(network, ip=CHOSEN)
    assert again.address == f"{CHOSEN}/24"
    assert attached(pooled) == [again.endpoint_id]
    assert len({port["id"] for port in cloud.store.resources["ports"].values()}) == 4


async def test_without_anybody_asking_its_port_device_and_row_are_gone_after_two_looks(
    cloud: FakeCloud, pooled: Host
) -> None:
    _, running = await one(pooled)
    await go_unheard(pooled, running)
    await pooled.core.reconciliation.step()
    await pooled.behind()
    assert attached(pooled) == [running.endpoint_id]
    await pooled.patient(30)
    assert not attached(pooled)
    assert not is_left(cloud, pooled)


async def test_where_dockerd_does_not_tell_a_container_that_is_nowhere_is_gone_after_ten_minutes(
    cloud: FakeCloud, pooled: Host
) -> None:
    network, running = await one(pooled)
    pooled.endpoints.silent = True
    await go_unheard(pooled, running)
    await pooled.patient(UNTOLD - 120)
    assert attached(pooled) == [running.endpoint_id]
    with pytest.raises(DriverError, match="is used by"):
        await pooled.run(network, ip=CHOSEN)
    await pooled.patient(180)
    assert not is_left(cloud, pooled)
    assert (await pooled.run(network, ip=CHOSEN)).address


@pytest.mark.parametrize("silent", [False, True])
async def test_an_endpoint_that_was_made_and_never_joined_is_taken_back(pooled: Host, silent: bool) -> None:
    """dockerd died before it had written the endpoint down."""
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    pooled.endpoints.silent = silent
    given = await pooled.rpc("IpamDriver.RequestAddress", {"PoolID": network.pools[0][0], "Options": {}})
    interface = {"Address": given["Address"]}
    ids = {"NetworkID": network.id, "EndpointID": "e" * 64}
    await pooled.rpc("NetworkDriver.CreateEndpoint", {**ids, "Interface": interface})
    await pooled.patient(900)
    assert not pooled.node.port_table.in_use(network.id, Use.ATTACHED)


@pytest.mark.parametrize("silent", [False, True])
async def test_a_container_that_lives_keeps_its_port_for_days(pooled: Host, silent: bool) -> None:
    network, running = await one(pooled)
    pooled.endpoints.silent = silent
    await pooled.patient(2 * 86400, step=1800)
    with pytest.raises(DriverError, match="is used by"):
        await pooled.run(network, ip=CHOSEN)
    assert attached(pooled) == [running.endpoint_id]


async def test_a_device_that_is_back_for_a_moment_is_no_word_against_dockerds(pooled: Host) -> None:
    """While dockerd restarts a container, or has it on another network as well, its device may be on the host."""
    _, running = await one(pooled)
    pooled.dataplane.away.clear()
    await pooled.patient(900)
    assert attached(pooled) == [running.endpoint_id]


async def test_an_endpoint_that_dockerd_has_not_written_down_is_no_word_against_a_container_with_its_device(
    pooled: Host,
) -> None:
    _, running = await one(pooled)
    pooled.endpoints.known.clear()
    await pooled.patient(900)
    assert attached(pooled) == [running.endpoint_id]


async def test_one_look_at_which_all_seems_gone_takes_nothing(pooled: Host) -> None:
    _, running = await one(pooled)
    away, known = set(pooled.dataplane.away), {key: set(ids) for key, ids in pooled.endpoints.known.items()}
    pooled.clock.time += HERE_EVERY
    pooled.dataplane.away.clear()
    pooled.endpoints.known.clear()
    await pooled.core.reconciliation.step()
    pooled.dataplane.away, pooled.endpoints.known = away, known
    await pooled.patient(900)
    assert attached(pooled) == [running.endpoint_id]


async def test_a_host_that_can_not_be_looked_at_takes_nothing(pooled: Host) -> None:
    _, running = await one(pooled)
    await go_unheard(pooled, running)
    pooled.dataplane.broken = SwitchUnavailable("OVSDB is down", remedy="start it")
    await pooled.patient(900)
    assert attached(pooled) == [running.endpoint_id]
    pooled.dataplane.broken = None
    await pooled.patient(60)
    assert not attached(pooled)


async def test_a_container_removed_with_the_agent_at_work_gives_its_address_back(pooled: Host) -> None:
    network, running = await one(pooled)
    await pooled.rm(running)
    assert (await pooled.run(network, ip=CHOSEN)).address
