"""Not here yet."""

from fairlead.model.errors import UnsupportedRequest
from fairlead.model.sandbox import SandboxConfig


class KernelSandboxes:
    """Not here yet."""

    async def configure(self, netns: str, name: str, config: SandboxConfig) -> None:
        """Refuse."""
        raise UnsupportedRequest(f"{config.device} can't be moved to {name} in {netns} yet")

    async def verify(self, netns: str, name: str, config: SandboxConfig) -> list[str]:
        """Refuse."""
        raise UnsupportedRequest(f"{config.device} can't be looked for as {name} in {netns} yet")
