"""Attachments with a Neutron port each, which waits in the network's pool or is made as a user asks for its address.

One port carries both families of a dual-stack network. A door may ask for them one after the other, so the second
request takes the second address of a port that still has one to give; where two starts cross, `assign` sorts them out.
"""

from dataclasses import dataclass, field, replace

import structlog

from fairlead.concurrency import KeyedLocks
from fairlead.core.networks.held import not_reserved
from fairlead.core.networks.macs import mac_of
from fairlead.core.warm.devices import Devices, vif_of
from fairlead.core.warm.holders import GIVEN_UP_WITHIN, Choice
from fairlead.core.warm.node import Node
from fairlead.core.warm.pools import WarmPools
from fairlead.core.warm.provisioning import delete_port, make_ports
from fairlead.core.warm.shortage import finish_deletion, spare
from fairlead.model.attachment import Assigned, AttachmentKey
from fairlead.model.errors import (
    AddressInUse,
    Conflict,
    NotFound,
    PermissionDenied,
    PortGone,
    QuotaExceeded,
    UnsupportedRequest,
    WiringTimeout,
)
from fairlead.model.network import FixedIP, IPAddress, PortChange
from fairlead.model.records import FREE, Allocation, JoinedNetwork, JoinedSubnet, Use
from fairlead.model.tags import unknown_owner
from fairlead.model.vif import Vif

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PortAddressing:
    """Give ports to attachments (`Addressing`). locks: of whoever gives second addresses of a network."""

    node: Node
    warm: WarmPools
    devices: Devices
    alone: bool = False
    locks: KeyedLocks = field(default_factory=KeyedLocks)

    async def reserve(self, joined: JoinedNetwork, subnet: JoinedSubnet, address: IPAddress | None) -> IPAddress:
        """Give out the address that is asked for, or one of a port that waits.

        Idempotent for an address that was asked for and has no attachment yet. Raises AddressInUse, NoFreeAddress,
        QuotaExceeded.
        """
        is_first = subnet == joined.subnets[0]
        if not is_first and address is not None and await self._known(joined, address, is_first=False):
            return address
        if not is_first:
            async with self.locks.hold(joined.id):
                return await self._reserve_second(joined, subnet, address)
        if address is not None:
            await self._make_chosen(joined, address)
            return address
        taken = await self.warm.take(joined)
        (given,) = taken.reserved
        return given

    async def release(self, joined_id: str, address: IPAddress) -> None:
        """Take an address back; its port rests after the last one. Fine where nothing is known of it."""
        allocation = self.node.port_table.of_address(joined_id, address)
        if allocation is None:
            return
        if allocation.owner == unknown_owner(allocation.id):
            allocation = replace(allocation, dirty=True)
        elif allocation.owner:
            log.warning("kept an address: an attachment has it", address=str(address), owner=allocation.owner)
            return
        if address not in allocation.reserved:
            return
        left = allocation.reserved - {address}
        if left:
            self.node.port_table.put(replace(allocation, reserved=left))
        else:
            self.warm.give_back(allocation)

    async def assign(
        self, joined: JoinedNetwork, key: AttachmentKey, addresses: tuple[IPAddress, ...], mac: str
    ) -> Assigned:
        """Give an attachment the port that has its addresses. mac empty: the port's own.

        Raises NotFound (an address that was not reserved), AddressInUse, UnsupportedRequest (a MAC).
        """
        async with self.locks.hold(joined.id):
            first, *others = addresses
            for address in addresses:
                if not any(address in subnet.cidr for subnet in joined.subnets):
                    raise not_reserved(address)
            allocation = self.node.port_table.of_address(joined.id, first)
            if allocation is None or allocation.use not in (Use.RESERVED, Use.ATTACHED):
                raise not_reserved(first)
            if allocation.owner and not _is_of(allocation, key):
                raise _attached_already(first, allocation)
            for address in others:
                if address not in allocation.addresses:
                    allocation = await self._move(joined, address, allocation)
            if mac and not allocation.mac:
                raise UnsupportedRequest(
                    "in this agent's mode a container has the MAC address of its node",
                    remedy="ask for no MAC address",
                    code="mac-not-chosen",
                )
            if mac and mac.lower() != allocation.mac.lower():
                allocation = await self._replace(joined, allocation, mac)
            if not _is_of(allocation, key):
                allocation = self.node.port_table.put(
                    replace(
                        allocation,
                        owner=key.owner,
                        interface=key.interface,
                        reserved=allocation.reserved | set(addresses),
                        since=self.node.clock.now(),
                    )
                )
            return _assigned(allocation)

    def assigned(self, key: AttachmentKey) -> Assigned | None:
        """Return what an attachment has."""
        allocation = self._find(key)
        return _assigned(allocation) if allocation else None

    async def plug(self, joined: JoinedNetwork, key: AttachmentKey) -> Vif:
        """Wire the attachment on this host; returns when packets can flow.

        A port that somebody deleted while it waited is made again, with its addresses and its MAC. Raises NotFound,
        WiringTimeout, SwitchUnavailable, DataplaneError, and what make_ports raises.
        """
        try:
            try:
                return await self.devices.wire(joined, self._get(key))
            except PortGone as error:
                log.warning("making a port again", error=str(error), owner=key.owner)
                return await self.devices.wire(joined, await self._make_again(joined, key))
        except WiringTimeout:
            # Neutron may have lost the port: nobody else shall be given it.
            self.node.port_table.put(replace(self._get(key), unwired=True))
            raise

    def vif(self, joined: JoinedNetwork, key: AttachmentKey) -> Vif:
        """Return what the data plane knows an attachment by. Raises NotFound."""
        return vif_of(joined, self._get(key))

    async def unplug(self, key: AttachmentKey, *, at_once: bool) -> None:
        """Let go of the attachment's port, which rests when its addresses are released.

        Not at once, its devices go behind: where the runtime has taken the sandbox's end out of the container, nothing
        can use it any more.
        """
        allocation = self._find(key)
        if allocation is None:
            return
        allocation = self.node.port_table.put(
            replace(allocation, owner="", interface="", dirty=True, since=self.node.clock.now())
        )
        if at_once:
            await self.devices.clean(allocation)
        else:
            self.devices.wake_up.wake()

    def keys(self, joined_id: str) -> list[AttachmentKey]:
        """List a network's attachments."""
        attached = self.node.port_table.in_use(joined_id, Use.ATTACHED)
        return [AttachmentKey(one.owner, joined_id, one.interface) for one in attached]

    def _find(self, key: AttachmentKey) -> Allocation | None:
        return self.node.port_table.of_owner(key.owner, key.interface)

    def _get(self, key: AttachmentKey) -> Allocation:
        allocation = self._find(key)
        if allocation is None:
            raise NotFound(f"attachment {key.owner[:12]} went while it was made", remedy="start the container again")
        return allocation

    async def _known(self, joined: JoinedNetwork, address: IPAddress, *, is_first: bool) -> bool:
        """Say whether the address is this host's to give: reserved and not attached yet, or waiting in the pool.

        The second family's address goes with the first's, which was reserved before.
        """
        allocation = self.node.port_table.of_address(joined.id, address)
        if allocation is None:
            return False
        if allocation.use is Use.LEAVING:
            await delete_port(self.node, allocation)
            return False
        if allocation.use is Use.ATTACHED:
            raise AddressInUse(
                f"address {address} is used by attachment {allocation.owner[:12]} on this host",
                remedy="choose another address, or remove that container",
                code="address-attached-here",
                details={"address": address, "owner": allocation.owner[:12]},
            )
        if allocation.use in (*FREE, Use.KEPT) and is_first:
            self.node.port_table.put(
                replace(allocation, reserved=frozenset({address}), single_use=True, since=self.node.clock.now())
            )
            return True
        if address in allocation.reserved and is_first and not allocation.single_use:
            raise AddressInUse(
                f"address {address} was just given to another container on this host",
                remedy="choose another address",
                code="address-taken",
            )
        return address in allocation.reserved

    async def _make_chosen(self, joined: JoinedNetwork, address: IPAddress) -> None:
        """Make a port with the address, and a MAC that follows from it: neighbours know it, wherever it was before."""
        first, *rest = joined.subnets
        fixed_ips = (FixedIP(first.subnet_id, address), *(FixedIP(subnet.subnet_id) for subnet in rest))
        choice, mac, leaving = self._choice(joined, address), mac_of(address), self.node.port_table.leaving()
        while not await self._known(joined, address, is_first=True):
            try:
                await make_ports(
                    self.node, joined, fixed_ips=fixed_ips, mac=mac, single_use=True, reserved=frozenset({address})
                )
            except AddressInUse as error:
                await choice.wait(error)
                if choice.unseen > 1:
                    mac = ""  # it may be the MAC that is taken
            except PermissionDenied:
                if not mac:
                    raise
                mac = ""  # a network that another project shares
            except QuotaExceeded:
                networks = self.node.store.all(JoinedNetwork)
                if not await finish_deletion(self.node, leaving) and not await spare(self.node, 1, networks):
                    raise

    def _choice(self, joined: JoinedNetwork, address: IPAddress) -> Choice:
        until = self.node.clock.now() + self.warm.limits.cool_down + GIVEN_UP_WITHIN
        return Choice(self.node, joined, address, until)

    async def _reserve_second(
        self, joined: JoinedNetwork, subnet: JoinedSubnet, address: IPAddress | None
    ) -> IPAddress:
        """Reserve the other family's address of a port that waits for it, the oldest first."""
        version = subnet.cidr.version
        # One whose second address is already reserved is taken only where no other is left: this is a repeated request.
        waiting = sorted(
            self.node.port_table.in_use(joined.id, Use.RESERVED), key=lambda one: one.address(version) in one.reserved
        )
        if not waiting:
            raise Conflict(f"no port waits for an address of {subnet.cidr}", remedy="start the container again")
        allocation = waiting[0]
        if address is not None and address not in allocation.addresses:
            allocation = await self._choose_second(joined, allocation, address)
        given = allocation.address(version)
        if given is None:
            raise Conflict(f"a port has no address of {subnet.cidr}", remedy="see Neutron's log")
        self.node.port_table.put(replace(allocation, reserved=allocation.reserved | {given}))
        return given

    async def _choose_second(self, joined: JoinedNetwork, allocation: Allocation, address: IPAddress) -> Allocation:
        choice = self._choice(joined, address)
        while True:
            await self._free(joined, address)
            try:
                return await _change_address(self.node, joined, allocation, address)
            except AddressInUse as error:
                await choice.wait(error)

    async def _free(self, joined: JoinedNetwork, address: IPAddress) -> None:
        """Give up a port of this host's that no container has, with an address which a user chose for another."""
        holder = self.node.port_table.of_address(joined.id, address)
        if holder and holder.use in (*FREE, Use.KEPT, Use.LEAVING):
            await delete_port(self.node, self.node.port_table.put(replace(holder, leaving=True)))

    async def _move(self, joined: JoinedNetwork, address: IPAddress, to: Allocation) -> Allocation:
        """Move an address to another port, whose own goes the other way.

        Two starts crossed, and each was told of the other's address; every port keeps one, reserved or not. Exchanged
        by half, the ports are of no use to anybody else, and go when they are released.
        """
        holder = self.node.port_table.of_address(joined.id, address)
        if holder is None:
            return await _change_address(self.node, joined, to, address)
        if holder.owner:
            raise AddressInUse(
                f"address {address} is used by attachment {holder.owner[:12]}",
                remedy="start the container again",
                code="address-attached-meanwhile",
                details={"address": address, "owner": holder.owner[:12]},
            )
        given_back, flags = to.address(address.version), (holder.single_use, to.single_use)
        was_reserved = given_back in to.reserved
        holder = await _change_address(self.node, joined, holder, None, version=address.version)
        to = await _change_address(self.node, joined, to, address)
        if given_back:
            holder = await _change_address(self.node, joined, holder, given_back)
            taken = holder.reserved | ({given_back} if was_reserved else set())
            self.node.port_table.put(replace(holder, reserved=taken, single_use=flags[0]))
            to = self.node.port_table.put(replace(to, single_use=flags[1]))
        return to

    async def _make_again(self, joined: JoinedNetwork, key: AttachmentKey) -> Allocation:
        before = self._get(key)
        made = await self._replace(joined, before, before.mac)
        now = self.node.clock.now()
        given = replace(made, owner=key.owner, interface=key.interface, reserved=before.reserved, since=now)
        return self.node.port_table.put(given)

    async def _replace(self, joined: JoinedNetwork, allocation: Allocation, mac: str) -> Allocation:
        """Make the port anew with the MAC that was asked for: members may set it only when a port is made."""
        fixed_ips = tuple(
            FixedIP(subnet.subnet_id, address)
            for subnet in joined.subnets
            for address in allocation.addresses
            if address in subnet.cidr
        )
        if await self.node.network_service.find_ports(network_id=joined.network_id, mac=mac):
            raise AddressInUse(f"MAC address {mac} is used by another port", remedy="choose another MAC address")
        await delete_port(self.node, self.node.port_table.put(replace(allocation, leaving=True)))
        choice = self._choice(joined, allocation.addresses[0])
        while True:
            try:
                (made,) = await make_ports(
                    self.node, joined, fixed_ips=fixed_ips, mac=mac, single_use=True, reserved=allocation.reserved
                )
            except AddressInUse as error:
                if choice.unseen > 1:
                    raise  # it is the MAC that is taken
                for address in allocation.addresses:
                    await self._free(joined, address)  # made ahead meanwhile
                await choice.wait(error)
            else:
                return made


async def _change_address(
    node: Node, joined: JoinedNetwork, allocation: Allocation, address: IPAddress | None, *, version: int = 6
) -> Allocation:
    """Give a port another address of one family (None: none of it), and keep the other family's.

    From before Neutron hears of it the port is for single use: it has what a user chose, or nobody knows what.
    """
    allocation = node.port_table.put(replace(allocation, single_use=True))
    family = address.version if address else version
    kept = [one for one in allocation.addresses if one.version != family]
    wanted = [*kept, address] if address else kept
    fixed_ips = tuple(FixedIP(_subnet_of(joined, one).subnet_id, one) for one in wanted)
    port = await node.network_service.update_port(allocation.id, PortChange(fixed_ips=fixed_ips))
    await node.nesting.move(allocation, port)
    addresses = tuple(one.address for one in port.fixed_ips if one.address is not None)
    return node.port_table.put(replace(allocation, addresses=addresses, reserved=allocation.reserved & set(addresses)))


def _subnet_of(joined: JoinedNetwork, address: IPAddress) -> JoinedSubnet:
    return next(subnet for subnet in joined.subnets if address in subnet.cidr)


def _is_of(allocation: Allocation, key: AttachmentKey) -> bool:
    return (allocation.owner, allocation.interface) == (key.owner, key.interface)


def _assigned(allocation: Allocation) -> Assigned:
    return Assigned(allocation.id, allocation.mac, allocation.addresses)


def _attached_already(address: IPAddress, holder: Allocation) -> AddressInUse:
    return AddressInUse(
        f"address {address} is used by attachment {holder.owner[:12]}",
        remedy="choose another address",
        code="address-attached",
        details={"address": address, "owner": holder.owner[:12]},
    )
