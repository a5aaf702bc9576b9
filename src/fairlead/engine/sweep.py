"""What is done later: names written behind, and everything that a crash or an outage left half done.

Each step stands for itself: what fails is logged and comes up again the next time.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, replace

import structlog

from fairlead.engine.allocations import delete_allocation
from fairlead.engine.membership import Memberships
from fairlead.engine.names import port_name
from fairlead.engine.node import Node
from fairlead.model.errors import FairleadError, NotFound
from fairlead.model.network import PortChange
from fairlead.model.records import Allocation, JoinedNetwork, Step

log = structlog.get_logger(__name__)

GRACE = 60.0
"""Seconds that an intent may take; longer than the engine goes on repeating a request (30 s)."""

NAME_AFTER = 2.0
"""Seconds that an endpoint lives before its port is named: one that lives no longer costs Neutron no rename."""

UNCLAIMED = 300.0
"""Seconds after which an address that no endpoint took is taken back."""


@dataclass(frozen=True, slots=True)
class EndpointIds:
    """The ids of this node's endpoints, as they are when asked."""

    node: Node

    def __contains__(self, endpoint_id: object) -> bool:
        return any(one.endpoint_id == endpoint_id for one in self.node.store.all(Allocation))


@dataclass(frozen=True, slots=True)
class Sweep:
    """Bring the world to what the store says."""

    node: Node
    memberships: Memberships

    async def name_ports(self) -> None:
        """Write endpoints into their ports' names; those that came and went meanwhile cost nothing."""
        settled = self.node.clock.now() - NAME_AFTER
        for allocation in self.node.store.all(Allocation):
            waits = allocation.endpoint_id and not allocation.named and allocation.step is Step.HELD
            if waits and allocation.since <= settled:
                await self._try("name a port", self._name(allocation))

    async def finish(self) -> None:
        """Finish or undo what is older than its grace."""
        now = self.node.clock.now()
        for allocation in self.node.store.all(Allocation):
            age = now - allocation.since
            unfinished = allocation.step is Step.WANTED and age > GRACE
            unclaimed = allocation.step is Step.HELD and not allocation.endpoint_id and age > UNCLAIMED
            if allocation.step is Step.LEAVING or unfinished or unclaimed:
                await self._try("delete a port", delete_allocation(self.node, allocation))
        for record in self.node.store.all(JoinedNetwork):
            if record.step is Step.WANTED and now - record.since > GRACE:
                await self._try("undo a join", self.memberships.leave(record.id))

    async def unplug(self) -> None:
        """Remove from this host what belongs to no endpoint."""
        removed = await self.node.dataplane.sweep(EndpointIds(self.node))
        if removed:
            log.info("removed orphaned attachments", endpoints=removed)

    async def _name(self, allocation: Allocation) -> None:
        name = port_name(await self.node.host(), allocation.endpoint_id)
        try:
            await self.node.network_service.update_port(
                allocation.port_id, PortChange(name=name, device_id=allocation.endpoint_id)
            )
        except NotFound:
            log.warning("a container's port is gone from Neutron", port=allocation.port_id, name=name)
        current = self.node.store.get(Allocation, allocation.id)
        if current and current.endpoint_id == allocation.endpoint_id:
            self.node.store.put(replace(current, named=True))

    async def _try(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except FairleadError as error:
            log.warning(f"could not {what} yet", error=str(error))
