"""What a door wants of a network."""

from dataclasses import dataclass, field

from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.records import NetworkReference


@dataclass(frozen=True, slots=True)
class RangeSpec:
    """One range. gateway None: its first address, or what the subnet has that is there already.

    part: of the range, out of which alone addresses are picked; None: all of it. excluded: addresses that nobody is
    given.
    """

    cidr: IPNetwork
    gateway: IPAddress | None = None
    part: IPNetwork | None = None
    excluded: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What a network should be.

    id: the door's. ranges: IPv4 first, one of each family at most. reference: the Neutron network that a user names.
    groups: names or ids of security groups; empty: the project's default.
    """

    id: str
    ranges: tuple[RangeSpec, ...]
    reference: NetworkReference = field(default_factory=NetworkReference)
    internal: bool = False
    groups: tuple[str, ...] = ()
