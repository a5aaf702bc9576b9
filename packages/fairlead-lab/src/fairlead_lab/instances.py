"""What instances have in Neutron, found or made: networks, a router with a way out, and a port each."""

import asyncio
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address
from typing import Any, Protocol

from fairlead.model.errors import LabError
from fairlead_lab.spec import (
    EXTERNAL_POOL,
    FABRIC_ADDRESS,
    PHYSICAL_NETWORK,
    UNDERLAY,
    InstanceNetwork,
    Placement,
)

ROUTER = "instances"
EXTERNAL = "external"
_PATIENCE = 20.0


class Api(Protocol):
    """Neutron as one user; see `fairlead_lab.neutron.Neutron`."""

    def all(self, kind: str, **filters: str) -> list[dict[str, Any]]: ...  # noqa: D102

    def add(self, kind: str, attributes: Mapping[str, Any]) -> dict[str, Any]: ...  # noqa: D102

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Nic:
    """An instance's port, as its host and the instance must know it.

    mtu: in bytes; addresses: with the prefix of their subnet; gateways: of both families.
    """

    port: str
    device: str
    mac: str
    mtu: int
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    gateways: tuple[IPv4Address | IPv6Address, ...]

    @property
    def tap(self) -> str:
        """The name of its device on the host, chosen as Nova does."""
        return f"tap{self.port[:11]}"


class InstanceCloud:
    """Makes for the user `demo` what instances need, as Nova and a user would, and leaves what is there as it is.

    What only the administrator may do is done as `admin`: the external network, and binding a port to a host. All
    methods raise LabError.
    """

    def __init__(self, lab: str, demo: Api, admin: Api) -> None:
        self._lab = lab
        self._demo = demo
        self._admin = admin

    async def await_hosts(self, hosts: Iterable[str]) -> None:
        """Wait until Neutron knows the hosts: a port bound to one that it doesn't know stays without a binding."""
        limit = time.monotonic() + _PATIENCE
        missing = set(hosts)
        while missing:
            found = await asyncio.to_thread(self._admin.all, "agents")
            missing -= {agent["host"] for agent in found if agent["alive"]}
            if missing and time.monotonic() > limit:
                raise LabError(
                    f"Neutron does not see {', '.join(sorted(missing))} after {_PATIENCE:.0f} s",
                    remedy="see `fairlead lab logs` of ovn-controller and neutron",
                )
            await asyncio.sleep(0.1 if missing else 0)

    async def make_external(self) -> None:
        """Make the external network: the underlay itself, with addresses for routers."""
        network = await self._ensure(
            self._admin,
            "networks",
            {"name": EXTERNAL},
            {
                "router:external": True,
                "provider:network_type": "flat",
                "provider:physical_network": PHYSICAL_NETWORK,
            },
        )
        first, last = EXTERNAL_POOL
        await self._ensure(
            self._admin,
            "subnets",
            {"name": EXTERNAL, "network_id": network["id"]},
            {
                "ip_version": 4,
                "cidr": str(UNDERLAY),
                "gateway_ip": str(FABRIC_ADDRESS),
                "allocation_pools": [{"start": str(first), "end": str(last)}],
                "enable_dhcp": False,
            },
        )

    async def make_network(self, wanted: InstanceNetwork) -> None:
        """Make a network of the user's with a subnet of each family."""
        network = await self._ensure(self._demo, "networks", {"name": wanted.name}, {})
        await self._make_subnet(wanted.name, network["id"], wanted.ipv4)
        await self._make_subnet(f"{wanted.name}-6", network["id"], wanted.ipv6)

    async def _make_subnet(self, name: str, network: str, cidr: IPv4Network | IPv6Network) -> None:
        key = {"name": name, "network_id": network}
        # Neutron's choice for IPv6, the first address, is one that every router on the link has (RFC 4291, 2.6.1).
        attributes = {"ip_version": cidr.version, "cidr": str(cidr), "gateway_ip": str(cidr[1])}
        await self._ensure(self._demo, "subnets", key, attributes)

    async def make_router(self, networks: Iterable[InstanceNetwork]) -> None:
        """Join the networks by a router, which translates the addresses of what leaves them.

        The gateway comes last: with one, each interface would take Neutron half as long again.
        """
        router = await self._ensure(self._demo, "routers", {"name": ROUTER}, {})
        path = f"routers/{router['id']}"
        ports = await asyncio.to_thread(self._demo.all, "ports", device_id=router["id"])
        joined = {address["subnet_id"] for port in ports for address in port["fixed_ips"]}
        for wanted in networks:
            network = await self._one(self._demo, "networks", name=wanted.name)
            for subnet in sorted(set(network["subnets"]) - joined):
                await asyncio.to_thread(self._demo.put, f"{path}/add_router_interface", {"subnet_id": subnet})
        if not router.get("external_gateway_info"):
            external = await self._one(self._demo, "networks", name=EXTERNAL)
            gateway = {"router": {"external_gateway_info": {"network_id": external["id"]}}}
            await asyncio.to_thread(self._demo.put, path, gateway)

    async def make_port(self, placement: Placement) -> Nic:
        """Make an instance's port as the user, and bind it to its host as the administrator: so does Nova."""
        network = await self._one(self._demo, "networks", name=placement.network.name)
        subnets = await asyncio.to_thread(self._demo.all, "subnets", network_id=network["id"])
        by_family = {subnet["ip_version"]: subnet for subnet in subnets}
        device = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{placement.name}.{self._lab}"))
        port = await self._ensure(
            self._demo,
            "ports",
            {"device_id": device},
            {
                "name": placement.name,
                "network_id": network["id"],
                "device_owner": "compute:nova",
                "fixed_ips": [
                    {"subnet_id": by_family[address.version]["id"], "ip_address": str(address.ip)}
                    for address in (placement.ipv4, placement.ipv6)
                ],
            },
        )
        await self._bind(placement, port["id"])
        gateways = tuple(ip_address(by_family[version]["gateway_ip"]) for version in (4, 6))
        addresses = (placement.ipv4, placement.ipv6)
        return Nic(port["id"], device, port["mac_address"], network["mtu"], addresses, gateways)

    async def _bind(self, placement: Placement, port: str) -> None:
        bound = await self._one(self._admin, "ports", id=port)
        if bound["binding:host_id"] != placement.host or bound["binding:vif_type"] == "binding_failed":
            wanted = {"port": {"binding:host_id": placement.host}}
            bound = (await asyncio.to_thread(self._admin.put, f"ports/{port}", wanted))["port"]
        if bound["binding:vif_type"] == "binding_failed":
            raise LabError(
                f"Neutron could not bind the port of {placement.name} to {placement.host}",
                remedy="see `fairlead lab logs neutron`",
            )

    async def _ensure(
        self, user: Api, kind: str, key: Mapping[str, str], attributes: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Find the one resource with the attributes of the key, or make it with these and the others."""
        found = await asyncio.to_thread(user.all, kind, **key)
        return found[0] if found else await asyncio.to_thread(user.add, kind, {**key, **attributes})

    async def _one(self, user: Api, kind: str, **filters: str) -> dict[str, Any]:
        found = await asyncio.to_thread(user.all, kind, **filters)
        if not found:
            raise LabError(f"Neutron has none of the {kind} with {filters}", remedy="someone deleted it: down, then up")
        return found[0]
