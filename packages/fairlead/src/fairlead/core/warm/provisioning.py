"""Ports made and deleted in Neutron: the intent is in the store before, the result after."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

import structlog

from fairlead.core.background.grace import GRACE
from fairlead.core.nesting.nesting import Nested
from fairlead.core.warm.node import Node
from fairlead.core.warm.own_ports import ports_of_batch
from fairlead.model.errors import CloudUnavailable, Conflict, FairleadError
from fairlead.model.network import FixedIP, IPAddress, NewPort, Port
from fairlead.model.records import Allocation, Batch, JoinedNetwork, Step
from fairlead.model.tags import (
    OWNED,
    PORT_OWNER,
    described_network,
    host_tag,
    node_tag,
    port_description,
    port_name,
)

_UNBINDABLE = "binding_failed"
"""vif_type of a port that no mechanism driver could bind to its host."""

log = structlog.get_logger(__name__)


async def make_ports(
    node: Node,
    joined: JoinedNetwork,
    *,
    count: int = 1,
    fixed_ips: tuple[FixedIP, ...] = (),
    mac: str = "",
    single_use: bool = False,
    reserved: frozenset[IPAddress] = frozenset(),
) -> list[Allocation]:
    """Make ports for a network in one request; fixed_ips empty: Neutron picks an address of each subnet.

    reserved: addresses that are given out with the port, so that there is no moment at which it waits for anybody.
    Refused: nothing is left of the intent. No answer: it stays, for the keeper to find out what became of it. Raises
    what NetworkService.create_ports raises.
    """
    host, at_once = await node.host(), node.nesting.at_creation
    may_bind = at_once and (await node.network_service.view()).may_bind
    if not _is_held(node, joined.id):
        raise Conflict(f"network {joined.id[:12]} is being left", remedy="make it again")
    batch = Batch(uuid4().hex, joined.id, node.clock.now())
    new = NewPort(
        network_id=joined.network_id,
        fixed_ips=fixed_ips or tuple(FixedIP(subnet.subnet_id) for subnet in joined.subnets),
        name=port_name(host, ""),
        description=port_description(joined, node.id, batch.id, single_use=single_use),
        device_id=batch.id if at_once else "",
        device_owner=PORT_OWNER,
        mac=mac,
        host=host if may_bind else "",
        security_group_ids=joined.security_group_ids,
        tags=frozenset({OWNED, host_tag(host), node_tag(node.id)}),
    )
    node.store.put(batch)
    answered = node.provisioning[batch.id] = asyncio.Event()
    try:
        ports = await _create(node, batch, [new] * count)
        return _bound(await _nest(node, batch, ports, reserved), host)
    finally:
        del node.provisioning[batch.id]
        answered.set()


async def _create(node: Node, batch: Batch, new: Sequence[NewPort]) -> list[Port]:
    """Send a batch's request; refused, there is no such batch."""
    try:
        return await node.network_service.create_ports(new)
    except CloudUnavailable as error:
        if error.reached:
            node.store.put(replace(batch, since=node.clock.now()))
        else:
            node.store.delete(Batch, batch.id)
        raise
    except FairleadError:
        node.store.delete(Batch, batch.id)
        raise


def _bound(made: Sequence[Allocation], host: str) -> list[Allocation]:
    """Return the ports that can be plugged; the others are on their way out."""
    bound = [one for one in made if one.vif_type != _UNBINDABLE]
    if made and not bound:
        raise Conflict(
            f"Neutron could not bind ports to host {host}",
            remedy="is the host's agent or chassis alive in Neutron (`openstack network agent list`), and can the host "
            "reach the network?",
        )
    return bound


async def find_lost(node: Node, batch: Batch) -> list[Allocation]:
    """Take the ports of a batch whose answer never came, and return them. One without any is given up after its GRACE.

    A port whose address was chosen is kept for a while for who asks for it again: nobody else is to be given it.

    Ports that were not tagged any more go: whoever waits for one is given another. Raises what
    NetworkService.find_ports raises.
    """
    ports = await ports_of_batch(node, batch)
    if not ports and node.clock.now() - batch.since <= GRACE:
        return []
    unknown = [port for port in ports if node.port_table.get(port.id) is None]
    if unknown:
        log.info("found ports whose answer was lost", ports=len(unknown), network=batch.joined_id)
    return await _nest(node, batch, unknown)


async def delete_port(node: Node, allocation: Allocation) -> None:
    """Delete a port that is leaving. Raises as delete_ports does."""
    await delete_ports(node, [allocation])


async def delete_ports(node: Node, allocations: Sequence[Allocation]) -> None:
    """Delete ports that are leaving, their devices first, and forget them; those that are being deleted, it waits for.

    Raises what NetworkService.delete_port, Nesting.unnest and Dataplane.remove raise.
    """
    while under_way := [done for one in allocations if (done := node.deletions.get(one.id))]:
        for done in under_way:
            await done.wait()
    mine = [one for one in allocations if node.port_table.get(one.id)]
    ended = asyncio.Event()
    node.deletions.update(dict.fromkeys((one.id for one in mine), ended))
    try:
        for allocation in mine:
            await node.dataplane.remove(allocation.id)
        await node.nesting.unnest(mine)
        for allocation in mine:
            await node.network_service.delete_port(allocation.id)
            node.port_table.delete(allocation.id)
    finally:
        for allocation in mine:
            node.deletions.pop(allocation.id, None)
        ended.set()


async def _nest(
    node: Node, batch: Batch, ports: list[Port], reserved: frozenset[IPAddress] = frozenset()
) -> list[Allocation]:
    """Hold ports once they are this node's. What can't become so is held as well, to be deleted."""
    tagged = [port for port in ports if OWNED in port.tags]
    try:
        nested = await node.nesting.nest(tagged) if tagged else {}
    except FairleadError:
        _hold(node, batch, ports, {})
        raise
    return _hold(node, batch, ports, nested, reserved)


def _hold(
    node: Node,
    batch: Batch,
    ports: list[Port],
    nested: Mapping[str, Nested],
    reserved: frozenset[IPAddress] = frozenset(),
) -> list[Allocation]:
    # Left while the ports were being made: they go as well.
    left = not _is_held(node, batch.joined_id)
    held = [
        node.port_table.get(port.id)
        or node.port_table.put(
            Allocation(
                id=port.id,
                joined_id=batch.joined_id,
                since=node.clock.now(),
                mac=(mine := nested.get(port.id, Nested(port.mac))).mac,
                vlan=mine.vlan,
                addresses=tuple(one.address for one in port.fixed_ips if one.address is not None),
                reserved=reserved,
                vif_type=port.vif_type,
                vif_details=port.vif_details,
                single_use=_is_single_use(port),
                leaving=left or port.id not in nested or port.vif_type == _UNBINDABLE,
            )
        )
        for port in ports
    ]
    node.store.delete(Batch, batch.id)
    return held


def _is_single_use(port: Port) -> bool:
    described = described_network(port.description)
    return described is not None and described.single_use


def _is_held(node: Node, joined_id: str) -> bool:
    joined = node.store.get(JoinedNetwork, joined_id)
    return joined is not None and joined.step is Step.HELD
