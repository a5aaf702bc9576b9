"""What was written down by a clock that has been set since."""

from dataclasses import fields
from ipaddress import IPv4Network

import pytest

from fairlead.core.background.moments import BEEN, TO_COME, bring_back
from fairlead.model.records import KINDS, Allocation, Batch, Lease
from fairlead_lab.fakes.simulation import MemoryStore

NOW = 1_000_000.0


def test_what_was_written_by_a_clock_that_was_ahead_was_written_now() -> None:
    store = MemoryStore()
    store.put(Batch("b", "web", NOW + 86400))
    store.put(Allocation("rests", "web", NOW + 86400, rests_until=NOW + 86410))
    store.put(Lease("10.0.0.0/24", (IPv4Network("10.0.0.0/24"),), (), NOW - 5, doubted=NOW + 100))
    bring_back(store, KINDS, NOW)
    assert store.get(Batch, "b") == Batch("b", "web", NOW)
    assert store.get(Allocation, "rests") == Allocation("rests", "web", NOW, rests_until=NOW + 10)
    lease = store.get(Lease, "10.0.0.0/24")
    assert lease
    assert (lease.since, lease.doubted) == (NOW - 105, NOW)


def test_what_has_been_stays_as_it_is_and_never_stays_never() -> None:
    store = MemoryStore()
    store.put(Allocation("fresh", "web", NOW + 60))
    store.put(Allocation("rests", "web", NOW - 3, rests_until=NOW + 7))
    bring_back(store, KINDS, NOW)
    assert store.get(Allocation, "fresh") == Allocation("fresh", "web", NOW)
    assert store.get(Allocation, "rests") == Allocation("rests", "web", NOW - 3, rests_until=NOW + 7)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_moment_that_is_remembered_is_known(kind: type) -> None:
    """A number with a fraction is a moment; a new one has to be named."""
    assert {one.name for one in fields(kind) if one.type in {float, "float"}} <= BEEN | TO_COME
