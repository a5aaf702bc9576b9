"""What comes while the same kind of work is being done waits, and is then done in one go."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


class Batches(Generic[Item, Done]):
    """Work on items where many at once cost little more than one. A lone item is worked on at once, on its own.

    work(items) returns what became of each, in order; it is never at work twice at a time. What it raises is raised to
    all whose items it was given.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Done]]]) -> None:
        self._work = work
        self._waiting: list[tuple[Item, asyncio.Future[Done]]] = []
        self._at_work: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Done:
        """Return what became of the item. It is left out where the caller gives up before its turn."""
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._at_work is None:
            self._at_work = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while batch := [(item, future) for item, future in self._waiting if not future.done()]:
                self._waiting.clear()
                await self._do(batch)
        finally:
            self._at_work = None

    async def _do(self, batch: list[tuple[Item, asyncio.Future[Done]]]) -> None:
        try:
            done = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # it is the callers' to handle
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), result in zip(batch, done, strict=True):
                if not future.done():
                    future.set_result(result)
