"""How one knows that a port is wired, which is another thing than plugging it."""

from typing import Protocol

from fairlead.model.vif import Vif


class Wired(Protocol):
    """Whose word it is that a plugged port's packets pass: OVN's, Neutron's, or nobody's."""

    def is_wired(self, vif: Vif) -> bool:
        """Say at once, without asking anybody, whether a port that was wired still is, as far as is known here."""
        ...

    async def wait(self, vif: Vif) -> None:
        """Return when the port is wired; to be called after it has been plugged, as often as one likes.

        Raises WiringTimeout with what to look at, PortGone where there is no such port, and what it asks raises.
        """
        ...
