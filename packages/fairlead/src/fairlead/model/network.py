"""Neutron's objects, as far as Fairlead needs them.

Field names are those of the Networking API v2.0; ids are UUID strings, addresses are `ipaddress` values.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Network:
    """A network. mtu is in bytes, 0 where the cloud does not say; revision is its `revision_number`."""

    id: str
    name: str
    mtu: int
    subnet_ids: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    project_id: str = ""
    created_at: str = ""
    revision: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Addresses from first to last, both included: one of a subnet's allocation pools."""

    first: IPAddress
    last: IPAddress

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return int(self.last) - int(self.first) + 1

    def __contains__(self, address: IPAddress) -> bool:
        return self.first.version == address.version and int(self.first) <= int(address) <= int(self.last)


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A route to a range by way of a neighbour: a subnet's `host_routes`, a router's `routes`."""

    destination: IPNetwork
    nexthop: IPAddress


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet. gateway is None where it has none."""

    id: str
    network_id: str
    cidr: IPNetwork
    gateway: IPAddress | None
    name: str = ""
    description: str = ""
    allocation_pools: tuple[AddressRange, ...] = ()
    host_routes: tuple[HostRoute, ...] = ()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FixedIP:
    """One address on a port. In a request address may be None: Neutron picks one of the subnet."""

    subnet_id: str
    address: IPAddress | None = None


@dataclass(frozen=True, slots=True)
class AddressPair:
    """A range that port security lets through a port beside its own addresses (`allowed_address_pairs`).

    mac empty: the port's own. written: the range as the cloud has it, where that is spelt otherwise than cidr; it is
    sent back as it came, because whoever else set the pair may look for their own spelling.
    """

    cidr: IPNetwork
    mac: str = ""
    written: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class VifDetails:
    """What Neutron says of how a port is to be plugged (`binding:vif_details`), as far as it matters here.

    bridge_name: the switch's bridge, empty where it is not said. datapath_type: the bridge's, `system` or `netdev`.
    ovs_hybrid_plug: a Linux bridge with iptables is to be put between the device and the switch.

    Source: the port binding extended attributes of the Networking API v2.0; Nova's nova/network/model.py.
    """

    bridge_name: str = ""
    datapath_type: str = ""
    ovs_hybrid_plug: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """A port. host is empty where it is unbound or these credentials can't see it, and so is vif_type.

    vif_type: how it is to be plugged, `binding_failed` where Neutron could not bind it to its host.

    address_pairs are empty and port_security is True where the cloud does not have these extensions.
    """

    id: str
    network_id: str
    mac: str
    fixed_ips: tuple[FixedIP, ...]
    name: str = ""
    device_id: str = ""
    device_owner: str = ""
    status: str = ""
    host: str = ""
    security_group_ids: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    revision: int = 0
    description: str = ""
    address_pairs: tuple[AddressPair, ...] = ()
    port_security: bool = True
    vif_type: str = ""
    vif_details: VifDetails = field(default_factory=VifDetails)


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group, by id and name.

    All but id and name are known of those that find_owned_security_groups and create_security_group give. ingress: the
    ranges that everything may come in from; rules that let in less, or members of a group, are not among them.
    """

    id: str
    name: str
    tags: frozenset[str] = frozenset()
    ingress: frozenset[IPNetwork] = frozenset()
    description: str = ""


@dataclass(frozen=True, slots=True)
class NewSecurityGroup:
    """A security group to make: it lets everything in that comes from the ranges of ingress, and everything out.

    What it lets out is Neutron's own default for new groups, which an operator may have changed.
    """

    name: str
    description: str = ""
    tags: frozenset[str] = frozenset()
    ingress: tuple[IPNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class Router:
    """A router with its extra routes, in no particular order. Two to one destination share its packets (ECMP)."""

    id: str
    name: str
    routes: tuple[HostRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class SubPort:
    """A port that a trunk carries in frames with a VLAN id (1 to 4094)."""

    port_id: str
    vlan: int


@dataclass(frozen=True, slots=True)
class Trunk:
    """A trunk: port_id is its parent, whose NIC also takes and gives the frames of its sub-ports."""

    id: str
    port_id: str
    sub_ports: tuple[SubPort, ...] = ()


@dataclass(frozen=True, slots=True)
class NewNetwork:
    """A network to make."""

    name: str
    description: str = ""
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NewSubnet:
    """A subnet to make, without DHCP: containers get their addresses from their runtime.

    allocation_pools empty: Neutron's default, every address but the gateway. gateway None: no gateway.
    """

    network_id: str
    cidr: IPNetwork
    gateway: IPAddress | None
    name: str = ""
    description: str = ""
    allocation_pools: tuple[AddressRange, ...] = ()
    host_routes: tuple[HostRoute, ...] = ()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NewPort:
    """A port to make. mac empty: Neutron picks one. security_group_ids None: the project's default group.

    host empty: leave it unbound. Otherwise it is bound to that host (needs a role that may bind).
    """

    network_id: str
    fixed_ips: tuple[FixedIP, ...]
    name: str = ""
    device_id: str = ""
    device_owner: str = ""
    mac: str = ""
    host: str = ""
    security_group_ids: tuple[str, ...] | None = None
    tags: frozenset[str] = frozenset()
    description: str = ""


@dataclass(frozen=True, slots=True)
class PortChange:
    """What to change of a port; None leaves as it is. A list replaces the whole list."""

    name: str | None = None
    device_id: str | None = None
    fixed_ips: tuple[FixedIP, ...] | None = None
    description: str | None = None
    address_pairs: tuple[AddressPair, ...] | None = None
    security_group_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Headroom:
    """How many more ports the project's quota and the subnets allow; None: unlimited or can't be found out.

    ports: left of the quota. addresses: free in the subnet that has the fewest.
    """

    ports: int | None
    addresses: int | None


@dataclass(frozen=True, slots=True)
class CloudView:
    """What the cloud lets these credentials do, found out once.

    user and project are names for logs; project_id the token's; roles the token's role names.
    may_bind: ports may be bound to a host (`binding:host_id`). extensions: aliases of Neutron's API extensions.
    """

    user: str
    project: str
    project_id: str
    roles: frozenset[str]
    may_bind: bool
    extensions: frozenset[str] = field(default_factory=frozenset)
