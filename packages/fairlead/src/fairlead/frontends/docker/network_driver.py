"""libnetwork's NetworkDriver: its words, answered by the core."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fairlead.core.attachments.contract import Attachments, Networks
from fairlead.core.networks.spec import NetworkSpec
from fairlead.frontends.docker import wire
from fairlead.frontends.docker.options import PORT_MAP, network_options
from fairlead.frontends.docker.pools import AddressPools, range_of
from fairlead.frontends.text import parse_address, parse_mac, parse_network
from fairlead.model.attachment import AttachmentKey, AttachmentRequest
from fairlead.model.errors import InvalidInput, StoreError, UnsupportedRequest
from fairlead.model.records import Step
from fairlead.model.sandbox import SandboxConfig, SandboxRoute

ADDRESS_SPACES = ("fairlead-local", "fairlead-global")
"""Of our own IPAM driver; a range in another space is another driver's."""


@dataclass(frozen=True, slots=True)
class NetworkDriver:
    """One method for each RPC."""

    networks: Networks
    attachments: Attachments
    pools: AddressPools

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
        known, cidrs = self.networks.find(request.network_id), [parse_network(one.pool) for one in ranges]
        if known and known.step is Step.HELD:
            # Asked again, perhaps before its pools were noted. A memory that was rebuilt does not know them yet.
            with suppress(InvalidInput):
                self.pools.note(known, self.pools.take(known.id, cidrs, options.reference))
            return {}
        pools = self.pools.take(request.network_id, cidrs, options.reference)
        joined = await self.networks.join(
            NetworkSpec(
                id=request.network_id,
                ranges=tuple(map(range_of, pools)),
                reference=options.reference if str(options.reference) else pools[0].reference,
                internal=options.internal,
                groups=options.groups,
            )
        )
        try:
            self.pools.note(joined, pools)
        except StoreError:
            await self.networks.leave(joined.id)
            raise
        return {}

    async def delete_network(self, request: wire.NetworkOnly) -> dict[str, Any]:
        """Leave the Neutron network."""
        await self.networks.leave(request.network_id)
        self.pools.forget(request.network_id)
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
        wanted = AttachmentRequest(addresses, parse_mac(interface.mac_address))
        assigned = await self.attachments.prepare(_key(request), wanted)
        return {"Interface": {} if wanted.mac or not assigned.mac else {"MacAddress": assigned.mac}}

    async def endpoint_oper_info(self, request: wire.Endpoint) -> dict[str, Any]:
        """Say what it is, for `docker network inspect`'s readers."""
        assigned = self.attachments.describe(_key(request))
        port = {"neutron.port.uuid": assigned.port_id} if assigned.port_id else {}
        return {"Value": {**port, "com.docker.network.endpoint.macaddress": assigned.mac}}

    async def join(self, request: wire.Join) -> wire.Joined:
        """Wire the endpoint; dockerd moves the device into the sandbox and sets addresses and routes."""
        config = (await self.attachments.attach(_key(request))).config
        return wire.Joined(
            interface_name=wire.InterfaceName(config.device, "eth"),
            gateway=_gateway(config, 4),
            gateway_ipv6=_gateway(config, 6),
            static_routes=tuple(_static_route(route) for route in config.routes if not route.is_default),
            # A second NIC on docker_gwbridge would be a way around the port's security groups.
            disable_gateway_service=True,
        )

    async def leave(self, _: wire.Endpoint) -> dict[str, Any]:
        """Nothing yet: dockerd still has to move the device out of the sandbox; DeleteEndpoint follows."""
        return {}

    async def delete_endpoint(self, request: wire.Endpoint) -> dict[str, Any]:
        """Unplug the endpoint."""
        await self.attachments.detach(_key(request), by_runtime=True)
        return {}

    async def no_op(self, _: wire.Empty) -> dict[str, Any]:
        """Answer what needs nothing done: discovery, and external connectivity, which a router gives."""
        return {}


def _key(request: wire.CreateEndpoint | wire.Endpoint | wire.Join) -> AttachmentKey:
    return AttachmentKey(request.endpoint_id, request.network_id)


def _static_route(route: SandboxRoute) -> wire.StaticRoute:
    if route.via is None:
        return wire.StaticRoute(str(route.destination), kind=wire.CONNECTED)
    return wire.StaticRoute(str(route.destination), str(route.via))


def _gateway(config: SandboxConfig, version: int) -> str:
    return next((str(one.via) for one in config.routes if one.is_default and one.destination.version == version), "")
