"""What mode `routed` needs of the host's packet filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fairlead.model.network import IPNetwork


@dataclass(frozen=True, slots=True)
class GuardedNetwork:
    """A network on this node. ranges: the whole network's; blocks: this node's. internal: nothing leaves it."""

    ranges: tuple[IPNetwork, ...]
    blocks: tuple[IPNetwork, ...]
    internal: bool = False


class Guard(Protocol):
    """What keeps networks apart where the node itself is their router. Raises DataplaneError."""

    async def put(self, networks: Sequence[GuardedNetwork]) -> None:
        """Let each network's containers reach each other and, unless internal, the world; nothing else goes through.

        Only what answers them comes in from outside of a network. Nobody uses an address that is not his. Without any
        network, nothing of it is left on the host. Somebody else's rules stay as they are; made again at each call
        where somebody changed these.
        """
        ...
