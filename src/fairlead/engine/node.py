"""What every use case works with: the ports of this node, and its name."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from fairlead.ports.clock import Clock
from fairlead.ports.dataplane import Dataplane
from fairlead.ports.network_service import NetworkService
from fairlead.ports.store import LeaseStore


@dataclass(frozen=True, slots=True)
class Node:
    """This host, as the engine sees it.

    locks: one for each thing that must not be changed twice at once, by a word that names it.
    host_name: given by the operator; empty: what the switch says.
    """

    network_service: NetworkService
    dataplane: Dataplane
    store: LeaseStore
    clock: Clock
    host_name: str = ""
    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def host(self) -> str:
        """Return the name by which Neutron knows this host. Raises SwitchUnavailable."""
        return self.host_name or (await self.dataplane.view()).host
