"""The JSON of the Networking API v2.0, as far as Fairlead reads and writes it, and its conversion to the model.

A text that is no address where one belongs is refused when it is read, with all else that is not Neutron's (`reading`).
"""

from collections.abc import Iterable
from ipaddress import ip_address, ip_interface, ip_network

import msgspec

from fairlead.model.network import (
    AddressPair,
    AddressRange,
    FixedIP,
    HostRoute,
    Network,
    NewNetwork,
    NewPort,
    NewSubnet,
    Port,
    PortChange,
    Subnet,
    VifDetails,
)


class NetworkWire(msgspec.Struct):
    """A network as Neutron sends it."""

    id: str
    name: str = ""
    mtu: int = 0
    subnets: list[str] = []
    tags: list[str] = []
    project_id: str = ""
    shared: bool = False
    created_at: str = ""
    revision_number: int = 0
    description: str = ""

    def model(self) -> Network:
        """Convert it."""
        return Network(
            id=self.id,
            name=self.name,
            mtu=self.mtu,
            subnet_ids=tuple(self.subnets),
            tags=frozenset(self.tags),
            project_id=self.project_id,
            created_at=self.created_at,
            revision=self.revision_number,
            description=self.description,
        )


class PoolWire(msgspec.Struct):
    """An allocation pool."""

    start: str
    end: str

    def __post_init__(self) -> None:
        self.model()

    def model(self) -> AddressRange:
        """Convert it."""
        return AddressRange(ip_address(self.start), ip_address(self.end))


class _SubnetChangeWire(msgspec.Struct):
    allocation_pools: list[PoolWire]


class RouteWire(msgspec.Struct):
    """A route of a subnet's hosts, or of a router."""

    destination: str
    nexthop: str

    def __post_init__(self) -> None:
        self.model()

    def model(self) -> HostRoute:
        """Convert it."""
        # add_extraroutes takes whatever it is given: a range with host bits comes back with them.
        return HostRoute(ip_network(self.destination, strict=False), ip_address(self.nexthop))


class SubnetWire(msgspec.Struct):
    """A subnet as Neutron sends it."""

    id: str
    network_id: str
    cidr: str
    gateway_ip: str | None = None
    name: str = ""
    description: str = ""
    allocation_pools: list[PoolWire] = []
    host_routes: list[RouteWire] = []
    tags: list[str] = []
    project_id: str = ""

    def __post_init__(self) -> None:
        self.model()

    def model(self) -> Subnet:
        """Convert it."""
        return Subnet(
            id=self.id,
            network_id=self.network_id,
            cidr=ip_network(self.cidr),
            gateway=ip_address(self.gateway_ip) if self.gateway_ip else None,
            name=self.name,
            description=self.description,
            allocation_pools=tuple(pool.model() for pool in self.allocation_pools),
            host_routes=tuple(route.model() for route in self.host_routes),
            tags=frozenset(self.tags),
        )


class FixedIPWire(msgspec.Struct, omit_defaults=True):
    """An address of a port; without ip_address in a request Neutron picks one."""

    subnet_id: str = ""
    ip_address: str = ""

    def __post_init__(self) -> None:
        self.model()

    def model(self) -> FixedIP:
        """Convert it."""
        return FixedIP(self.subnet_id, ip_address(self.ip_address) if self.ip_address else None)


class PairWire(msgspec.Struct, omit_defaults=True):
    """An allowed address pair: an address or a range; without mac_address in a request it is the port's own."""

    ip_address: str
    mac_address: str = ""

    def __post_init__(self) -> None:
        self.model("")

    def model(self, port_mac: str) -> AddressPair:
        """Convert it, for the port with this MAC address."""
        written = ip_interface(self.ip_address)
        cidr = written.network
        if written.ip != cidr.network_address:
            # A range with host bits lets that one host through (ovn-nb(5), port_security).
            cidr = ip_network(written.ip)
        mac = self.mac_address.lower()
        return AddressPair(
            cidr,
            mac="" if mac == port_mac.lower() else mac,
            written="" if self.ip_address == str(cidr) else self.ip_address,
        )


class VifDetailsWire(msgspec.Struct):
    """How a port is to be plugged, as far as it matters here; the list is each mechanism driver's own."""

    bridge_name: str = ""
    datapath_type: str = ""
    ovs_hybrid_plug: bool = False

    def model(self) -> VifDetails:
        """Convert it."""
        return VifDetails(self.bridge_name, self.datapath_type, self.ovs_hybrid_plug)


PORT_IN_BRIEF = ("id", "network_id", "mac_address", "fixed_ips", "tags")
"""The fields of a port that a list in brief has."""


class PortWire(msgspec.Struct):
    """A port as Neutron sends it; what begins with `binding:` is absent unless the role may see it."""

    id: str
    network_id: str
    mac_address: str
    fixed_ips: list[FixedIPWire] = []
    name: str = ""
    device_id: str = ""
    device_owner: str = ""
    status: str = ""
    host_id: str = msgspec.field(name="binding:host_id", default="")
    vif_type: str = msgspec.field(name="binding:vif_type", default="")
    vif_details: VifDetailsWire = msgspec.field(name="binding:vif_details", default_factory=VifDetailsWire)
    security_groups: list[str] = []
    tags: list[str] = []
    revision_number: int = 0
    description: str = ""
    allowed_address_pairs: list[PairWire] = []
    port_security_enabled: bool = True

    def model(self) -> Port:
        """Convert it."""
        return Port(
            id=self.id,
            network_id=self.network_id,
            mac=self.mac_address,
            fixed_ips=tuple(fixed.model() for fixed in self.fixed_ips),
            name=self.name,
            device_id=self.device_id,
            device_owner=self.device_owner,
            status=self.status,
            host=self.host_id,
            security_group_ids=tuple(self.security_groups),
            tags=frozenset(self.tags),
            revision=self.revision_number,
            description=self.description,
            address_pairs=tuple(pair.model(self.mac_address) for pair in self.allowed_address_pairs),
            port_security=self.port_security_enabled,
            vif_type=self.vif_type,
            vif_details=self.vif_details.model(),
        )


class AddressesWire(msgspec.Struct):
    """Of a port only its addresses."""

    fixed_ips: list[FixedIPWire] = []


class NamedWire(msgspec.Struct):
    """Anything that has an alias or an id, where no more is of interest."""

    id: str = ""
    alias: str = ""


class _NewNetworkWire(msgspec.Struct):
    name: str
    description: str


class _NewSubnetWire(msgspec.Struct, omit_defaults=True):
    network_id: str
    cidr: str
    ip_version: int
    gateway_ip: str | None
    name: str
    enable_dhcp: bool
    description: str = ""
    allocation_pools: list[PoolWire] = []
    host_routes: list[RouteWire] = []


class _NewPortWire(msgspec.Struct, omit_defaults=True):
    network_id: str
    fixed_ips: list[FixedIPWire]
    name: str = ""
    device_id: str = ""
    device_owner: str = ""
    mac_address: str = ""
    host_id: str = msgspec.field(name="binding:host_id", default="")
    security_groups: list[str] | None = None
    tags: list[str] = []
    description: str = ""


class _PortChangeWire(msgspec.Struct, omit_defaults=True):
    name: str | None = None
    device_id: str | None = None
    fixed_ips: list[FixedIPWire] | None = None
    description: str | None = None
    allowed_address_pairs: list[PairWire] | None = None
    security_groups: list[str] | None = None


def new_network_body(new: NewNetwork) -> bytes:
    """Write the body of POST /networks."""
    return _body("network", _NewNetworkWire(new.name, new.description))


def subnet_pools_body(pools: Iterable[AddressRange]) -> bytes:
    """Write the body of PUT /subnets/{id} that changes its allocation pools."""
    return _body("subnet", _SubnetChangeWire(_pools(pools)))


def new_subnet_body(new: NewSubnet) -> bytes:
    """Write the body of POST /subnets."""
    return _body(
        "subnet",
        _NewSubnetWire(
            network_id=new.network_id,
            cidr=str(new.cidr),
            ip_version=new.cidr.version,
            gateway_ip=str(new.gateway) if new.gateway else None,
            name=new.name,
            enable_dhcp=False,
            description=new.description,
            allocation_pools=_pools(new.allocation_pools),
            host_routes=[RouteWire(str(route.destination), str(route.nexthop)) for route in new.host_routes],
        ),
    )


def new_ports_body(new: Iterable[NewPort]) -> bytes:
    """Write the body of POST /ports for several ports."""
    return msgspec.json.encode({"ports": [_new_port(one) for one in new]})


def port_change_body(change: PortChange) -> bytes:
    """Write the body of PUT /ports/{id}."""
    pairs, groups = change.address_pairs, change.security_group_ids
    return _body(
        "port",
        _PortChangeWire(
            name=change.name,
            device_id=change.device_id,
            fixed_ips=None if change.fixed_ips is None else _fixed_ips(change.fixed_ips),
            description=change.description,
            allowed_address_pairs=None
            if pairs is None
            else [PairWire(pair.written or str(pair.cidr), pair.mac) for pair in pairs],
            security_groups=None if groups is None else list(groups),
        ),
    )


def tags_body(tags: frozenset[str]) -> bytes:
    """Write the body of PUT /{resource}/{id}/tags."""
    return msgspec.json.encode({"tags": sorted(tags)})


def _new_port(new: NewPort) -> _NewPortWire:
    return _NewPortWire(
        network_id=new.network_id,
        fixed_ips=_fixed_ips(new.fixed_ips),
        name=new.name,
        device_id=new.device_id,
        device_owner=new.device_owner,
        mac_address=new.mac,
        host_id=new.host,
        security_groups=None if new.security_group_ids is None else list(new.security_group_ids),
        tags=sorted(new.tags),
        description=new.description,
    )


def _fixed_ips(fixed_ips: tuple[FixedIP, ...]) -> list[FixedIPWire]:
    return [FixedIPWire(fixed.subnet_id, str(fixed.address) if fixed.address else "") for fixed in fixed_ips]


def _pools(ranges: Iterable[AddressRange]) -> list[PoolWire]:
    return [PoolWire(str(one.first), str(one.last)) for one in ranges]


def _body(key: str, value: msgspec.Struct) -> bytes:
    return msgspec.json.encode({key: value})
