"""Ports that wait: a start takes one without asking Neutron, a stop gives it back.

One pool for each network of the engine's on this host, which has one set of security groups. Where a pool is dry, those
who wait are served by requests of their own (`_serve`): one at a time for each network, each for all who wait by then.
What is made ahead, and given back to Neutron, is the keeper's.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from fairlead.engine.making import delete_port, make_ports
from fairlead.engine.node import Node
from fairlead.engine.sizing import REFILL_TIME, Demand, Marks, PoolLimits, marks
from fairlead.model.errors import CloudUnavailable, Conflict, FairleadError, NoFreeAddress, QuotaExceeded
from fairlead.model.records import FREE, Allocation, JoinedNetwork

log = structlog.get_logger(__name__)

BATCH = 50
"""Ports made by one request, at most."""


PATIENCE = 20.0
"""Seconds that a start waits for a port to be made; the request is waited for longer, and its port then kept.

One that is claimed at the very moment in which its start gives up is taken back by the sweep.
"""


@dataclass(slots=True)
class Pool:
    """One network's pool. full_until: epoch seconds before which nothing is made ahead: there was no room."""

    demand: Demand
    waiters: deque[asyncio.Future[Allocation]] = field(default_factory=deque)
    serving: asyncio.Task[None] | None = None
    full_until: float = 0.0


class WarmPools:
    """The pools of a node. changed is called when the keeper may find something to do.

    last_start: epoch seconds at which a port was asked for.
    """

    def __init__(self, node: Node, limits: PoolLimits, changed: Callable[[], None]) -> None:
        self._node = node
        self._changed = changed
        self._pools: dict[str, Pool] = {}
        self.limits = limits
        self.last_start = 0.0

    async def take(self, joined: JoinedNetwork, version: int) -> Allocation:
        """Give out a port, and claim its address of IP version 4 or 6.

        Raises QuotaExceeded, NoFreeAddress and what NetworkService raises, where the pool is dry.
        """
        pool = self.pool(joined.id)
        now = self._node.clock.now()
        pool.demand.take(now)
        self.last_start = now
        free = self._node.ledger.first_free(joined.id, now)
        taken = self._claim(free, version) if free else await self._wait(pool, joined, version)
        self._changed()
        return taken

    def give_back(self, allocation: Allocation) -> None:
        """Let a port rest until it is given out again; one that a user chose goes."""
        now = self._node.clock.now()
        free = replace(allocation, claimed=frozenset(), endpoint_id="", since=now)
        if allocation.single_use:
            self._node.ledger.put(replace(free, leaving=True))
        else:
            self._node.ledger.put(replace(free, rests_until=now + self.limits.cool_down))
        self._changed()

    def pool(self, engine_network: str) -> Pool:
        """Return a network's pool. What waits already, after a restart, tells of the demand that there was."""
        if engine_network not in self._pools:
            peak = float(self.waiting(engine_network))
            window = self.limits.cool_down + REFILL_TIME
            self._pools[engine_network] = Pool(Demand(window, self._node.clock.now(), peak=peak))
        return self._pools[engine_network]

    def forget(self, engine_network: str) -> None:
        """Forget the pool of a network that has been left."""
        self._pools.pop(engine_network, None)

    def waiting(self, engine_network: str) -> int:
        """Count the ports that wait or rest."""
        return sum(self._node.ledger.count(engine_network, use) for use in FREE)

    def marks(self, engine_network: str) -> Marks:
        """Return a pool's marks now."""
        return marks(self.pool(engine_network).demand.level(self._node.clock.now()), self.limits)

    def _claim(self, free: Allocation, version: int) -> Allocation:
        address = free.address(version)
        if address is None:
            self._node.ledger.put(replace(free, leaving=True))
            raise Conflict(f"Neutron gave a port no IPv{version} address", remedy="see Neutron's log")
        return self._node.ledger.put(replace(free, claimed=frozenset({address}), since=self._node.clock.now()))

    async def _wait(self, pool: Pool, joined: JoinedNetwork, version: int) -> Allocation:
        waiter: asyncio.Future[Allocation] = asyncio.get_running_loop().create_future()
        pool.waiters.append(waiter)
        if pool.serving is None:
            pool.serving = asyncio.create_task(self._serve(pool, joined, version))
        try:
            async with asyncio.timeout(PATIENCE):
                return await waiter
        except TimeoutError as error:
            raise CloudUnavailable(
                f"Neutron did not make a port within {PATIENCE:.0f} s, and is still being waited for",
                remedy="start the container again in a while, and look at Neutron's load",
            ) from error

    async def _serve(self, pool: Pool, joined: JoinedNetwork, version: int) -> None:
        """Make ports until nobody waits. What can't be made for all is tried for fewer, and refused to the rest."""
        limit = BATCH
        try:
            while self._waiters(pool):
                count = min(len(pool.waiters), limit)
                try:
                    await make_ports(self._node, joined, count=count)
                except (QuotaExceeded, NoFreeAddress) as error:
                    if isinstance(error, QuotaExceeded) and await self._spare(joined.id, count):
                        continue
                    if count == 1:
                        raise
                    limit = count // 2
                while self._waiters(pool):
                    free = self._node.ledger.first_free(joined.id, self._node.clock.now())
                    if free is None:
                        break
                    pool.waiters.popleft().set_result(self._claim(free, version))
        except Exception as error:  # whatever it is, those who wait must hear of it
            for waiter in pool.waiters:
                if not waiter.done():
                    waiter.set_exception(error)
            pool.waiters.clear()
            if not isinstance(error, FairleadError):
                log.exception("unexpected error")
        finally:
            pool.serving = None

    @staticmethod
    def _waiters(pool: Pool) -> bool:
        """Say whether anybody still waits."""
        while pool.waiters and pool.waiters[0].done():
            pool.waiters.popleft()
        return bool(pool.waiters)

    async def _spare(self, engine_network: str, count: int) -> int:
        """Delete free ports of other networks' pools, so that the quota allows more; return how many."""
        others = [one for one in self._node.store.all(JoinedNetwork) if one.id != engine_network]
        spare = [free for one in others for free in self._node.ledger.in_use(one.id, *FREE)][:count]
        for free in spare:
            await delete_port(self._node, self._node.ledger.put(replace(free, leaving=True)))
        if spare:
            log.info("gave up waiting ports of other networks for the quota", ports=len(spare))
        return len(spare)
