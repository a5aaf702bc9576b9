import asyncio
from collections.abc import Sequence

import pytest

from fairlead.adapters.kernel.batches import Batches


class Worker:
    """Doubles numbers, batch by batch, as often as it is let."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.let = asyncio.Semaphore(0)

    async def work(self, items: Sequence[int]) -> list[int]:
        self.seen.append(list(items))
        await self.let.acquire()
        if 13 in items:
            raise ValueError("thirteen")
        return [2 * item for item in items]


async def begin(batches: Batches[int, int], *items: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(batches.add(item)) for item in items]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_one_is_at_work_is_done_together_afterwards() -> None:
    worker = Worker()
    batches = Batches(worker.work)
    first = await begin(batches, 1)
    rest = await begin(batches, 2, 3, 4)
    assert worker.seen == [[1]]
    worker.let.release()
    worker.let.release()
    assert await asyncio.gather(*first, *rest) == [2, 4, 6, 8]
    assert worker.seen == [[1], [2, 3, 4]]
    worker.let.release()
    assert await batches.add(5) == 10


async def test_who_gives_up_before_the_turn_is_left_out() -> None:
    worker = Worker()
    batches = Batches(worker.work)
    at_work, waiting, other = (*await begin(batches, 1), *await begin(batches, 2, 3))
    at_work.cancel()
    waiting.cancel()
    for _ in range(2):
        worker.let.release()
    assert await other == 6
    assert worker.seen == [[1], [3]]
    worker.let.release()
    assert await batches.add(4) == 8


async def test_a_failure_is_raised_to_all_of_its_batch_and_to_nobody_else() -> None:
    worker = Worker()
    batches = Batches(worker.work)
    tasks = [*await begin(batches, 1), *await begin(batches, 12, 13)]
    for _ in range(3):
        worker.let.release()
    first, *failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert first == 2
    assert [str(error) for error in failed] == ["thirteen", "thirteen"]
    with pytest.raises(ValueError, match="thirteen"):
        await failed_again(batches, worker)


async def failed_again(batches: Batches[int, int], worker: Worker) -> None:
    worker.let.release()
    await batches.add(13)
