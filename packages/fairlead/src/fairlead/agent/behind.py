"""The tasks that all modes have alike: something to be ready for, and something to keep from then on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from fairlead.agent.logs import new_request_id
from fairlead.core.background.loops import Steps, insist, keep
from fairlead.core.background.supervision import Task
from fairlead.model.errors import FairleadError
from fairlead.ports.clock import Clock

log = structlog.get_logger(__name__)

RETRY_EVERY: Final = 15.0
"""Seconds until what is needed at the start is tried again."""


def keeping(name: str, steps: Steps, ready: asyncio.Event) -> Task:
    """Return the task that does one step after the other, once it is ready."""
    return Task(name, lambda: keep(steps, ready, new_request_id))


def prepared(
    name: str, begin: Callable[[], Awaitable[object]], not_yet: str, ready: asyncio.Event, clock: Clock
) -> Task:
    """Return the task that begins, however often that takes, and says when all is ready. not_yet: said in between."""

    def refused(error: FairleadError) -> None:
        log.warning(not_yet, error=str(error))

    async def prepare() -> None:
        await insist(begin, refused, every=RETRY_EVERY, clock=clock, new_round=new_request_id)
        ready.set()

    return Task(name, prepare, ends=True)
