"""Networks, containers and leases that are gone leave nothing in a node's memory, of whichever object."""

from fairlead.core.blocks.reconciler import LAST_RITES
from fairlead.model.errors import DataplaneError
from fairlead_lab.fakes import Fault
from tests.growth import grown, remembered
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.blocks.test_docker import settle
from tests.unit.blocks.test_kernel import end


async def live(site: Site, one: Instance, two: Instance, far: Instance, number: int) -> None:
    """A day: networks, containers, peers and leases that come and go, and everything that may fail once."""
    range_ = f"10.{60 + number}.0.0/24"
    networks = {node: await node.network_create(range_) for node in (one, two, far)}
    await settle(one, two, far)
    running = [await one.run(networks[one]) for _ in range(20)]
    site.cloud.fail(Fault(status=503, times=3))
    one.kernel.foreign.add(next(iter(one.kernel.table)))
    one.kernel.table.clear()
    await settle(one, two, far)
    one.dataplane.broken = DataplaneError("no buffer space")
    await end(one, running.pop())
    await one.behind(5)
    one.dataplane.broken = None
    for each in running:
        await one.rm(each, behind=False)
    await one.command("subnet-add", SUBNET=f"10.100.{100 + number}.0/24", PUBLIC_IP="10.30.0.77", DATA='{"port": "x"}')
    await one.behind(30)
    await one.command("subnet-remove", SUBNET=f"10.100.{100 + number}.0/24", PUBLIC_IP="10.30.0.77", DATA="")
    one.kernel.foreign.clear()
    await one.behind(LAST_RITES)
    site.cloud.fail(Fault(method="DELETE", path="/subnets/", status=409, times=1))
    for node, network in networks.items():
        await node.network_rm(network)
    for _ in range(3):
        await settle(one, two, far)
    await one.behind(400)


async def test_what_is_gone_is_forgotten_by_every_object(site: Site, launch: Launch) -> None:
    one, two, far = await launch(1), await launch(2), await launch(3, network=1)
    await one.join()
    await two.join(one)
    await far.join(one, two)
    roots = (one.core, one.reconciler, one.store, one.neutron)
    for number in range(2):
        await live(site, one, two, far, number)
    before = remembered(*roots)
    assert {"NetworkKeeper._watches", "Setbacks._all", "Evidence._since", "KeyedLocks._locks"} <= before.keys()
    for number in range(2, 7):
        await live(site, one, two, far, number)
    assert grown(before, remembered(*roots)) == {}
