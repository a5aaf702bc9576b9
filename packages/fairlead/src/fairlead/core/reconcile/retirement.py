"""A host that is dead for good: what is left of it in Neutron, and its removal by anybody of the project.

Whoever retires a host believes that it is dead, and may err. So it is asked: by a tag on one of its ports, which a node
that lives takes off when it next compares itself with Neutron. In mode `routed` Neutron knows by itself: the port of an
instance that runs is ACTIVE.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from fairlead.core.blocks.blocks import Block, block_of
from fairlead.core.blocks.port_security import group_name
from fairlead.core.networks.deletion import delete_unless_used
from fairlead.model.errors import Conflict, FairleadError, NotFound, StillInUse, UnsupportedRequest
from fairlead.model.network import IPNetwork, Network, Port, PortChange
from fairlead.model.tags import (
    ASKED,
    OWNED,
    described_block,
    host_tag,
    is_host,
    is_member_tag,
    is_routed,
    member_host,
    member_node,
    node_of,
    node_tag,
)
from fairlead.ports.clock import Clock
from fairlead.ports.network_service import NetworkService

log = structlog.get_logger(__name__)

ANSWER_WITHIN = 600.0
"""Seconds in which a node that lives has looked at its ports once at least."""

_LOOK_EVERY = 5.0
_ATTEMPTS = 5


@dataclass(slots=True)
class Remains:
    """What of one node is in Neutron.

    node: its id, or in mode `routed` its port's; empty: made before nodes had ids. marks: networks with the tag that it
    joined them. blocks: of networks in mode `routed`.
    """

    host: str
    node: str
    ports: list[Port] = field(default_factory=list)
    marks: list[tuple[Network, str]] = field(default_factory=list)
    blocks: list[tuple[Network, Block]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Say what there is, a line each."""
        for port in self.ports:
            addresses = ", ".join(str(one.address) for one in port.fixed_ips)
            yield f"port {port.id} ({port.name}; {addresses})"
        for network, _ in self.marks:
            yield f"its mark on network {network.name or network.id}"
        for network, block in self.blocks:
            yield f"block {block.cidr} of network {network.name or network.id}"


@dataclass(frozen=True, slots=True)
class Retirement:
    """Finds what is left of a host, finds out whether it lives, and removes it."""

    network_service: NetworkService
    clock: Clock

    async def find(self, name: str) -> list[Remains]:
        """Find what is left of the nodes of a host's name, or of the one of an id. Raises as NetworkService does."""
        service, found = self.network_service, dict[str, Remains]()

        def of(node: str, host: str) -> Remains:
            return found.setdefault(node, Remains(host, node))

        tagged = [await service.find_ports(tags=(OWNED, tag)) for tag in (host_tag(name), node_tag(name))]
        for port in {one.id: one for ports in tagged for one in ports}.values():
            of(node_of(port.tags), name).ports.append(port)
        for network in await service.find_networks(tags=(OWNED,), own=True):
            for tag in network.tags:
                if is_member_tag(tag) and (is_host(name, member_host(tag)) or member_node(tag) == name):
                    of(member_node(tag), member_host(tag)).marks.append((network, tag))
            for subnet in await service.find_subnets(network.id) if is_routed(network) else ():
                host, _, port_id = subnet.name.rpartition(" ")
                if (block := block_of(subnet)) and name in (host, port_id):
                    of(port_id, host).blocks.append((network, block))
        return list(found.values())

    async def lives(self, remains: Remains, waiting: Callable[[float], None]) -> bool | None:
        """Say whether a node lives; None where nothing of it could answer. waiting is told the seconds that are left.

        Raises what NetworkService raises.
        """
        if remains.blocks:
            return await self._is_active(remains.node)
        if not remains.ports:
            return None
        return await self._answers(remains.ports[0].id, waiting)

    async def _is_active(self, port_id: str) -> bool:
        return any(port.status == "ACTIVE" for port in await self.network_service.find_ports(port_id=port_id))

    async def _answers(self, port_id: str, waiting: Callable[[float], None]) -> bool:
        await self.network_service.tag_port(port_id, ASKED)
        try:
            until = self.clock.now() + ANSWER_WITHIN
            while (left := until - self.clock.now()) > 0:
                waiting(left)
                await self.clock.sleep(_LOOK_EVERY)
                found = await self.network_service.find_ports(port_id=port_id)
                # A port that went meanwhile went by its node's hand.
                if not found or ASKED not in found[0].tags:
                    return True
            return False
        finally:
            await self.network_service.untag_port(port_id, ASKED)

    async def remove(self, remains: Remains) -> None:
        """Remove it all; may be repeated. Raises what the first that can't be removed raises, once all is tried."""
        errors: list[FairleadError] = []
        for work in (self._remove_ports, self._remove_marks, self._remove_blocks):
            try:
                await work(remains)
            except FairleadError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def _remove_ports(self, remains: Remains) -> None:
        if not remains.ports:
            return
        await self._unnest(remains.ports)
        for port in remains.ports:
            await self.network_service.delete_port(port.id)

    async def _unnest(self, ports: Sequence[Port]) -> None:
        """Take ports off the trunk, or their addresses off the port, of the instance that has carried them."""
        service, going = self.network_service, {port.id for port in ports}
        try:
            trunks = await service.find_trunks()
        except UnsupportedRequest:
            trunks = []
        for trunk in trunks:
            if carried := going & {one.port_id for one in trunk.sub_ports}:
                await service.remove_sub_ports(trunk.id, carried)
        by_network = defaultdict[str, set[str]](set)
        for port in ports:
            by_network[port.network_id] |= {str(one.address) for one in port.fixed_ips}
        for network_id, addresses in by_network.items():
            for port in await service.find_ports(network_id=network_id):
                paired = {pair.cidr for pair in port.address_pairs if pair.cidr.num_addresses == 1}
                await self._unpair(port.id, {one for one in paired if str(one.network_address) in addresses})

    async def _unpair(self, port_id: str, going: Collection[IPNetwork], groups: Collection[str] = ()) -> None:
        for _ in range(_ATTEMPTS):
            (port,) = await self.network_service.find_ports(port_id=port_id) or (None,)
            if port is None:
                return
            pairs = tuple(pair for pair in port.address_pairs if pair.cidr not in going)
            kept = tuple(one for one in port.security_group_ids if one not in groups)
            try:
                if pairs != port.address_pairs:
                    change = PortChange(address_pairs=pairs)
                    port = await self.network_service.update_port(port_id, change, revision=port.revision)
                if kept != port.security_group_ids:
                    change = PortChange(security_group_ids=kept)
                    await self.network_service.update_port(port_id, change, revision=port.revision)
            except NotFound:
                return
            except Conflict:
                continue
            return
        raise Conflict(f"port {port_id} changes all the time", remedy="see who else changes it")

    async def _remove_marks(self, remains: Remains) -> None:
        for network, tag in remains.marks:
            await self.network_service.untag_network(network.id, tag)
            await delete_unless_used(self.network_service, network.id, _has_members, keep=True)

    async def _remove_blocks(self, remains: Remains) -> None:
        service, cidrs = self.network_service, {block.cidr for _, block in remains.blocks}
        if not cidrs:
            return
        named = [await service.find_owned_security_groups(name=name, tags=(OWNED,)) for name in _groups(remains)]
        groups = [group for groups in named for group in groups]
        for port in await service.find_ports(port_id=remains.node):
            for router in await service.find_routers([one.subnet_id for one in port.fixed_ips]):
                if routes := [route for route in router.routes if route.destination in cidrs]:
                    await service.remove_routes(router.id, routes)
        await self._unpair(remains.node, cidrs, {group.id for group in groups})
        for network, block in remains.blocks:
            await service.delete_subnet(block.subnet_id)
            await delete_unless_used(service, network.id, lambda one: bool(one.subnet_ids), keep=True)
        for group in groups:
            await self._delete_group(group.id)

    async def _delete_group(self, group_id: str) -> None:
        """Delete a group that no node has any more: OVN must have taken it off the port before (`drop_unneeded`)."""
        if await self.network_service.find_ports(security_group=group_id):
            return
        await self.clock.sleep(_LOOK_EVERY)
        try:
            if not await self.network_service.find_ports(security_group=group_id):
                await self.network_service.delete_security_group(group_id)
        except StillInUse:
            log.info("kept a security group: another node has just taken it", group=group_id)


def _has_members(network: Network) -> bool:
    return any(map(is_member_tag, network.tags))


def _groups(remains: Remains) -> Iterable[str]:
    ranges = defaultdict[str, set[IPNetwork]](set)
    for network, block in remains.blocks:
        if described := described_block(block.description):
            ranges[network.id].add(described.cidr)
    for cidrs in ranges.values():
        yield group_name(tuple(sorted(cidrs, key=lambda one: one.version)))
