"""Extra routes: how nodes on other subnets reach a node's part of the range.

A router has few routes to give (30, or the project's quota), so a node has one only while another node is on another
subnet. A second next hop for one destination would become ECMP, so a wrong one goes before the right one comes.

Of changes that several nodes make to one router at once, Neutron keeps all in its database and may lose some on the way
to OVN: each request brings OVN to the list that it saw, and the last to get there need not be the last that was made
(2026.1). A request that changes nothing brings OVN to the whole list. So each node repeats its change a little later:
the last repetition comes after the last change.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.port_security import is_within
from fairlead.model.errors import NotFound
from fairlead.model.network import HostRoute, Port
from fairlead.model.records import Lease

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RouteChange:
    """What was changed of a router, and may be said again."""

    router_id: str
    added: tuple[HostRoute, ...] = ()
    removed: tuple[HostRoute, ...] = ()


async def route_lease(node: RoutedNode, lease: Lease, port: Port) -> list[RouteChange]:
    """Let the routers of the port's subnets route the lease's parts to its node; return what that changed.

    Raises NotFound where no router is on them, QuotaExceeded, and what NetworkService raises.
    """
    routers = await node.network_service.find_routers([fixed.subnet_id for fixed in port.fixed_ips])
    if not routers:
        raise NotFound(
            "nodes are on several subnets, and no router of this project is on this one's",
            remedy="put all subnets on one router: `openstack router add subnet ROUTER SUBNET`",
        )
    wanted, changes = wanted_routes(lease), []
    for router in routers:
        own = {
            route
            for route in router.routes
            if route.destination in lease.parts
            or (route.nexthop in lease.addresses and is_within(route.destination, lease.ranges))
        }
        change = RouteChange(router.id, tuple(sorted(wanted - own, key=str)), tuple(sorted(own - wanted, key=str)))
        if change.added or change.removed:
            await make(node, change)
            log.info("routed this node's part", router=router.id, subnets=[str(part) for part in lease.parts])
            changes.append(change)
    return changes


async def unroute_lease(node: RoutedNode, lease: Lease, port: Port) -> list[RouteChange]:
    """Take the routes of an ended lease off the routers that this node's subnets have; return what that changed.

    Those that a lease after it has stay: a node tends to hold the same block again. Raises as NetworkService.
    """
    others = [one for one in node.store.all(Lease) if one.id != lease.id and not one.ended]
    wanted = {route for one in others if one.routed or not one.own for route in wanted_routes(one)}
    changes = []
    for router in await node.network_service.find_routers([fixed.subnet_id for fixed in port.fixed_ips]):
        dead = tuple(
            route
            for route in router.routes
            if route.destination in lease.parts and route.nexthop in lease.addresses and route not in wanted
        )
        if dead:
            change = RouteChange(router.id, removed=dead)
            await make(node, change)
            log.info("took an ended lease's routes off", router=router.id, subnet=lease.id)
            changes.append(change)
    return changes


async def make(node: RoutedNode, change: RouteChange) -> None:
    """Change a router, what goes first. Raises as NetworkService."""
    if change.removed:
        await node.network_service.remove_routes(change.router_id, change.removed)
    if change.added:
        await node.network_service.add_routes(change.router_id, change.added)


async def repeat(node: RoutedNode, change: RouteChange, leases: Sequence[Lease]) -> None:
    """Say a change again, as far as it still is what this node's leases want. Raises as NetworkService."""
    wanted = {route for lease in leases for route in wanted_routes(lease)}
    added = tuple(route for route in change.added if route in wanted)
    removed = tuple(route for route in change.removed if route not in wanted)
    await make(node, RouteChange(change.router_id, added, removed))


def wanted_routes(lease: Lease) -> set[HostRoute]:
    """Return the routes that a lease needs."""
    return {HostRoute(part, address) for part in lease.parts if (address := lease.address(part.version))}
