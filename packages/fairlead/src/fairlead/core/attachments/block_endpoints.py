"""Endpoints in mode `routed`: addresses of this node's blocks, routed to a sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fairlead.core.blocks.networks import Networks
from fairlead.core.networks.held import not_given_out
from fairlead.model.errors import AddressInUse, NotFound
from fairlead.model.network import IPAddress
from fairlead.model.records import Claim, JoinedNetwork
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import Dataplane


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Create, attach and delete endpoints. Every call is idempotent by the endpoint's id. Neutron is never called."""

    networks: Networks
    dataplane: Dataplane

    async def create(self, joined_id: str, endpoint_id: str, addresses: tuple[IPAddress, ...], mac: str) -> str:
        """Give an endpoint its addresses; return its MAC, the one asked for or one that follows from the address.

        Raises NotFound (network, or an address that was not given out), AddressInUse.
        """
        joined = self.networks.get(joined_id)
        claims = [self._claim(joined, endpoint_id, address) for address in addresses]
        mac = mac.lower() or mac_of(addresses[0])
        store, now = self.networks.node.store, self.networks.node.clock.now()
        for claim in claims:
            if (claim.endpoint_id, claim.mac) != (endpoint_id, mac):
                store.put(replace(claim, endpoint_id=endpoint_id, mac=mac, since=now))
        return mac

    async def attach(self, joined_id: str, endpoint_id: str) -> tuple[JoinedNetwork, Vif]:
        """Make the endpoint's devices, and route its addresses to it.

        Raises NotFound, DataplaneError.
        """
        joined = self.networks.get(joined_id)
        claims = self._of(endpoint_id)
        addresses = tuple(claim.address for claim in claims)
        gateways = tuple(
            subnet.gateway
            for address in addresses
            if (subnet := joined.subnet(address.version)) and subnet.gateway is not None
        )
        attachment = Vif(
            endpoint_id, "", claims[0].mac, joined.mtu, joined.network_id, addresses=addresses, gateways=gateways
        )
        await self.dataplane.apply(attachment)
        return joined, attachment

    async def delete(self, endpoint_id: str) -> None:
        """Remove the endpoint's devices; its addresses are the engine's to release."""
        await self.dataplane.remove(endpoint_id)
        store, now = self.networks.node.store, self.networks.node.clock.now()
        for claim in store.all(Claim):
            if claim.endpoint_id == endpoint_id:
                store.put(replace(claim, endpoint_id="", mac="", since=now))

    async def describe(self, endpoint_id: str) -> Mapping[str, str]:
        """Tell of an endpoint what `docker network inspect` may show. Raises NotFound."""
        return {"com.docker.network.endpoint.macaddress": self._of(endpoint_id)[0].mac}

    def __contains__(self, endpoint_id: object) -> bool:
        return any(claim.endpoint_id == endpoint_id for claim in self.networks.node.store.all(Claim))

    def _of(self, endpoint_id: str) -> list[Claim]:
        claims = [claim for claim in self.networks.node.store.all(Claim) if claim.endpoint_id == endpoint_id]
        if not claims:
            raise NotFound(
                f"endpoint {endpoint_id[:12]} is not known to Fairlead on this host", remedy="start the container again"
            )
        return sorted(claims, key=lambda claim: claim.address.version)

    def _claim(self, joined: JoinedNetwork, endpoint_id: str, address: IPAddress) -> Claim:
        claim = self.networks.node.store.get(Claim, str(address))
        if claim is None or claim.joined_id != joined.id:
            raise not_given_out(address)
        if claim.endpoint_id not in ("", endpoint_id):
            raise AddressInUse(
                f"address {address} is used by endpoint {claim.endpoint_id[:12]}", remedy="choose another --ip"
            )
        return claim


def mac_of(address: IPAddress) -> str:
    """Return a locally administered MAC (RFC 7042, 2.1) that ends in the address's last four bytes."""
    return (b"\x02\x42" + address.packed[-4:]).hex(":")
