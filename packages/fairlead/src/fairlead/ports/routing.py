"""What routed mode needs of the host: its NIC, and routes."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import Protocol

from fairlead.model.network import IPAddress, IPNetwork


@dataclass(frozen=True, slots=True)
class Nic:
    """The device of the host's default route. mtu in bytes; addresses: the global ones, with their subnets."""

    name: str
    mac: str
    mtu: int
    addresses: tuple[IPv4Interface | IPv6Interface, ...]

    def reaches(self, address: IPAddress) -> bool:
        """Say whether an address is on the NIC's own link."""
        return any(address in one.network for one in self.addresses)


class Routing(Protocol):
    """The host's routes that are Fairlead's. Raises DataplaneError (the kernel refused)."""

    async def nic(self) -> Nic:
        """Return the NIC. Raises NotFound where the host has no default route."""
        ...

    async def routes(self) -> Mapping[IPNetwork, IPAddress]:
        """Return the next hops of Fairlead's routes, by destination."""
        ...

    async def put(self, destination: IPNetwork, nexthop: IPAddress) -> None:
        """Route a destination. Raises Conflict where a route to it is there that is not Fairlead's."""
        ...

    async def remove(self, destination: IPNetwork) -> None:
        """Remove a route of Fairlead's; fine where there is none."""
        ...
