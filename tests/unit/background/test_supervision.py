"""Tasks under a supervisor, in virtual time: what dies is told of, counted and started again."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
import structlog

from fairlead.core.background.supervision import DEATHS_WITHIN, HEALTHY, LONGEST_WAIT, MOST_DEATHS, Supervisor, Task
from fairlead.model.errors import CloudUnavailable, TaskFailed
from fairlead_lab.fakes import virtual_time

Story = Callable[[], Coroutine[Any, Any, None]]


def story(tell: Story) -> Callable[[], None]:
    """Run a test in virtual time."""

    @wraps(tell)
    def run() -> None:
        virtual_time.run(tell())

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


class Worker:
    """A task that dies in its first rounds, each after it has lived for a while, and notes when it began."""

    def __init__(self, *, deaths: int = 10**6, error: Exception | None = None, lives: float = 0.0) -> None:
        self.deaths, self.error, self.lives = deaths, error, lives
        self.begun: list[float] = []
        self.ended = 0

    async def work(self) -> None:
        self.begun.append(now())
        try:
            if len(self.begun) > self.deaths:
                await asyncio.Event().wait()
            await asyncio.sleep(self.lives)
            if self.error:
                raise self.error
        finally:
            self.ended += 1

    @property
    def waits(self) -> list[float]:
        return [
            round(after - before - self.lives, 3) for before, after in zip(self.begun, self.begun[1:], strict=False)
        ]


class Watched:
    """Tasks at work under a supervisor until the block ends."""

    def __init__(self, *tasks: Task) -> None:
        self.tasks = tasks
        self.failed: list[str] = []
        self.stop = asyncio.Event()

    async def __aenter__(self) -> "Watched":
        supervisor = Supervisor(virtual_time.LoopClock(), self.failed.append)
        self.run = asyncio.create_task(supervisor.run(self.tasks, self.stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.run


@story
async def test_a_task_that_dies_once_is_logged_counted_and_started_again() -> None:
    worker = Worker(deaths=1, error=ValueError("no such thing"))
    with structlog.testing.capture_logs() as logs:
        async with Watched(Task("keeper", worker.work)) as watched:
            await asyncio.sleep(1000)
    assert worker.waits == [1.0]
    assert watched.failed == ["keeper"]
    (line,) = logs
    assert (line["log_level"], line["task"], line["error"]) == ("error", "keeper", "ValueError: no such thing")
    assert line["exc_info"] is worker.error


@story
async def test_fairleads_own_errors_end_a_task_no_more_than_others_do() -> None:
    worker = Worker(deaths=1, error=CloudUnavailable("Neutron is away"))
    async with Watched(Task("keeper", worker.work)) as watched:
        await asyncio.sleep(10)
    assert (len(worker.begun), watched.failed) == (2, ["keeper"])


@story
async def test_one_that_always_dies_is_started_ever_later_and_never_given_up() -> None:
    worker = Worker(error=ValueError())
    async with Watched(Task("keeper", worker.work)) as watched:
        await asyncio.sleep(24 * 3600)
        assert not watched.run.done()
    assert worker.waits[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_WAIT, LONGEST_WAIT]
    assert set(worker.waits[6:]) == {LONGEST_WAIT}
    assert len(watched.failed) == len(worker.begun)


@story
async def test_what_was_is_forgotten_once_a_task_has_been_well_for_a_while() -> None:
    worker = Worker(error=ValueError(), lives=HEALTHY)
    async with Watched(Task("keeper", worker.work)):
        await asyncio.sleep(10 * HEALTHY)
    assert set(worker.waits) == {1.0}
    restless = Worker(error=ValueError(), lives=HEALTHY - 1)
    async with Watched(Task("keeper", restless.work)):
        await asyncio.sleep(10 * HEALTHY)
    assert restless.waits[:3] == [1.0, 2.0, 4.0]


@story
async def test_a_task_that_returns_though_it_should_go_on_is_started_again() -> None:
    worker = Worker(deaths=1)
    with structlog.testing.capture_logs() as logs:
        async with Watched(Task("keeper", worker.work)) as watched:
            await asyncio.sleep(10)
    assert (len(worker.begun), watched.failed) == (2, ["keeper"])
    assert logs[0]["error"] == "it ended though it should go on"


@story
async def test_a_task_that_may_end_ends() -> None:
    worker = Worker()
    async with Watched(Task("memory", worker.work, ends=True)) as watched:
        await asyncio.sleep(1000)
        assert not watched.run.done()
    assert (len(worker.begun), watched.failed) == (1, [])


@story
async def test_a_task_that_may_end_is_started_again_where_it_dies() -> None:
    worker = Worker(deaths=2, error=TypeError("int and str"))
    async with Watched(Task("memory", worker.work, ends=True)) as watched:
        await asyncio.sleep(1000)
    assert (len(worker.begun), watched.failed) == (3, ["memory", "memory"])


@story
async def test_a_vital_task_that_goes_on_dying_ends_the_agent_and_all_other_tasks() -> None:
    worker, other = Worker(error=OSError("no space")), Worker(deaths=0)
    async with asyncio.timeout(DEATHS_WITHIN):
        with pytest.raises(
            TaskFailed, match=r"door docker failed 6 times within 300 s.*no space.*agent's log"
        ) as caught:
            async with Watched(Task("door docker", worker.work, vital=True), Task("keeper", other.work)) as watched:
                await asyncio.sleep(DEATHS_WITHIN - 1)
    assert caught.value.__cause__ is worker.error
    assert len(worker.begun) == MOST_DEATHS
    assert watched.failed == ["door docker"] * MOST_DEATHS
    assert other.ended == 1


@story
async def test_a_vital_task_that_dies_now_and_then_is_not_given_up() -> None:
    worker = Worker(error=OSError("no space"), lives=DEATHS_WITHIN / 4)
    async with Watched(Task("door docker", worker.work, vital=True)) as watched:
        await asyncio.sleep(24 * 3600)
        assert not watched.run.done()


@story
async def test_at_the_stop_all_tasks_are_cancelled_and_their_ends_awaited() -> None:
    ended = []

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)
            ended.append(now())

    async with Watched(Task("one", slow_to_end), Task("two", slow_to_end)) as watched:
        await asyncio.sleep(10)
    assert ended == [13.0, 13.0]
    assert watched.failed == []


@story
async def test_a_cancelled_supervisor_ends_its_tasks_and_is_cancelled() -> None:
    worker = Worker(deaths=0)
    watched = await Watched(Task("keeper", worker.work)).__aenter__()
    await asyncio.sleep(1)
    watched.run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watched.run
    assert (worker.ended, watched.failed) == (1, [])


@story
async def test_one_cancelled_by_what_it_waited_for_has_died_as_by_any_error() -> None:
    begun = []

    async def waits_for_another() -> None:
        begun.append(now())
        another = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(5, another.cancel)
        await another

    async with Watched(Task("keeper", waits_for_another)) as watched:
        await asyncio.sleep(7)
    assert begun == [0.0, 6.0]
    assert watched.failed == ["keeper"]
