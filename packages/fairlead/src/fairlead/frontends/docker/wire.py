"""The bodies of libnetwork's remote driver API, as dockerd sends them.

Sources: moby's libnetwork `drivers/remote/api` and `ipams/remote/api`, versions 20.10 to 29. Fields that Fairlead does
not read are left out; unknown ones are ignored.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

Options = dict[str, Any]


class Empty(Struct, frozen=True):
    """A request without fields."""


class IPAMData(Struct, frozen=True):
    """One range of a network. Addresses are in CIDR form."""

    address_space: str = field(name="AddressSpace", default="")
    pool: str = field(name="Pool", default="")
    gateway: str = field(name="Gateway", default="")
    aux_addresses: dict[str, Any] | None = field(name="AuxAddresses", default=None)


class CreateNetwork(Struct, frozen=True):
    """NetworkDriver.CreateNetwork."""

    network_id: str = field(name="NetworkID")
    options: Options | None = field(name="Options", default=None)
    ipv4: tuple[IPAMData, ...] | None = field(name="IPv4Data", default=None)
    ipv6: tuple[IPAMData, ...] | None = field(name="IPv6Data", default=None)


class NetworkOnly(Struct, frozen=True):
    """NetworkDriver.DeleteNetwork."""

    network_id: str = field(name="NetworkID")


class Interface(Struct, frozen=True):
    """An endpoint's addresses: IPv4 and IPv6 in CIDR form, and the MAC."""

    address: str = field(name="Address", default="")
    address_ipv6: str = field(name="AddressIPv6", default="")
    mac_address: str = field(name="MacAddress", default="")


class CreateEndpoint(Struct, frozen=True):
    """NetworkDriver.CreateEndpoint."""

    network_id: str = field(name="NetworkID")
    endpoint_id: str = field(name="EndpointID")
    interface: Interface | None = field(name="Interface", default=None)
    options: Options | None = field(name="Options", default=None)


class Endpoint(Struct, frozen=True):
    """What names an endpoint: NetworkDriver.DeleteEndpoint, EndpointOperInfo and Leave."""

    network_id: str = field(name="NetworkID")
    endpoint_id: str = field(name="EndpointID")


class Join(Struct, frozen=True):
    """NetworkDriver.Join."""

    network_id: str = field(name="NetworkID")
    endpoint_id: str = field(name="EndpointID")
    sandbox_key: str = field(name="SandboxKey", default="")
    options: Options | None = field(name="Options", default=None)


class InterfaceName(Struct, frozen=True):
    """The device to move, and how it is to be called in the sandbox."""

    source: str = field(name="SrcName")
    prefix: str = field(name="DstPrefix")


CONNECTED = 1
"""RouteType of a destination that is on the link itself."""


class StaticRoute(Struct, frozen=True, omit_defaults=True):
    """A route for the sandbox. kind left out: by next hop."""

    destination: str = field(name="Destination")
    next_hop: str = field(name="NextHop", default="")
    kind: int | UnsetType = field(name="RouteType", default=UNSET)


class Joined(Struct, frozen=True, omit_defaults=True):
    """What Join answers."""

    interface_name: InterfaceName = field(name="InterfaceName")
    gateway: str = field(name="Gateway", default="")
    gateway_ipv6: str = field(name="GatewayIPv6", default="")
    static_routes: tuple[StaticRoute, ...] = field(name="StaticRoutes", default=())
    disable_gateway_service: bool = field(name="DisableGatewayService", default=False)


class RequestPool(Struct, frozen=True):
    """IpamDriver.RequestPool."""

    address_space: str = field(name="AddressSpace", default="")
    pool: str = field(name="Pool", default="")
    sub_pool: str = field(name="SubPool", default="")
    options: dict[str, str] | None = field(name="Options", default=None)
    v6: bool = field(name="V6", default=False)


class ReleasePool(Struct, frozen=True):
    """IpamDriver.ReleasePool."""

    pool_id: str = field(name="PoolID")


class RequestAddress(Struct, frozen=True):
    """IpamDriver.RequestAddress; address empty: any."""

    pool_id: str = field(name="PoolID")
    address: str = field(name="Address", default="")
    options: dict[str, str] | None = field(name="Options", default=None)


class ReleaseAddress(Struct, frozen=True):
    """IpamDriver.ReleaseAddress."""

    pool_id: str = field(name="PoolID")
    address: str = field(name="Address")
