"""Work behind in its usual shapes, under the supervisor, in virtual time."""

import asyncio

from fairlead.core.background.loops import insist, keep
from fairlead.core.background.supervision import Task
from fairlead.core.background.wake_up import WakeUp
from fairlead.model.errors import CloudUnavailable, FairleadError
from fairlead_lab.fakes import virtual_time
from tests.unit.background.test_supervision import Watched, now, story


class Jobs:
    """Steps that note when they were done; the first ones raise."""

    def __init__(self, *errors: Exception) -> None:
        self.wake_up = WakeUp()
        self.errors = list(errors)
        self.done: list[float] = []

    async def step(self) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        self.done.append(now())
        return len(self.done) < 3


@story
async def test_a_step_that_raises_what_nobody_foresaw_is_followed_by_others() -> None:
    jobs, ready = Jobs(ValueError("no such thing"), TypeError("int and str")), asyncio.Event()
    ready.set()
    async with Watched(Task("keeper", lambda: keep(jobs, ready, lambda: None))) as watched:
        await asyncio.sleep(5)
    assert watched.failed == ["keeper", "keeper"]
    assert jobs.done[:3] == [3.0, 3.0, 3.0]


@story
async def test_nothing_is_done_before_it_is_ready() -> None:
    jobs, ready, rounds = Jobs(), asyncio.Event(), 0

    def new_round() -> None:
        nonlocal rounds
        rounds += 1

    async with Watched(Task("keeper", lambda: keep(jobs, ready, new_round))):
        await asyncio.sleep(5)
        assert (jobs.done, rounds) == ([], 0)
        ready.set()
        await asyncio.sleep(0)
    assert jobs.done[:3] == [5.0, 5.0, 5.0]
    assert rounds >= 3


@story
async def test_what_must_succeed_is_tried_until_it_does_and_each_refusal_is_told() -> None:
    tries: list[float] = []
    refused: list[str] = []

    async def work() -> None:
        tries.append(now())
        if len(tries) < 3:
            raise CloudUnavailable("Neutron is away")

    def note(error: FairleadError) -> None:
        refused.append(str(error))

    clock = virtual_time.LoopClock()
    await insist(work, note, every=15.0, clock=clock, new_round=lambda: None)
    assert tries == [0.0, 15.0, 30.0]
    assert refused == ["Neutron is away"] * 2
