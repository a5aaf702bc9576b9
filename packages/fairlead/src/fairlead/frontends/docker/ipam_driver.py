"""libnetwork's IpamDriver: its words, answered by the core."""

from dataclasses import dataclass
from typing import Any

from fairlead.core.attachments.contract import Attachments
from fairlead.frontends.docker import wire
from fairlead.frontends.docker.network_driver import ADDRESS_SPACES
from fairlead.frontends.docker.options import GATEWAY, REQUEST_TYPE, pool_reference
from fairlead.frontends.docker.pools import AddressPools
from fairlead.frontends.docker.records import AddressPool
from fairlead.frontends.text import parse_address, parse_network
from fairlead.model.attachment import AddressRequest
from fairlead.model.errors import InvalidInput
from fairlead.model.network import IPAddress


@dataclass(frozen=True, slots=True)
class IpamDriver:
    """One method for each RPC."""

    pools: AddressPools
    attachments: Attachments

    async def get_capabilities(self, _: wire.Empty) -> dict[str, Any]:
        """Ask for no MAC (the port has one) and no replay (the node's store remembers)."""
        return {"RequiresMACAddress": False, "RequiresRequestReplay": False}

    async def get_default_address_spaces(self, _: wire.Empty) -> dict[str, Any]:
        """Name our own, so that another driver's ranges are known by theirs."""
        local, everywhere = ADDRESS_SPACES
        return {"LocalDefaultAddressSpace": local, "GlobalDefaultAddressSpace": everywhere}

    async def request_pool(self, request: wire.RequestPool) -> dict[str, Any]:
        """Find the range."""
        cidr = parse_network(request.pool) if request.pool else None
        version = 6 if request.v6 else 4
        if cidr and cidr.version != version:
            raise InvalidInput(f"{cidr} is not an IPv{version} range", remedy="add --ipv6 for an IPv6 --subnet")
        part = parse_network(request.sub_pool) if request.sub_pool else None
        pool = await self.pools.request(cidr, pool_reference(request.options), version, part)
        data = {GATEWAY: _with_prefix(pool.gateway, pool)} if pool.subnet_id else {}
        return {"PoolID": pool.id, "Pool": str(pool.cidr), "Data": data}

    async def release_pool(self, request: wire.ReleasePool) -> dict[str, Any]:
        """Forget the range."""
        self.pools.release(request.pool_id)
        return {}

    async def request_address(self, request: wire.RequestAddress) -> dict[str, Any]:
        """Give out an address, or note the gateway's and the auxiliary ones."""
        pool = self.pools.get(request.pool_id)
        address = parse_address(request.address) if request.address else None
        if (request.options or {}).get(REQUEST_TYPE) == GATEWAY:
            return {"Address": _with_prefix(self.pools.gateway(pool.id, address), pool)}
        if address is not None and not pool.joined_id:
            # Before its network is made, only auxiliary addresses are asked of a pool.
            await self.pools.reserve(pool.id, address)
            return {"Address": _with_prefix(address, pool)}
        joined = self.pools.joined(pool)
        return {"Address": str(await self.attachments.reserve(joined.id, AddressRequest(pool.cidr.version, address)))}

    async def release_address(self, request: wire.ReleaseAddress) -> dict[str, Any]:
        """Take an address back."""
        address, pool = parse_address(request.address), self.pools.find(request.pool_id)
        if pool:
            await self.attachments.release(pool.joined_id, address)
        return {}


def _with_prefix(address: IPAddress | None, pool: AddressPool) -> str:
    """Write an address in CIDR form. The unspecified one stands for a gateway that the subnet does not have."""
    if address is None:
        return "0.0.0.0/0" if pool.cidr.version == 4 else "::/0"
    return f"{address}/{pool.cidr.prefixlen}"
