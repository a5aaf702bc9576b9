"""What a sandbox is to have, as it follows from its network."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network

from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.records import JoinedNetwork
from fairlead.model.sandbox import IPInterface, SandboxConfig, SandboxRoute
from fairlead.model.vif import Vif

_EVERYWHERE: dict[int, IPNetwork] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}


def sandbox_config(joined: JoinedNetwork, vif: Vif, addresses: tuple[IPAddress, ...]) -> SandboxConfig:
    """Return the config. Where the host itself is the gateway (mode `routed`), addresses stand alone on their link."""
    alone = bool(vif.addresses)
    return SandboxConfig(
        device=vif.sandbox_device,
        mac=vif.mac,
        mtu=vif.mtu,
        addresses=tuple(on_link(joined, address, alone=alone) for address in addresses),
        routes=tuple(_routes(joined, vif)),
    )


def on_link(joined: JoinedNetwork, address: IPAddress, *, alone: bool) -> IPInterface:
    """Return an address with the prefix length that its link has."""
    subnet = None if alone else joined.subnet(address.version)
    return ip_interface(f"{address}/{subnet.cidr.prefixlen if subnet else address.max_prefixlen}")


def _routes(joined: JoinedNetwork, vif: Vif) -> Iterator[SandboxRoute]:
    for gateway in vif.gateways:
        yield SandboxRoute(ip_network(gateway))
        subnet = joined.subnet(gateway.version)
        if joined.internal and subnet:
            yield SandboxRoute(subnet.cidr, gateway)
    for subnet in joined.subnets:
        for route in subnet.routes:
            yield SandboxRoute(route.destination, route.nexthop)
    for subnet in joined.subnets:
        if subnet.gateway and not joined.internal:
            yield SandboxRoute(_EVERYWHERE[subnet.cidr.version], subnet.gateway)
