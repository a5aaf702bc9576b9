"""The sweep of an agent with ports: what can't be removed from the host keeps nothing else from being finished."""

import asyncio
from typing import Any, cast

import pytest

from fairlead.agent.warm import SWEEP_EVERY, _sweep
from fairlead.model.errors import DataplaneError
from fairlead_lab.fakes import virtual_time


class Sweeps:
    """Counts; unplug fails for the first times."""

    def __init__(self, failures: int) -> None:
        self.failures, self.tried, self.finished = failures, 0, 0

    async def unplug(self) -> None:
        self.tried += 1
        if self.tried <= self.failures:
            raise DataplaneError("the device is busy")

    async def finish(self) -> None:
        self.finished += 1


@pytest.mark.parametrize("failures", [0, 3, 10**6])
def test_a_device_that_can_not_be_removed_keeps_nothing_from_being_finished(failures: int) -> None:
    async def main() -> Sweeps:
        sweeps, ready = Sweeps(failures), asyncio.Event()
        ready.set()
        task = asyncio.create_task(_sweep(cast(Any, sweeps), ready, virtual_time.LoopClock()))
        await asyncio.sleep(20 * SWEEP_EVERY - 1)
        task.cancel()
        return sweeps

    sweeps = virtual_time.run(main())
    assert sweeps.finished == 20
    assert sweeps.tried == min(failures + 1, 20)
