"""Blocking work begun from the event loop, which goes on though whoever asked for it gives up."""

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def to_its_end(work: asyncio.Future[T]) -> T:
    """Await work to its end, also where the caller is cancelled: what comes after it must find it done."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
