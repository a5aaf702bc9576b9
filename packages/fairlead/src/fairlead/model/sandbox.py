"""What a sandbox is to have of one attachment, whoever puts it there: the runtime, or the data plane."""

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from fairlead.model.network import IPAddress, IPNetwork

IPInterface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class SandboxRoute:
    """A route of the sandbox's. via None: the destination is on the link itself."""

    destination: IPNetwork
    via: IPAddress | None = None

    @property
    def is_default(self) -> bool:
        """Whether it is the way to everywhere."""
        return self.destination.prefixlen == 0


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """One device of a sandbox's, with all that is on it.

    device: its name as it waits in the host's namespace. mtu in bytes, 0: the kernel's default. mac empty: as it is.
    addresses with the prefix length that the link has. routes in the order in which they are to be made: a next hop's
    own route comes before those by way of it.
    """

    device: str
    mac: str
    mtu: int
    addresses: tuple[IPInterface, ...]
    routes: tuple[SandboxRoute, ...] = ()
