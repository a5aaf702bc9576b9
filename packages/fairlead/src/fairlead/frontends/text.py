"""Addresses and ranges as users and engines write them."""

from ipaddress import ip_address, ip_interface, ip_network

from fairlead.model.errors import InvalidInput
from fairlead.model.network import IPAddress, IPNetwork


def parse_network(text: str) -> IPNetwork:
    """Read a range in CIDR form. Raises InvalidInput."""
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a range", remedy="write it as 10.20.0.0/24 or fd00:20::/64") from error


def parse_address(text: str) -> IPAddress:
    """Read an address, alone or in CIDR form. Raises InvalidInput."""
    try:
        return ip_interface(text).ip if "/" in text else ip_address(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not an address", remedy="write it as 10.20.0.5 or fd00:20::5") from error
