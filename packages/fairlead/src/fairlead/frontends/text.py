"""Addresses and ranges as users and engines write them."""

import re
from ipaddress import ip_address, ip_interface, ip_network

from fairlead.model.errors import InvalidInput
from fairlead.model.network import IPAddress, IPNetwork

_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_GROUP = 1
"""Bit of a MAC's first byte: it is a group's (IEEE 802)."""


def parse_network(text: str) -> IPNetwork:
    """Read a range in CIDR form. Raises InvalidInput."""
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a range", remedy="write it as 10.20.0.0/24 or fd00:20::/64") from error


def parse_mac(text: str) -> str:
    """Read the MAC address of one device; an empty text is none. Raises InvalidInput."""
    if text and (_MAC.fullmatch(text) is None or int(text[:2], 16) & _GROUP or not text.strip("0:")):
        raise InvalidInput(f"{text!r} is not the MAC address of a device", remedy="write it as 02:42:0a:14:00:05")
    return text.lower()


def parse_address(text: str) -> IPAddress:
    """Read an address, alone or in CIDR form. Raises InvalidInput."""
    try:
        return ip_interface(text).ip if "/" in text else ip_address(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not an address", remedy="write it as 10.20.0.5 or fd00:20::5") from error
