"""What the user asked for, and the addresses that follow from it."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Literal

from fairlead.model.errors import LabError

Role = Literal["member", "service"]

# Documentation addresses (RFC 5737): no network a user makes in the lab is likely to collide with them.
UNDERLAY = IPv4Network("192.0.2.0/24")
FABRIC_ADDRESS = UNDERLAY[1]
MAX_HOSTS = 32
MTUS = range(1400, 9217)
FABRIC = "fabric"
# Where a component is that needs no namespaces of the lab's: on the machine itself.
MACHINE = "machine"
# Neutron's name of the underlay, and what Neutron may give to routers of it.
PHYSICAL_NETWORK = "underlay"
EXTERNAL_POOL = (UNDERLAY[128], UNDERLAY[254])
MAX_INSTANCES = 32

KEYSTONE_PORT = 5000
NEUTRON_PORT = 9696
OVN_NORTHBOUND_PORT = 6641
OVN_SOUTHBOUND_PORT = 6642


@dataclass(frozen=True, slots=True)
class InstanceNetwork:
    """A Neutron network for instances, with a subnet of each family."""

    name: str
    ipv4: IPv4Network
    ipv6: IPv6Network


INSTANCE_NETWORKS = (
    InstanceNetwork("instances", IPv4Network("10.30.0.0/24"), IPv6Network("fd00:30::/64")),
    InstanceNetwork("instances-2", IPv4Network("10.31.0.0/24"), IPv6Network("fd00:31::/64")),
)


@dataclass(frozen=True, slots=True)
class Placement:
    """One instance: the host whose switch carries it, its network, and the addresses of its port with their prefix."""

    name: str
    host: str
    network: InstanceNetwork
    ipv4: IPv4Interface
    ipv6: IPv6Interface


@dataclass(frozen=True, slots=True)
class LabSpec:
    """One lab: its name, how many hosts, the role of their credentials, and whether each runs an agent.

    mtu: of the underlay, in bytes; a Geneve network in it takes 58 less. instances: how many machines the hosts carry
    whose NIC is a Neutron port; instance_subnets: how many networks, each with a subnet of both families, they are on.
    tags_while_creating: ports may be tagged as they are made, which Neutron without an extension of ML2's does not do.
    """

    name: str
    hosts: int = 2
    role: Role = "member"
    agent: bool = True
    mtu: int = 1500
    instances: int = 0
    instance_subnets: int = 1
    tags_while_creating: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.hosts <= MAX_HOSTS:
            raise LabError(f"a lab can't have {self.hosts} hosts", remedy=f"choose from 1 to {MAX_HOSTS}")
        if self.mtu not in MTUS:
            raise LabError(
                f"an underlay can't have an MTU of {self.mtu}", remedy=f"choose from {MTUS[0]} to {MTUS[-1]}"
            )
        if not 0 <= self.instances <= MAX_INSTANCES:
            raise LabError(f"a lab can't have {self.instances} instances", remedy=f"choose from 0 to {MAX_INSTANCES}")
        if not 1 <= self.instance_subnets <= len(INSTANCE_NETWORKS):
            raise LabError(
                f"instances can't be on {self.instance_subnets} subnets", remedy=f"choose 1 to {len(INSTANCE_NETWORKS)}"
            )

    @property
    def host_names(self) -> tuple[str, ...]:
        """`h1`, `h2`, … in order."""
        return tuple(f"h{number}" for number in range(1, self.hosts + 1))

    @property
    def instance_names(self) -> tuple[str, ...]:
        """`i1`, `i2`, … in order."""
        return tuple(f"i{number}" for number in range(1, self.instances + 1))

    @property
    def machine_names(self) -> tuple[str, ...]:
        """All that have a dockerd: the hosts, then the instances."""
        return self.host_names + self.instance_names

    @property
    def instance_networks(self) -> tuple[InstanceNetwork, ...]:
        """The networks that instances are on; none without instances."""
        return INSTANCE_NETWORKS[: self.instance_subnets] if self.instances else ()

    @property
    def placements(self) -> tuple[Placement, ...]:
        """The instances in order: the networks take turns, and so do the hosts.

        Each round of the hosts begins one host later: else, with two of each, a network would stay on one host.
        """
        return tuple(self._place(index, name) for index, name in enumerate(self.instance_names))

    def _place(self, index: int, name: str) -> Placement:
        network = self.instance_networks[index % self.instance_subnets]
        return Placement(
            name,
            host=self.host_names[(index + index // self.hosts) % self.hosts],
            network=network,
            ipv4=IPv4Interface((network.ipv4[11 + index], network.ipv4.prefixlen)),
            ipv6=IPv6Interface((network.ipv6[11 + index], network.ipv6.prefixlen)),
        )


def underlay_address(host: str) -> IPv4Address:
    """The address of `h1`, `h2`, … on the underlay, which is also its tunnel endpoint."""
    return UNDERLAY[10 + int(host.removeprefix("h"))]
