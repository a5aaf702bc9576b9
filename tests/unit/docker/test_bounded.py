"""Networks and containers that are gone leave nothing in a node's memory, of whichever object."""

from pathlib import Path

import pytest

from fairlead.core.warm.sizing import PoolLimits
from fairlead_lab.fakes import FakeCloud, Fault
from tests.growth import grown, remembered
from tests.unit.docker.dockerd import NO_POOL, Host


async def live(cloud: FakeCloud, host: Host, number: int) -> None:
    """A day: a network with containers that come and go, and a Neutron that fails once."""
    network = await host.network_create(f"10.{60 + number}.0.0/24")
    running = [await host.run(network) for _ in range(5)]
    cloud.fail(Fault(status=503, times=3))
    for one in running:
        await host.rm(one)
    for _ in range(10):
        await host.behind(60)
    await host.network_rm(network)
    for _ in range(10):
        await host.behind(60)


@pytest.mark.parametrize("limits", [NO_POOL, PoolLimits(floor=4)], ids=["no pool", "a pool"])
async def test_what_is_gone_is_forgotten_by_every_object(cloud: FakeCloud, tmp_path: Path, limits: PoolLimits) -> None:
    host = Host("h1", cloud.credentials("member"), tmp_path, limits)
    await host.start()
    roots = (host.core, host.store)
    for number in range(2):
        await live(cloud, host, number)
    before = remembered(*roots)
    for number in range(2, 6):
        await live(cloud, host, number)
    assert grown(before, remembered(*roots)) == {}
    await host.stop()
