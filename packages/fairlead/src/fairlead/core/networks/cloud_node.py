"""What the use cases of networks need of a node, whatever its mode."""

from typing import Protocol

from fairlead.ports.clock import Clock
from fairlead.ports.network_service import NetworkService
from fairlead.ports.store import LeaseStore


class CloudNode(Protocol):
    """What every mode's node has: Neutron, a memory and a clock."""

    @property
    def network_service(self) -> NetworkService:
        """Neutron."""
        ...

    @property
    def store(self) -> LeaseStore:
        """The node's memory."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...
