"""What a crash or an outage left half done, looked for from time to time.

Each step stands for itself: what fails is logged and comes up again the next time.
"""

from dataclasses import dataclass

import structlog

from fairlead.core.background.attempts import Attempts
from fairlead.core.background.grace import GRACE, UNCLAIMED
from fairlead.core.networks.memberships import Memberships
from fairlead.core.warm.node import Node
from fairlead.core.warm.pools import WarmPools
from fairlead.model.records import JoinedNetwork, Step, Use

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """The ids of this node's ports, as they are when asked; and of owners, by which devices once were known."""

    node: Node

    def __contains__(self, attachment_id: object) -> bool:
        ports = self.node.port_table
        return isinstance(attachment_id, str) and bool(ports.get(attachment_id) or ports.of_owner(attachment_id))


@dataclass(frozen=True, slots=True)
class Sweep:
    """Bring the world to what the store says."""

    node: Node
    memberships: Memberships
    warm: WarmPools
    attempts: Attempts

    async def finish(self) -> None:
        """Finish or undo what is older than its grace."""
        now = self.node.clock.now()
        for joined in self.node.store.all(JoinedNetwork):
            if joined.step is Step.WANTED and now - joined.since > GRACE:
                await self.attempts.run("undo a join", self.memberships.withdraw(joined.id))
            for allocation in self.node.port_table.in_use(joined.id, Use.RESERVED):
                if now - allocation.since > UNCLAIMED:
                    self.warm.give_back(allocation)

    async def unplug(self) -> None:
        """Remove from this host what belongs to no port."""
        removed = await self.node.dataplane.sweep(Known(self.node))
        if removed:
            log.info("removed orphaned attachments", attachments=removed)
