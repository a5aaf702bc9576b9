"""Joining a network on behalf of a door, and leaving it: the frame, alike wherever containers' addresses come from.

The intent is in the store before Neutron hears of it, a join that fails is undone, and what can't be undone or finished
soon is finished behind. How a network is entered and retired differs: `Membership` is handed in.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from fairlead.concurrency import KeyedLocks
from fairlead.core.networks.held import require_held
from fairlead.core.networks.spec import NetworkSpec
from fairlead.model.errors import CloudUnavailable, FairleadError, StillInUse
from fairlead.model.network import IPNetwork, Network, Subnet
from fairlead.model.records import JoinedNetwork, NetworkReference, Step
from fairlead.ports.clock import Clock
from fairlead.ports.store import LeaseStore

log = structlog.get_logger(__name__)

PROMPT = 5.0
"""Seconds for which leaving a network is waited for: whoever removes it may want to delete the subnet next."""


@dataclass(frozen=True, slots=True)
class Found:
    """A Neutron network that is there, with its subnets."""

    network: Network
    subnets: Sequence[Subnet]


class Membership(Protocol):
    """One way to be on a network. The caller has the network's lock; all raise what NetworkService raises."""

    async def look_up(self, reference: NetworkReference, cidr: IPNetwork | None) -> Found | None:
        """Find the Neutron network that a reference or a range names; None where it may still be made."""
        ...

    async def is_on(self, cidr: IPNetwork) -> bool:
        """Say whether the node's own NIC is on a range."""
        ...

    def refuse(self, spec: NetworkSpec) -> None:
        """Raise UnsupportedRequest for what can't be had this way."""
        ...

    def find(self, joined_id: str) -> JoinedNetwork | None:
        """Return a network's record."""
        ...

    async def enter(self, spec: NetworkSpec, record: JoinedNetwork) -> JoinedNetwork:
        """Create or adopt the network, and write its record with the step HELD last.

        Raises InvalidInput, NotFound, Conflict, OverlappingSubnet, NoFreeAddress and QuotaExceeded.
        """
        ...

    async def refuse_in_use(self, joined_id: str) -> None:
        """Raise StillInUse while attachments are on it here."""
        ...

    async def empty(self, record: JoinedNetwork) -> bool:
        """Take off what containers had of it; say whether it can be retired."""
        ...

    async def retire(self, record: JoinedNetwork) -> None:
        """Undo the membership, held or half made, and forget it."""
        ...


@dataclass(frozen=True, slots=True)
class Memberships:
    """Join and leave networks. locks: one for each network, by the door's id."""

    store: LeaseStore
    clock: Clock
    locks: KeyedLocks
    membership: Membership

    async def look_up(self, reference: NetworkReference, cidr: IPNetwork | None) -> Found | None:
        """Find the Neutron network that a reference or a range names; None where it may still be made.

        Raises NotFound where it can't be, Conflict where a name is ambiguous.
        """
        return await self.membership.look_up(reference, cidr)

    async def is_on(self, cidr: IPNetwork) -> bool:
        """Say whether the node's own NIC is on a range. Raises NotFound where it has none."""
        return await self.membership.is_on(cidr)

    async def join(self, spec: NetworkSpec) -> JoinedNetwork:
        """Create or adopt the network; made half, it is undone.

        Idempotent by the door's id. Raises UnsupportedRequest and what `Membership.enter` raises.
        """
        self.membership.refuse(spec)
        async with self.locks.hold(spec.id):
            record = self.find(spec.id)
            if record and record.step is Step.HELD:
                return record
            if record:
                await self.membership.retire(record)
            record = JoinedNetwork(spec.id, Step.WANTED, self.clock.now(), internal=spec.internal)
            self.store.put(record)
            try:
                return await self.membership.enter(spec, record)
            except FairleadError as error:
                await self._give_up(spec.id, error)
                raise

    async def leave(self, joined_id: str) -> None:
        """Let go of a network. What that takes in Neutron is done here if it is done soon, else behind. Idempotent.

        Raises StillInUse while attachments are on it here.
        """
        async with self.locks.hold(joined_id):
            record = self.find(joined_id)
            if record is None or record.step is Step.LEAVING:
                return
            try:
                await self.membership.refuse_in_use(joined_id)
            except StillInUse:
                raise
            except FairleadError as error:
                # Who removes a network says so once, and knows of no container on it.
                log.warning("could not see whether a network is in use", network=joined_id, error=str(error))
            record = replace(record, step=Step.LEAVING, since=self.clock.now())
            self.store.put(record)
            try:
                async with asyncio.timeout(PROMPT):
                    if await self.membership.empty(record):
                        await self.membership.retire(record)
            except Exception as error:  # noqa: BLE001  # whatever it is, what is left to do is written down
                log.warning("will leave a network later", network=joined_id, error=str(error) or "it takes long")

    async def withdraw(self, joined_id: str) -> None:
        """Retire a network that is left or half joined; what containers had of it is gone by then.

        Raises what NetworkService raises.
        """
        async with self.locks.hold(joined_id):
            record = self.find(joined_id)
            if record and record.step is not Step.HELD:
                await self.membership.retire(record)

    def find(self, joined_id: str) -> JoinedNetwork | None:
        """Return a network's record."""
        return self.membership.find(joined_id)

    def get(self, joined_id: str) -> JoinedNetwork:
        """Return a joined network. Raises NotFound."""
        return require_held(self.find(joined_id), joined_id)

    async def _give_up(self, joined_id: str, why: FairleadError) -> None:
        """Undo a join that failed; what can't be undone now stays recorded, and is tried again behind.

        So does what Neutron may yet do: that is looked for once more after its GRACE.
        """
        record = self.find(joined_id)
        try:
            if record:
                await self.membership.retire(record)
                if isinstance(why, CloudUnavailable) and why.reached:
                    self.store.put(replace(record, step=Step.WANTED, since=self.clock.now()))
        except FairleadError as error:
            log.warning("could not undo a join yet", network=joined_id, error=str(error), why=str(why))
