"""A hundred nodes join at once, in virtual time: what Neutron is asked, how long it takes, and that nothing is lost."""

import asyncio
from collections.abc import Callable, Iterable
from random import Random

import pytest

from fairlead.model.network import AddressPair, HostRoute
from fairlead_lab.fakes import virtual_time
from tests.unit.blocks.virtual import Neutron, Node

NODES = 100


def whole(neutron: Neutron, nodes: Iterable[Node]) -> bool:
    """Say whether every node's pair, group, and way to the others is there."""
    every, subnets = list(nodes), {node.kernel.nic_.addresses[0].network for node in nodes}
    far = {HostRoute(node.part, node.address) for node in every} if len(subnets) > 1 else set()
    return (
        neutron.routes == neutron.switch == far
        and all(port.address_pairs and port.security_group_ids for port in neutron.ports.values())
        and all(set(node.kernel.table.items()) == neighbours(node, every) for node in every)
    )


def neighbours(node: Node, every: Iterable[Node]) -> set[tuple[object, object]]:
    link = node.kernel.nic_.addresses[0].network
    return {(one.part, one.address) for one in every if one is not node and one.address in link}


async def until(true: Callable[[], bool], *, seconds: float) -> float:
    """Return the seconds until something is true."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while not true():
        assert loop.time() < started + seconds, "not within its time"
        await asyncio.sleep(0.1)
    return loop.time() - started


async def join_all(neutron: Neutron, nodes: list[Node]) -> float:
    """Let all join at the same moment, and return the seconds until all is whole."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    await asyncio.gather(*(node.join() for node in nodes))
    for node in nodes:
        for peer in nodes:
            if peer is not node:
                node.hear(peer)
    await until(lambda: whole(neutron, nodes), seconds=600)
    return loop.time() - started


@pytest.mark.parametrize("subnets", [1, 2])
def test_a_hundred_nodes_that_join_at_once_cost_neutron_the_same_few_requests_each_and_none_is_lost(
    subnets: int, record_property: Callable[[str, object], None]
) -> None:
    async def main() -> None:
        random = Random(subnets)
        neutron = Neutron(random)
        nodes = [Node(neutron, number, number % subnets, random) for number in range(NODES)]
        seconds = await join_all(neutron, nodes)
        calls = dict(neutron.calls)
        record_property("seconds", round(seconds, 1))
        record_property("calls", calls)
        print(f"{NODES} nodes on {subnets} subnets: {seconds:.1f} s, {calls}, lists lost on the way: {neutron.lost}")
        assert sum(calls.values()) <= 13 * NODES
        await asyncio.sleep(60)
        assert whole(neutron, nodes)
        assert neutron.calls["PUT port"] == 2 * NODES, "its groups, and its pairs"
        assert neutron.calls["PUT routes"] == (2 * NODES if subnets > 1 else 0), "its route, and once more"
        assert neutron.calls["POST group"] == neutron.calls["DELETE group"] + 1
        for node in nodes:
            assert not node.reconciler.trouble
            assert neutron.ports[node.port_id].address_pairs == (AddressPair(node.part),)
        (group,) = neutron.groups.values()
        assert {port.security_group_ids for port in neutron.ports.values()} == {(group.id,)}
        for node in nodes:
            node.stop()

    virtual_time.run(main())
