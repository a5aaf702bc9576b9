"""What doors are built over: the parts of a node, whatever its mode."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fairlead.core.background.supervision import Task
from fairlead.core.blocks.leases import Leases
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.core.networks.pools import AddressPools
from fairlead.frontends.docker.backend import Addresses, Endpoints, Networks


@dataclass(frozen=True, slots=True)
class Containers:
    """What container engines ask for.

    prepare returns when the node's memory is whole; to be awaited before each request. alone: a container's address
    has the host as its only neighbour.
    """

    networks: Networks
    endpoints: Endpoints
    pools: AddressPools
    addresses: Addresses
    prepare: Callable[[], Awaitable[None]]
    alone: bool = False


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
