"""Ports made and deleted in Neutron: the intent is in the store before, the result after."""

from dataclasses import replace
from uuid import uuid4

import structlog

from fairlead.engine.names import OWNED, PORT_OWNER, described_network, host_tag, port_description, port_name
from fairlead.engine.node import Node
from fairlead.model.errors import CloudUnavailable, Conflict, FairleadError
from fairlead.model.network import FixedIP, NewPort, Port
from fairlead.model.records import Allocation, Batch, JoinedNetwork, Step

log = structlog.get_logger(__name__)

GRACE = 120.0
"""Seconds after an answer was given up on in which Neutron may still do what it was asked for."""


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

    Refused: nothing is left of the intent. No answer: it stays, for the sweep to find out what became of it. Raises
    what NetworkService.create_ports raises.
    """
    host, may_bind = await node.host(), (await node.network_service.view()).may_bind
    if not _is_held(node, joined.id):
        raise Conflict(f"network {joined.id[:12]} is being left", remedy="make it again")
    batch = Batch(uuid4().hex, joined.id, node.clock.now())
    new = NewPort(
        network_id=joined.network_id,
        fixed_ips=fixed_ips or tuple(FixedIP(subnet.subnet_id) for subnet in joined.subnets),
        name=port_name(host, ""),
        description=port_description(joined, single_use=single_use),
        device_id=batch.id,
        device_owner=PORT_OWNER,
        mac=mac,
        host=host if may_bind else "",
        security_group_ids=joined.security_group_ids,
        tags=frozenset({OWNED, host_tag(host)}),
    )
    node.store.put(batch)
    node.making.add(batch.id)
    try:
        ports = await node.network_service.create_ports([new] * count)
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
        node.making.discard(batch.id)
    return _hold(node, batch, ports)


async def find_lost(node: Node, batch: Batch) -> None:
    """Take the ports of a batch whose answer never came. One without any is given up after its GRACE.

    Raises what NetworkService.find_ports raises.
    """
    ports = await node.network_service.find_ports(device_id=batch.id)
    if not ports and node.clock.now() - batch.since <= GRACE:
        return
    unknown = [port for port in ports if node.ledger.get(port.id) is None and OWNED in port.tags]
    if unknown:
        log.info("found ports whose answer was lost", ports=len(unknown), network=batch.engine_network)
    _hold(node, batch, unknown)


async def delete_port(node: Node, allocation: Allocation) -> None:
    """Delete a port that is leaving, its devices first, and forget it.

    Raises what NetworkService.delete_port and Dataplane.remove raise.
    """
    await node.dataplane.remove(allocation.id)
    await node.network_service.delete_port(allocation.id)
    node.ledger.delete(allocation.id)


def _hold(node: Node, batch: Batch, ports: list[Port]) -> list[Allocation]:
    # Left while the ports were being made: they go as well.
    leaving = not _is_held(node, batch.engine_network)
    held = [
        node.ledger.get(port.id)
        or node.ledger.put(
            Allocation(
                id=port.id,
                engine_network=batch.engine_network,
                since=node.clock.now(),
                mac=port.mac,
                addresses=tuple(one.address for one in port.fixed_ips if one.address is not None),
                single_use=bool((described := described_network(port.description)) and described.single_use),
                leaving=leaving,
            )
        )
        for port in ports
    ]
    node.store.delete(Batch, batch.id)
    return held


def _is_held(node: Node, engine_network: str) -> bool:
    joined = node.store.get(JoinedNetwork, engine_network)
    return joined is not None and joined.step is Step.HELD
