"""Attachments by their keys: the frame, alike wherever addresses come from."""

from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass
from typing import Protocol

import structlog

from fairlead.core.attachments.sandbox_config import on_link, sandbox_config
from fairlead.core.networks.memberships import Memberships
from fairlead.model.attachment import AddressRequest, Assigned, Attached, AttachmentKey, AttachmentRequest
from fairlead.model.errors import AddressInUse, FairleadError, InvalidInput, NotFound
from fairlead.model.network import IPAddress
from fairlead.model.records import JoinedNetwork, JoinedSubnet
from fairlead.model.sandbox import IPInterface
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import Dataplane
from fairlead.ports.sandbox import Sandboxes

log = structlog.get_logger(__name__)


class Addressing(Protocol):
    """Where the addresses of attachments come from: a port for each of them, or this node's blocks.

    alone: an address has its link for itself, with the host as its only neighbour.
    """

    @property
    def alone(self) -> bool:
        """Whether an address has its link for itself."""
        ...

    async def reserve(self, joined: JoinedNetwork, subnet: JoinedSubnet, address: IPAddress | None) -> IPAddress:
        """Give out the address that is asked for, or any of the subnet's; it is within the subnet's range."""
        ...

    async def release(self, joined_id: str, address: IPAddress) -> None:
        """Take an address back; one that an attachment has stays."""
        ...

    async def assign(
        self, joined: JoinedNetwork, key: AttachmentKey, addresses: tuple[IPAddress, ...], mac: str
    ) -> Assigned:
        """Give reserved addresses to an attachment, which keeps them if it has them. mac empty: any."""
        ...

    def assigned(self, key: AttachmentKey) -> Assigned | None:
        """Return what an attachment has."""
        ...

    async def plug(self, joined: JoinedNetwork, key: AttachmentKey) -> Vif:
        """Wire an attachment that has addresses."""
        ...

    def vif(self, joined: JoinedNetwork, key: AttachmentKey) -> Vif:
        """Return what the data plane knows an attachment by."""
        ...

    async def unplug(self, key: AttachmentKey, *, at_once: bool) -> None:
        """Let go of an attachment's devices, which are gone afterwards (at_once) or soon; addresses stay reserved."""
        ...

    def keys(self, joined_id: str) -> list[AttachmentKey]:
        """List a network's attachments."""
        ...


@dataclass(frozen=True, slots=True)
class AttachmentService:
    """What doors call (`contract.Attachments`).

    take_back: says of an address that an attachment has whether it is free after all, its container being gone.
    """

    memberships: Memberships
    addressing: Addressing
    dataplane: Dataplane
    sandboxes: Sandboxes
    take_back: Callable[[str, IPAddress], Awaitable[bool]]

    async def reserve(self, joined_id: str, request: AddressRequest) -> IPInterface:
        """Give out an address ahead of its attachment."""
        joined = self.memberships.get(joined_id)
        subnet, address = joined.subnet(request.version), request.address
        if subnet is None:
            raise NotFound(
                f"network {joined_id[:12]} has no IPv{request.version} range", remedy="make it anew with one"
            )
        if address is not None and address not in subnet.cidr:
            raise InvalidInput(f"address {address} is outside of {subnet.cidr}", remedy="give one inside of it")
        try:
            given = await self.addressing.reserve(joined, subnet, address)
        except AddressInUse:
            if address is None or not await self.take_back(joined_id, address):
                raise
            given = await self.addressing.reserve(joined, subnet, address)
        return on_link(joined, given, alone=self.addressing.alone)

    async def release(self, joined_id: str, address: IPAddress) -> None:
        """Take an address back."""
        await self.addressing.release(joined_id, address)

    async def prepare(self, key: AttachmentKey, request: AttachmentRequest) -> Assigned:
        """Give an attachment its addresses and its MAC."""
        joined = self.memberships.get(key.network)
        if request.addresses:
            return await self.addressing.assign(joined, key, request.addresses, request.mac)
        if known := self.addressing.assigned(key):
            return known
        reserved: list[IPAddress] = []
        try:
            for subnet in joined.subnets:
                reserved.append(await self.addressing.reserve(joined, subnet, None))
            return await self.addressing.assign(joined, key, tuple(reserved), request.mac)
        except FairleadError:
            for address in reserved:
                await self.addressing.release(joined.id, address)
            raise

    async def attach(self, key: AttachmentKey, request: AttachmentRequest | None = None) -> Attached:
        """Wire an attachment, and finish its sandbox where the request names one."""
        joined = self.memberships.get(key.network)
        assigned = await self.prepare(key, request) if request else self.describe(key)
        vif = await self.addressing.plug(joined, key)
        config = sandbox_config(joined, vif, assigned.addresses)
        if request and request.netns:
            await self.sandboxes.configure(request.netns, key.interface, config)
        return Attached(key, assigned.port_id, config)

    async def detach(self, key: AttachmentKey, *, by_runtime: bool = False) -> None:
        """Unplug an attachment, and release its addresses."""
        self.memberships.find(key.network)  # a memory that was rebuilt learns the network's whole id
        assigned = self.addressing.assigned(key)
        await self.addressing.unplug(key, at_once=not by_runtime)
        if assigned and not by_runtime:
            for address in assigned.addresses:
                await self.addressing.release(key.network, address)

    async def verify(self, key: AttachmentKey, netns: str = "") -> list[str]:
        """Say in words what is not as attached."""
        assigned = self.addressing.assigned(key)
        if assigned is None:
            return [f"{key.owner[:12]} is not attached to network {key.network[:12]}"]
        joined = self.memberships.get(key.network)
        vif = self.addressing.vif(joined, key)
        differences = []
        if not any(one.attachment_id == vif.id and one.whole for one in await self.dataplane.plugged()):
            differences.append(f"{vif.host_device} is not plugged")
        if netns:
            config = sandbox_config(joined, vif, assigned.addresses)
            differences += await self.sandboxes.verify(netns, key.interface, config)
        return differences

    async def collect(self, joined_id: str, known: Container[AttachmentKey]) -> list[AttachmentKey]:
        """Detach all attachments of a network that are not known to be wanted."""
        orphans = [key for key in self.addressing.keys(joined_id) if key not in known]
        for key in orphans:
            await self.detach(key)
        if orphans:
            log.info("detached what nobody wants", network=joined_id, owners=[key.owner for key in orphans])
        return orphans

    def describe(self, key: AttachmentKey) -> Assigned:
        """Tell what an attachment has. Raises NotFound."""
        assigned = self.addressing.assigned(key)
        if assigned is None:
            raise NotFound(
                f"attachment {key.owner[:12]} is not known to Fairlead on this host",
                remedy="start the container again",
                code="attachment-unknown",
                details={"owner": key.owner[:12]},
            )
        return assigned
