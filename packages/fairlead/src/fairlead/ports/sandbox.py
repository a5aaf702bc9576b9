"""What the core needs of sandboxes, where no runtime finishes the job."""

from typing import Protocol

from fairlead.model.sandbox import SandboxConfig


class Sandboxes(Protocol):
    """Devices in containers' network namespaces. Every call is idempotent.

    netns: the path of a file by which the namespace can be entered (namespaces(7)). name: the device's in it.

    Raises DataplaneError (the kernel refused), NotFound (there is no such namespace, or the device is nowhere) and
    InvalidInput (the namespace is the host's own).
    """

    async def configure(self, netns: str, name: str, config: SandboxConfig) -> None:
        """Move the device into the sandbox, name it, give it MTU, addresses and routes, and bring it up.

        What it has beyond that of Fairlead's making goes; where it is there already, only what differs is changed.
        Raises Conflict, before anything is changed, where another device has the name, or one of the routes is
        another device's.
        """
        ...

    async def verify(self, netns: str, name: str, config: SandboxConfig) -> list[str]:
        """Say in words what differs from the config: name, state, MAC, MTU, an address or a route that is not there.

        Empty: nothing does. NotFound is not raised: a sandbox that is gone is a difference.
        """
        ...
