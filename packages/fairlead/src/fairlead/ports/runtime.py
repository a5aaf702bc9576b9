"""What the core needs of whoever runs containers on this host."""

from collections.abc import Collection
from typing import Protocol


class Runtime(Protocol):
    """The runtime's own word on which attachments it has."""

    async def owners(self, joined_id: str) -> Collection[str] | None:
        """Return the owners of all attachments to a network that the runtime knows, running or not.

        None: it does not answer, or does not know the network. Raises nothing.
        """
        ...
