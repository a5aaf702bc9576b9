"""What the user asked for, and the addresses that follow from it."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from fairlead.model.errors import LabError

Role = Literal["member", "service"]

# Documentation addresses (RFC 5737): no network a user makes in the lab is likely to collide with them.
UNDERLAY = IPv4Network("192.0.2.0/24")
FABRIC_ADDRESS = UNDERLAY[1]
MAX_HOSTS = 32
MTUS = range(1400, 9217)
FABRIC = "fabric"

KEYSTONE_PORT = 5000
NEUTRON_PORT = 9696
OVN_NORTHBOUND_PORT = 6641
OVN_SOUTHBOUND_PORT = 6642


@dataclass(frozen=True, slots=True)
class LabSpec:
    """One lab: its name, how many hosts, the role of their credentials, and whether each runs an agent.

    mtu: of the underlay, in bytes; a Geneve network in it takes 58 less.
    """

    name: str
    hosts: int = 2
    role: Role = "member"
    agent: bool = True
    mtu: int = 1500

    def __post_init__(self) -> None:
        if not 1 <= self.hosts <= MAX_HOSTS:
            raise LabError(f"a lab can't have {self.hosts} hosts", remedy=f"choose from 1 to {MAX_HOSTS}")
        if self.mtu not in MTUS:
            raise LabError(
                f"an underlay can't have an MTU of {self.mtu}", remedy=f"choose from {MTUS[0]} to {MTUS[-1]}"
            )

    @property
    def host_names(self) -> tuple[str, ...]:
        """`h1`, `h2`, … in order."""
        return tuple(f"h{number}" for number in range(1, self.hosts + 1))


def underlay_address(host: str) -> IPv4Address:
    """The address of `h1`, `h2`, … on the underlay, which is also its tunnel endpoint."""
    return UNDERLAY[10 + int(host.removeprefix("h"))]
