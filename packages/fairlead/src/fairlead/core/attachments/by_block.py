"""Attachments with addresses of this node's blocks, routed to a sandbox. Neutron is never called for one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from fairlead.core.blocks.addresses import BlockAddresses
from fairlead.core.networks.held import not_reserved
from fairlead.core.networks.macs import mac_of
from fairlead.model.attachment import Assigned, AttachmentKey
from fairlead.model.errors import AddressInUse, NotFound
from fairlead.model.network import IPAddress
from fairlead.model.records import JoinedNetwork, JoinedSubnet, ReservedAddress
from fairlead.model.vif import Vif
from fairlead.ports.clock import Clock
from fairlead.ports.dataplane import Dataplane
from fairlead.ports.store import LeaseStore


@dataclass(frozen=True, slots=True)
class BlockAddressing:
    """Give addresses of blocks to attachments (`Addressing`).

    guarded returns when the packet filter knows a network, by the door's id.
    """

    addresses: BlockAddresses
    store: LeaseStore
    clock: Clock
    dataplane: Dataplane
    guarded: Callable[[str], Awaitable[None]]
    alone: bool = True

    async def reserve(self, joined: JoinedNetwork, subnet: JoinedSubnet, address: IPAddress | None) -> IPAddress:
        """Give out the address that is asked for, or the next free one of this node's blocks."""
        return await self.addresses.reserve(joined.id, subnet.cidr.version, address)

    async def release(self, joined_id: str, address: IPAddress) -> None:
        """Take an address back."""
        self.addresses.release(joined_id, address)

    async def assign(
        self, joined: JoinedNetwork, key: AttachmentKey, addresses: tuple[IPAddress, ...], mac: str
    ) -> Assigned:
        """Give an attachment its addresses; its MAC is the one that is asked for, or follows from the first of them.

        Raises NotFound (an address that was not reserved), AddressInUse.
        """
        reserved = [self._reserved(joined, key, address) for address in addresses]
        mac = mac.lower() or mac_of(addresses[0])
        for one in reserved:
            given = replace(one, owner=key.owner, interface=key.interface, mac=mac, leaving=False)
            if given != one:
                self.store.put(replace(given, since=self.clock.now()))
        return Assigned("", mac, addresses)

    def assigned(self, key: AttachmentKey) -> Assigned | None:
        """Return what an attachment has."""
        given = self._of(key)
        return Assigned("", given[0].mac, tuple(one.address for one in given)) if given else None

    async def plug(self, joined: JoinedNetwork, key: AttachmentKey) -> Vif:
        """Make the attachment's devices, behind the packet filter, and route its addresses to it.

        Raises NotFound, DataplaneError.
        """
        vif = self.vif(joined, key)
        await self.guarded(joined.id)
        await self.dataplane.apply(vif)
        return vif

    def vif(self, joined: JoinedNetwork, key: AttachmentKey) -> Vif:
        """Return what the data plane knows an attachment by. Raises NotFound."""
        given = self._of(key)
        if not given:
            raise NotFound(f"attachment {key.owner[:12]} went while it was made", remedy="start the container again")
        addresses = tuple(one.address for one in given)
        gateways = tuple(
            subnet.gateway
            for address in addresses
            if (subnet := joined.subnet(address.version)) and subnet.gateway is not None
        )
        return Vif(key.owner, "", given[0].mac, joined.mtu, joined.network_id, addresses=addresses, gateways=gateways)

    async def unplug(self, key: AttachmentKey, *, at_once: bool) -> None:  # noqa: ARG002
        """Remove the attachment's devices, always at once."""
        await self.addresses.vacate(key.owner, key.interface)

    def keys(self, joined_id: str) -> list[AttachmentKey]:
        """List a network's attachments."""
        attached = [one for one in self.store.all(ReservedAddress) if one.joined_id == joined_id and one.owner]
        return list(dict.fromkeys(AttachmentKey(one.owner, joined_id, one.interface) for one in attached))

    def __contains__(self, owner: object) -> bool:
        return any(one.owner == owner for one in self.store.all(ReservedAddress))

    def _of(self, key: AttachmentKey) -> list[ReservedAddress]:
        given = [
            one for one in self.store.all(ReservedAddress) if (one.owner, one.interface) == (key.owner, key.interface)
        ]
        return sorted(given, key=lambda one: one.address.version)

    def _reserved(self, joined: JoinedNetwork, key: AttachmentKey, address: IPAddress) -> ReservedAddress:
        one = self.store.get(ReservedAddress, str(address))
        if one is None or one.joined_id != joined.id:
            raise not_reserved(address)
        if one.owner and (one.owner, one.interface) != (key.owner, key.interface):
            raise AddressInUse(
                f"address {address} is used by attachment {one.owner[:12]}",
                remedy="choose another address",
                code="address-attached",
                details={"address": address, "owner": one.owner[:12]},
            )
        return one
