"""Extra routes: how nodes on other subnets reach a node's part of the range.

A router has few routes to give (30, or the project's quota), so a node has one only while another node is on another
subnet. A second next hop for one destination would become ECMP, so a wrong one goes before the right one comes.
"""

import structlog

from fairlead.engine.routed.node import RoutedNode
from fairlead.engine.routed.ports import is_within
from fairlead.model.errors import NotFound
from fairlead.model.network import HostRoute, Port
from fairlead.model.records import Lease

log = structlog.get_logger(__name__)


async def route_lease(node: RoutedNode, lease: Lease, port: Port) -> None:
    """Let the routers of the port's subnets route the lease's parts to its node.

    Raises NotFound where no router is on them, QuotaExceeded, and what NetworkService raises.
    """
    routers = await node.network_service.find_routers([fixed.subnet_id for fixed in port.fixed_ips])
    if not routers:
        raise NotFound(
            "nodes are on several subnets, and no router of this project is on this one's",
            remedy="put all subnets on one router: `openstack router add subnet ROUTER SUBNET`",
        )
    wanted = {HostRoute(part, address) for part in lease.parts if (address := lease.address(part.version))}
    for router in routers:
        own = {
            route
            for route in router.routes
            if route.destination in lease.parts
            or (route.nexthop in lease.addresses and is_within(route.destination, lease.ranges))
        }
        if wrong := own - wanted:
            await node.network_service.remove_routes(router.id, sorted(wrong, key=str))
        if missing := wanted - own:
            await node.network_service.add_routes(router.id, sorted(missing, key=str))
        if wrong or missing:
            log.info("routed this node's part", router=router.id, subnets=[str(part) for part in lease.parts])


async def unroute_lease(node: RoutedNode, lease: Lease, port: Port) -> None:
    """Take the routes of an ended lease off the routers that this node's subnets have. Raises as NetworkService."""
    for router in await node.network_service.find_routers([fixed.subnet_id for fixed in port.fixed_ips]):
        dead = [
            route for route in router.routes if route.destination in lease.parts and route.nexthop in lease.addresses
        ]
        if dead:
            await node.network_service.remove_routes(router.id, dead)
            log.info("took an ended lease's routes off", router=router.id, subnet=lease.id)
