"""What a node remembers: the rows of its own truth.

Every row is written before the world is changed (its state says what is wanted) and marked when it has been.
A door's ids name networks and owners below. What a door alone remembers, it declares itself.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import ClassVar

from fairlead.model.network import HostRoute, IPAddress, IPNetwork, Network, VifDetails


@dataclass(frozen=True, slots=True)
class NetworkReference:
    """How a user names a Neutron network: by id, by name, or (both empty) by its range alone."""

    network_id: str = ""
    name: str = ""

    def __str__(self) -> str:
        return self.network_id or self.name


class Step(StrEnum):
    """How far an intent has come."""

    WANTED = "wanted"
    HELD = "held"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class JoinedSubnet:
    """One family of a joined network.

    subnet_id is empty where the range has no subnet of its own: nodes hold blocks of it. part: of the range, out of
    which alone addresses are picked; None: all of it. excluded: addresses that nobody is given.
    """

    subnet_id: str
    cidr: IPNetwork
    gateway: IPAddress | None
    routes: tuple[HostRoute, ...] = ()
    part: IPNetwork | None = None
    excluded: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class JoinedNetwork:
    """A door's network on this node, and the Neutron network behind it.

    id is the door's. owned: made by Fairlead (on this host or another), so the last host to leave deletes it.
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

    def held(self, network: Network, since: float) -> "JoinedNetwork":
        """Return the record of it once it is joined, by way of a Neutron network."""
        return replace(self, step=Step.HELD, since=since, network_id=network.id, name=network.name)

    def subnet(self, version: int) -> JoinedSubnet | None:
        """Return the subnet of IP version 4 or 6, if it has one."""
        return next((subnet for subnet in self.subnets if subnet.cidr.version == version), None)


@dataclass(frozen=True, slots=True)
class Batch:
    """The intent to make ports for a network, in one request.

    id: also the ports' first device_id, or in a tag of theirs, so that those made just before a crash are found again.
    since: epoch seconds.
    """

    id: str
    joined_id: str
    since: float


@dataclass(frozen=True, slots=True)
class Origin:
    """Marks that the records tell the whole of this node: it began with none, or they have been rebuilt."""

    ID: ClassVar[str] = "node"
    id: str = ID


class Use(StrEnum):
    """What a port is good for just now. The values are labels of a metric."""

    FRESH = "fresh"  # free, and never used
    RETURNED = "returned"  # free again, though perhaps not rested yet
    KEPT = "kept"  # free again, for whoever asks for its address; it goes soon
    RESERVED = "claimed"
    ATTACHED = "attached"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Allocation:
    """A port of this node's, with its addresses, and the attachment that has it.

    id: the port's. addresses: all that the port has; reserved: those that a door was given, ahead of an attachment or
    for one. owner and interface: the attachment's (`AttachmentKey`), empty while there is none. since: epoch seconds
    of the last change of use.

    single_use: a user chose its address or MAC. After its attachment it is kept for a while for whoever asks for the
    same again, and goes. unwired: OVN did not wire it: it goes with its attachment.
    rests_until: epoch seconds before which it is not given out again, 0 where it never was.
    told: the owner that Neutron shows as the port's, empty where it shows none.
    dirty: its devices have been a container's, and are made anew before another has them.
    mac is empty where the device has the node's own. vlan: id of the node's trunk that carries it, 0 where none does.
    vif_type and vif_details: how Neutron says that it is to be plugged, as far as these credentials can see that.
    """

    id: str
    joined_id: str
    since: float
    mac: str = ""
    addresses: tuple[IPAddress, ...] = ()
    reserved: frozenset[IPAddress] = field(default_factory=frozenset)
    owner: str = ""
    interface: str = ""
    single_use: bool = False
    unwired: bool = False
    leaving: bool = False
    rests_until: float = 0.0
    told: str = ""
    dirty: bool = False
    vlan: int = 0
    vif_type: str = ""
    vif_details: VifDetails = field(default_factory=VifDetails)

    @property
    def use(self) -> Use:
        """What the port is good for just now."""
        if self.leaving:
            return Use.LEAVING
        if self.owner:
            return Use.ATTACHED
        if self.reserved:
            return Use.RESERVED
        if self.single_use:
            return Use.KEPT
        return Use.RETURNED if self.rests_until else Use.FRESH

    def address(self, version: int) -> IPAddress | None:
        """Return the address of IP version 4 or 6, if it has one."""
        return next((address for address in self.addresses if address.version == version), None)


@dataclass(frozen=True, slots=True)
class Lease:
    """The part of a network's ranges that a node holds.

    id: the IPv4 part, or the IPv6 one where there is no other. parts: one of each family, as far as it is known.
    addresses: the node's, under which the others reach it. port_id: the node's port in Neutron; empty: not known.
    own: this node's. ranges: the whole network's, of an own lease. routed: a router has routes for it.
    ended: it is no more, and what is left of it in Neutron goes. since: epoch seconds of the last change.
    doubted: epoch seconds since which the door, started anew, has not announced it; 0 where it has.
    joined_id: the joined network whose lease it is; empty: a door announced it. An own one of a joined network has all
    blocks of it that this node holds as its parts, and another node's has one.
    """

    id: str
    parts: tuple[IPNetwork, ...]
    addresses: tuple[IPAddress, ...]
    since: float
    port_id: str = ""
    own: bool = False
    ranges: tuple[IPNetwork, ...] = ()
    routed: bool = False
    ended: bool = False
    doubted: float = 0.0
    joined_id: str = ""

    def address(self, version: int) -> IPAddress | None:
        """Return the node's address of IP version 4 or 6, if it is known."""
        return next((address for address in self.addresses if address.version == version), None)

    def part(self, version: int) -> IPNetwork | None:
        """Return the part of IP version 4 or 6, if it is known."""
        return next((part for part in self.parts if part.version == version), None)


@dataclass(frozen=True, slots=True)
class ReservedAddress:
    """An address out of this node's blocks that a door was given.

    id: the address. owner and interface: the attachment's that has it, empty while there is none; mac: that one's,
    empty before. since: epoch seconds of the last change. leaving: the attachment ends, and has it until its devices
    are gone.
    """

    id: str
    joined_id: str
    since: float
    owner: str = ""
    mac: str = ""
    interface: str = ""
    leaving: bool = False

    @property
    def address(self) -> IPAddress:
        """The address."""
        return ip_address(self.id)


FREE = (Use.RETURNED, Use.FRESH)
"""The uses of ports that wait to be given out to anybody."""

KINDS = (JoinedNetwork, Batch, Allocation, Origin, Lease, ReservedAddress)
"""What the core remembers."""
