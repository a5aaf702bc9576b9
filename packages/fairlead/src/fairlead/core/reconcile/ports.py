"""A node whose containers have ports: memory, host and Neutron compared."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fairlead.core.background.grace import GRACE, UNCLAIMED
from fairlead.core.networks.memberships import Memberships
from fairlead.core.reconcile.findings import (
    Asked,
    CutOff,
    Deleted,
    Finding,
    Gone,
    HalfJoined,
    Orphan,
    Stray,
    Unclaimed,
    Unplugged,
)
from fairlead.core.reconcile.gone import Attached, Witnesses
from fairlead.core.warm.devices import Devices, vif_of
from fairlead.core.warm.node import Node
from fairlead.core.warm.own_ports import own_ports
from fairlead.core.warm.pools import WarmPools
from fairlead.model.attachment import AttachmentKey
from fairlead.model.errors import NotFound
from fairlead.model.network import IPAddress
from fairlead.model.records import FREE, Allocation, Batch, JoinedNetwork, Step, Use
from fairlead.model.tags import ASKED
from fairlead.ports.dataplane import Plugged

_ASKED_ONE_BY_ONE = 20
"""Ports that Neutron's list lacks and that are asked for by their ids in one look, at most."""


@dataclass(frozen=True, slots=True)
class PortWorld:
    """Compares and mends (`World`). detach: how an attachment is detached whose container is gone."""

    node: Node
    memberships: Memberships
    warm: WarmPools
    devices: Devices
    witnesses: Witnesses
    detach: Callable[[AttachmentKey], Awaitable[None]]

    async def look_here(self) -> Sequence[Finding]:
        """Compare memory and host. Raises what Dataplane.plugged raises."""
        plugged = await self.node.dataplane.plugged()
        joined = self.node.store.all(JoinedNetwork)
        found = [*self._half_done(joined), *self._orphans(plugged), *self._unplugged(joined, plugged)]
        return [*found, *await self.witnesses.gone([_attached(one) for one in self._in_use(joined)], plugged)]

    async def look_in_cloud(self) -> Sequence[Finding]:
        """Compare memory and Neutron. Raises what NetworkService.find_ports and Dataplane.plugged raise."""
        began, table = self.node.clock.now(), self.node.port_table
        if not len(table) and not self.node.store.all(JoinedNetwork):
            return []
        ports = {port.id: port for port in await own_ports(self.node, brief=True)}
        lacking = [one for one in table if one.id not in ports and not one.leaving and one.since < began]
        gone = [one for one in lacking[:_ASKED_ONE_BY_ONE] if not await self._is_in_cloud(one.id)]
        plugged = {one.port_id for one in await self.node.dataplane.plugged()}
        strays = [port for port in ports.values() if table.get(port.id) is None and port.id not in plugged]
        if self.node.store.all(Batch):
            strays = []  # they may be the answer that is on its way, or was lost and is looked for by who asked
        addresses = {
            port.id: tuple(one.address for one in port.fixed_ips if one.address is not None) for port in strays
        }
        return [
            *(Asked(port.id) for port in ports.values() if ASKED in port.tags),
            *(Stray(port.id, addresses[port.id]) for port in strays),
            *(Deleted(one.id, one.addresses) for one in gone if one.use in FREE),
            *(CutOff(one.id, one.addresses) for one in gone if one.use is Use.ATTACHED),
        ]

    async def mend(self, finding: Finding) -> None:
        """Do what a finding says. Raises FairleadError."""
        match finding:
            case HalfJoined(joined_id):
                await self.memberships.withdraw(joined_id)
            case Unclaimed(port_id):
                if (one := self._still(port_id, Use.RESERVED)) is not None:
                    self.warm.give_back(one)
            case Orphan(attachment_id):
                if not self._knows(attachment_id):
                    await self.node.dataplane.remove(attachment_id)
            case Unplugged(None, attachment_id):
                self.devices.plug_again(attachment_id)
            case Unplugged(_, attachment_id):
                if (one := self._still(attachment_id, Use.ATTACHED)) is not None:
                    await self.node.dataplane.apply(vif_of(self.memberships.get(one.joined_id), one))
            case Gone(key):
                await self.detach(key)
            case _:
                await self._mend_for_cloud(finding)

    async def take_back(self, joined_id: str, address: IPAddress) -> bool:
        """Say whether an address of an attachment is free again, because its container is found to be gone.

        Raises what Dataplane.plugged and detach raise.
        """
        one = self.node.port_table.of_address(joined_id, address)
        if one is None or one.use is not Use.ATTACHED or not await self.witnesses.is_gone(_attached(one)):
            return False
        await self.detach(_attached(one).key)
        return True

    async def _mend_for_cloud(self, finding: Finding) -> None:
        match finding:
            case Asked(port_id):
                await self.node.network_service.untag_port(port_id, ASKED)
            case Stray(port_id):
                if self.node.port_table.get(port_id) is None:
                    await self.node.network_service.delete_port(port_id)
            case Deleted(port_id):
                if (one := self._still(port_id, *FREE)) is not None:
                    self.node.port_table.put(replace(one, leaving=True))
            case CutOff(port_id):
                if (one := self._still(port_id, Use.ATTACHED)) is not None:
                    self.node.port_table.put(replace(one, unwired=True))
                    raise NotFound(f"Neutron has no port {port_id}", remedy="start the container again")

    def _half_done(self, joined: Sequence[JoinedNetwork]) -> Iterator[Finding]:
        now = self.node.clock.now()
        for one in joined:
            if one.step is Step.WANTED and now - one.since > GRACE:
                yield HalfJoined(one.id)
            for allocation in self.node.port_table.in_use(one.id, Use.RESERVED):
                if now - allocation.since > UNCLAIMED:
                    yield Unclaimed(allocation.id, allocation.addresses)

    def _orphans(self, plugged: Sequence[Plugged]) -> Iterator[Finding]:
        for one in plugged:
            if not self._knows(one.attachment_id):
                yield Orphan(one.attachment_id)

    def _unplugged(self, joined: Sequence[JoinedNetwork], plugged: Sequence[Plugged]) -> Iterator[Finding]:
        for network in joined:
            for one in self.devices.lost(network):
                yield Unplugged(None, one.id, one.addresses)
        broken = {one.port_id for one in plugged if one.away and not one.whole}
        for one in self._in_use(joined):
            if one.id in broken:
                yield Unplugged(_attached(one).key, one.id, one.addresses)

    def _in_use(self, joined: Sequence[JoinedNetwork]) -> list[Allocation]:
        return [one for network in joined for one in self.node.port_table.in_use(network.id, Use.ATTACHED)]

    def _knows(self, attachment_id: str) -> bool:
        """Say whether an attachment's id is a port's, or an owner's, by which devices once were known."""
        ports = self.node.port_table
        return ports.get(attachment_id) is not None or ports.of_owner(attachment_id) is not None

    def _still(self, port_id: str, *uses: Use) -> Allocation | None:
        one = self.node.port_table.get(port_id)
        return one if one is not None and one.use in uses else None

    async def _is_in_cloud(self, port_id: str) -> bool:
        return bool(await self.node.network_service.find_ports(port_id=port_id))


def _attached(one: Allocation) -> Attached:
    return Attached(AttachmentKey(one.owner, one.joined_id, one.interface), one.id, one.addresses, one.since)
