"""libnetwork's NetworkDriver: its words, answered by the engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fairlead.core.warm.networks import NetworkSpec
from fairlead.frontends.docker import wire
from fairlead.frontends.docker.backend import Endpoints, Networks
from fairlead.frontends.docker.options import PORT_MAP, network_options
from fairlead.frontends.text import parse_address, parse_network
from fairlead.model.errors import InvalidInput, UnsupportedRequest
from fairlead.model.records import JoinedNetwork
from fairlead.model.vif import Vif

ADDRESS_SPACES = ("fairlead-local", "fairlead-global")
"""Of our own IPAM driver; a range in another space is another driver's."""


@dataclass(frozen=True, slots=True)
class NetworkDriver:
    """One method for each RPC."""

    networks: Networks
    endpoints: Endpoints

    async def get_capabilities(self, _: wire.Empty) -> dict[str, Any]:
        """Each host makes its own network; what is on it reaches every host."""
        return {"Scope": "local", "ConnectivityScope": "global"}

    async def create_network(self, request: wire.CreateNetwork) -> dict[str, Any]:
        """Create or adopt the Neutron network."""
        ranges = (*(request.ipv4 or ()), *(request.ipv6 or ()))
        if any(one.address_space not in ADDRESS_SPACES for one in ranges):
            raise InvalidInput(
                "a fairlead network needs Fairlead's own address management, or containers on two hosts would get the"
                " same address",
                remedy="add --ipam-driver fairlead",
            )
        options = network_options(request.options)
        await self.networks.join(
            NetworkSpec(
                joined_id=request.network_id,
                ranges=tuple(parse_network(one.pool) for one in ranges),
                reference=options.reference,
                internal=options.internal,
                groups=options.groups,
            )
        )
        return {}

    async def delete_network(self, request: wire.NetworkOnly) -> dict[str, Any]:
        """Leave the Neutron network."""
        await self.networks.leave(request.network_id)
        return {}

    async def create_endpoint(self, request: wire.CreateEndpoint) -> dict[str, Any]:
        """Give the endpoint its port; only what dockerd left open is answered."""
        if (request.options or {}).get(PORT_MAP):
            raise UnsupportedRequest(
                "a container on a fairlead network has an address of its own, so service ports are not published",
                remedy="leave -p out and connect to the container's address",
            )
        interface = request.interface or wire.Interface()
        addresses = tuple(parse_address(text) for text in (interface.address, interface.address_ipv6) if text)
        if not addresses:
            raise InvalidInput("the endpoint has no address", remedy="make the network with --ipam-driver fairlead")
        mac = await self.endpoints.create(request.network_id, request.endpoint_id, addresses, interface.mac_address)
        return {"Interface": {} if interface.mac_address or not mac else {"MacAddress": mac}}

    async def endpoint_oper_info(self, request: wire.Endpoint) -> dict[str, Any]:
        """Say what it is, for `docker network inspect`'s readers."""
        return {"Value": dict(await self.endpoints.describe(request.endpoint_id))}

    async def join(self, request: wire.Join) -> wire.Joined:
        """Wire the endpoint; dockerd moves the device into the sandbox and sets addresses and routes."""
        joined, attachment = await self.endpoints.attach(request.network_id, request.endpoint_id)
        return wire.Joined(
            interface_name=wire.InterfaceName(attachment.sandbox_device, "eth"),
            gateway=_gateway(joined, 4),
            gateway_ipv6=_gateway(joined, 6),
            static_routes=tuple(_static_routes(joined, attachment)),
            # A second NIC on docker_gwbridge would be a way around the port's security groups.
            disable_gateway_service=True,
        )

    async def leave(self, _: wire.Endpoint) -> dict[str, Any]:
        """Nothing yet: dockerd still has to move the device out of the sandbox; DeleteEndpoint follows."""
        return {}

    async def delete_endpoint(self, request: wire.Endpoint) -> dict[str, Any]:
        """Unplug the endpoint."""
        await self.endpoints.delete(request.endpoint_id)
        return {}

    async def no_op(self, _: wire.Empty) -> dict[str, Any]:
        """Answer what needs nothing done: discovery, and external connectivity, which a router gives."""
        return {}


def _static_routes(joined: JoinedNetwork, attachment: Vif) -> Iterator[wire.StaticRoute]:
    """Give the subnets' routes; first, where an address is alone, the ways to the host and by it to the network."""
    for gateway in attachment.gateways:
        yield wire.StaticRoute(f"{gateway}/{gateway.max_prefixlen}", kind=wire.CONNECTED)
        subnet = joined.subnet(gateway.version)
        if joined.internal and subnet:
            yield wire.StaticRoute(str(subnet.cidr), str(gateway))
    for subnet in joined.subnets:
        for route in subnet.routes:
            yield wire.StaticRoute(str(route.destination), str(route.nexthop))


def _gateway(joined: JoinedNetwork, version: int) -> str:
    subnet = joined.subnet(version)
    return str(subnet.gateway) if subnet and subnet.gateway and not joined.internal else ""
