"""What doors are built over: the parts of a node, whatever its mode."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fairlead.core.attachments.contract import Attachments, Networks
from fairlead.core.background.supervision import Task
from fairlead.core.blocks.leases import Leases
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.core.reconcile.reconciliation import Reconciliation


@dataclass(frozen=True, slots=True)
class Containers:
    """What doors for containers call.

    prepare returns when the node's memory is whole; to be awaited before each request. reconciliation: what is asked
    for a plan at each door.
    """

    networks: Networks
    attachments: Attachments
    prepare: Callable[[], Awaitable[None]]
    reconciliation: Reconciliation


@dataclass(frozen=True, slots=True)
class LeaseKeeping:
    """Leases on the node's own port, and what keeps them."""

    leases: Leases
    reconciler: Reconciler


@dataclass(frozen=True, slots=True)
class Parts:
    """All of it, and the tasks that go with it. leases: None where no door was to need them."""

    containers: Containers
    leases: LeaseKeeping | None
    tasks: tuple[Task, ...]
