"""What a node remembers: the rows of its own truth.

Every row is written before the world is changed (its state says what is wanted) and marked when it has been.
"engine" below is the container engine, whose ids name networks and endpoints.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from fairlead.model.network import HostRoute, IPAddress, IPNetwork


@dataclass(frozen=True, slots=True)
class NetworkReference:
    """How a user names a Neutron network: by id, by name, or (both empty) by its range alone."""

    network_id: str = ""
    name: str = ""

    def __str__(self) -> str:
        return self.network_id or self.name


@dataclass(frozen=True, slots=True)
class AddressPool:
    """libnetwork's address pool: one range of one Neutron network.

    subnet_id is empty until there is such a subnet; engine_network until a network of the engine's uses the pool.
    reserved: addresses that must not be given out (the engine's auxiliary addresses).
    """

    id: str
    cidr: IPNetwork
    reference: NetworkReference
    gateway: IPAddress | None = None
    reserved: tuple[IPAddress, ...] = ()
    network_id: str = ""
    subnet_id: str = ""
    engine_network: str = ""


class Step(StrEnum):
    """How far an intent has come."""

    WANTED = "wanted"
    HELD = "held"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class JoinedSubnet:
    """One family of a joined network."""

    subnet_id: str
    pool_id: str
    cidr: IPNetwork
    gateway: IPAddress | None
    routes: tuple[HostRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class JoinedNetwork:
    """A network of the engine's on this node, and the Neutron network behind it.

    id is the engine's. owned: made by Fairlead (on this host or another), so the last host to leave deletes it.
    security_group_ids None: the project's default group. since: epoch seconds of the last change of step.
    """

    id: str
    step: Step
    since: float
    network_id: str = ""
    name: str = ""
    mtu: int = 0
    owned: bool = False
    internal: bool = False
    subnets: tuple[JoinedSubnet, ...] = ()
    security_group_ids: tuple[str, ...] | None = None

    def subnet(self, version: int) -> JoinedSubnet | None:
        """Return the subnet of IP version 4 or 6, if it has one."""
        return next((subnet for subnet in self.subnets if subnet.cidr.version == version), None)


@dataclass(frozen=True, slots=True)
class Allocation:
    """A port on its way from wanted to gone, with the addresses that the engine knows of.

    id: also the port's first device_id, so that a port made just before a crash is found again.
    addresses: all that the port has; claimed: those handed to the engine. endpoint_id is empty until the engine has
    made an endpoint of it. named: the port's name and device_id say so in Neutron. since: epoch seconds of the last
    change of step or endpoint.
    """

    id: str
    step: Step
    engine_network: str
    since: float
    port_id: str = ""
    mac: str = ""
    addresses: tuple[IPAddress, ...] = ()
    claimed: frozenset[IPAddress] = field(default_factory=frozenset)
    endpoint_id: str = ""
    named: bool = False

    def address(self, version: int) -> IPAddress | None:
        """Return the address of IP version 4 or 6, if it has one."""
        return next((address for address in self.addresses if address.version == version), None)


Record = AddressPool | JoinedNetwork | Allocation
