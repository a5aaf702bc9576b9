"""What the use cases of routed mode work with."""

import asyncio
from dataclasses import dataclass, field

from fairlead.core.nesting.own_port import find_own_port
from fairlead.model.network import IPNetwork, Port
from fairlead.model.records import JoinedNetwork, Lease, Step
from fairlead.model.tags import SHORT_ID
from fairlead.ports.clock import Clock
from fairlead.ports.network_service import NetworkService
from fairlead.ports.routing import Routing
from fairlead.ports.store import LeaseStore


@dataclass(frozen=True, slots=True)
class RoutedNode:
    """A node whose NIC is a Neutron port.

    port_lock: of whoever changes that port's pairs and groups. unneeded: security groups, by id, that this node has no
    more use for, and the epoch seconds since which no port has had them, None until somebody has looked.
    """

    network_service: NetworkService
    routing: Routing
    store: LeaseStore
    clock: Clock
    port_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    unneeded: dict[str, float | None] = field(default_factory=dict)

    def own(self) -> list[Lease]:
        """List the leases that this node holds."""
        return [lease for lease in self.store.all(Lease) if lease.own and not lease.ended]

    def peers(self) -> list[Lease]:
        """List the other nodes' leases."""
        others = [lease for lease in self.store.all(Lease) if not lease.own and not lease.ended]
        ports = {lease.port_id for lease in self.own()} - {""} if others else set()
        return [lease for lease in others if lease.port_id not in ports]

    def is_former(self, lease: Lease) -> bool:
        """Say whether a lease is this node's from before it got another: a door goes on announcing it to its end."""
        return not (lease.own or lease.ended or lease in self.peers())

    def own_announced(self) -> list[Lease]:
        """List this node's leases that a door announced; there is one at most, or one that is being replaced."""
        return [lease for lease in self.own() if not lease.joined_id]

    def announced_peers(self) -> list[Lease]:
        """List the other nodes' leases that a door announced."""
        return [lease for lease in self.peers() if not lease.joined_id]

    def announced_ranges(self) -> list[tuple[str, IPNetwork]]:
        """List the ranges of announced leases, and whose they are."""
        return [("the leases that are announced", one) for lease in self.own_announced() for one in lease.ranges]

    def divided_ranges(self) -> list[tuple[str, IPNetwork]]:
        """List the ranges that this node has blocks of, or is about to, and whose they are."""
        return [
            (f"network {joined.id[:SHORT_ID]}", subnet.cidr)
            for joined in self.store.all(JoinedNetwork)
            for subnet in joined.subnets
            if joined.step is not Step.LEAVING and not subnet.subnet_id
        ]

    async def find_port(self, port_id: str) -> Port | None:
        """Return a port; None where neither a listing nor the port itself shows it. Raises as NetworkService."""
        listed = await self.network_service.find_ports(port_id=port_id)
        return listed[0] if listed else await self.network_service.get_port(port_id)

    async def port(self) -> Port:
        """Return this node's own port, known by its NIC's MAC. Raises NotFound, and what NetworkService raises."""
        return await find_own_port(self.network_service, self.routing)
