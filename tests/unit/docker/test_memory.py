"""What an agent remembers of containers that have gone: nothing."""

import gc
from collections import Counter

from fairlead_lab.fakes import FakeCloud
from tests.unit.docker.dockerd import Host

SUBNET = "10.20.0.0/24"
CONTAINERS = 150


async def come_and_go(cloud: FakeCloud, host: Host) -> Counter[str]:
    """Let containers come and go; count the objects of the agent's own classes, and all others in one number."""
    network = await host.network_create(SUBNET)
    for _ in range(CONTAINERS):
        await host.rm(await host.run(network))
    await host.network_rm(network)
    # What the test itself keeps: the answers it got, and the requests the cloud was asked.
    host.client._responses.clear()
    host.observed.clear()
    cloud.calls.clear()
    gc.collect()
    kinds = [type(each) for each in gc.get_objects()]
    return Counter(kind.__name__ if str(kind.__module__).startswith("fairlead.") else "others" for kind in kinds)


async def test_containers_that_have_gone_leave_no_object_behind(cloud: FakeCloud, h1: Host) -> None:
    await come_and_go(cloud, h1)
    before = await come_and_go(cloud, h1)
    after = await come_and_go(cloud, h1)
    # Timers of connections come and go; a container that left one object behind would show as a hundred and fifty.
    assert abs(after.pop("others") - before.pop("others")) < CONTAINERS
    assert after == before
    assert not h1.node.port_table
