"""Tasks that do one thing and that nobody waits for: what they raise must not be lost with them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Unawaited:
    """Starts them. failed is called with the name of each that raised something."""

    def __init__(self, failed: Callable[[str], None] = lambda _name: None) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let it run by itself."""
        task = asyncio.create_task(self._run(name, work), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def close(self) -> None:
        """Cancel those that still run, and wait for their ends."""
        running = set(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:  # nobody else would hear of it
            log.exception("unexpected error", task=name)
            self._failed(name)
