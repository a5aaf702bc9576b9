"""A node's memory made anew, where its file is lost, damaged or has never been: once, before anything else."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fairlead.model.records import Origin
from fairlead.ports.store import LeaseStore


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Fills a store that may not tell the whole of its node. recollect: asks Neutron and the host what there is."""

    store: LeaseStore
    recollect: Callable[[], Awaitable[None]]
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ensure(self) -> None:
        """Return when the store tells the whole of this node; at once where it does already.

        Raises NotFound (the node's port), Unavailable, and whatever else keeps Neutron from telling.
        """
        if self.store.get(Origin, Origin.ID):
            return
        async with self._lock:
            if not self.store.get(Origin, Origin.ID):
                await self.recollect()
                self.store.put(Origin())
