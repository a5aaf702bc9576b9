"""The shapes that work behind has: steps while there are any, rounds from time to time, something that must succeed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from fairlead.core.background.wake_up import WakeUp
from fairlead.model.errors import FairleadError
from fairlead.ports.clock import Clock

NewRound = Callable[[], object]
"""Called before each round, so that the log shows which lines belong together."""


class Steps(Protocol):
    """Work that is done one step after the other."""

    wake_up: WakeUp

    async def step(self) -> bool:
        """Do one; say whether there was one."""
        ...


async def keep(steps: Steps, ready: asyncio.Event, new_round: NewRound) -> None:
    """From when it is ready on, do what there is to do, for ever. Raises what a step raises."""
    await ready.wait()
    while True:
        new_round()
        if not await steps.step():
            await steps.wake_up.wait()


async def insist(
    work: Callable[[], Awaitable[object]],
    refused: Callable[[FairleadError], None],
    *,
    every: float,
    clock: Clock,
    new_round: NewRound,
) -> None:
    """Try until it succeeds, every so many seconds. refused is told why not. Raises what is not FairleadError."""
    while True:
        new_round()
        try:
            await work()
        except FairleadError as error:
            refused(error)
            await clock.sleep(every)
            continue
        return
