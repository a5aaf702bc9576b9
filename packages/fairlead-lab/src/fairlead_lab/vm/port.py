"""The port of a virtual machine, bound to a host as Nova does it, and what the machine must know of it."""

import uuid
from ipaddress import ip_address, ip_interface, ip_network

from fairlead.model.errors import LabError
from fairlead_lab.instances import Api, Nic


def bind(admin: Api, port: str, host: str) -> Nic:
    """Bind a user's port to a host, as the administrator; raises LabError."""
    device = str(uuid.uuid5(uuid.NAMESPACE_DNS, port))
    wanted = {"binding:host_id": host, "device_owner": "compute:nova", "device_id": device}
    bound = admin.put(f"ports/{port}", {"port": wanted})["port"]
    if bound["binding:vif_type"] == "binding_failed":
        raise LabError(f"Neutron could not bind port {port} to {host}", remedy="see `fairlead lab logs neutron`")
    (network,) = admin.all("networks", id=bound["network_id"])
    subnets = {subnet["id"]: subnet for subnet in admin.all("subnets", network_id=network["id"])}
    addresses, gateways = [], []
    for fixed in bound["fixed_ips"]:
        subnet = subnets[fixed["subnet_id"]]
        addresses.append(ip_interface(f"{fixed['ip_address']}/{ip_network(subnet['cidr']).prefixlen}"))
        if subnet["gateway_ip"]:
            gateways.append(ip_address(subnet["gateway_ip"]))
    return Nic(port, device, bound["mac_address"], network["mtu"], tuple(addresses), tuple(gateways))


def release(admin: Api, port: str) -> None:
    """Take the binding back, as when a machine is deleted; a port that is gone is no error."""
    if admin.all("ports", id=port):
        admin.put(f"ports/{port}", {"port": {"binding:host_id": "", "device_owner": "", "device_id": ""}})
