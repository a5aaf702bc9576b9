"""Address pairs and the security group on a node's port: what lets its part of the range through port security.

A port's pairs and groups are lists that a change replaces whole, so each change is made to the revision that was read.
Pairs have no tags: those within the network's ranges are Fairlead's on this port, all others are left alone.
"""

from contextlib import suppress

import structlog

from fairlead.core.blocks.node import RoutedNode
from fairlead.model.errors import Conflict, NotFound, StillInUse
from fairlead.model.network import AddressPair, IPNetwork, NewSecurityGroup, Port, PortChange, SecurityGroup
from fairlead.model.records import Lease
from fairlead.model.tags import OWNED

log = structlog.get_logger(__name__)

_ATTEMPTS = 5
"""How often a port that changes under our hands is looked at again."""


_DESCRIPTION = "Lets the containers of a network in"

UNUSED_FOR = 5.0
"""Seconds for which no port must have had a group before it is deleted."""

GROUP_SPREAD = 4.0
"""Seconds over which nodes that miss the group make it, in the order of their ports' ids."""


def group_name(ranges: tuple[IPNetwork, ...]) -> str:
    """Name the group that lets a network's packets in."""
    return f"fairlead-{'-'.join(map(str, ranges))}"


async def open_port(node: RoutedNode, lease: Lease) -> Port:
    """Bring pairs and group of the lease's port to what it needs; return the port.

    Raises NotFound where the port is gone, Conflict where it changes all the time, and what NetworkService raises.
    """
    async with node.port_lock:
        return await _open(node, lease)


async def _open(node: RoutedNode, lease: Lease) -> Port:
    group_id, lost = "", False
    for _ in range(_ATTEMPTS):
        port = await _find(node, lease)
        if not port.port_security:
            return port
        foreign = tuple(pair for pair in port.address_pairs if not is_within(pair.cidr, lease.ranges))
        have = {pair.cidr for pair in port.address_pairs} - {pair.cidr for pair in foreign}
        group_id = group_id or await _group(node, lease)
        groups = port.security_group_ids
        if have == set(lease.parts) and group_id in groups and not lost:
            return port
        try:
            # In requests of their own: of two that are in flight at once, Neutron then merges pairs and loses none.
            if group_id not in groups:
                port = await _change(node, port, PortChange(security_group_ids=(*groups, group_id)))
            if have != set(lease.parts) or lost:
                pairs = (*foreign, *(AddressPair(part) for part in lease.parts))
                port = await _change(node, port, PortChange(address_pairs=pairs))
        except Conflict:
            lost = True  # OVN may have either list now, whichever Neutron shows: it is sent again
            continue
        log.info("opened this node's port", port=port.id, subnets=[str(part) for part in lease.parts])
        return port
    raise Conflict(f"port {lease.port_id} changes all the time", remedy="see who else changes it")


async def close_port(node: RoutedNode, lease: Lease, *, keep: frozenset[IPNetwork], last: bool) -> None:
    """Take the pairs of an ended lease off its port, and the group where the port is this node's own.

    keep: subnets that the port's node holds by another lease. last: this node has no other lease of these ranges.
    Raises Conflict, and what NetworkService raises.
    """
    async with node.port_lock:
        await _close(node, lease, keep=keep, last=last)


async def _close(node: RoutedNode, lease: Lease, *, keep: frozenset[IPNetwork], last: bool) -> None:
    for _ in range(_ATTEMPTS):
        try:
            port = await _find(node, lease)
        except NotFound:
            return
        going = set(lease.parts) - keep
        pairs = tuple(pair for pair in port.address_pairs if pair.cidr not in going)
        ours: set[str] = set()
        if lease.own and last:
            ours = {group.id for group in await _groups(node, lease.ranges)} & set(port.security_group_ids)
        if len(pairs) == len(port.address_pairs) and not ours:
            break
        try:
            if len(pairs) < len(port.address_pairs):
                port = await _change(node, port, PortChange(address_pairs=pairs))
            if ours:
                groups = tuple(one for one in port.security_group_ids if one not in ours)
                await _change(node, port, PortChange(security_group_ids=groups))
        except Conflict:
            continue
        log.info("closed a port", port=port.id, subnets=[str(part) for part in going])
        break
    if lease.own and last:
        for group in [*await _groups(node, lease.ranges), *await _half_made_groups(node, lease.ranges)]:
            node.unneeded.setdefault(group.id, None)


async def drop_unneeded(node: RoutedNode) -> None:
    """Delete the groups that this node has no use for, once no port has had them for a while. Raises as NetworkService.

    Not at once: a port from which a group is being taken has it in OVN a moment longer than in Neutron's answers. If
    the group is gone by then, Neutron can't bring that port to OVN any more, now or ever ("Port group … does not
    exist", 2026.1).
    """
    for group_id, since in list(node.unneeded.items()):
        now = node.clock.now()
        if await node.network_service.find_ports(security_group=group_id):
            del node.unneeded[group_id]  # whose port it is takes care of it
        elif since is None:
            node.unneeded[group_id] = now
        elif now - since >= UNUSED_FOR:
            with suppress(StillInUse):
                await node.network_service.delete_security_group(group_id)
            del node.unneeded[group_id]


def is_within(cidr: IPNetwork, ranges: tuple[IPNetwork, ...]) -> bool:
    """Say whether a range is part of one of several."""
    return any(
        cidr.version == one.version and cidr.subnet_of(one)  # type: ignore[arg-type]  # of one version by now
        for one in ranges
    )


async def _change(node: RoutedNode, port: Port, change: PortChange) -> Port:
    return await node.network_service.update_port(port.id, change, revision=port.revision)


async def _find(node: RoutedNode, lease: Lease) -> Port:
    found = await node.find_port(lease.port_id) if lease.port_id else None
    if found is None:
        raise NotFound(
            f"port {lease.port_id or 'of a lease'} is gone from Neutron",
            remedy="give this node a port again",
            code="node-port-gone",
        )
    return found


async def _group(node: RoutedNode, lease: Lease) -> str:
    """Return the project's group for the lease's ranges; of several that nodes made at once the oldest stays."""
    if found := await _complete_groups(node, lease):
        return found[0].id
    if not lease.joined_id or any(peer.joined_id == lease.joined_id for peer in node.peers()):
        # Nodes that come up together find none together: all but one wait a little, and find that one's.
        await node.clock.sleep(GROUP_SPREAD * int(lease.port_id[:4], 16) / 0xFFFF)
    if found := await _complete_groups(node, lease):
        return found[0].id
    made = await node.network_service.create_security_group(
        NewSecurityGroup(group_name(lease.ranges), _DESCRIPTION, frozenset({OWNED}), lease.ranges)
    )
    first = (await _complete_groups(node, lease) or [made])[0]
    if first.id != made.id:
        node.unneeded[made.id] = None
    return first.id


async def _complete_groups(node: RoutedNode, lease: Lease) -> list[SecurityGroup]:
    return [one for one in await _groups(node, lease.ranges) if one.ingress >= set(lease.ranges)]


async def _groups(node: RoutedNode, ranges: tuple[IPNetwork, ...]) -> list[SecurityGroup]:
    return await node.network_service.find_owned_security_groups(name=group_name(ranges), tags=(OWNED,))


async def _half_made_groups(node: RoutedNode, ranges: tuple[IPNetwork, ...]) -> list[SecurityGroup]:
    """List the groups whose maker died before they had their tags, which come last."""
    found = await node.network_service.find_owned_security_groups(name=group_name(ranges))
    return [one for one in found if OWNED not in one.tags and one.description == _DESCRIPTION]
