"""Keeps Neutron as the leases want it: at once when a lease changes, and from time to time in any case.

Neutron is asked for port and group every fifteen seconds, by a node at rest; a failure slows that down (`Backoff`), and
is said once. The kernel's routes have a beat of their own (`routes`), which no answer of Neutron's holds up.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.core.background.evidence import APART, Evidence
from fairlead.core.background.loops import Steps
from fairlead.core.background.trouble import Trouble
from fairlead.core.background.wake_up import WakeUp
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.port_security import close_port, drop_unneeded, is_within, open_port
from fairlead.core.blocks.routers import RouteChange, repeat, route_lease, unroute_lease
from fairlead.core.blocks.routes import PeerRoutes
from fairlead.model.errors import NotFound
from fairlead.model.network import IPAddress, IPNetwork, Port
from fairlead.model.records import Lease

log = structlog.get_logger(__name__)

CLOUD_EVERY = 15.0
"""Seconds between two looks, up to half as many more, so that nodes do not look together."""

SOON = 2.0
"""Seconds until the next look where something is left to do."""

LEARN_EVERY = 3.0
"""Seconds after which a peer whose IPv6 part was not in Neutron yet is looked for again."""

REPEAT_AFTER = 3.0
"""Seconds after which a change of a router is said again, up to twice as many."""

DOUBT = 300.0
"""Seconds that a door, started anew, has for announcing all leases: one that it does not announce has ended."""

LAST_RITES = 20.0
"""Seconds over which the nodes spread the removal of what an ended lease left: the first one does it for all."""


class Reconciler:
    """The background of leases. random gives numbers from 0 up to 1; failed is called for unforeseen errors.

    routes: the kernel's, to the peers.
    """

    def __init__(
        self, node: RoutedNode, *, random: Callable[[], float], failed: Callable[[], None] = lambda: None
    ) -> None:
        self._node = node
        self._random = random
        self._cloud_at = 0.0
        self.wake_up = WakeUp()
        self.backoff = Backoff(random)
        self.routes = PeerRoutes(node, self.backoff, failed)
        self._trouble = Trouble()
        self._attempts = Attempts(node.clock, self.backoff, self._trouble.note, failed)
        self._repeats: dict[RouteChange, float] = {}
        self._clean = Evidence(node.clock)

    @property
    def behind(self) -> dict[str, Steps]:
        """What runs beside, each by itself, by its name."""
        return {"reconciler": self, "routes": self.routes.beat}

    @property
    def trouble(self) -> dict[str, str]:
        """What keeps it from bringing things about, by what it is about; empty where all is well."""
        return {**self.routes.trouble.told(), **self._trouble.told()}

    def wake(self) -> None:
        """Look at everything at once: a lease has changed."""
        self._cloud_at = 0.0
        self.wake_up.wake()
        self.routes.beat.wake()

    async def step(self) -> bool:
        """Do what is due; says that nothing more is."""
        self.wake_up.clear()
        now = self._node.clock.now()
        self._end_doubted(now)
        if now >= max(self._cloud_at, self.backoff.not_before):
            self._cloud_at = now + CLOUD_EVERY * (1 + self._random() / 2)
            await self._cloud(now)
            leases, repeats = self._node.store.all(Lease), self._repeats
            about = {*(f"lease {one.id}" for one in leases), *(f"router {change.router_id}" for change in repeats)}
            self._trouble.keep({"peers", *about, *(["groups"] if self._node.unneeded else [])})
            self._cloud_at = min(self._cloud_at, self._attempts.again_at())
        due = [change for change, at in self._repeats.items() if now >= max(at, self.backoff.not_before)]
        if due:
            await self._attempts.run(f"router {due[0].router_id}", self._say_again(due[0]), cloud=True)
        return False

    def _end_doubted(self, now: float) -> None:
        for peer in self._node.announced_peers():
            if peer.doubted and peer.doubted + DOUBT <= now:
                self._node.store.put(replace(peer, ended=True, since=now))
                self.wake()
                log.info("a lease ended while its door was away", subnet=peer.id)

    async def _cloud(self, now: float) -> None:
        for lease in self._node.own():
            await self._attempts.run(f"lease {lease.id}", self._reconcile_own(lease), cloud=True)
        await self._attempts.run("peers", self._learn_peers(), cloud=True)
        ended = [one for one in self._node.store.all(Lease) if one.ended]
        self._clean.keep({_end_of(lease) for lease in ended})
        for lease in ended:
            if lease.own or now >= lease.since + LAST_RITES * self._random():
                await self._attempts.run(f"lease {lease.id}", self.collect(lease), cloud=True)
            else:
                self._cloud_at = min(self._cloud_at, now + SOON)
        if self._node.unneeded:
            self._cloud_at = min(self._cloud_at, now + SOON)
            await self._attempts.run("groups", drop_unneeded(self._node), cloud=True)

    async def _reconcile_own(self, lease: Lease) -> None:
        if not lease.port_id:
            port_id = (await self._node.port()).id
            self._note(lease, port_id=port_id)
            lease = replace(lease, port_id=port_id)
        try:
            port = await open_port(self._node, lease)
        except NotFound:
            port_id = (await self._node.port()).id
            if port_id == lease.port_id:
                raise  # an answer without it, which the next look puts right
            # The node was given another NIC.
            self._note(lease, port_id=port_id)
            lease = replace(lease, port_id=port_id)
            port = await open_port(self._node, lease)
        far = await self._is_any_far(lease.joined_id)
        if far or lease.routed:
            if not lease.routed:
                self._note(lease, routed=True)
            self._repeat(await (route_lease if far else unroute_lease)(self._node, lease, port))
            if not far:
                self._note(lease, routed=False)

    def _note(self, lease: Lease, **known: Any) -> None:
        """Write what was found out about a lease, unless it ended or became another's while Neutron was asked."""
        current = self._node.store.get(Lease, lease.id)
        if current and (current.since, current.ended, current.own) == (lease.since, lease.ended, lease.own):
            self._node.store.put(replace(current, **known))

    def _repeat(self, changes: Sequence[RouteChange]) -> None:
        at = self._node.clock.now() + REPEAT_AFTER * (1 + self._random())
        self._repeats |= dict.fromkeys(changes, at)

    async def _say_again(self, change: RouteChange) -> None:
        """Repeat a change of a router, later if it is not answered, and never if the router is gone."""
        self._repeats.pop(change)
        try:
            await repeat(self._node, change, [lease for lease in self._node.own() if lease.routed])
        except NotFound:
            log.info("a router is no more", router=change.router_id)
        except BaseException:
            self._repeat([change])
            raise

    async def _is_any_far(self, joined_id: str) -> bool:
        nic = await self._node.routing.nic()
        peers = [peer for peer in self._node.peers() if peer.joined_id == joined_id]
        return any(not nic.reaches(address) for peer in peers for address in peer.addresses)

    async def _learn_peers(self) -> None:
        """Find the IPv6 part and address of peers, which is not announced, on their ports in Neutron."""
        ranges = tuple(one for lease in self._node.own_announced() for one in lease.ranges if one.version == 6)
        unknown = [peer for peer in self._node.announced_peers() if ranges and peer.port_id and not peer.part(6)]
        if not unknown:
            return
        service, own = self._node.network_service, await self._node.port()
        # One question for all that are on this node's own network.
        ports = {port.id: port for port in await service.find_ports(network_id=own.network_id)}
        for peer in unknown:
            port = ports.get(peer.port_id) or next(iter(await service.find_ports(port_id=peer.port_id)), None)
            if port and (part := _part_of(port, ranges)):
                addresses = (*peer.addresses, *(one for one in _addresses(port) if one.version == 6))
                self._note(peer, parts=(*peer.parts, part), addresses=addresses)
                self.routes.beat.wake()
        if any(not peer.part(6) for peer in self._node.announced_peers() if peer.port_id):
            self._cloud_at = min(self._cloud_at, self._node.clock.now() + LEARN_EVERY)
        self.wake_up.wake()

    async def collect(self, lease: Lease) -> None:
        """Remove what an ended lease left in Neutron: its pairs, and its routes. Raises as NetworkService.

        One of this node's own is remembered until two looks, apart in time, have found nothing: an answer that lacks a
        router, a group or a pair must not make it forget what only it removes.
        """
        current = [one for one in self._node.store.all(Lease) if not one.ended and one.port_id == lease.port_id]
        keep = frozenset(part for one in current if lease.port_id for part in one.parts)
        port = await self._node.port()
        self._repeat(await unroute_lease(self._node, lease, port))
        last = not any(one.own and one.ranges == lease.ranges for one in current)
        await close_port(self._node, lease, keep=keep, last=last)
        if lease.own and last:
            await drop_unneeded(self._node)
            if self._node.unneeded:
                return  # the lease stays until its group is gone: a crash must not leave that
        if lease.own and not self._clean.missed(_end_of(lease)):
            self._cloud_at = min(self._cloud_at, self._node.clock.now() + APART)
            return
        if self._node.store.get(Lease, lease.id) == lease:
            self._node.store.delete(Lease, lease.id)
        log.info("removed what a lease left", subnet=lease.id, port=lease.port_id)


def _end_of(lease: Lease) -> tuple[str, float]:
    return lease.id, lease.since


def _part_of(port: Port, ranges: tuple[IPNetwork, ...]) -> IPNetwork | None:
    return next((pair.cidr for pair in port.address_pairs if is_within(pair.cidr, ranges)), None)


def _addresses(port: Port) -> tuple[IPAddress, ...]:
    return tuple(fixed.address for fixed in port.fixed_ips if fixed.address is not None)
