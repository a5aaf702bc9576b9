"""What mode `routed` needs of the host's packet filter."""

from dataclasses import dataclass
from typing import Protocol

from fairlead.model.network import IPAddress, IPNetwork


@dataclass(frozen=True, slots=True)
class GuardedNetwork:
    """A network on this node.

    ranges: the whole network's; blocks: this node's; gateways: the node's own addresses in it, at most one of each
    family. internal: nothing leaves it.
    """

    ranges: tuple[IPNetwork, ...]
    blocks: tuple[IPNetwork, ...]
    gateways: tuple[IPAddress, ...] = ()
    internal: bool = False


@dataclass(frozen=True, slots=True)
class GuardedNode:
    """What a node's packet filter goes by.

    nic: the device by which other nodes' packets come; empty: not known, and none of them is let in. peers: addresses
    of the other nodes.
    """

    networks: tuple[GuardedNetwork, ...] = ()
    nic: str = ""
    peers: tuple[IPAddress, ...] = ()


class Guard(Protocol):
    """What keeps networks apart where the node itself is their router. Raises DataplaneError."""

    async def put(self, node: GuardedNode) -> None:
        """Let each network's containers reach each other and, unless internal, the world; nothing else goes through.

        Only what answers them comes in from outside of a network. Nobody uses an address that is not his: a container's
        comes by its own device, another node's by the NIC, and nothing of a network by any other. The node itself is no
        part of the world: neither it nor what the cloud tells it about itself is reached. Without any network, nothing
        of it is left on the host. Somebody else's rules stay as they are; made again at each call where somebody
        changed these.
        """
        ...
