"""Devices that wait: a port in the pool is plugged ahead, its flows in place, so that a start finds all of it done.

After a container its devices are made anew before another has them: OVN forgets the connections it tracked when a port
is unplugged, and nothing of one container is left for the next.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import structlog

from fairlead.core.background.backoff import Backoff
from fairlead.core.background.setbacks import Setbacks
from fairlead.core.background.wake_up import WakeUp
from fairlead.core.warm.node import Node
from fairlead.core.warm.own_ports import refuse_gone
from fairlead.model.errors import FairleadError, PortGone, SwitchUnavailable
from fairlead.model.records import FREE, Allocation, JoinedNetwork, Step, Use
from fairlead.model.vif import Vif

log = structlog.get_logger(__name__)

TROUBLE = 15.0
"""Seconds for which a port is not plugged ahead after the kernel refused it, and at most all after the switch did."""

CALM = 0.5
"""Seconds without a start before devices are worked on behind: who waits for a container needs the processors more."""

LONGEST_BUSY = 10.0
"""Seconds of starts without a pause after which that work is done all the same."""


DOUBT = 2.0
"""Seconds that a plugged port may take to be wired before Neutron is asked whether it has that port at all."""


class Devices:
    """The devices of a node's ports. What waits plugged is known for this process's life; finding it again is cheap.

    What somebody else has undone meanwhile is seen when it is given out, and by the reconciler before.
    """

    def __init__(self, node: Node, random: Callable[[], float]) -> None:
        self._node = node
        self._ready: set[str] = set()
        self.wake_up = WakeUp()
        self._backoff = Backoff(random, TROUBLE)
        self._setbacks = Setbacks(self._backoff, SwitchUnavailable)
        self._busy_since = self._calm_from = 0.0

    async def wire(self, joined: JoinedNetwork, allocation: Allocation) -> Vif:
        """Return when packets can flow through the port's devices, which then are its container's.

        Raises PortGone, WiringTimeout, SwitchUnavailable, DataplaneError.
        """
        self._note_start(self._node.clock.now())
        attachment = vif_of(joined, allocation)
        if allocation.id in self._ready:
            self._ready.discard(allocation.id)
            if self._node.dataplane.is_whole(attachment):
                return attachment
            log.warning("what was plugged ahead is not there any more: plugging it again", port=allocation.id)
        if allocation.dirty:
            await self.clean(allocation)
        await self._apply(attachment)
        return attachment

    def lost(self, joined: JoinedNetwork) -> list[Allocation]:
        """List a network's ports that wait plugged, but for what somebody else has undone."""
        waiting = self._node.port_table.in_use(joined.id, *FREE)
        return [
            one for one in waiting if one.id in self._ready and not self._node.dataplane.is_whole(vif_of(joined, one))
        ]

    def plug_again(self, port_id: str) -> None:
        """Take it that a port that waits is not plugged."""
        self._ready.discard(port_id)
        self.wake_up.wake()

    async def step(self) -> bool:
        """Remove the devices that a container left behind, or plug a port that waits; say whether there was one.

        A port that can't be worked on is put off; all are, where the switch does not answer.
        """
        self.wake_up.clear()
        now = self._node.clock.now()
        if now < max(self._backoff.not_before, min(self._calm_from, self._busy_since + LONGEST_BUSY)):
            return False
        due = ((joined, one) for joined, one in self._due(now) if self._setbacks.is_due(one.id, now))
        # After a failure one that did not fail tells more of the switch.
        found = min(due, key=lambda each: self._setbacks.has_failed(each[1].id), default=None)
        if found is None:
            # What shrinking or leaving has deleted is not remembered for ever.
            self._ready = {port_id for port_id in self._ready if self._node.port_table.get(port_id)}
            return False
        joined, allocation = found
        try:
            await (self.clean(allocation) if allocation.dirty else self._plug(joined, allocation))
        except FairleadError as error:
            self._setbacks.failed(allocation.id, error, self._node.clock.now(), first=TROUBLE)
            log.warning("devices have to wait", port=allocation.id, error=str(error))
        except Exception as error:
            # What nobody foresaw is the supervisor's to tell; the other ports get their turn before this one again.
            self._setbacks.failed(allocation.id, error, self._node.clock.now(), first=TROUBLE)
            raise
        else:
            self._setbacks.succeeded(allocation.id)
            self._backoff.succeeded(now, 0.0)
        return True

    def _note_start(self, now: float) -> None:
        if now >= self._calm_from:
            self._busy_since = now
        self._calm_from = now + CALM

    def _due(self, now: float) -> Iterator[tuple[JoinedNetwork, Allocation]]:
        """Yield the ports whose devices are to be worked on, those first that have been a container's."""
        port_table = self._node.port_table
        held = [joined for joined in self._node.store.all(JoinedNetwork) if joined.step is Step.HELD]
        for joined in held:
            for allocation in port_table.in_use(joined.id, Use.RESERVED, Use.RETURNED, Use.KEPT):
                if allocation.dirty:
                    yield joined, allocation
        for joined in held:
            for allocation in port_table.in_use(joined.id, *FREE):
                if allocation.id not in self._ready and allocation.rests_until <= now and not allocation.dirty:
                    yield joined, allocation

    async def _plug(self, joined: JoinedNetwork, allocation: Allocation) -> None:
        try:
            await self._apply(vif_of(joined, allocation))
        except PortGone:
            log.warning("a port that waits is gone from Neutron", port=allocation.id)
            current = self._node.port_table.get(allocation.id)
            if current and current.use in FREE:
                self._node.port_table.put(replace(current, leaving=True))
            return
        current = self._node.port_table.get(allocation.id)
        if current and current.use in FREE and not current.dirty:
            self._ready.add(allocation.id)

    async def _apply(self, vif: Vif) -> None:
        """Plug; where that takes long, see whether there is such a port at all. Raises PortGone, and as apply does."""
        plugging = asyncio.ensure_future(self._node.dataplane.apply(vif))
        try:
            done, _ = await asyncio.wait([plugging], timeout=DOUBT)
            if not done:
                await refuse_gone(self._node, vif.port_id)
            await plugging
        finally:
            plugging.cancel()
            await asyncio.gather(plugging, return_exceptions=True)

    async def clean(self, allocation: Allocation) -> None:
        """Remove what a container has used, so that the port has nothing of it. Raises as Dataplane.remove."""
        self._ready.discard(allocation.id)
        await self._node.dataplane.remove(allocation.id)
        current = self._node.port_table.get(allocation.id)
        if current:
            self._node.port_table.put(replace(current, dirty=False))


def vif_of(joined: JoinedNetwork, allocation: Allocation) -> Vif:
    """Return what the data plane needs to wire a port for a container of a network."""
    return Vif(
        id=allocation.id,
        port_id=allocation.id,
        mac=allocation.mac,
        mtu=joined.mtu,
        network_id=joined.network_id,
        vlan=allocation.vlan,
        vif_type=allocation.vif_type,
        vif_details=allocation.vif_details,
    )
