"""What a node can do where Neutron has no address or no quota left for a start: each way says whether it found some.

What costs others nothing is tried first: answers that are under way, ports that go anyway, addresses that a subnet
spares for people, ports that wait elsewhere.
"""

from collections.abc import Iterable
from dataclasses import replace

import structlog

from fairlead.core.networks.spared import grown
from fairlead.core.warm.node import Node
from fairlead.core.warm.provisioning import delete_ports, find_lost
from fairlead.model.records import FREE, Allocation, Batch, JoinedNetwork, Use

log = structlog.get_logger(__name__)


async def await_answers(node: Node, joined_id: str) -> bool:
    """Wait for ports that others have asked for on a network, and find those whose answer was lost.

    Raises what NetworkService.find_ports raises.
    """
    batches = [batch for batch in node.store.all(Batch) if batch.joined_id == joined_id]
    under_way = [answer for batch in batches if (answer := node.provisioning.get(batch.id))]
    for answer in under_way:
        await answer.wait()
    found: list[Allocation] = []
    for batch in batches:
        if batch.id not in node.provisioning and node.store.get(Batch, batch.id):
            found += await find_lost(node, batch)
    return bool(under_way or found)


async def finish_deletion(node: Node, leaving: list[Allocation], joined_id: str = "") -> bool:
    """Delete one of these ports, of a network or of any, and take it off the list. Raises as delete_ports does.

    The list is the caller's: a try that fails may leave another port behind, and is no reason for the next try.
    """
    found = next((one for one in leaving if joined_id in ("", one.joined_id)), None)
    if found is None:
        return False
    leaving.remove(found)
    await delete_ports(node, [found])
    return True


async def spread(node: Node, joined: JoinedNetwork) -> bool:
    """Let Neutron pick out of half of what a network's smallest range spares: where there are two, that one is used up.

    Raises what NetworkService.update_subnet raises.
    """
    if not joined.owned:
        return False
    smallest = min(joined.subnets, key=lambda one: one.cidr.num_addresses)
    for subnet in await node.network_service.find_subnets(joined.network_id):
        if subnet.id == smallest.subnet_id and (pools := grown(subnet)):
            await node.network_service.update_subnet(subnet.id, pools)
            log.info("a range gives out lower addresses", network=joined.id, range=str(subnet.cidr))
            return True
    return False


async def spare(node: Node, most: int, networks: Iterable[JoinedNetwork]) -> bool:
    """Delete ports of networks that no container has. Raises as delete_ports does."""
    free = [port for one in networks for port in node.port_table.in_use(one.id, Use.KEPT, *FREE)][:most]
    if free:
        await delete_ports(node, [node.port_table.put(replace(one, leaving=True)) for one in free])
        log.info("gave up waiting ports for the quota", ports=len(free))
    return bool(free)
