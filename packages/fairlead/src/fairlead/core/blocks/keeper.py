"""What is done behind for networks in mode `routed`.

Peers' blocks are learnt, own ones kept ahead of demand, those of dead nodes deleted.

A look at a network is one request. Nodes at rest look every fifteen seconds or so; one that has just joined tells the
others (`hints`), which then look at once.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.core.background.evidence import APART, Evidence
from fairlead.core.background.grace import GRACE
from fairlead.core.blocks.addresses import BlockAddresses
from fairlead.core.blocks.hints import Allowance, sender_of
from fairlead.core.blocks.networks import BlockMembership
from fairlead.core.networks.memberships import Memberships
from fairlead.model.network import IPNetwork
from fairlead.model.records import JoinedNetwork, JoinedSubnet, Lease, Step

log = structlog.get_logger(__name__)

LEARN_EVERY = 15.0
"""Seconds between two looks at a network, up to half as many more."""

LOOK_REST = 1.0
"""Seconds between two looks that peers asked for, at least."""

COLLECT_EVERY = 60.0
"""Seconds between two looks at whether a peer's port is still there, one peer at a time, up to half as many more."""

IDLE = 300.0
"""Seconds for which a block must have been of no use before it is given back."""

_LOW = 4
"""A network whose free addresses are fewer than a block's divided by this takes one more block."""


@dataclass(slots=True)
class _Watch:
    """What is known of a network from one look to the next.

    learn_at: epoch seconds of the next look. idle_since: those since which a block has been of no use, by its range's
    text; full: the ranges for which one more block was asked.
    """

    learn_at: float = 0.0
    idle_since: dict[str, float] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)


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
        self._watches: dict[str, _Watch] = {}
        self._collect_at = self._looked_at = 0.0
        self._allowance = Allowance()
        self.wake_up = networks.wake_up
        self.backoff = Backoff(random)
        self._attempts = Attempts(self._node.clock, self.backoff, failed=failed)
        self._dead = Evidence(self._node.clock)

    def look(self, hint: bytes) -> None:
        """Look soon at the network that a peer says has changed; what is no such hint is ignored."""
        for joined in self._node.store.all(JoinedNetwork):
            if joined.step is Step.HELD and (sender := sender_of(hint, joined.network_id)):
                now, watch = self._node.clock.now(), self._watches.setdefault(joined.id, _Watch())
                soon = max(self._allowance.grant(sender, now), self._looked_at + LOOK_REST)
                watch.learn_at = min(watch.learn_at, soon)
                self.wake_up.wake()
                return

    async def step(self) -> bool:
        """Do what is due; says that nothing more is."""
        self.wake_up.clear()
        now = self._node.clock.now()
        records = self._node.store.all(JoinedNetwork)
        self._forget_all_but({record.id for record in records})
        if now < self.backoff.not_before:
            return False
        for record in records:
            if record.step is Step.LEAVING or (record.step is Step.WANTED and now - record.since > GRACE):
                await self._attempts.run(
                    f"leave network {record.id}", self._memberships.withdraw(record.id), cloud=True
                )
        held = [record for record in records if record.step is Step.HELD]
        for joined in held:
            await self._keep(joined, self._watches.setdefault(joined.id, _Watch()), now)
        if held and now >= self._collect_at:
            self._collect_at = now + self._spread(COLLECT_EVERY)
            await self._look_after_peers(held)
        return False

    async def _keep(self, joined: JoinedNetwork, watch: _Watch, now: float) -> None:
        if now >= watch.learn_at:
            watch.learn_at = now + self._spread(LEARN_EVERY)
            self._looked_at = now
            await self._attempts.run(
                f"look at network {joined.id}", self._alone(joined, partial(self._networks.learn, joined)), cloud=True
            )
            if self._networks.is_missed(joined.id):
                watch.learn_at = min(watch.learn_at, now + APART)
        for subnet in joined.subnets:
            if change := self._change(joined, subnet, watch, now):
                what = f"keep the blocks of {subnet.cidr} in network {joined.id}"
                await self._attempts.run(what, self._alone(joined, change), cloud=True)

    def _forget_all_but(self, joined_ids: set[str]) -> None:
        self._watches = {joined_id: watch for joined_id, watch in self._watches.items() if joined_id in joined_ids}
        self._addresses.keep(joined_ids)

    async def _alone(self, joined: JoinedNetwork, work: Callable[[], Awaitable[object]]) -> None:
        """Do something while nobody else changes the network, unless somebody has."""
        async with self._networks.locks.hold(joined.id):
            if self._networks.find(joined.id) == joined:
                await work()

    def _change(
        self, joined: JoinedNetwork, subnet: JoinedSubnet, watch: _Watch, now: float
    ) -> Callable[[], Awaitable[object]] | None:
        """Say what takes a block more before the last address is given out, or gives one back that is of no use."""
        lease, key = self._node.store.get(Lease, joined.id), str(subnet.cidr)
        parts = [part for part in lease.parts if part.version == subnet.cidr.version] if lease else []
        if lease is None or not parts:
            return None
        size, free = max(part.num_addresses for part in parts), self._addresses.free(joined.id, subnet, lease)
        if free >= size / _LOW:
            watch.full.discard(key)
        elif key not in watch.full:
            watch.full.add(key)  # asked for once until something was taken back: a start asks again anyhow
            return partial(self._networks.grow, joined, subnet.cidr.version)
        empty = next((part for part in parts if self._addresses.is_free(part, joined.id)), None)
        if empty is None or free - empty.num_addresses < size / 2:
            watch.idle_since.pop(key, None)
        elif now - watch.idle_since.setdefault(key, now) > IDLE:
            return partial(self._give_back, joined, subnet, empty, watch)
        return None

    async def _give_back(self, joined: JoinedNetwork, subnet: JoinedSubnet, part: IPNetwork, watch: _Watch) -> None:
        if self._addresses.is_free(part, joined.id):
            blocks = await self._networks.blocks(joined.network_id)
            await self._networks.shrink(joined, [block for block in blocks if block.cidr == part])
        watch.idle_since.pop(str(subnet.cidr), None)

    async def _look_after_peers(self, held: list[JoinedNetwork]) -> None:
        """Look whether one of them is still there; one that is missing is looked at again before it counts as dead."""
        peers = [lease for joined in held for lease in self._networks.peers(joined.id) if lease.port_id]
        self._dead.keep({peer.port_id for peer in peers})
        suspects = [peer for peer in peers if peer.port_id in self._dead]
        others = [peer for peer in peers if peer.port_id not in self._dead]
        chosen = [others[int(self._random() * len(others))]] if others else []
        for peer in (*suspects, *chosen):
            await self._attempts.run(f"look after the node with {peer.id}", self._look_after(peer), cloud=True)

    async def _look_after(self, peer: Lease) -> None:
        if await self._node.find_port(peer.port_id):
            self._dead.forget(peer.port_id)
        elif self._dead.missed(peer.port_id):
            log.info("a node is no more", port=peer.port_id, block=peer.id)
            async with self._networks.locks.hold(peer.joined_id):
                await self._networks.collect(peer)

    def _spread(self, seconds: float) -> float:
        return seconds * (1 + self._random() / 2)
