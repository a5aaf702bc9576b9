"""rtnetlink for routes and addresses: the messages and their coding. See `netlink` for the exchange.

Sources: rtnetlink(7), linux/rtnetlink.h, linux/if_addr.h. All numbers are in the host's byte order.
"""

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Final

from fairlead.adapters.kernel.attributes import attribute, read_attributes
from fairlead.adapters.kernel.netlink import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    RTM_NEWADDR,
    RTM_NEWROUTE,
    Answer,
    Message,
)
from fairlead.model.errors import DataplaneError
from fairlead.model.network import IPAddress, IPNetwork

_RTM_DELADDR, _RTM_GETADDR, _RTM_DELROUTE, _RTM_GETROUTE = 21, 22, 25, 26
_NLM_F_REPLACE = 0x100
_RT_TABLE_MAIN, _RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RT_SCOPE_NOWHERE, _RTN_UNICAST = 254, 0, 253, 255, 1
RTPROT_KERNEL, RTPROT_RA = 2, 9
_IFA_F_NODAD = 0x02
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 5, 6, 15
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_PROTO = 1, 2, 4, 11

_ROUTE: Final = struct.Struct("=BBBBBBBBI")  # rtmsg: family, two lengths, tos, table, protocol, scope, type, flags
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg: family, length, flags, scope, index
_U32: Final = struct.Struct("=I")
_U8: Final = struct.Struct("=B")
_FAMILIES: Final = {0: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}
_IP: Final = (socket.AF_INET, socket.AF_INET6)  # a dump of all families has more than these


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast route of the main table. protocol says who made it; device is an index, 0 where it has several."""

    destination: IPNetwork
    gateway: IPAddress | None
    device: int
    protocol: int
    metric: int


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """An address of a device, by the device's index. scope: 0 is global.

    protocol says who made it, since Linux 5.18; 0 where nobody said, and before.
    """

    address: IPv4Interface | IPv6Interface
    device: int
    scope: int
    protocol: int = 0


def dump_routes(version: int = 0) -> Message:
    """Ask for every route of IP version 4 or 6; 0: of both."""
    body = _ROUTE.pack(_FAMILIES[version], 0, 0, 0, 0, 0, 0, 0, 0)
    return Message(_RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, body)


def dump_addresses(version: int = 0) -> Message:
    """Ask for every address of IP version 4 or 6; 0: of both."""
    return Message(_RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, _ADDRESS.pack(_FAMILIES[version], 0, 0, 0, 0))


def put_route(destination: IPNetwork, gateway: IPAddress, *, protocol: int, metric: int) -> Message:
    """Make a route, in the place of one with the same destination and metric."""
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | _NLM_F_REPLACE
    return Message(RTM_NEWROUTE, flags, _route(destination, gateway, protocol, metric))


def delete_route(destination: IPNetwork, gateway: IPAddress, *, protocol: int, metric: int) -> Message:
    """Delete the route that is all of this; ESRCH where there is none."""
    return Message(_RTM_DELROUTE, NLM_F_REQUEST | NLM_F_ACK, _route(destination, gateway, protocol, metric))


def put_device_route(address: IPAddress, device: int, *, protocol: int) -> Message:
    """Route one address to a device (an index), in the place of an earlier route to it."""
    head = _ROUTE.pack(
        _FAMILIES[address.version],
        address.max_prefixlen,
        0,
        0,
        _RT_TABLE_MAIN,
        protocol,
        _RT_SCOPE_LINK,
        _RTN_UNICAST,
        0,
    )
    body = head + attribute(_RTA_DST, address.packed) + attribute(_RTA_OIF, _U32.pack(device))
    return Message(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | _NLM_F_REPLACE, body)


def put_address(address: IPAddress, device: int) -> Message:
    """Give a device (an index) an address that is alone on its link; IPv6 does not look for a duplicate first."""
    head = _ADDRESS.pack(_FAMILIES[address.version], address.max_prefixlen, _IFA_F_NODAD, 0, device)
    body = head + attribute(_IFA_LOCAL, address.packed) + attribute(_IFA_ADDRESS, address.packed)
    return Message(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | _NLM_F_REPLACE, body)


def add_address(address: IPv4Interface | IPv6Interface, device: int, *, protocol: int) -> Message:
    """Give a device (an index) an address on its link; EEXIST where it has it. IPv6 looks for no duplicate first."""
    head = _ADDRESS.pack(_FAMILIES[address.version], address.network.prefixlen, _IFA_F_NODAD, 0, device)
    body = head + attribute(_IFA_LOCAL, address.ip.packed) + attribute(_IFA_ADDRESS, address.ip.packed)
    if address.version == 4 and address.network.prefixlen < 31:  # RFC 3021: a link of two has none
        body += attribute(_IFA_BROADCAST, address.network.broadcast_address.packed)
    body += attribute(_IFA_PROTO, _U8.pack(protocol))
    return Message(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body)


def delete_address(address: IPv4Interface | IPv6Interface, device: int) -> Message:
    """Take an address with this prefix length off a device (an index); EADDRNOTAVAIL where it does not have it."""
    head = _ADDRESS.pack(_FAMILIES[address.version], address.network.prefixlen, 0, 0, device)
    body = head + attribute(_IFA_LOCAL, address.ip.packed) + attribute(_IFA_ADDRESS, address.ip.packed)
    return Message(_RTM_DELADDR, NLM_F_REQUEST | NLM_F_ACK, body)


def add_route(destination: IPNetwork, via: IPAddress | None, device: int, *, protocol: int, metric: int) -> Message:
    """Route a destination by a device (an index), via None: it is on the link. EEXIST where a route of it is there."""
    scope = _RT_SCOPE_LINK if via is None else _RT_SCOPE_UNIVERSE
    body = _device_route(destination, via, device, scope=scope, protocol=protocol, metric=metric)
    return Message(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body)


def drop_route(destination: IPNetwork, via: IPAddress | None, device: int, *, metric: int) -> Message:
    """Delete the route that is all of this, whoever made it; ESRCH where there is none."""
    body = _device_route(destination, via, device, scope=_RT_SCOPE_NOWHERE, protocol=0, metric=metric)
    return Message(_RTM_DELROUTE, NLM_F_REQUEST | NLM_F_ACK, body)


def read_routes(answer: Answer) -> list[Route]:
    """Read the unicast routes of the main table. Raises DataplaneError where they are not in rtnetlink's form."""
    found = []
    try:
        for body in answer.others:
            family, length, _, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(body)
            if family not in _IP:
                continue
            parts = read_attributes(body, _ROUTE.size)
            table = _U32.unpack(parts[_RTA_TABLE])[0] if _RTA_TABLE in parts else table
            if kind != _RTN_UNICAST or table != _RT_TABLE_MAIN:
                continue
            found.append(
                Route(
                    destination=_network(family, parts.get(_RTA_DST, b""), length),
                    gateway=_address(parts[_RTA_GATEWAY]) if _RTA_GATEWAY in parts else None,
                    device=_number(parts, _RTA_OIF),
                    protocol=protocol,
                    metric=_number(parts, _RTA_PRIORITY),
                )
            )
    except (struct.error, ValueError) as error:
        raise DataplaneError(f"the kernel's routes can't be read: {error}") from error
    return found


def read_addresses(answer: Answer) -> list[DeviceAddress]:
    """Read addresses. Raises DataplaneError where they are not in rtnetlink's form."""
    found = []
    try:
        for body in answer.others:
            family, length, _, scope, index = _ADDRESS.unpack_from(body)
            if family not in _IP:
                continue
            parts = read_attributes(body, _ADDRESS.size)
            address = _address(parts.get(_IFA_LOCAL) or parts[_IFA_ADDRESS])
            interface = IPv4Interface if address.version == 4 else IPv6Interface
            (protocol,) = _U8.unpack(parts[_IFA_PROTO]) if _IFA_PROTO in parts else (0,)
            found.append(DeviceAddress(interface((address, length)), index, scope, protocol))
    except (struct.error, ValueError, KeyError) as error:
        raise DataplaneError(f"the kernel's addresses can't be read: {error}") from error
    return found


def _route(destination: IPNetwork, gateway: IPAddress, protocol: int, metric: int) -> bytes:
    head = _ROUTE.pack(
        _FAMILIES[destination.version], destination.prefixlen, 0, 0,
        _RT_TABLE_MAIN, protocol, _RT_SCOPE_UNIVERSE, _RTN_UNICAST, 0,
    )  # fmt: skip
    return (
        head
        + attribute(_RTA_DST, destination.network_address.packed)
        + attribute(_RTA_GATEWAY, gateway.packed)
        + attribute(_RTA_PRIORITY, _U32.pack(metric))
    )


def _device_route(
    destination: IPNetwork, via: IPAddress | None, device: int, *, scope: int, protocol: int, metric: int
) -> bytes:
    family, length = _FAMILIES[destination.version], destination.prefixlen
    return (
        _ROUTE.pack(family, length, 0, 0, _RT_TABLE_MAIN, protocol, scope, _RTN_UNICAST, 0)
        + attribute(_RTA_DST, destination.network_address.packed)
        + (attribute(_RTA_GATEWAY, via.packed) if via else b"")
        + attribute(_RTA_OIF, _U32.pack(device))
        + (attribute(_RTA_PRIORITY, _U32.pack(metric)) if metric else b"")
    )


def _network(family: int, packed: bytes, length: int) -> IPNetwork:
    if family == socket.AF_INET:
        return IPv4Network((packed or bytes(4), length))
    return IPv6Network((packed or bytes(16), length))


def _address(packed: bytes) -> IPAddress:
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _number(parts: dict[int, bytes], kind: int) -> int:
    number: int = _U32.unpack(parts[kind])[0] if kind in parts else 0
    return number
