"""One port, where a test needs no more."""

from fairlead.model.network import NewPort, Port
from fairlead.ports.network_service import NetworkService


async def create_port(neutron: NetworkService, new: NewPort) -> Port:
    """Make one port."""
    (made,) = await neutron.create_ports([new])
    return made
