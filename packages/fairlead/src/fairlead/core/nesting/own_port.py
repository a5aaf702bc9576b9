"""Which port in Neutron this host's NIC is."""

from fairlead.model.errors import NotFound
from fairlead.model.network import Port
from fairlead.ports.network_service import NetworkService
from fairlead.ports.routing import Nic, Routing


async def find_own_port(network_service: NetworkService, routing: Routing) -> Port:
    """Return the port that the host's NIC is. Raises NotFound, and what NetworkService raises."""
    nic = await routing.nic()
    ports = await network_service.find_ports(mac=nic.mac)
    mine = [port for port in ports if _has_address_of(port, nic)]
    if not mine:
        raise NotFound(
            f"no port of this project has the MAC {nic.mac} of {nic.name}",
            remedy="on a Nova instance, give the agent credentials of the instance's own project",
        )
    return mine[0]


def _has_address_of(port: Port, nic: Nic) -> bool:
    addresses = {one.ip for one in nic.addresses}
    return any(fixed.address in addresses for fixed in port.fixed_ips)
