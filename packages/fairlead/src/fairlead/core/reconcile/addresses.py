"""A node whose containers have addresses of its blocks: memory, host and Neutron compared."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from fairlead.core.blocks.blocks import Block, block_of
from fairlead.core.blocks.networks import BlockMembership
from fairlead.core.reconcile.findings import Finding, Gone, Orphan, StrayBlock, Unplugged
from fairlead.core.reconcile.gone import Attached, Witnesses
from fairlead.model.attachment import AttachmentKey
from fairlead.model.network import IPAddress
from fairlead.model.records import JoinedNetwork, Lease, ReservedAddress, Step
from fairlead.ports.dataplane import Dataplane, Plugged


@dataclass(frozen=True, slots=True)
class AddressWorld:
    """Compares and mends (`World`). detach, plug: how an attachment is detached, and plugged as it is remembered.

    Addresses that no attachment took, and joins that were cut short, are the networks' own keeper's.
    """

    networks: BlockMembership
    dataplane: Dataplane
    witnesses: Witnesses
    detach: Callable[[AttachmentKey], Awaitable[None]]
    plug: Callable[[AttachmentKey], Awaitable[object]]

    async def look_here(self) -> Sequence[Finding]:
        """Compare memory and host. Raises what Dataplane.plugged raises."""
        plugged = await self.dataplane.plugged()
        attached = self._attached()
        owners = {one.id for one in attached}
        orphans = [Orphan(one.attachment_id) for one in plugged if one.attachment_id not in owners]
        gone = await self.witnesses.gone(attached, plugged)
        return [*orphans, *self._unplugged(attached, plugged), *gone]

    async def look_in_cloud(self) -> Sequence[Finding]:
        """Compare memory and Neutron, a request for each network. Raises what NetworkService.find_subnets raises."""
        held = [one for one in self.networks.node.store.all(JoinedNetwork) if one.step is Step.HELD]
        return [StrayBlock(joined.id, block.cidr) for joined in held for block in await self._stray_blocks(joined)]

    async def mend(self, finding: Finding) -> None:
        """Do what a finding says. Raises FairleadError."""
        match finding:
            case Orphan(attachment_id):
                if all(one.id != attachment_id for one in self._attached()):
                    await self.dataplane.remove(attachment_id)
            case Unplugged(AttachmentKey() as key):
                if any(one.key == key for one in self._attached()):
                    await self.plug(key)
            case Gone(key):
                await self.detach(key)
            case StrayBlock(joined_id, cidr):
                async with self.networks.locks.hold(joined_id):
                    joined = self.networks.get(joined_id)
                    stray = [block for block in await self._stray_blocks(joined) if block.cidr == cidr]
                    await self.networks.shrink(joined, stray)

    async def take_back(self, joined_id: str, address: IPAddress) -> bool:
        """Say whether an address of an attachment is free again, because its container is found to be gone.

        Raises what Dataplane.plugged and detach raise.
        """
        for one in self._attached():
            if one.key.network == joined_id and address in one.addresses:
                if not await self.witnesses.is_gone(one):
                    return False
                await self.detach(one.key)
                return True
        return False

    def _attached(self) -> list[Attached]:
        reserved: defaultdict[AttachmentKey, list[ReservedAddress]] = defaultdict(list)
        for one in self.networks.node.store.all(ReservedAddress):
            if one.owner:
                reserved[AttachmentKey(one.owner, one.joined_id, one.interface)].append(one)
        return [
            Attached(key, key.owner, tuple(one.address for one in its), max(one.since for one in its))
            for key, its in reserved.items()
        ]

    def _unplugged(self, attached: Sequence[Attached], plugged: Sequence[Plugged]) -> Iterator[Finding]:
        routed = {one.attachment_id: frozenset(one.addresses) for one in plugged if one.away}
        for one in attached:
            if one.id in routed and not routed[one.id] >= frozenset(one.addresses):
                yield Unplugged(one.key, one.id, one.addresses)

    async def _stray_blocks(self, joined: JoinedNetwork) -> list[Block]:
        """List the blocks that this node's port holds, and that its lease does not have once they are listed."""
        lease = self.networks.node.store.get(Lease, joined.id)
        if lease is None or not lease.port_id:
            return []
        subnets = await self.networks.node.network_service.find_subnets(joined.network_id)
        blocks = [block for one in subnets if (block := block_of(one))]
        found = [block for block in blocks if block.is_held_by(lease.port_id, lease.addresses)]
        now = self.networks.node.store.get(Lease, joined.id)
        # One that is just being taken is in Neutron first: `mend` looks again with the network's lock, as takers have.
        return [one for one in found if now is not None and one.cidr not in now.parts]
