"""Wired as soon as it is plugged: there is no switch, so nobody is to be waited for."""

from fairlead.model.vif import Vif


class NothingToWaitFor:
    """For devices that carry packets from the moment that they are up."""

    def is_wired(self, vif: Vif) -> bool:  # noqa: ARG002
        """Say yes."""
        return True

    async def wait(self, vif: Vif) -> None:
        """Return at once."""
