"""How one knows that a port is wired, which is another thing than plugging it."""

from typing import Protocol

from fairlead.model.vif import Vif


class Wired(Protocol):
    """Whose word it is that a plugged port's packets pass: OVN's, Neutron's, or nobody's."""

    async def wait(self, vif: Vif) -> None:
        """Return when the port is wired; to be called after it has been plugged, as often as one likes.

        Raises WiringTimeout with what to look at, NotFound where there is no such port, and what it asks raises.
        """
        ...
