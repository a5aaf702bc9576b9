"""What is done behind for networks in mode `routed`.

Peers' blocks are learnt, own ones kept ahead of demand, those of dead nodes deleted.

A look at a network is one request. Nodes at rest look every fifteen seconds or so; one that has just joined tells the
others (`hints`), which then look at once.
"""

from collections.abc import Callable

import structlog

from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.core.background.grace import GRACE, UNCLAIMED
from fairlead.core.blocks.addresses import BlockAddresses
from fairlead.core.blocks.hints import Allowance, sender_of
from fairlead.core.blocks.networks import BlockMembership
from fairlead.core.networks.memberships import Memberships
from fairlead.model.records import JoinedNetwork, JoinedSubnet, ReservedAddress, Step

log = structlog.get_logger(__name__)

LEARN_EVERY = 15.0
"""Seconds between two looks at a network, up to half as many more."""

LOOK_REST = 1.0
"""Seconds between two looks that peers asked for, at least."""

COLLECT_EVERY = 60.0
"""Seconds between two looks at whether a peer's port is still there, one peer at a time, up to half as many more."""

GUARD_EVERY = 15.0
"""Seconds between two looks at the packet filter."""

IDLE = 300.0
"""Seconds for which a block must have been of no use before it is given back."""

_LOW = 4
"""A network whose free addresses are fewer than a block's divided by this takes one more block."""


class NetworkKeeper:
    """The background of the networks. random gives numbers from 0 up to 1; failed is called for unforeseen errors."""

    def __init__(
        self,
        memberships: Memberships,
        networks: BlockMembership,
        addresses: BlockAddresses,
        *,
        random: Callable[[], float],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._memberships = memberships
        self._networks = networks
        self._addresses = addresses
        self._random = random
        self._node = networks.node
        self._learn_at: dict[str, float] = {}
        self._collect_at = self._guard_at = self._looked_at = 0.0
        self._allowance = Allowance()
        self._idle_since: dict[str, float] = {}
        self._full: set[str] = set()
        self.wake_up = networks.wake_up
        self.backoff = Backoff(random)
        self._attempts = Attempts(self._node.clock, self.backoff, failed=failed)

    def look(self, hint: bytes) -> None:
        """Look soon at the network that a peer says has changed; what is no such hint is ignored."""
        for joined in self._node.store.all(JoinedNetwork):
            if joined.step is Step.HELD and (sender := sender_of(hint, joined.network_id)):
                now = self._node.clock.now()
                soon = max(self._allowance.grant(sender, now), self._looked_at + LOOK_REST)
                self._learn_at[joined.id] = min(self._learn_at.get(joined.id, soon), soon)
                self.wake_up.wake()
                return

    async def step(self) -> bool:
        """Do what is due; says that nothing more is."""
        self.wake_up.clear()
        now = self._node.clock.now()
        self._take_back(now)
        if now >= self._guard_at:
            self._guard_at = now + GUARD_EVERY
            await self._attempts.run("guard the networks", self._networks.guard())
        if now < self.backoff.not_before:
            return False
        records = self._node.store.all(JoinedNetwork)
        for record in records:
            if record.step is Step.LEAVING or (record.step is Step.WANTED and now - record.since > GRACE):
                await self._attempts.run("leave a network", self._memberships.withdraw(record.id), cloud=True)
        held = [record for record in records if record.step is Step.HELD]
        for joined in held:
            if now >= self._learn_at.get(joined.id, 0.0):
                self._learn_at[joined.id] = now + self._spread(LEARN_EVERY)
                self._looked_at = now
                await self._attempts.run("look at a network", self._learn(joined), cloud=True)
            await self._attempts.run("keep blocks", self._keep_blocks(joined, now))
        if held and now >= self._collect_at:
            self._collect_at = now + self._spread(COLLECT_EVERY)
            await self._attempts.run("look for a dead node", self._collect_one(held), cloud=True)
        return False

    def _take_back(self, now: float) -> None:
        for reserved in self._node.store.all(ReservedAddress):
            if not reserved.owner and now - reserved.since > UNCLAIMED:
                self._node.store.delete(ReservedAddress, reserved.id)

    async def _learn(self, joined: JoinedNetwork) -> None:
        async with self._networks.locks.hold(joined.id):
            if self._networks.find(joined.id) == joined:
                await self._networks.learn(joined)

    async def _keep_blocks(self, joined: JoinedNetwork, now: float) -> None:
        """Take a block more before the last address is given out; give one back that has long been of no use."""
        async with self._networks.locks.hold(joined.id):
            if self._networks.find(joined.id) != joined:
                return
            for subnet in joined.subnets:
                await self._keep_family(joined, subnet, now)

    async def _keep_family(self, joined: JoinedNetwork, subnet: JoinedSubnet, now: float) -> None:
        lease, key = self._networks.lease(joined.id), f"{joined.id} {subnet.cidr}"
        parts = [part for part in lease.parts if part.version == subnet.cidr.version]
        size, free = max(part.num_addresses for part in parts), self._addresses.free(joined.id, subnet, lease)
        if free < size / _LOW and key not in self._full:
            self._full.add(key)  # asked for once until something was taken back: a start asks again anyhow
            await self._networks.grow(joined, subnet.cidr.version)
        if free >= size / _LOW:
            self._full.discard(key)
        empty = next((part for part in parts if self._addresses.is_free(part, joined.id)), None)
        if empty is None or free - empty.num_addresses < size / 2:
            self._idle_since.pop(key, None)
        elif now - self._idle_since.setdefault(key, now) > IDLE:
            del self._idle_since[key]
            blocks = await self._networks.blocks(joined.network_id)
            await self._networks.shrink(joined, [block for block in blocks if block.cidr == empty])

    async def _collect_one(self, held: list[JoinedNetwork]) -> None:
        peers = [lease for joined in held for lease in self._networks.peers(joined.id) if lease.port_id]
        if not peers:
            return
        peer = peers[int(self._random() * len(peers))]
        if not await self._node.network_service.find_ports(port_id=peer.port_id):
            log.info("a node is no more", port=peer.port_id, block=peer.id)
            async with self._networks.locks.hold(peer.joined_id):
                await self._networks.collect(peer)

    def _spread(self, seconds: float) -> float:
        return seconds * (1 + self._random() / 2)
