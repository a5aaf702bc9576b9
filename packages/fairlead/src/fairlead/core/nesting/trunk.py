"""Nesting in mode `trunk`: a container's port is a sub-port of the trunk that the node's own port is the parent of."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from fairlead.core.nesting.nesting import Nested, nic_is_on
from fairlead.core.nesting.own_port import find_own_port
from fairlead.model.errors import Conflict, NotFound, QuotaExceeded
from fairlead.model.network import IPNetwork, Network, Port, SubPort, Trunk
from fairlead.model.records import Allocation
from fairlead.ports.clock import Clock
from fairlead.ports.network_service import NetworkService
from fairlead.ports.routing import Routing

log = structlog.get_logger(__name__)

ACTIVE_WITHIN = 10.0
"""Seconds for Neutron to call a new sub-port ACTIVE."""

_POLL = 0.5
_VLANS = range(1, 4095)
_ATTEMPTS = 5
"""How often a trunk that changes under our hands is looked at again."""


@dataclass(slots=True)
class TrunkNesting:
    """A trunk's sub-ports come and go by Fairlead as far as it made them; no other is touched.

    VLAN ids are free by what Neutron answers each time: somebody else may have sub-ports on the same trunk.
    """

    network_service: NetworkService
    routing: Routing
    clock: Clock
    at_creation: bool = False
    _parent: str = ""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def admit(self, network: Network | None, groups: Sequence[str]) -> None:
        """Take any network, where the node has a trunk. Neutron refuses one of a greater MTU than the NIC's."""
        await self.trunk()

    async def nest(self, ports: Sequence[Port]) -> Mapping[str, Nested]:
        """Make the ports sub-ports, and wait for Neutron to call them ACTIVE, but not for ever."""
        async with self._lock:
            vlans, added = await self._attach(ports)
        await self._await_active(added)
        return {port.id: Nested(port.mac, vlans[port.id]) for port in ports}

    async def unnest(self, allocations: Sequence[Allocation]) -> None:
        """Take the ports off the trunk."""
        async with self._lock:
            try:
                trunk = await self.trunk()
            except NotFound:
                return
            await self.network_service.remove_sub_ports(trunk.id, [one.id for one in allocations])

    async def nested(self, ports: Sequence[Port]) -> Mapping[str, Nested]:
        """Those that are sub-ports of the node's trunk."""
        vlans = {one.port_id: one.vlan for one in (await self.trunk()).sub_ports}
        return {port.id: Nested(port.mac, vlans[port.id]) for port in ports if port.id in vlans}

    async def move(self, before: Allocation, port: Port) -> None:
        """Nothing depends on addresses."""

    async def is_on(self, cidr: IPNetwork) -> bool:
        """Say whether the NIC is on a range."""
        return await nic_is_on(self.routing, cidr)

    async def trunk(self) -> Trunk:
        """Return the node's trunk as it is now. Raises NotFound, and what NetworkService raises."""
        found = await self.network_service.find_trunks(self._parent) if self._parent else []
        if not found:
            self._parent = (await find_own_port(self.network_service, self.routing)).id
            found = await self.network_service.find_trunks(self._parent)
        if not found:
            raise NotFound(
                f"this node's port {self._parent} is not the parent of a trunk",
                remedy=f"make one with `openstack network trunk create --parent-port {self._parent} NAME`",
            )
        return found[0]

    async def _attach(self, ports: Sequence[Port]) -> tuple[dict[str, int], list[str]]:
        """Return the VLAN ids of all the ports, and the ids of those that were not sub-ports before."""
        refusal: Conflict | None = None
        for _ in range(_ATTEMPTS):
            trunk = await self.trunk()
            vlans = {one.port_id: one.vlan for one in trunk.sub_ports}
            missing = [port.id for port in ports if port.id not in vlans]
            if not missing:
                return vlans, []
            taken = set(vlans.values())
            free = [vlan for vlan in _VLANS if vlan not in taken][: len(missing)]
            if len(free) < len(missing):
                raise QuotaExceeded(f"trunk {trunk.id} has no VLAN id left", remedy="remove containers from this node")
            wanted = [SubPort(port_id, vlan) for port_id, vlan in zip(missing, free, strict=True)]
            try:
                await self.network_service.add_sub_ports(trunk.id, wanted)
            except Conflict as error:
                refusal = error  # somebody took one of the ids, or the answer to an earlier request was lost
                continue
            return vlans | {one.port_id: one.vlan for one in wanted}, missing
        raise refusal or Conflict("the trunk changes all the time")

    async def _await_active(self, port_ids: Sequence[str]) -> None:
        """OVN's driver calls a sub-port as active as its parent at once; others when an agent has wired it."""
        waiting, until = list(port_ids), self.clock.now() + ACTIVE_WITHIN
        while True:
            states = [await self.network_service.find_ports(port_id=port_id) for port_id in waiting]
            waiting = [port.id for found in states for port in found if port.status != "ACTIVE"]
            if not waiting:
                return
            if self.clock.now() >= until:
                log.warning("sub-ports are not ACTIVE yet", ports=waiting)
                return
            await self.clock.sleep(_POLL)
