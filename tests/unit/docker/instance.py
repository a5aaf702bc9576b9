"""A Docker host that is a Nova instance: its NIC is a port of the fake cloud's."""

from collections.abc import Callable
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any

import msgspec

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.core.nesting.nesting import Nesting
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.network import FixedIP, NewNetwork, NewPort, NewSubnet, Port
from fairlead.ports.routing import Nic
from fairlead_lab.fakes import FakeCloud
from tests.ports import create_port
from tests.unit.blocks.nodes import Kernel
from tests.unit.docker.dockerd import NO_POOL, HandClock, Host

CIDR, CIDR6 = "10.30.0.0/24", "fd00:30::/64"

MakeBinding = Callable[[NeutronService, Kernel, HandClock], Nesting]


async def boot(
    cloud: FakeCloud, folder: Path, make: MakeBinding, *, limits: PoolLimits = NO_POOL, trunk: bool = False
) -> tuple[Host, Port]:
    """Make an instance on a network of its own, with a trunk or without, and return its host, started, and its port."""
    member = cloud.credentials("member")
    async with NeutronService(member) as neutron:
        network = await neutron.create_network(NewNetwork("instances"))
        subnets = [
            await neutron.create_subnet(NewSubnet(network.id, cidr, cidr[1]))
            for cidr in (ip_network(CIDR), ip_network(CIDR6))
        ]
        port = await create_port(
            neutron,
            NewPort(network.id, tuple(FixedIP(one.id) for one in subnets), "i1", device_owner="compute:nova"),
        )
    cloud.store.resources["ports"][port.id]["status"] = "ACTIVE"
    if trunk:
        async with NeutronClient(member) as client:
            await client.call("POST", "/trunks", body=msgspec.json.encode({"trunk": {"port_id": port.id}}))
    addresses = tuple(ip_interface(f"{fixed.address}/{24 if n == 0 else 64}") for n, fixed in enumerate(port.fixed_ips))
    kernel = Kernel(Nic("eth0", port.mac, 1442, addresses))
    host = Host("i1", member, folder, limits, lambda neutron, clock: make(neutron, kernel, clock))
    await host.start()
    return host, port


def sub_ports(cloud: FakeCloud) -> dict[str, int]:
    """VLAN ids by port, of the only trunk."""
    (trunk,) = cloud.store.resources["trunks"].values()
    return {one["port_id"]: one["segmentation_id"] for one in trunk["sub_ports"]}


def pairs(cloud: FakeCloud, port: Port) -> dict[str, str]:
    """MACs by address as it is written, of a port's pairs."""
    written: list[dict[str, Any]] = cloud.store.resources["ports"][port.id]["allowed_address_pairs"]
    return {one["ip_address"]: one["mac_address"] for one in written}


def container_ports(cloud: FakeCloud) -> dict[str, dict[str, Any]]:
    """The ports that Fairlead made."""
    return {key: port for key, port in cloud.store.resources["ports"].items() if "fairlead" in port["tags"]}
