"""What every use case works with: the ports of this node, its port_table and its name."""

import asyncio
from dataclasses import dataclass, field

from fairlead.core.nesting.nesting import Nesting, OnChassis
from fairlead.core.warm.port_table import PortTable
from fairlead.ports.clock import Clock
from fairlead.ports.dataplane import Dataplane
from fairlead.ports.network_service import NetworkService
from fairlead.ports.store import LeaseStore


@dataclass(frozen=True, slots=True)
class Node:
    """This host, as the core sees it.

    port_table: of the store's allocations. id: the node's own, whatever its name. host_name: given by the operator;
    empty: what the switch says. nesting: how ports become this node's. provisioning: of each batch whose answer is
    waited for, by its id, what is set when it has come. deletions: of each port that is being deleted, the same.
    """

    network_service: NetworkService
    dataplane: Dataplane
    store: LeaseStore
    port_table: PortTable
    clock: Clock
    id: str
    host_name: str = ""
    nesting: Nesting = field(default_factory=OnChassis)
    provisioning: dict[str, asyncio.Event] = field(default_factory=dict)
    deletions: dict[str, asyncio.Event] = field(default_factory=dict)

    async def host(self) -> str:
        """Return the name by which Neutron knows this host. Raises SwitchUnavailable."""
        return self.host_name or (await self.dataplane.view()).host
