"""An agent that has served a thousand networks and containers remembers no more than one that has served a few."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.errors import DataplaneError
from fairlead_lab.fakes import FakeCloud, Fault
from tests.growth import grown, remembered
from tests.unit.docker.dockerd import DriverError, Host
from tests.unit.docker.instance import boot
from tests.unit.docker.test_trunk import binding as trunk


@pytest.fixture(params=["ovs", "trunk"])
async def host(request: pytest.FixtureRequest, cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    limits = PoolLimits(floor=2, cool_down=5.0)
    if request.param == "ovs":
        host = Host("h1", cloud.credentials("member"), tmp_path, limits)
        await host.start()
    else:
        host, _ = await boot(cloud, tmp_path, trunk, limits=limits, trunk=True)
    yield host
    await host.stop()


async def live(host: Host, cloud: FakeCloud, number: int) -> None:
    """Make a network, run containers and remove all of it, while one thing or another goes wrong."""
    network = await host.network_create(f"10.{number}.0.0/24", subnet6=f"fd00:{number}::/64")
    await host.behind(10)
    cloud.fail(Fault(method="DELETE", path="/ports/", status=500))
    for container in [await host.run(network), await host.run(network, ip=f"10.{number}.0.200")]:
        await host.rm(container)
    cloud.fail(Fault(method="POST", path="/ports", status=409, kind="IpAddressAlreadyAllocated", times=20))
    with pytest.raises(DriverError):
        await host.run(network, ip=f"10.{number}.0.201")
    cloud._faults.clear()
    host.dataplane.broken = DataplaneError("no")
    await host.behind(10)
    host.dataplane.broken = None
    await host.behind(60)
    await host.core.reconciliation.step()
    await host.network_rm(network)
    for _ in range(60):
        await host.behind(15)


def memory(host: Host) -> Counter[str]:
    app = host.client.app
    assert app
    return remembered(
        host.core, host.node, host.node.network_service, *(route.handler for route in app.router.routes())
    )


async def test_what_is_gone_is_forgotten(cloud: FakeCloud, host: Host) -> None:
    for number in range(1, 4):
        await live(host, cloud, number)
    before = memory(host)
    assert {"WarmPools._pools", "KeyedLocks._locks", "Setbacks._all", "Devices._ready"} <= before.keys()
    for number in range(4, 14):
        await live(host, cloud, number)
    assert grown(before, memory(host)) == {}
    assert not host.core.networks.locks.keys
