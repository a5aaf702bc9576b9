"""An address that somebody chose and Neutron refuses: who has it, and whether a short wait helps.

A port that waits on another host can't be had from here: its host gives it out without asking anyone, so there is no
moment at which taking it away is safe. One that a container there had by choice is kept for a while after it, and goes.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from fairlead.core.warm.node import Node
from fairlead.core.warm.shortage import await_answers
from fairlead.model.errors import AddressInUse
from fairlead.model.network import IPAddress, Port
from fairlead.model.records import FREE, JoinedNetwork, Use
from fairlead.model.tags import OWNED, described_network, host_of, is_waiting, node_tag

GIVEN_UP_WITHIN = 5.0
"""Seconds that another host may take to delete a port after it has kept it for its cool-down."""

_LOOK_AGAIN = 1.0
_UNSEEN = 2


@dataclass(frozen=True, slots=True)
class Holder:
    """What has an address. port None: nothing that these credentials can see. here: this node made it."""

    address: IPAddress
    port: Port | None
    here: bool = False

    @property
    def may_go(self) -> bool:
        """Whether it may be gone soon: another host's, kept for a while after a container that may have ended."""
        return self.port is not None and OWNED in self.port.tags and not self.here and not _waits(self.port)

    def refusal(self) -> AddressInUse:
        """Return the error that names it."""
        port = self.port
        if port is None:
            return _taken(self.address, "something that these credentials can't see")
        if OWNED not in port.tags:
            what = port.name or port.device_owner
            named = f"port {port.id} ({what})" if what else f"port {port.id}"
            return _taken(self.address, f"{named}, which is not Fairlead's")
        host = "this host" if self.here else f"host {host_of(port)}"
        if _waits(port):
            return _taken(self.address, f"a port that waits on {host} for a container")
        return _taken(self.address, f"a container on {host}, by port {port.id}")


@dataclass(slots=True)
class Choice:
    """A start that insists on an address. until: epoch seconds after which it no longer waits for one to be given up.

    unseen: how often Neutron refused it, and nothing was to be seen that has it.
    """

    node: Node
    joined: JoinedNetwork
    address: IPAddress
    until: float
    unseen: int = 0

    async def wait(self, error: AddressInUse) -> None:
        """Return when asking again may help. Raises AddressInUse, which names the holder, and as find_ports does."""
        may_wait = self.node.clock.now() < self.until
        came = self.node.port_table.of_address(self.joined.id, self.address)
        if came and came.use in (*FREE, Use.KEPT, Use.LEAVING):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self.until - self.node.clock.now())):
                if may_wait and await await_answers(self.node, self.joined.id):
                    return
        holder = await find_holder(self.node, self.joined, self.address)
        if holder.port is None and self.unseen < _UNSEEN:
            self.unseen += 1  # it may have gone just now
        elif may_wait and holder.may_go:
            await self.node.clock.sleep(_LOOK_AGAIN)
        else:
            raise holder.refusal() from error


async def find_holder(node: Node, joined: JoinedNetwork, address: IPAddress) -> Holder:
    """Ask Neutron who has an address of a network. Raises what NetworkService.find_ports raises."""
    found = await node.network_service.find_ports(network_id=joined.network_id, address=address)
    port = next(iter(found), None)
    return Holder(address, port, here=bool(port and node_tag(node.id) in port.tags))


def _waits(port: Port) -> bool:
    """Say whether a port waits for anybody: one that was made for a container has no name of its in the beginning."""
    described = described_network(port.description)
    return is_waiting(port) and not (described and described.single_use)


def _taken(address: IPAddress, by: str) -> AddressInUse:
    return AddressInUse(f"address {address} is taken by {by}", remedy="choose another address", code="address-taken")
