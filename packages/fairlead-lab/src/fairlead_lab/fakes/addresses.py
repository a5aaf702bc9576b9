"""Allocation pools and addresses, by Neutron's rules."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

from fairlead.model.network import AddressRange, IPAddress, IPNetwork
from fairlead_lab.fakes.refusal import Refusal, invalid


def read_network(text: Any) -> IPNetwork:
    """Read a subnet's cidr: host bits are dropped, and it is not everything."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise invalid(f"'{text}' is not a subnet") from None
    if network.prefixlen == 0:
        raise invalid("0 is not allowed as CIDR prefix length")
    return network


def read_address(text: Any, what: str) -> IPAddress:
    """Read an address of a request."""
    try:
        return ip_address(text)
    except ValueError:
        raise Refusal(400, "HTTPBadRequest", f"Invalid input for {what}. Reason: '{text}' is no address.") from None


def usable(network: IPNetwork) -> AddressRange:
    """Give the addresses that ports may have: not the network's own, and for IPv4 not the broadcast."""
    first, last = network.network_address, network.broadcast_address
    if network.version == 4 and network.prefixlen <= 30:
        return AddressRange(first + 1, last - 1)
    if network.version == 6 and network.prefixlen < 128:
        return AddressRange(first + 1, last)
    return AddressRange(first, last)


def check_gateway(network: IPNetwork, gateway: IPAddress) -> None:
    """Refuse a gateway that is the subnet's own or broadcast address; one outside it is fine."""
    if network.version == 4 and gateway in {network.network_address, network.broadcast_address}:
        raise invalid("Gateway is not valid on subnet")


def default_pools(network: IPNetwork, gateway: IPAddress | None) -> list[AddressRange]:
    """Give every usable address but the gateway."""
    whole = usable(network)
    if gateway is None or gateway not in whole or whole.first == whole.last:
        return [whole]
    pools = []
    if gateway != whole.first:
        pools.append(AddressRange(whole.first, gateway - 1))
    if gateway != whole.last:
        pools.append(AddressRange(gateway + 1, whole.last))
    return pools


def read_pools(wanted: Iterable[dict[str, str]], network: IPNetwork, gateway: IPAddress | None) -> list[AddressRange]:
    """Read a request's allocation pools: within the subnet, apart from each other and from the gateway."""
    whole = usable(network)
    pools: list[AddressRange] = []
    for item in wanted:
        pool = AddressRange(
            read_address(item["start"], "allocation_pools"), read_address(item["end"], "allocation_pools")
        )
        name = f"{pool.first}-{pool.last}"
        if {pool.first.version, pool.last.version} != {network.version} or pool.last not in pool:
            raise Refusal(400, "InvalidAllocationPool", f"The allocation pool {name} is not valid.")
        if pool.first not in whole or pool.last not in whole:
            raise Refusal(400, "OutOfBoundsAllocationPool", f"The allocation pool {name} spans beyond {network}.")
        if any(pool.first in other or other.first in pool for other in pools):
            raise Refusal(409, "OverlappingAllocationPools", f"Found overlapping allocation pools: {name}.")
        if gateway is not None and gateway in pool:
            raise Refusal(
                409,
                "GatewayConflictWithAllocationPools",
                f"Gateway ip {gateway} conflicts with allocation pool {name}.",
            )
        pools.append(pool)
    return pools


def belongs(address: IPAddress, network: IPNetwork) -> bool:
    """Say whether a port may have this address of the subnet; its pools do not matter."""
    if address not in network:
        return False
    return network.version == 6 or address not in {network.network_address, network.broadcast_address}


def pools_of(subnet: dict[str, Any]) -> list[AddressRange]:
    """Read the allocation pools of a subnet that there is."""
    return [AddressRange(ip_address(pool["start"]), ip_address(pool["end"])) for pool in subnet["allocation_pools"]]
