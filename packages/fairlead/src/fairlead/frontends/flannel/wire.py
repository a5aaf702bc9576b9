"""What `fairlead flannel` sends to the agent: the variables that flanneld sets, and the backend's data.

Source: flannel v0.28, Documentation/extension.md, and what flanneld 0.28.9 was seen to set: `<nil>`, `::/0` and an
empty string where there is no IPv6.
"""

from typing import Any

import msgspec
from msgspec import Struct, field

from fairlead.frontends.text import parse_address, parse_network
from fairlead.model.errors import InvalidInput
from fairlead.model.network import IPAddress, IPNetwork

_NOTHING = ("", "<nil>", "::/0", "0.0.0.0/0")


class Empty(Struct, frozen=True):
    """Nothing is asked for."""


class Held(Struct, frozen=True):
    """PostStartupCommand; ipv6_network is not flanneld's: it comes from the command line."""

    network: str = field(name="NETWORK", default="")
    subnet: str = field(name="SUBNET", default="")
    ipv6_network: str = field(name="IPV6NETWORK", default="")
    ipv6_subnet: str = field(name="IPV6SUBNET", default="")
    public_ip: str = field(name="PUBLIC_IP", default="")
    public_ipv6: str = field(name="PUBLIC_IPV6", default="")


class Peer(Struct, frozen=True):
    """SubnetAddCommand and SubnetRemoveCommand; data: what they find on standard input."""

    subnet: str = field(name="SUBNET")
    public_ip: str = field(name="PUBLIC_IP")
    data: str = field(name="DATA", default="")


class BackendData(Struct, frozen=True):
    """What a node tells the others by its lease. port: the id of its port in Neutron."""

    port: str = ""


def write_data(data: BackendData) -> str:
    """Write the data as PreStartupCommand prints it."""
    return msgspec.json.encode(data).decode()


def read_data(text: str) -> BackendData:
    """Read a peer's data. Raises InvalidInput where another backend, or another program, wrote it."""
    try:
        # flanneld hands on what it took for JSON, which may be a text with the JSON in it.
        found: Any = msgspec.json.decode(text.strip() or "{}")
        return msgspec.convert(msgspec.json.decode(found) if isinstance(found, str) else found, BackendData)
    except msgspec.MsgspecError as error:
        raise InvalidInput(
            f"a peer's backend data is not Fairlead's: {text[:80]!r}",
            remedy="let every node's PreStartupCommand be `fairlead flannel pre-startup`",
        ) from error


def ranges(*texts: str) -> tuple[IPNetwork, ...]:
    """Read the ranges that are there."""
    return tuple(parse_network(text) for text in texts if text not in _NOTHING)


def addresses(*texts: str) -> tuple[IPAddress, ...]:
    """Read the addresses that are there."""
    return tuple(parse_address(text) for text in texts if text not in _NOTHING)
