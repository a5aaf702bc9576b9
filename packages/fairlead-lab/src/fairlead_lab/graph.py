"""Stages that run as soon as what they need is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from fairlead.model.errors import LabError


@dataclass(frozen=True, slots=True)
class Stage:
    """A named piece of work and the names of what must be done before it."""

    name: str
    run: Callable[[], Awaitable[None]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StageTime:
    """When a stage began, in seconds from the start of the graph, and how many seconds it took."""

    name: str
    began: float
    seconds: float


class Progress(Protocol):
    """Is told of stages as they end."""

    def ended(self, time: StageTime) -> None:
        """A stage is done."""


async def run_stages(stages: Iterable[Stage], progress: Progress) -> tuple[StageTime, ...]:
    """Run all stages, each when its needs are done; returns their times in order of completion.

    The first stage to fail cancels the rest and its error is raised. Raises ValueError for a graph that can't be run.
    """
    todo = {stage.name: stage for stage in stages}
    _check(todo)
    origin = time.perf_counter()
    done = {name: asyncio.Event() for name in todo}
    times: list[StageTime] = []

    async def run(stage: Stage) -> None:
        for need in stage.needs:
            await done[need].wait()
        began = time.perf_counter()
        await stage.run()
        times.append(StageTime(stage.name, began - origin, time.perf_counter() - began))
        progress.ended(times[-1])
        done[stage.name].set()

    try:
        async with asyncio.TaskGroup() as group:
            for stage in todo.values():
                group.create_task(run(stage), name=stage.name)
    except BaseExceptionGroup as errors:
        # Not `except*`: Python 3.11.2, which is Debian 12's, wraps what is raised in it.
        expected, others = errors.split(LabError)
        if others or expected is None:
            raise
        raise _first(expected) from None
    return tuple(times)


def _first(errors: BaseExceptionGroup[LabError]) -> LabError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, LabError)  # noqa: S101  `split` let nothing else through
    return error


def _check(stages: dict[str, Stage]) -> None:
    unknown = sorted(
        {f"{need} (for {stage.name})" for stage in stages.values() for need in stage.needs if need not in stages}
    )
    if unknown:
        raise ValueError(f"stages need what is not there: {', '.join(unknown)}")
    left = dict(stages)
    while ready := [name for name, stage in left.items() if not any(need in left for need in stage.needs)]:
        for name in ready:
            del left[name]
    if left:
        raise ValueError(f"stages need each other in a circle: {', '.join(sorted(left))}")
