"""An attachment: a port, the VIF that carries it on this host, and the sandbox it serves."""

from dataclasses import dataclass, field

from fairlead.model.network import IPAddress, VifDetails


@dataclass(frozen=True, slots=True)
class Vif:
    """All that the data plane needs to wire one attachment.

    id: the port's id, or what else tells it from others on this host (11 characters or more, fit for device names).
    mtu in bytes, 0: leave the kernel's default. mac is empty where the device has the NIC's. vlan: the id by which the
    node's trunk carries the port, 0 where none does. addresses and gateways (mode `routed`): what the host routes to
    the sandbox, and the addresses by which the sandbox reaches the host. vif_type: Neutron's word for how the port is
    to be plugged (`binding:vif_type`), empty where these credentials can't see it.
    """

    id: str
    port_id: str
    mac: str
    mtu: int
    network_id: str = ""
    addresses: tuple[IPAddress, ...] = ()
    gateways: tuple[IPAddress, ...] = ()
    vlan: int = 0
    vif_type: str = ""
    vif_details: VifDetails = field(default_factory=VifDetails)

    @property
    def host_device(self) -> str:
        """Name of the VIF, the end that stays on the host (at most 15 bytes: IFNAMSIZ)."""
        return f"flh{self.id[:11]}"

    @property
    def sandbox_device(self) -> str:
        """Name of the end that moves into the sandbox, as long as it is on the host."""
        return f"flc{self.id[:11]}"
