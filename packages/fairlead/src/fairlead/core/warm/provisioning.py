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
from fairlead.model.network import FixedIP, NewPort, Port
from fairlead.model.records import Allocation, Batch, JoinedNetwork, Step
from fairlead.model.tags import OWNED, PORT_OWNER, described_network, host_tag, port_description, port_name

log = structlog.get_logger(__name__)


async def make_ports(
    node: Node,
    joined: JoinedNetwork,
    *,
    count: int = 1,
    fixed_ips: tuple[FixedIP, ...] = (),
    mac: str = "",
    single_use: bool = False,
) -> list[Allocation]:
    """Make ports for a network in one request; fixed_ips empty: Neutron picks an address of each subnet.

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
        description=port_description(joined, single_use=single_use, batch_id=batch.id),
        device_id=batch.id if at_once else "",
        device_owner=PORT_OWNER,
        mac=mac,
        host=host if may_bind else "",
        security_group_ids=joined.security_group_ids,
        tags=frozenset({OWNED, host_tag(host)}),
    )
    node.store.put(batch)
    answered = node.provisioning[batch.id] = asyncio.Event()
    try:
        ports = await node.network_service.create_ports([new] * count)
        return await _nest(node, batch, ports)
    except CloudUnavailable as error:
        if error.reached:
            node.store.put(replace(batch, since=node.clock.now()))
        else:
            node.store.delete(Batch, batch.id)
        raise
    except FairleadError:
        node.store.delete(Batch, batch.id)
        raise
    finally:
        del node.provisioning[batch.id]
        answered.set()


async def find_lost(node: Node, batch: Batch) -> None:
    """Take the ports of a batch whose answer never came. One without any is given up after its GRACE.

    Ports that were not tagged any more go: whoever waits for one is given another. Raises what
    NetworkService.find_ports raises.
    """
    ports = await ports_of_batch(node, batch)
    if not ports and node.clock.now() - batch.since <= GRACE:
        return
    unknown = [port for port in ports if node.port_table.get(port.id) is None]
    if unknown:
        log.info("found ports whose answer was lost", ports=len(unknown), network=batch.joined_id)
    await _nest(node, batch, unknown)


async def delete_port(node: Node, allocation: Allocation) -> None:
    """Delete a port that is leaving. Raises as delete_ports does."""
    await delete_ports(node, [allocation])


async def delete_ports(node: Node, allocations: Sequence[Allocation]) -> None:
    """Delete ports that are leaving, their devices first, and forget them.

    Raises what NetworkService.delete_port, Nesting.unnest and Dataplane.remove raise.
    """
    for allocation in allocations:
        await node.dataplane.remove(allocation.id)
    await node.nesting.unnest(allocations)
    for allocation in allocations:
        await node.network_service.delete_port(allocation.id)
        node.port_table.delete(allocation.id)


async def _nest(node: Node, batch: Batch, ports: list[Port]) -> list[Allocation]:
    """Hold ports once they are this node's. What can't become so is held as well, to be deleted."""
    tagged = [port for port in ports if OWNED in port.tags]
    try:
        nested = await node.nesting.nest(tagged) if tagged else {}
    except FairleadError:
        _hold(node, batch, ports, {})
        raise
    return _hold(node, batch, ports, nested)


def _hold(node: Node, batch: Batch, ports: list[Port], nested: Mapping[str, Nested]) -> list[Allocation]:
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
                single_use=bool((described := described_network(port.description)) and described.single_use),
                leaving=left or port.id not in nested,
            )
        )
        for port in ports
    ]
    node.store.delete(Batch, batch.id)
    return held


def _is_held(node: Node, joined_id: str) -> bool:
    joined = node.store.get(JoinedNetwork, joined_id)
    return joined is not None and joined.step is Step.HELD
