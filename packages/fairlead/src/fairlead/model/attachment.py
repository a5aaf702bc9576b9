"""An attachment: a port, the VIF that carries it on this host, and the sandbox it serves."""

from dataclasses import dataclass

from fairlead.model.network import IPAddress
from fairlead.model.sandbox import SandboxConfig


@dataclass(frozen=True, slots=True)
class AttachmentKey:
    """What names an attachment on its node.

    owner: the id of what is attached, as the door's runtime gives it. network: the door's name of the network
    (`JoinedNetwork.id`). interface: the device's name in the sandbox; empty where the runtime chooses one.
    """

    owner: str
    network: str
    interface: str = ""


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """One address that is asked for, of IP version 4 or 6. address None: any."""

    version: int
    address: IPAddress | None = None


@dataclass(frozen=True, slots=True)
class AttachmentRequest:
    """What an attachment is to have.

    addresses: those that were reserved for it; empty: one of each of the network's families is reserved now.
    mac empty: the port's own. netns: the path of the sandbox's network namespace, where its runtime leaves the device
    to us; empty: the runtime moves the device, and sets what is on it.
    """

    addresses: tuple[IPAddress, ...] = ()
    mac: str = ""
    netns: str = ""


@dataclass(frozen=True, slots=True)
class Assigned:
    """What an attachment has been given. port_id is empty where it has no port, mac where it is the node's."""

    port_id: str
    mac: str
    addresses: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True)
class Attached:
    """An attachment through which packets flow. config: what its sandbox has, or is to have by its runtime."""

    key: AttachmentKey
    port_id: str
    config: SandboxConfig
