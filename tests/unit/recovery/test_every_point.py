"""Nothing is lost, left over or doubled, wherever something fails: the points are counted, none is picked by hand.

In each mode the agent is killed after every change of the world, of its store, and after every answer; and at each of
these points one of the other failures happens, in turn. Marked `thorough`: every failure at every point where it can
happen, at those too where something is only looked at (`make thorough`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle

import pytest
from structlog.testing import capture_logs

from fairlead_lab.fakes import virtual_time
from tests.unit.recovery.failures import failures
from tests.unit.recovery.story import LATE, UNKNOWN, Chapter, fail, read
from tests.unit.recovery.trouble import Failure

MODES = ("ovs", "trunk", "ipvlan", "routed")

LEFT_TO_RECONCILE = {
    UNKNOWN: "whether dockerd has a network that it was not heard to make or to remove, only dockerd knows",
    LATE: "what Neutron did after it was given up on, in a port that has another container by then, only Neutron knows",
}
"""What is found, and who fails can't see: it takes a look at dockerd, or at Neutron (core/reconcile)."""

WHERE = {UNKNOWN: "remove", LATE: "crossed runs"}
"""A command at which each of these is found."""

Pick = Callable[[list[Chapter]], Iterator[tuple[Chapter, int, Failure]]]


def killed(chapters: list[Chapter]) -> Iterator[tuple[Chapter, int, Failure]]:
    """Give every change, with the agent's end after it."""
    (kill,) = [one for one in failures() if one.kills and not one.gives_up]
    for chapter in chapters:
        for at, point in enumerate(chapter.points):
            if kill.fits(point):
                yield chapter, at, kill


def in_turn(chapters: list[Chapter]) -> Iterator[tuple[Chapter, int, Failure]]:
    """Give every change, with that one of the failures which is next, of those that can happen there."""
    others = [one for one in failures() if not one.kills or one.gives_up]
    turn = cycle(others)
    for chapter in chapters:
        for at, point in enumerate(chapter.points):
            if point.changes:
                yield chapter, at, next(one for one in turn if one.fits(point))


def all_of_them(chapters: list[Chapter]) -> Iterator[tuple[Chapter, int, Failure]]:
    """Give every point, with every failure that can happen there."""
    for chapter in chapters:
        for at, point in enumerate(chapter.points):
            for failure in failures():
                if failure.fits(point):
                    yield chapter, at, failure


def found(mode: str, pick: Pick) -> Counter[str]:
    """Say what was found, where, and how often."""

    async def live() -> Counter[str]:
        told: Counter[str] = Counter()
        for chapter, at, failure in pick(await read(mode)):
            for what in set(await fail(chapter, at, failure)):
                where = f"{chapter.command.name}, {failure.name}: {chapter.points[at].what}"
                told[what if what in LEFT_TO_RECONCILE else f"{what} ({where})"] += 1
        return told

    with capture_logs():
        return virtual_time.run(live())


@pytest.mark.parametrize("pick", [killed, in_turn])
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_lost_or_left_over_wherever_it_fails(mode: str, pick: Pick) -> None:
    assert found(mode, pick).keys() <= LEFT_TO_RECONCILE.keys()


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.xfail(reason=why)) for what, why in LEFT_TO_RECONCILE.items()]
)
def test_what_only_others_know_is_found_out(what: str) -> None:
    def unheard(chapters: list[Chapter]) -> Iterator[tuple[Chapter, int, Failure]]:
        for chapter, at, failure in all_of_them(chapters):
            if chapter.command.name == WHERE[what] and (failure.gives_up or failure.late):
                yield chapter, at, failure

    assert what not in found("ovs", unheard)


@pytest.mark.thorough
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_lost_or_left_over_by_any_failure_at_any_point(mode: str) -> None:
    assert found(mode, all_of_them).keys() <= LEFT_TO_RECONCILE.keys()
