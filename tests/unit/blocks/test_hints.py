"""Hints: whoever proves to be on a network has it looked at soon, though not often; nobody else has any effect."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from fairlead.core.blocks.hints import BURST, REST, Allowance, make_hint, sender_of
from fairlead.model.records import JoinedNetwork
from tests.unit.blocks.conftest import Launch, Site
from tests.unit.blocks.nodes import Instance
from tests.unit.blocks.test_docker import settle

NETWORK, PORT = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-8999-000000000000"


def test_a_hint_tells_its_sender_to_those_on_the_network_alone() -> None:
    hint = make_hint(NETWORK, PORT)
    assert sender_of(hint, NETWORK) == PORT
    assert sender_of(hint, NETWORK.replace("1", "a")) == ""


@pytest.mark.parametrize("hint", [b"", b"x", bytes(16), PORT.encode(), b"\xff" * 9000])
def test_what_proves_nothing_is_nobodys(hint: bytes) -> None:
    assert sender_of(hint, NETWORK) == ""


def test_a_hint_that_was_changed_on_its_way_is_nobodys() -> None:
    hint = make_hint(NETWORK, PORT)
    for place in range(len(hint)):
        assert sender_of(hint[:place] + bytes([hint[place] ^ 1]) + hint[place + 1 :], NETWORK) == ""


def test_a_node_is_looked_for_at_once_some_times_and_then_now_and_again() -> None:
    allowance = Allowance()
    granted = {allowance.grant("one", 1000 + second / 4) for second in range(4 * 60)}
    assert sorted(granted)[:BURST] == [1000, 1000.25, 1000.5]
    later = sorted(granted)[BURST:]
    assert all(after - before == REST for before, after in pairwise(later))
    assert len(later) <= 60 / REST + 1


def test_what_one_node_asks_for_costs_another_nothing_and_is_forgotten() -> None:
    allowance = Allowance()
    for number in range(1000):
        allowance.grant(f"node {number}", 0.0)
    assert allowance.grant("other", 1.0) == 1.0
    assert allowance.grant("another", REST) == REST
    assert len(allowance._accounts) == 2


async def requests_in_a_minute(site: Site, node: Instance, hints: Callable[[], Iterator[bytes]]) -> int:
    before = len(site.cloud.calls)
    for _ in range(240):
        node.clock.time += 0.25
        for hint in hints():
            node.keeper.look(hint)
        await node.keeper.step()
    return len(site.cloud.calls) - before


async def test_hints_do_not_multiply_requests_to_neutron(site: Site, launch: Launch) -> None:
    one = await launch(1)
    for number in range(5):
        await one.network_create(f"10.{60 + number}.0.0/16")
    await settle(one)
    networks = [joined.network_id for joined in one.store.all(JoinedNetwork)]
    quiet = await requests_in_a_minute(site, one, lambda: iter(()))
    stranger = [b"", b"look", *(make_hint(network[::-1], PORT) for network in networks)]
    assert await requests_in_a_minute(site, one, lambda: iter(stranger)) <= quiet + 1, "a stranger"
    assert await requests_in_a_minute(site, one, lambda: (make_hint(net, PORT) for net in networks)) <= 3 * quiet


async def test_a_hint_is_of_the_network_that_changed_and_asks_for_no_other(site: Site, launch: Launch) -> None:
    one, two = await launch(1), await launch(2)
    await two.network_create("10.60.0.0/16")
    for number in range(3):
        await one.network_create(f"10.{60 + number}.0.0/16")
    await settle(one, two)
    ((_, hint),) = one.told
    await one.behind(20.0)
    before = len(site.cloud.calls)
    one.clock.time += 1.0
    one.keeper.look(hint)
    await one.keeper.step()
    assert [(call.method, call.path) for call in site.cloud.calls[before:]] == [("GET", "/subnets")]


async def test_a_node_is_told_once_of_two_families(launch: Launch) -> None:
    one, two = await launch(1), await launch(2)
    await one.network_create("10.60.0.0/16", subnet6="fd00:60::/64")
    await two.network_create("10.60.0.0/16", subnet6="fd00:60::/64")
    assert [str(node) for node, _ in two.told] == [one.address]
