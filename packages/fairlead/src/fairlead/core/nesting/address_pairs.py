"""Nesting in mode `ipvlan`: containers on the node's own network, by address pairs on the node's own port.

A container's port reserves its address and is never plugged. Its devices have the NIC's MAC, since Neutron's OVN driver
lets no other through: so the pairs have addresses only. See ADR 8.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

import structlog

from fairlead.core.nesting.nesting import Nested, nic_is_on
from fairlead.core.nesting.own_port import find_own_port
from fairlead.model.errors import Conflict, NotFound, UnsupportedRequest
from fairlead.model.network import AddressPair, IPAddress, IPNetwork, Network, Port, PortChange
from fairlead.model.records import Allocation
from fairlead.ports.network_service import NetworkService
from fairlead.ports.routing import Routing

log = structlog.get_logger(__name__)

_ATTEMPTS = 5
"""How often a port that changes under our hands is looked at again."""


@dataclass(slots=True)
class PairNesting:
    """Pairs that are a container's address and no more are Fairlead's; all others on the port are left alone.

    port_lock: of whoever changes that port's pairs: leases (`core.blocks`) may live on the same port.
    """

    network_service: NetworkService
    routing: Routing
    port_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    at_creation: bool = False
    _own: str = ""

    async def admit(self, network: Network | None, groups: Sequence[str]) -> None:
        """Take the network of the node's own port, without groups of its own, and no other."""
        own = await self.port()
        if network is None or network.id != own.network_id:
            raise UnsupportedRequest(
                f"in mode ipvlan containers are on the node's own network {own.network_id},"
                f" not on {'a new one' if network is None else network.name or network.id}",
                remedy="name that network, or choose another agent.mode",
                code="network-not-the-nodes",
                details={"network": own.network_id},
            )
        if groups:
            raise UnsupportedRequest(
                "in mode ipvlan the node's own security groups are its containers' too",
                remedy=f"leave the option out, and set groups of port {own.id}",
            )

    async def nest(self, ports: Sequence[Port]) -> Mapping[str, Nested]:
        """Pair the ports' addresses with the node's port, in one request."""
        addresses = [one.address for port in ports for one in port.fixed_ips if one.address is not None]
        await self._change(add=addresses)
        return {port.id: Nested(mac="") for port in ports}

    async def unnest(self, allocations: Sequence[Allocation]) -> None:
        """Take the addresses' pairs off the node's port."""
        try:
            await self._change(remove=[address for one in allocations for address in one.addresses])
        except NotFound:
            return

    async def nested(self, ports: Sequence[Port]) -> Mapping[str, Nested]:
        """Those of which all addresses are paired."""
        paired = {pair.cidr for pair in (await self.port()).address_pairs}
        return {
            port.id: Nested(mac="")
            for port in ports
            if all(ip_network(one.address) in paired for one in port.fixed_ips if one.address is not None)
        }

    async def move(self, before: Allocation, port: Port) -> None:
        """Pair the new addresses in the old ones' place."""
        now = [one.address for one in port.fixed_ips if one.address is not None]
        await self._change(add=now, remove=[address for address in before.addresses if address not in now])

    async def is_on(self, cidr: IPNetwork) -> bool:
        """Say whether the NIC is on a range."""
        return await nic_is_on(self.routing, cidr)

    async def port(self) -> Port:
        """Return the node's own port as it is now.

        Raises NotFound, UnsupportedRequest where it has no port security, and what NetworkService raises.
        """
        found = await self.network_service.find_ports(port_id=self._own) if self._own else []
        port = found[0] if found else await find_own_port(self.network_service, self.routing)
        self._own = port.id
        if not port.port_security:
            # Without it there are no pairs, and OVN sends what a router has for a container to the port that reserves
            # its address, which is plugged nowhere.
            raise UnsupportedRequest(
                f"this node's port {port.id} has no port security, so it can't have address pairs",
                remedy=f"`openstack port set --enable-port-security {port.id}`, or choose another agent.mode",
            )
        return port

    async def _change(self, *, add: Collection[IPAddress] = (), remove: Collection[IPAddress] = ()) -> None:
        going, lost = {ip_network(address) for address in remove}, False
        async with self.port_lock:
            for _ in range(_ATTEMPTS):
                port = await self.port()
                kept = tuple(pair for pair in port.address_pairs if pair.mac or pair.cidr not in going)
                have = {pair.cidr for pair in kept if not pair.mac}
                # Written without a prefix length: so OVN knows whose address it is, and a router finds it.
                new = [AddressPair(ip_network(one), written=str(one)) for one in add if ip_network(one) not in have]
                if not new and len(kept) == len(port.address_pairs) and not lost:
                    return
                try:
                    # In a request of its own, as NetworkService.update_port says.
                    change = PortChange(address_pairs=(*kept, *new))
                    await self.network_service.update_port(port.id, change, revision=port.revision)
                except Conflict:
                    lost = True  # OVN may have either list now, whichever Neutron shows: it is sent again
                    continue
                return
        raise Conflict("this node's port changes all the time", remedy="see who else changes it")
