"""What a door needs of the core, whatever the mode: networks, and attachments to them."""

from collections.abc import Container
from typing import Protocol

from fairlead.core.networks.memberships import Found
from fairlead.core.networks.spec import NetworkSpec
from fairlead.model.attachment import AddressRequest, Assigned, Attached, AttachmentKey, AttachmentRequest
from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.records import JoinedNetwork, NetworkReference
from fairlead.model.sandbox import IPInterface


class Networks(Protocol):
    """Networks of a door's on this node. All raise what NetworkService raises."""

    async def look_up(self, reference: NetworkReference, cidr: IPNetwork | None) -> Found | None:
        """Find the Neutron network that a reference or a range names; None where it may still be made.

        Raises NotFound, Conflict.
        """
        ...

    async def is_on(self, cidr: IPNetwork) -> bool:
        """Say whether the node's own NIC is on a range."""
        ...

    async def join(self, spec: NetworkSpec) -> JoinedNetwork:
        """Create or adopt what stands for the network in Neutron. Idempotent by the door's id.

        Raises InvalidInput, UnsupportedRequest, NotFound, Conflict, OverlappingSubnet, NoFreeAddress, QuotaExceeded.
        """
        ...

    async def leave(self, joined_id: str) -> None:
        """Let go of it. Idempotent. Raises StillInUse."""
        ...

    def find(self, joined_id: str) -> JoinedNetwork | None:
        """Return its record, joined or not."""
        ...

    def get(self, joined_id: str) -> JoinedNetwork:
        """Return it, joined. Raises NotFound."""
        ...


class Attachments(Protocol):
    """Containers' attachments. Every call is idempotent: a runtime repeats what it had no answer to."""

    async def reserve(self, joined_id: str, request: AddressRequest) -> IPInterface:
        """Give out an address ahead of its attachment, with the prefix length that its link has.

        Addresses of both families that are reserved one after the other are one attachment's. One that nobody takes is
        taken back after a while. Raises NotFound (network, family), InvalidInput (outside of the range), AddressInUse,
        NoFreeAddress, QuotaExceeded and what NetworkService raises.
        """
        ...

    async def release(self, joined_id: str, address: IPAddress) -> None:
        """Take an address back; one that an attachment has stays. Fine where nothing is known of it."""
        ...

    async def prepare(self, key: AttachmentKey, request: AttachmentRequest) -> Assigned:
        """Give an attachment its addresses and its MAC, and wire nothing yet.

        Raises NotFound (network, or an address that was not reserved), AddressInUse, UnsupportedRequest (a MAC), and
        as `reserve` does where it reserves.
        """
        ...

    async def attach(self, key: AttachmentKey, request: AttachmentRequest | None = None) -> Attached:
        """Wire an attachment; returns when packets can flow. With a request, it is prepared first where it is not.

        Raises NotFound (not prepared, and no request), WiringTimeout, SwitchUnavailable, DataplaneError, Conflict (in
        the sandbox), and as `prepare` does.
        """
        ...

    async def detach(self, key: AttachmentKey, *, by_runtime: bool = False) -> None:
        """Unplug an attachment, wherever its device is, and release its addresses.

        by_runtime: the runtime has taken the device back, which therefore may go behind, and releases the addresses
        itself.
        """
        ...

    async def verify(self, key: AttachmentKey, netns: str = "") -> list[str]:
        """Say in words what is not as attached, on the host and (netns) in the sandbox; empty: all is well."""
        ...

    async def collect(self, joined_id: str, known: Container[AttachmentKey]) -> list[AttachmentKey]:
        """Detach all attachments of a network that are not known to be wanted; return their keys."""
        ...

    def describe(self, key: AttachmentKey) -> Assigned:
        """Tell what an attachment has. Raises NotFound."""
        ...
