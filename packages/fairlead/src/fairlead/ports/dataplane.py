"""What the core needs of the host's network."""

from dataclasses import dataclass
from typing import Protocol

from fairlead.model.network import IPAddress
from fairlead.model.vif import Vif


@dataclass(frozen=True, slots=True)
class HostView:
    """What this host's switch says of itself.

    host: the chassis' host name, as Neutron knows it. datapath: `system` (kernel) or `netdev` (userspace).
    """

    host: str
    bridge: str
    datapath: str
    ovn_controller: bool


@dataclass(frozen=True, slots=True)
class Plugged:
    """An attachment that has a device or a row of Fairlead's on this host. away: the sandbox's end is in a container.

    port_id: its port's, or its own id where it has no port, or a device alone tells of it. addresses: those that are
    routed to the host's end, in the modes that do so. whole: neither of its device and its row is missing. marked: its
    own id, where that is not the port's.
    """

    port_id: str
    away: bool
    addresses: tuple[IPAddress, ...] = ()
    whole: bool = True
    marked: str = ""

    @property
    def attachment_id(self) -> str:
        """The attachment's own id."""
        return self.marked or self.port_id


class Dataplane(Protocol):
    """One attachment mode. Every call is idempotent and may be made again after a crash anywhere within it.

    Raises SwitchUnavailable (OVSDB does not answer) and DataplaneError (the kernel refused).
    """

    async def view(self) -> HostView:
        """Say what the host's switch is."""
        ...

    async def apply(self, vif: Vif) -> None:
        """Make the devices, plug the port, and return when its flows are in place.

        Afterwards `vif.sandbox_device` waits in the host's namespace, down and without any address.
        Raises WiringTimeout.
        """
        ...

    async def remove(self, attachment_id: str) -> None:
        """Unplug the port and delete its devices, wherever the sandbox's end is; fine where nothing is left.

        All parts are tried; the errors are collected and raised together.
        """
        ...

    async def plugged(self) -> list[Plugged]:
        """List the ports of Fairlead's attachments that have something on this host."""
        ...

    def is_whole(self, vif: Vif) -> bool:
        """Say at once, at no cost worth counting, whether what `apply` made and nobody has taken yet is there still."""
        ...
