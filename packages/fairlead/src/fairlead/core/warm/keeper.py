"""What is done behind the doors' backs: one writer for each host, one request to Neutron at a time.

In this order: ports whose answer was lost; deletions, which free addresses and quota; pools filled, then shrunk; names.
A job that fails is put off alone; a failure that is common to different ones slows all of it down (`Setbacks`). While
Neutron is slow, pools are filled for starts that wait, or waited in vain; all else is done where Neutron has time left
over.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import structlog

from fairlead.core.background.backoff import Throttle
from fairlead.core.background.setbacks import Setbacks
from fairlead.core.background.wake_up import WakeUp
from fairlead.core.networks.memberships import Memberships
from fairlead.core.warm.devices import CALM, LONGEST_BUSY
from fairlead.core.warm.node import Node
from fairlead.core.warm.pools import WarmPools, serving
from fairlead.core.warm.provisioning import delete_port, find_lost
from fairlead.model.errors import (
    AuthenticationFailed,
    FairleadError,
    NoFreeAddress,
    NotFound,
    QuotaExceeded,
    Unavailable,
)
from fairlead.model.network import Headroom, PortChange
from fairlead.model.records import FREE, Allocation, Batch, JoinedNetwork, Step, Use
from fairlead.model.tags import port_name

log = structlog.get_logger(__name__)

NAME_AFTER = 5.0
"""Seconds that an attachment lives before its port is named: one that lives no longer costs Neutron no rename."""

UNNAME_AFTER = 60.0
"""Seconds after which a port that waits no longer shows the owner it had."""

REFUSED = 60.0
"""Seconds before a job that Neutron refused is tried again, the first time."""

FULL = 120.0
"""Seconds for which a pool that found no room is not filled."""

FIRST_FILL = 2.0
"""Seconds after the agent's start before pools are filled, up to twice as many."""

CONGESTED = 0.5
"""Seconds that a cheap request may take: in a Neutron slower than that what nobody waits for can wait."""

LOOK_AGAIN = 30.0
"""Seconds until ports whose answer was lost, and which were not there, are looked for again."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do. key names it, for putting off; what it is, for the log. awaited: by a start."""

    key: str
    what: str
    work: Callable[[], Awaitable[None]]
    awaited: bool = False


class Keeper:
    """Keeps the pools at their watermarks, and Neutron's view of the ports true."""

    def __init__(
        self,
        node: Node,
        memberships: Memberships,
        warm: WarmPools,
        *,
        wake_up: WakeUp,
        setbacks: Setbacks,
        random: Callable[[], float],
    ) -> None:
        self._node = node
        self._memberships = memberships
        self._warm = warm
        self.wake_up = wake_up
        self._look_from: dict[str, float] = {}
        self._failed = ""
        self.backoff, self._setbacks = setbacks.backoff, setbacks
        self.refills, self.errands = Throttle(random), Throttle(random)
        # Hosts that come up together do not ask together.
        self.refills.postpone(node.clock.now(), FIRST_FILL)

    async def step(self) -> bool:
        """Do the most urgent thing that is due; say whether there was one."""
        self.wake_up.clear()
        self._warm.hand_out()
        now = self._node.clock.now()
        if now < (self.backoff.starts_from if self._warm.is_awaited() else self.backoff.not_before):
            return False
        job = self._next(now)
        if job is None:
            self._warm.forget()
            return False
        try:
            await job.work()
        except Unavailable as error:
            ended = self._node.clock.now()
            self._setbacks.failed(job.key, error, ended, seconds=ended - now, awaited=job.awaited)
            self._failed = job.what
            log.warning(f"could not {job.what} yet", error=str(error))
        except AuthenticationFailed as error:
            # Whatever were tried next would end alike; a start asks for itself, and hears why at once.
            self.backoff.rest(self._node.clock.now(), REFUSED)
            log.warning(f"could not {job.what}", error=str(error))
        except FairleadError as error:
            self._setbacks.failed(job.key, error, self._node.clock.now(), first=REFUSED)
            log.warning(f"could not {job.what}", error=str(error))
        except Exception as error:
            # What nobody foresaw is the supervisor's to tell; the other jobs get their turn before this one again.
            self._setbacks.failed(job.key, error, self._node.clock.now(), first=REFUSED)
            raise
        else:
            ended = self._node.clock.now()
            self._setbacks.succeeded(job.key)
            self.backoff.succeeded(ended, ended - now)
        return True

    def _next(self, now: float) -> Job | None:
        """Choose the most urgent job that is due.

        While the circuit is open it is the one that tells most of Neutron: one that has not failed, and of another kind
        than what failed last.
        """
        due = (job for job in self._due(now) if self._setbacks.is_due(job.key, now))
        if not self.backoff.open:
            return next(due, None)
        return min(due, key=lambda job: (self._setbacks.has_failed(job.key), job.what == self._failed), default=None)

    def _due(self, now: float) -> Iterator[Job]:
        """Yield what there is to do, the most urgent first."""
        networks = self._node.store.all(JoinedNetwork)
        for batch in self._node.store.all(Batch):
            if batch.id not in self._node.provisioning and self._look_from.get(batch.id, 0.0) <= now:
                yield Job(batch.id, "find out about ports", partial(self._find_lost, batch))
        if now >= self.backoff.not_before:
            yield from self._loose_ends(networks, now)
        held = [joined for joined in networks if joined.step is Step.HELD]
        # While all is well starts ask for themselves.
        lacking = [] if self.backoff.is_fair(now) else [joined for joined in held if self._warm.lacks(joined.id)]
        if lacking:
            if now >= max(self.backoff.need.not_before, self.backoff.starts_from):
                for joined in lacking:
                    yield Job(serving(joined.id), "make ports for starts", partial(self._serve, joined), awaited=True)
            return
        if now >= self.refills.not_before and not self.backoff.is_slow(now):
            for joined in held:
                if count := self._missing(joined, now):
                    yield Job(f"fill {joined.id}", "fill a pool", partial(self._fill, joined, count))
        if now >= self.errands.not_before:
            yield from self._errands(held, now)

    def _loose_ends(self, networks: list[JoinedNetwork], now: float) -> Iterator[Job]:
        for joined in networks:
            # None of these has been tried yet; those that are leaving take turns.
            for allocation in self._node.port_table.in_use(joined.id, Use.KEPT):
                if allocation.since + self._warm.limits.cool_down <= now:
                    yield Job(allocation.id, "delete a port", partial(self._delete, allocation))
        for allocation in self._node.port_table.leaving():
            if not self._being_left(allocation.joined_id):
                yield Job(allocation.id, "delete a port", partial(self._delete, allocation))
        for joined in networks:
            if joined.step is Step.LEAVING and not self._being_left(joined.id):
                yield from self._leavings(joined)

    def _errands(self, held: list[JoinedNetwork], now: float) -> Iterator[Job]:
        for joined in held:
            if surplus := self._surplus(joined):
                yield Job(surplus.id, "shrink a pool", partial(self._shrink, surplus))
        for allocation in self._node.port_table.untold():
            after = NAME_AFTER if allocation.owner else UNNAME_AFTER
            latest = allocation.since + after + LONGEST_BUSY
            if allocation.since + after <= now and (self._warm.last_start + CALM <= now or latest <= now):
                yield Job(f"name {allocation.id}", "name a port", partial(self._name, allocation))

    def _being_left(self, joined_id: str) -> bool:
        """Say whether somebody is leaving the network at this moment."""
        return self._memberships.locks.is_held(joined_id)

    def _leavings(self, joined: JoinedNetwork) -> Iterator[Job]:
        # Attached ones too: who leaves has looked, and of containers that went while the agent was away nobody tells.
        left = self._node.port_table.in_use(joined.id, *FREE, Use.KEPT, Use.RESERVED, Use.ATTACHED)
        for allocation in left:
            yield Job(allocation.id, "delete a port", partial(self._delete, allocation))
        making = any(batch.joined_id == joined.id for batch in self._node.store.all(Batch))
        if not left and not making and not self._node.port_table.count(joined.id, Use.LEAVING):
            yield Job(joined.id, "leave a network", partial(self._leave, joined))

    def _missing(self, joined: JoinedNetwork, now: float) -> int:
        """Say how many ports to make ahead now: none while starts are served."""
        pool = self._warm.pool(joined.id)
        if pool.serving or pool.full_until > now:
            return 0
        waiting, watermarks = self._warm.waiting(joined.id), self._warm.watermarks(joined.id)
        return min(watermarks.target - waiting, self._warm.portion) if waiting < watermarks.low else 0

    def _surplus(self, joined: JoinedNetwork) -> Allocation | None:
        if self._warm.waiting(joined.id) <= self._warm.watermarks(joined.id).high:
            return None
        return self._node.port_table.first_free(joined.id, self._node.clock.now())

    async def _find_lost(self, batch: Batch) -> None:
        await find_lost(self._node, batch)
        self._look_from[batch.id] = self._node.clock.now() + LOOK_AGAIN
        self._look_from = {one: at for one, at in self._look_from.items() if self._node.store.get(Batch, one)}

    async def _serve(self, joined: JoinedNetwork) -> None:
        """Make ports that starts lack, once Neutron answers a cheap question in time."""
        began = self._node.clock.now()
        await self._headroom(joined)
        asked = self._node.clock.now()
        if not self.backoff.took(asked, asked - began) and (count := self._warm.lacks(joined.id)):
            try:
                await self._warm.serve(joined, count)
            except (QuotaExceeded, NoFreeAddress):
                self._warm.pool(joined.id).missed = 0
                raise

    async def _fill(self, joined: JoinedNetwork, count: int) -> None:
        pool, began = self._warm.pool(joined.id), self._node.clock.now()
        room = await self._headroom(joined)
        waiting, share = self._warm.waiting(joined.id), self._warm.limits.share
        shares = [int((free + waiting) * share) for free in (room.ports, room.addresses) if free is not None]
        allowed = min([count, *(most - waiting for most in shares)])
        if not self._found_time(self.refills, began):
            return
        try:
            if allowed <= 0:
                pool.full_until = self._node.clock.now() + FULL
                return
            await self._warm.make(joined, allowed)
        except (QuotaExceeded, NoFreeAddress) as error:
            pool.full_until = self._node.clock.now() + FULL
            log.info("a pool finds no room", network=joined.id, error=str(error))
            return
        ended = self._node.clock.now()
        self.refills.postpone(ended, allowed / self._warm.limits.rate)
        log.info("filled a pool", network=joined.id, ports=allowed, seconds=round(ended - began, 1))

    async def _headroom(self, joined: JoinedNetwork) -> Headroom:
        return await self._node.network_service.headroom(
            joined.network_id, {subnet.subnet_id: subnet.cidr for subnet in joined.subnets}
        )

    def _found_time(self, throttle: Throttle, began: float) -> bool:
        """Say whether Neutron, cheaply asked since then, has time left over."""
        now = self._node.clock.now()
        if now - began > CONGESTED:
            throttle.busy(now, now - began)
            return False
        throttle.free()
        return True

    def _rest(self, began: float) -> None:
        if self._found_time(self.errands, began):
            self.errands.rest(self._node.clock.now())

    async def _shrink(self, allocation: Allocation) -> None:
        began = self._node.clock.now()
        await self._delete(allocation)
        self._rest(began)

    async def _delete(self, allocation: Allocation) -> None:
        leaving = allocation if allocation.leaving else replace(allocation, leaving=True)
        await delete_port(self._node, self._node.port_table.put(leaving))

    async def _leave(self, joined: JoinedNetwork) -> None:
        await self._memberships.withdraw(joined.id)

    async def _name(self, allocation: Allocation) -> None:
        owner = allocation.owner
        name, began = port_name(await self._node.host(), owner), self._node.clock.now()
        try:
            await self._node.network_service.update_port(allocation.id, PortChange(name=name, device_id=owner))
        except NotFound:
            log.warning("a port is gone from Neutron", port=allocation.id, name=name)
        self._rest(began)
        current = self._node.port_table.get(allocation.id)
        if current:
            self._node.port_table.put(replace(current, told=owner))
