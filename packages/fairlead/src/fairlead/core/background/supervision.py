"""Tasks that are to run as long as the agent does: one that dies is logged, counted and started again.

A task begins again a moment after it died, later each time, and at once again after it has been well for a while. One
without which the agent is of no use (`vital`) ends the agent where it goes on dying: whoever started the agent then
sees that something is wrong, and may start it anew.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from fairlead.model.errors import FairleadError, TaskFailed
from fairlead.ports.clock import Clock

log = structlog.get_logger(__name__)

FIRST_WAIT = 1.0
"""Seconds until a task that died is started again; twice as many each time it dies again."""

LONGEST_WAIT = 60.0
"""Seconds until a task that died is started again, at most."""

HEALTHY = 300.0
"""Seconds after which it is forgotten that a task has died before."""

MOST_DEATHS, DEATHS_WITHIN = 6, 300.0
"""A vital task that dies so often within so many seconds is given up: some 30 seconds after it first died."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to run. name: for the log and the metrics. work makes a coroutine each time the task is started.

    vital: the agent is of no use without it. ends: it has something to do once, and may return then.
    """

    name: str
    work: Callable[[], Coroutine[Any, Any, None]]
    vital: bool = False
    ends: bool = False


@dataclass(slots=True)
class _Health:
    """deaths: epoch seconds of the last ones. wait: seconds until the next start."""

    wait: float = FIRST_WAIT
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_DEATHS))


class Supervisor:
    """Runs tasks. failed is called with a task's name each time it dies."""

    def __init__(self, clock: Clock, failed: Callable[[str], None]) -> None:
        self._clock = clock
        self._failed = failed

    async def run(self, tasks: Sequence[Task], stop: asyncio.Event) -> None:
        """Keep the tasks running until told to stop; all have ended when this returns, however it does.

        Raises TaskFailed where a vital task is given up.
        """
        stopping = asyncio.create_task(stop.wait())
        pending: set[asyncio.Task[Any]] = {
            stopping,
            *(asyncio.create_task(self._keep(task), name=task.name) for task in tasks),
        }
        started = set(pending)
        try:
            while stopping in pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
        finally:
            for one in started:
                one.cancel()
            await asyncio.gather(*started, return_exceptions=True)

    async def _keep(self, task: Task) -> None:
        health = _Health()
        while True:
            began = self._clock.now()
            try:
                await task.work()
            except asyncio.CancelledError as error:
                if _is_being_cancelled():
                    raise
                # Of something that it waited for, and that somebody else has cancelled: nobody told it to end.
                await self._bury(task, health, began, error)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is logged, and the task goes on
                await self._bury(task, health, began, error)
            else:
                if task.ends:
                    return
                await self._bury(task, health, began, None)

    async def _bury(self, task: Task, health: _Health, began: float, cause: BaseException | None) -> None:
        """Tell of a death and wait until the task may be started again. Raises TaskFailed."""
        now = self._clock.now()
        if now - began >= HEALTHY:
            health.wait = FIRST_WAIT
        health.deaths.append(now)
        self._failed(task.name)
        why = _describe(cause)
        if task.vital and len(health.deaths) == MOST_DEATHS and now - health.deaths[0] <= DEATHS_WITHIN:
            raise TaskFailed(
                f"{task.name} failed {MOST_DEATHS} times within {DEATHS_WITHIN:.0f} s, at last with: {why}",
                remedy="see the agent's log, and `fairlead agent --check`",
            ) from cause
        log.error("a background task failed", task=task.name, error=why, again_in=health.wait, exc_info=cause)
        wait, health.wait = health.wait, min(LONGEST_WAIT, 2 * health.wait)
        await self._clock.sleep(wait)


def _is_being_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def _describe(cause: BaseException | None) -> str:
    if cause is None:
        return "it ended though it should go on"
    return str(cause) if isinstance(cause, FairleadError) else f"{type(cause).__name__}: {cause}"
