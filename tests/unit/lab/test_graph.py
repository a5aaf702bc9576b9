"""Stages run as soon as they can, and a failure ends them all."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fairlead.model.errors import LabError
from fairlead_lab.graph import Stage, StageTime, run_stages


class Recorder:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def ended(self, time: StageTime) -> None:
        self.names.append(time.name)


def sleeping(seconds: float) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        await asyncio.sleep(seconds)

    return work


async def test_a_stage_runs_when_its_needs_are_done_and_beside_the_others() -> None:
    progress = Recorder()
    stages = [
        Stage("last", sleeping(0), ("slow", "quick")),
        Stage("slow", sleeping(0.05)),
        Stage("quick", sleeping(0.01)),
        Stage("after-quick", sleeping(0.01), ("quick",)),
    ]
    times = {time.name: time for time in await run_stages(stages, progress)}
    assert progress.names == ["quick", "after-quick", "slow", "last"]
    assert times["last"].began >= times["slow"].began + times["slow"].seconds
    assert times["slow"].began < 0.04


async def test_a_failure_is_raised_as_it_is_and_cancels_the_rest() -> None:
    cancelled: list[str] = []

    async def long() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append("long")
            raise

    async def fail() -> None:
        raise LabError("no luck", remedy="try again")

    stages = [Stage("long", long), Stage("fail", fail), Stage("never", sleeping(0), ("fail",))]
    progress = Recorder()
    with pytest.raises(LabError, match="no luck: try again"):
        await run_stages(stages, progress)
    assert cancelled == ["long"]
    assert progress.names == []


async def test_a_programming_error_is_not_hidden() -> None:
    async def wrong() -> None:
        raise TypeError("wrong")

    with pytest.raises(ExceptionGroup):
        await run_stages([Stage("wrong", wrong)], Recorder())


async def test_no_stages_take_no_time() -> None:
    assert await run_stages([], Recorder()) == ()


@pytest.mark.parametrize(
    ("needs", "said"),
    [({"a": ("b",)}, "b .for a."), ({"a": ("b",), "b": ("a",)}, "circle: a, b"), ({"a": ("a",)}, "circle: a")],
)
async def test_a_graph_that_cannot_be_run_is_refused(needs: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        await run_stages([Stage(name, sleeping(0), wanted) for name, wanted in needs.items()], Recorder())
