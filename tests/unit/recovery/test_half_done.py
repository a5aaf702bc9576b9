"""What was half done when something failed, told one by one; test_every_point.py has them all."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.network import Port, PortChange
from fairlead.model.records import Allocation, Batch
from fairlead_lab.fakes import FakeCloud, Fault
from fairlead_lab.fakes.record import How
from tests.unit.docker.dockerd import DriverError, Host, Network

SUBNET, SUBNET6 = "10.20.0.0/24", "fd00:20::/64"


@pytest.fixture
async def cloud() -> AsyncIterator[FakeCloud]:
    async with FakeCloud() as cloud:
        yield cloud


@pytest.fixture
async def pooled(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host = Host("h1", cloud.credentials("member"), tmp_path, PoolLimits(floor=3, cool_down=10.0))
    await host.start()
    yield host
    await host.stop()


async def patient(host: Host, seconds: float) -> None:
    """Let time pass as an agent does: the reconciler, and what works behind."""
    for _ in range(int(seconds / 15)):
        await host.core.reconciliation.step()
        await host.behind(15)


async def lose_a_container(host: Host, network: Network) -> None:
    """Have one that goes while the agent is away: nobody tells of it."""
    await host.run(network)
    await host.behind(10)
    await host.stop()
    host.dataplane.away.clear()
    await host.start()


def left(cloud: FakeCloud, host: Host) -> list[Any]:
    resources = cloud.store.resources
    return [
        *resources["ports"],
        *resources["networks"],
        *host.store.all(Allocation),
        *host.store.all(Batch),
        *host.dataplane.attachments,
    ]


@pytest.mark.parametrize("down", [False, True])
async def test_a_network_with_a_container_nobody_told_of_is_left_in_the_end(
    cloud: FakeCloud, pooled: Host, *, down: bool
) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    await lose_a_container(pooled, network)
    if down:
        cloud.fail(Fault(status=503, times=10**9))
    await pooled.rpc("NetworkDriver.DeleteNetwork", {"NetworkID": network.id})
    cloud._faults.clear()
    await patient(pooled, 3600)
    assert not left(cloud, pooled)


@pytest.mark.parametrize("refused", [1, 2, 3])
async def test_crossed_starts_of_which_an_exchange_fails_leave_no_port_that_fails_for_ever(
    cloud: FakeCloud, pooled: Host, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    network = await pooled.network_create(SUBNET, subnet6=SUBNET6)
    await pooled.behind(10)
    (four, _, _), (six, _, _) = network.pools

    async def ask(pool: str) -> str:
        answer = await pooled.rpc("IpamDriver.RequestAddress", {"PoolID": pool, "Address": "", "Options": {}})
        return str(answer["Address"])

    a4, b4 = await ask(four), await ask(four)
    b6, a6 = await ask(six), await ask(six)  # the other start asks first, and is told of the first one's port
    service, calls = pooled.node.network_service, 0
    update_port = service.update_port

    async def refuse_one(port_id: str, change: PortChange, *, revision: int | None = None) -> Port:
        nonlocal calls
        calls += 1
        if calls == refused:
            cloud.fail(Fault(method="PUT", path="/ports/", status=503))
        return await update_port(port_id, change, revision=revision)

    monkeypatch.setattr(service, "update_port", refuse_one)
    with pytest.raises(DriverError):
        await pooled.connect(network, [(four, a4, False), (six, a6, True)])
    for pool, address in ((four, b4), (six, b6)):
        await pooled.rpc("IpamDriver.ReleaseAddress", {"PoolID": pool, "Address": address.split("/")[0]})
    await patient(pooled, 600)
    for _ in range(6):
        await pooled.rm(await pooled.run(network))
        await patient(pooled, 30)


async def test_an_address_chosen_by_a_start_that_failed_is_not_given_to_another_container(
    cloud: FakeCloud, pooled: Host
) -> None:
    network = await pooled.network_create(SUBNET, ip_range="10.20.0.128/25")
    await pooled.behind(10)
    for _ in range(3):
        await pooled.run(network)
    cloud.fail(Fault(how=How.LOSE, method="POST", path="/ports"))
    with pytest.raises(DriverError):
        await pooled.run(network, ip="10.20.0.10")  # outside of --ip-range: the user's to choose
    await pooled.core.keeper.step()
    pooled.clock.time += 5
    await pooled.core.keeper.step()
    other = await pooled.run(network)
    assert not other.address.startswith("10.20.0.10/")
    await patient(pooled, 120)
    assert (await pooled.run(network, ip="10.20.0.10")).address == "10.20.0.10/24"
