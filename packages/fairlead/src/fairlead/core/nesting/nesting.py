"""How a port that Neutron made becomes this node's own: what tells one attachment mode from another in Neutron."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fairlead.model.network import IPNetwork, Network, Port
from fairlead.model.records import Allocation
from fairlead.ports.routing import Routing


@dataclass(frozen=True, slots=True)
class Nested:
    """What a device must know of its port: MAC (empty: the NIC's own) and VLAN id (0: none)."""

    mac: str
    vlan: int = 0


class Nesting(Protocol):
    """One attachment mode's way. Every call is idempotent, and raises what NetworkService raises.

    at_creation: a port is the node's as soon as it is made, by `binding:host_id` or by nothing at all, and may have a
    device_id from the first. Otherwise it is made unbound and without one, and nest does the rest.
    """

    at_creation: bool

    async def admit(self, network: Network | None, groups: Sequence[str]) -> None:
        """Refuse a network that containers can't have here. network None: it would be made. groups: security groups.

        Raises UnsupportedRequest, and NotFound where the node lacks what the mode needs.
        """
        ...

    async def nest(self, ports: Sequence[Port]) -> Mapping[str, Nested]:
        """Bring ports to this node, all at once; by id. Raises QuotaExceeded, Conflict and NotFound."""
        ...

    async def unnest(self, allocations: Sequence[Allocation]) -> None:
        """Undo nest, so that the ports can be deleted; fine where nothing is left of it."""
        ...

    async def nested(self, ports: Sequence[Port]) -> Mapping[str, Nested]:
        """Say which of the ports are this node's by now; by id."""
        ...

    async def move(self, before: Allocation, port: Port) -> None:
        """Take note that a nested port has other addresses than before."""
        ...

    async def is_on(self, cidr: IPNetwork) -> bool:
        """Say whether the node's own NIC is on a range. Raises NotFound."""
        ...


class OnChassis:
    """Nesting on a host with OVN's switch: there the device is plugged, and Neutron need not be told."""

    at_creation = True

    async def admit(self, network: Network | None, groups: Sequence[str]) -> None:
        """Take any network."""

    async def nest(self, ports: Sequence[Port]) -> Mapping[str, Nested]:
        """Nothing is left to do."""
        return await self.nested(ports)

    async def unnest(self, allocations: Sequence[Allocation]) -> None:
        """Nothing is there to undo."""

    async def nested(self, ports: Sequence[Port]) -> Mapping[str, Nested]:
        """All ports are, with their MACs."""
        return {port.id: Nested(port.mac) for port in ports}

    async def move(self, before: Allocation, port: Port) -> None:
        """Nothing depends on addresses."""

    async def is_on(self, cidr: IPNetwork) -> bool:
        """A host's own networks are not its containers'."""
        return False


async def nic_is_on(routing: Routing, cidr: IPNetwork) -> bool:
    """Say whether the NIC has an address on a range."""
    nic = await routing.nic()
    return any(one.version == cidr.version and one.ip in cidr for one in nic.addresses)
