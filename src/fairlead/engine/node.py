"""What every use case works with: the ports of this node, its ledger and its name."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Protocol

from fairlead.engine.binding import Binding, OnChassis
from fairlead.engine.ledger import Ledger
from fairlead.ports.clock import Clock
from fairlead.ports.dataplane import Dataplane
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


@dataclass(frozen=True, slots=True)
class Node:
    """This host, as the engine sees it.

    ledger: of the store's allocations. host_name: given by the operator; empty: what the switch says.
    binding: how ports become this node's. locks: one for each thing that must not be changed twice at once, by a word
    that names it. making: the ids of the batches whose answer is waited for.
    """

    network_service: NetworkService
    dataplane: Dataplane
    store: LeaseStore
    ledger: Ledger
    clock: Clock
    host_name: str = ""
    binding: Binding = field(default_factory=OnChassis)
    making: set[str] = field(default_factory=set)
    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def host(self) -> str:
        """Return the name by which Neutron knows this host. Raises SwitchUnavailable."""
        return self.host_name or (await self.dataplane.view()).host
