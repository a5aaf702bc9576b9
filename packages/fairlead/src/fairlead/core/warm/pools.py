"""Ports that wait: a start takes one without asking Neutron, a stop gives it back.

One pool for each joined network, which has one set of security groups. Where a pool is dry, those
who wait are served by requests of their own (`_serve`): one at a time for each network, each for all who wait by then.
What is made ahead, and given back to Neutron, is the keeper's; so are those who wait while Neutron is slow or silent.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog

from fairlead.core.background.setbacks import Setbacks
from fairlead.core.background.unawaited import Unawaited
from fairlead.core.warm.node import Node
from fairlead.core.warm.provisioning import make_ports
from fairlead.core.warm.shortage import await_answers, finish_deletion, spare, spread
from fairlead.core.warm.sizing import REFILL_TIME, Demand, PoolLimits, Watermarks, watermarks
from fairlead.model.errors import (
    CloudUnavailable,
    Conflict,
    Exhausted,
    FairleadError,
    NoFreeAddress,
    QuotaExceeded,
    Unavailable,
)
from fairlead.model.records import FREE, Allocation, JoinedNetwork, Use

log = structlog.get_logger(__name__)

BATCH = 50
"""Ports made by one request, at most."""

_LONGEST_REQUEST = 10.0
"""Seconds that Neutron should work on one request for ports, at the speed seen last."""

_SECONDS_A_PORT = 0.5
"""What Neutron is taken to need for one before it was seen."""

_FORGET = 1.05
"""Factor by which the speed that was seen is forgotten with each request."""

_FIRST = 4
"""Ports in the first request of starts: hosts that come up together, all with containers, ask for little."""

PATIENCE = 20.0
"""Seconds that a start waits for a port to be made; the request is waited for longer, and its port then kept.

One that is reserved at the very moment in which its start gives up is taken back by the reconciler.
"""


def serving(joined_id: str) -> str:
    """Name the making of ports for starts on a network, for putting it off."""
    return f"serve {joined_id}"


@dataclass(slots=True)
class Pool:
    """One network's pool.

    missed: starts that waited in vain and have not come again yet. full_until: epoch seconds before which nothing is
    made ahead: there was no room.
    """

    demand: Demand
    waiters: deque[asyncio.Future[Allocation]] = field(default_factory=deque)
    serving: asyncio.Task[None] | None = None
    missed: int = 0
    full_until: float = 0.0


class WarmPools:
    """The pools of a node. changed is called when the keeper may find something to do; it has the same setbacks.

    unawaited: starts what serves a dry pool. last_start: epoch seconds at which a port was asked for.
    """

    def __init__(
        self, node: Node, limits: PoolLimits, setbacks: Setbacks, changed: Callable[[], None], unawaited: Unawaited
    ) -> None:
        self._node = node
        self._backoff, self._setbacks = setbacks.backoff, setbacks
        self._changed = changed
        self._unawaited = unawaited
        self._pools: dict[str, Pool] = {}
        self._seconds_a_port = _SECONDS_A_PORT
        self._is_known = False
        self.limits = limits
        self.last_start = 0.0

    async def take(self, joined: JoinedNetwork) -> Allocation:
        """Give out a port, and claim its address of the network's first family.

        Raises QuotaExceeded, NoFreeAddress and what NetworkService raises, where the pool is dry.
        """
        pool = self.pool(joined.id)
        now = self._node.clock.now()
        pool.demand.take(now)
        pool.missed = max(0, pool.missed - 1)
        self.last_start = now
        free = self._node.port_table.first_free(joined.id, now)
        taken = self._claim(joined, free) if free else await self._wait(pool, joined)
        self._changed()
        return taken

    def give_back(self, allocation: Allocation) -> None:
        """Let a port rest until it is given out again; one that a user chose is kept for as long, and goes."""
        now, rest = self._node.clock.now(), self.limits.cool_down
        leaving = allocation.leaving or allocation.unwired or (allocation.single_use and not rest)
        rests_until = 0.0 if leaving else now + rest
        free = replace(allocation, reserved=frozenset(), owner="", since=now, leaving=leaving, rests_until=rests_until)
        self._node.port_table.put(free)
        self._changed()

    def pool(self, joined_id: str) -> Pool:
        """Return a network's pool. What waits already, after a restart, tells of the demand that there was."""
        if joined_id not in self._pools:
            peak = float(self.waiting(joined_id))
            window = self.limits.cool_down + REFILL_TIME
            self._pools[joined_id] = Pool(Demand(window, self._node.clock.now(), peak=peak))
        return self._pools[joined_id]

    def forget(self) -> None:
        """Forget the pools of networks that have been left, by whomever."""
        for joined_id in [each for each in self._pools if self._node.store.get(JoinedNetwork, each) is None]:
            del self._pools[joined_id]

    def waiting(self, joined_id: str) -> int:
        """Count the ports that wait or rest."""
        return sum(self._node.port_table.count(joined_id, use) for use in FREE)

    def watermarks(self, joined_id: str) -> Watermarks:
        """Return a pool's watermarks now."""
        return watermarks(self.pool(joined_id).demand.level(self._node.clock.now()), self.limits)

    def lacks(self, joined_id: str) -> int:
        """Count the ports that starts lack which wait, or waited in vain and are likely to come again."""
        pool = self.pool(joined_id)
        waiting, again = len(pool.waiters), min(pool.missed, self.limits.ceiling)
        return waiting + max(0, again - self.waiting(joined_id))

    @property
    def portion(self) -> int:
        """How many ports to ask for at once."""
        return max(1, min(BATCH, int(_LONGEST_REQUEST / self._seconds_a_port)))

    async def make(self, joined: JoinedNetwork, count: int) -> None:
        """Make ports for the pool, and see how Neutron bears it. Raises what make_ports raises."""
        began = self._node.clock.now()
        await make_ports(self._node, joined, count=count)
        ended = self._node.clock.now()
        self._backoff.took(ended, ended - began, ports=count)
        # What it waited behind others is in it: the speed is that of the quickest, and forgotten slowly.
        self._seconds_a_port = min(_FORGET * self._seconds_a_port, (ended - began) / count) or self._seconds_a_port
        self._is_known = True

    async def serve(self, joined: JoinedNetwork, count: int) -> None:
        """Make ports that starts lack in one request; for fewer where there is no room for all.

        Raises what make_ports raises; all who wait hear of it.
        """
        pool = self.pool(joined.id)
        count, leaving = min(count, self.portion), self._node.port_table.leaving()
        try:
            while True:
                try:
                    await self.make(joined, count)
                    break
                except (QuotaExceeded, NoFreeAddress) as error:
                    if self.has_waiters(pool):
                        self.hand_out()  # what came meanwhile
                        if not self.has_waiters(pool):
                            break
                    if isinstance(error, QuotaExceeded) and await self._spare(joined.id, min(count, len(pool.waiters))):
                        continue
                    if count > 1:
                        count //= 2
                    elif not await self._find_some(pool, joined, error, leaving):
                        raise
                    elif not self.has_waiters(pool):
                        break
            self.hand_out()
        except Exception as error:  # whatever it is, those who wait must hear of it
            for waiter in pool.waiters:
                if not waiter.done():
                    waiter.set_exception(error)
            pool.waiters.clear()
            raise

    def hand_out(self) -> None:
        """Give the ports that have come to those who wait for them, and begin to serve the others once all is well."""
        for joined_id, pool in self._pools.items():
            joined = self._node.store.get(JoinedNetwork, joined_id) if self.has_waiters(pool) else None
            while joined and self.has_waiters(pool):
                free = self._node.port_table.first_free(joined_id, self._node.clock.now())
                if not self._give(pool, joined, free):
                    break
            if joined and pool.waiters:
                self._begin(pool, joined)

    def is_awaited(self) -> bool:
        """Say whether any start waits."""
        return any(self.has_waiters(pool) for pool in self._pools.values())

    @staticmethod
    def has_waiters(pool: Pool) -> bool:
        """Say whether any start waits for a port of a pool."""
        while pool.waiters and pool.waiters[0].done():
            pool.waiters.popleft()
        return bool(pool.waiters)

    async def _find_some(self, pool: Pool, joined: JoinedNetwork, error: Exhausted, leaving: list[Allocation]) -> bool:
        """Say whether a start that Neutron has no room for is served after all, or may be asked for again.

        A rest is a preference: what has rested longest is given before a container is refused.
        """
        table = self._node.port_table
        if not self.has_waiters(pool):
            return False
        try:
            if await await_answers(self._node, joined.id):
                self.hand_out()
                return True
            if self._give(pool, joined, table.longest_resting(joined.id)):
                return True
            is_quota = isinstance(error, QuotaExceeded)
            if await finish_deletion(self._node, leaving, "" if is_quota else joined.id):
                return True
            if not is_quota and await spread(self._node, joined):
                return True
        except FairleadError as trouble:
            log.info("no room was found for a start", network=joined.id, error=str(trouble))
        return self._give(pool, joined, next(iter(table.in_use(joined.id, Use.KEPT)), None))

    def _give(self, pool: Pool, joined: JoinedNetwork, free: Allocation | None) -> bool:
        """Give a port to the start that has waited longest; say whether there were both."""
        if free is None or not self.has_waiters(pool):
            return False
        claimed = self._claim(joined, free)
        pool.waiters.popleft().set_result(claimed)
        return True

    def _claim(self, joined: JoinedNetwork, free: Allocation) -> Allocation:
        version = joined.subnets[0].cidr.version
        address = free.address(version)
        if address is None:
            self._node.port_table.put(replace(free, leaving=True))
            raise Conflict(f"Neutron gave a port no IPv{version} address", remedy="see Neutron's log")
        return self._node.port_table.put(replace(free, reserved=frozenset({address}), since=self._node.clock.now()))

    async def _wait(self, pool: Pool, joined: JoinedNetwork) -> Allocation:
        waiter: asyncio.Future[Allocation] = asyncio.get_running_loop().create_future()
        pool.waiters.append(waiter)
        self._begin(pool, joined)
        self._changed()
        try:
            async with asyncio.timeout(PATIENCE):
                return await waiter
        except Unavailable:
            pool.missed += 1
            raise
        except TimeoutError as error:
            pool.missed += 1
            raise CloudUnavailable(
                f"Neutron did not make a port within {PATIENCE:.0f} s, and is still being waited for",
                remedy="start the container again in a while, and look at Neutron's load",
            ) from error
        finally:
            with suppress(ValueError):
                pool.waiters.remove(waiter)

    def _begin(self, pool: Pool, joined: JoinedNetwork) -> None:
        if pool.serving is None and self._is_fair(joined.id, self._node.clock.now()):
            pool.serving = self._unawaited.start("starts", self._serve(pool, joined))

    def _is_fair(self, joined_id: str, now: float) -> bool:
        """Say whether Neutron answers, of this network too, and has not been slow lately."""
        return self._backoff.is_fair(now) and self._setbacks.is_due(serving(joined_id), now)

    async def _serve(self, pool: Pool, joined: JoinedNetwork) -> None:
        """Serve until nobody waits, or Neutron becomes slow or silent: the keeper serves them then, at its backoff."""
        began = self._node.clock.now()
        try:
            while self.has_waiters(pool) and self._is_fair(joined.id, began):
                most = BATCH if self._is_known else _FIRST
                await self.serve(joined, min(self.lacks(joined.id), most))
                self._setbacks.succeeded(serving(joined.id))
                began = self._node.clock.now()
        except Unavailable as error:
            ended = self._node.clock.now()
            self._setbacks.failed(serving(joined.id), error, ended, seconds=ended - began, awaited=True)
        except FairleadError as error:
            log.info("a start was refused", network=joined.id, error=str(error))
        finally:
            pool.serving = None
            self._changed()

    async def _spare(self, joined_id: str, count: int) -> bool:
        """Delete free ports of other networks' pools, so that the quota allows more."""
        others = [one for one in self._node.store.all(JoinedNetwork) if one.id != joined_id]
        return await spare(self._node, count, others)
