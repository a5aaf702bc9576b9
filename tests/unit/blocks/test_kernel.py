"""The kernel refuses, or is changed by somebody: nothing is lost for it, and Neutron need not answer to mend it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from fairlead.core.background.loops import keep
from fairlead.model.errors import DataplaneError
from fairlead.model.records import JoinedNetwork, Lease, ReservedAddress
from fairlead.ports.guard import GuardedNode
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.blocks.test_docker import WEB, WEB6, left, settle
from tests.unit.blocks.test_many_nodes import until
from tests.unit.docker.dockerd import DriverError, Network, Running

OTHER = "10.70.0.0/16"


async def end(node: Instance, running: Running) -> None:
    """Remove a container as dockerd does: what DeleteEndpoint refuses is logged, and the address released."""
    ids = {"NetworkID": running.network.id, "EndpointID": running.endpoint_id}
    node.dataplane.away.discard(running.endpoint_id)
    with suppress(DriverError):
        await node.rpc("NetworkDriver.DeleteEndpoint", ids)
    for (pool_id, _, v6), _ in zip(running.network.pools, running.network.gateways, strict=True):
        address = running.address6 if v6 else running.address
        await node.rpc("IpamDriver.ReleaseAddress", {"PoolID": pool_id, "Address": address.split("/")[0]})


async def test_an_endpoint_that_the_kernel_refuses_to_delete_once_gives_its_address_back(launch: Launch) -> None:
    node = await launch(1)
    running = await node.run(await node.network_create(WEB, subnet6=WEB6))
    node.dataplane.broken = DataplaneError("the kernel does not answer over rtnetlink")
    with pytest.raises(DriverError, match="does not answer"):
        await node.rpc(
            "NetworkDriver.DeleteEndpoint", {"NetworkID": running.network.id, "EndpointID": running.endpoint_id}
        )
    await end(node, running)
    await node.behind(60)
    assert {one.address for one in node.store.all(ReservedAddress)}, "as long as the devices are there"
    node.dataplane.broken = None
    for _ in range(20):
        await node.behind(60)
    assert not node.store.all(ReservedAddress)
    assert not node.dataplane.attachments


async def test_that_it_is_to_be_deleted_is_known_after_a_restart(launch: Launch) -> None:
    node = await launch(1)
    running = await node.run(await node.network_create(WEB))
    node.dataplane.broken = DataplaneError("the kernel does not answer over rtnetlink")
    await end(node, running)
    await node.stop()
    node.dataplane.broken = None
    await node.start()
    await node.behind(60)
    assert not node.dataplane.attachments


@pytest.mark.parametrize("when", ["network create", "run", "rm", "network rm"])
@pytest.mark.parametrize("part", ["dataplane", "guard", "kernel"])
async def test_whatever_part_of_the_kernel_refuses_whatever_command_nothing_is_left_in_the_end(
    site: Site, launch: Launch, part: str, when: str
) -> None:
    node, peer = await launch(1), await launch(2)
    await settle(peer)
    theirs = await peer.network_create(WEB)
    life: dict[str, Any] = {}

    async def do(command: str, work: Callable[[], Awaitable[object]]) -> None:
        getattr(node, part).broken = DataplaneError("no buffer space") if command == when else None
        with suppress(DriverError):
            life[command] = await work()
        await node.behind(20)
        if command not in life:
            getattr(node, part).broken = None
            life[command] = await work()
        getattr(node, part).broken = None

    async def remove(network: Network) -> str:
        await node.network_rm(network)
        return "removed"

    await do("network create", lambda: node.network_create(WEB))
    await do("run", lambda: node.run(life["network create"]))
    await settle(node, peer)
    await do("rm", lambda: end(node, life["run"]))
    await do("network rm", lambda: remove(life["network create"]))
    await peer.network_rm(theirs)
    for _ in range(5):
        await settle(node, peer)
    assert await left(site, node, peer) == []
    assert not [one for kind in (JoinedNetwork, Lease, ReservedAddress) for one in node.store.all(kind)]
    assert (node.dataplane.attachments, node.guard.networks, node.routes()) == ({}, (), {})


async def test_routes_filter_and_devices_are_repaired_while_neutron_never_answers(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await launch(1), await launch(2)
    networks = []
    for number in range(4):
        await two.network_create(f"10.{60 + number}.0.0/16")
        networks.append(await one.network_create(f"10.{60 + number}.0.0/16"))
    running = await one.run(networks[0])
    await settle(one, two)
    wanted, guarded = one.routes(), one.guard.networks
    asked: list[str] = []

    async def never(method: str, path: str, **_: Any) -> bytes:
        asked.append(f"{method} {path}")
        await asyncio.Event().wait()
        return b""

    monkeypatch.setattr(one.neutron._client, "call", never)
    one.clock.time += 120
    ready = asyncio.Event()
    ready.set()
    tasks = [asyncio.create_task(keep(steps, ready, lambda: None)) for steps in one.core.behind.values()]
    await until(lambda: len(asked) > 1, seconds=60)  # the reconciler and the keeper wait for ever
    one.dataplane.broken = DataplaneError("busy")
    await end(one, running)
    one.dataplane.broken = None
    one.kernel.table.clear()
    one.guard.node = GuardedNode()
    one.clock.time += 30
    repaired: tuple[object, ...] = (wanted, guarded, {})
    await until(lambda: (one.routes(), one.guard.networks, one.dataplane.attachments) == repaired, seconds=60)
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
