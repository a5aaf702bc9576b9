"""The host's routes that are Fairlead's, known by their protocol number; no other is changed.

Source: ip-route(8) on `protocol`. `ip route show proto 170` lists them.
"""

import asyncio
import errno
from collections.abc import Sequence
from typing import Final

from fairlead.adapters.kernel import netlink, netlink_routes
from fairlead.adapters.kernel.netlink import Answer, Message
from fairlead.adapters.kernel.netlink_routes import Route
from fairlead.model.errors import Conflict, DataplaneError, NotFound
from fairlead.model.network import IPAddress, IPNetwork
from fairlead.ports.routing import Nic

PROTOCOL: Final = 170
"""In no use that iproute2's rt_protos knows."""

METRIC: Final = 512


class KernelRoutes:
    """Routing of the network namespace that the process is in."""

    async def nic(self) -> Nic:
        """Return the device of the default route, of IPv4 first."""
        routes = await self._routes()
        default = next((one for one in routes if one.destination.prefixlen == 0 and one.device), None)
        if default is None:
            raise NotFound(
                "this host has no default route, so its NIC is not known", remedy="set its address and route first"
            )
        link, *dumps = await _exchange(
            [netlink.get_link_at(default.device), *(netlink_routes.dump_addresses(version) for version in (4, 6))]
        )
        if not link.links:
            raise DataplaneError(f"the device of the default route is gone: {link.reason}")
        (device,) = link.links
        found = [one for dump in dumps for one in netlink_routes.read_addresses(dump)]
        addresses = tuple(one.address for one in found if one.device == device.index and one.scope == 0)
        return Nic(device.name, device.mac, device.mtu, addresses)

    async def routes(self) -> dict[IPNetwork, IPAddress]:
        """Return the next hops of Fairlead's routes, by destination."""
        return {one.destination: one.gateway for one in await self._routes() if one.gateway and _is_own(one)}

    async def put(self, destination: IPNetwork, nexthop: IPAddress) -> None:
        """Route a destination, in the place of an earlier route of Fairlead's."""
        foreign = [one for one in await self._routes() if one.destination == destination and not _is_own(one)]
        if foreign:
            raise Conflict(
                f"a route to {destination} is there that Fairlead did not make",
                remedy=f"look at it with `ip route show {destination}`, and delete it if nothing needs it",
            )
        (answer,) = await _exchange([netlink_routes.put_route(destination, nexthop, protocol=PROTOCOL, metric=METRIC)])
        if answer.error:
            raise DataplaneError(f"the kernel does not route {destination} by {nexthop}: {answer.reason}")

    async def remove(self, destination: IPNetwork) -> None:
        """Remove a route of Fairlead's; fine where there is none."""
        nexthop = (await self.routes()).get(destination)
        if nexthop is None:
            return
        (answer,) = await _exchange(
            [netlink_routes.delete_route(destination, nexthop, protocol=PROTOCOL, metric=METRIC)]
        )
        if answer.error not in (0, errno.ESRCH):
            raise DataplaneError(f"the kernel does not remove the route to {destination}: {answer.reason}")

    async def _routes(self) -> list[Route]:
        dumps = await _exchange([netlink_routes.dump_routes(version) for version in (4, 6)])
        return [route for dump in dumps for route in netlink_routes.read_routes(dump)]


def _is_own(route: Route) -> bool:
    return route.protocol == PROTOCOL and route.metric == METRIC


async def _exchange(messages: Sequence[Message]) -> list[Answer]:
    """One after the other: the kernel gives one dump at a time on a socket."""
    return [(await asyncio.to_thread(netlink.exchange, [message]))[0] for message in messages]
