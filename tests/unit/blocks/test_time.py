"""A node's clock is set a day back or forth: peers, blocks, leases and what is half done are kept up nevertheless."""

import pytest

from fairlead.model.records import ReservedAddress
from fairlead_lab.fakes import Fault
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.blocks.test_docker import WEB, blocks, left

BACK_AND_FORTH = pytest.mark.parametrize("by", [-86400.0, 86400.0], ids=["back", "forth"])
AT_WORK_OR_AWAY = pytest.mark.parametrize("restarted", [False, True], ids=["while it runs", "while it is away"])


async def set_clock(node: Instance, by: float, *, restarted: bool) -> None:
    node.clock.set(by)
    if restarted:
        await node.stop()
        await node.start()


async def patient(node: Instance, seconds: float) -> None:
    for _ in range(int(seconds / 15)):
        await node.behind(15.0)


@AT_WORK_OR_AWAY
@BACK_AND_FORTH
async def test_peers_are_learnt_and_blocks_and_addresses_taken_back(
    site: Site, launch: Launch, by: float, restarted: bool
) -> None:
    one, two = await launch(1), await launch(2)
    network = await one.network_create("10.61.0.0/24")
    await patient(one, 60)
    running = [await one.run(network) for _ in range(40)]
    await one.rpc("IpamDriver.RequestAddress", {"PoolID": network.pools[0][0], "Address": "", "Options": {}})
    for container in running:
        await one.rm(container, behind=False)
    await set_clock(one, by, restarted=restarted)
    await two.network_create("10.61.0.0/24")
    await patient(one, 1800)
    held = await blocks(site)
    assert two.address in one.routes().values(), "the peer that came since is routed"
    assert list(held.values()).count(one.address) == 1, "blocks that nobody needs any more are given back"
    assert [each for each in one.store.all(ReservedAddress) if not each.owner] == []


@AT_WORK_OR_AWAY
@BACK_AND_FORTH
async def test_a_network_whose_removal_was_cut_short_is_left(
    site: Site, launch: Launch, by: float, restarted: bool
) -> None:
    node = await launch(1)
    network = await node.network_create(WEB)
    site.cloud.fail(Fault(method="PUT", path="/ports/"))
    await node.rpc("NetworkDriver.DeleteNetwork", {"NetworkID": network.id})
    await set_clock(node, by, restarted=restarted)
    await patient(node, 300)
    assert await left(site, node) == []


@AT_WORK_OR_AWAY
@BACK_AND_FORTH
async def test_a_lease_that_a_door_no_longer_announces_ends(launch: Launch, by: float, restarted: bool) -> None:
    one, two = await launch(1), await launch(2)
    await one.join()
    await two.join(one)
    await one.command("pre-startup")  # flanneld, started anew, has all its leases to announce
    await one.command(
        "post-startup",
        NETWORK="10.100.0.0/16",
        SUBNET=one.subnet,
        PUBLIC_IP=one.address,
        IPV6SUBNET="::/0",
        PUBLIC_IPV6="<nil>",
    )
    await set_clock(one, by, restarted=restarted)
    await patient(one, 600)
    assert one.routes() == {}


@BACK_AND_FORTH
async def test_a_memory_that_is_made_anew_after_the_clock_was_set_serves_as_before(
    site: Site, launch: Launch, by: float
) -> None:
    one, two = await launch(1), await launch(2)
    network = await one.network_create(WEB)
    await two.network_create(WEB)
    await patient(one, 60)
    await one.stop()
    for file in (one.folder / "i1").glob("routed.sqlite*"):
        file.unlink()
    one.clock.set(by)
    await one.start()
    await one.rebuild.ensure()
    await patient(one, 300)
    assert set((await blocks(site)).values()) == {one.address, two.address}
    assert two.address in one.routes().values()
    await one.run(network)
