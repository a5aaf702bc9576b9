"""Which ports in Neutron are this node's: the one place that asks."""

from fairlead.core.warm.node import Node
from fairlead.model.errors import FairleadError, PortGone
from fairlead.model.network import Port
from fairlead.model.records import Batch
from fairlead.model.tags import OWNED, PORT_OWNER, described_network, node_tag, port_name


async def own_ports(node: Node, *, brief: bool = False) -> list[Port]:
    """List the ports that carry this node's tag, in one request. brief, and what is raised: see find_ports."""
    return await node.network_service.find_ports(tags=(OWNED, node_tag(node.id)), brief=brief)


async def untagged_ports(node: Node) -> list[Port]:
    """List the ports that this node made and never tagged, known by what the request itself gave them.

    Raises what NetworkService.find_ports raises.
    """
    waiting = await node.network_service.find_ports(name=port_name(await node.host(), ""))
    return [
        port
        for port in waiting
        if OWNED not in port.tags
        and port.device_owner == PORT_OWNER
        and (described := described_network(port.description))
        and described.node_id in {"", node.id}
    ]


async def ports_of_batch(node: Node, batch: Batch) -> list[Port]:
    """List the ports that a request made, tagged or not. Raises what NetworkService.find_ports raises."""
    if node.nesting.at_creation:
        found = await node.network_service.find_ports(device_id=batch.id)
        return [port for port in found if port.device_owner == PORT_OWNER]
    waiting = await node.network_service.find_ports(name=port_name(await node.host(), ""))
    return [
        port
        for port in waiting
        if (described := described_network(port.description)) and described.batch_id == batch.id
    ]


async def refuse_gone(node: Node, port_id: str) -> None:
    """Raise PortGone where Neutron says that it has no such port; any other answer is no such word."""
    try:
        found = await node.network_service.find_ports(port_id=port_id)
    except FairleadError:
        return
    if not found:
        raise PortGone(f"Neutron has no port {port_id}", remedy="start the container again")
