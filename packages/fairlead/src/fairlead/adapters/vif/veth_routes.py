"""Mode `routed`: a veth pair for each sandbox, its addresses routed to the host's end. No bridge, no switch.

The host's end has the network's gateway addresses, so that the sandbox finds its only neighbour by ARP and neighbour
discovery as on any link.
"""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from fairlead.adapters.kernel import hoststack, netlink, netlink_routes
from fairlead.adapters.kernel.links import Fit, Links, exists
from fairlead.concurrency import KeyedLocks
from fairlead.model.errors import DataplaneError
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import HostView, Plugged

T = TypeVar("T")

PROTOCOL: Final = 171
"""Of the routes to sandboxes; those to other nodes have another (`routes`)."""

_FORWARDING: Final = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")
_ACCEPT_RA: Final = "ipv6/conf/{}/accept_ra"
_ACCEPT_RA_OF_HOSTS, _ACCEPT_RA_ALWAYS = "1", "2"


class RoutedDataplane:
    """The Dataplane of a node that routes to its own containers, in the host's own network namespace, as root.

    An apply costs two netlink messages to look, two for the pair and two for each family, and four settings of the
    host's stack. Nothing is forked.
    """

    def __init__(self, *, on_exchange: Callable[[int, float], None] = lambda _count, _seconds: None) -> None:
        self._links = Links(on_exchange)
        self._locks = KeyedLocks()

    async def view(self) -> HostView:
        """Say what the host is; it has no switch."""
        return HostView(socket.gethostname(), bridge="", datapath="system", ovn_controller=False)

    async def apply(self, vif: Vif) -> None:
        """Make the pair, and route the attachment's addresses to it. Raises DataplaneError; nothing is left then."""
        async with self._locks.hold(vif.id):
            try:
                await asyncio.to_thread(self._apply, vif)
            except DataplaneError:
                await asyncio.to_thread(self._links.remove, [vif.id])
                raise

    async def remove(self, attachment_id: str) -> None:
        """Delete the devices, and with them the routes; fine where nothing is left. Raises DataplaneError."""
        async with self._locks.hold(attachment_id):
            (refused,) = await asyncio.to_thread(self._links.remove, [attachment_id])
            if refused:
                raise refused

    async def plugged(self) -> list[Plugged]:
        """List the attachments that have devices here, by their own ids: they have no ports. Raises DataplaneError."""
        return await asyncio.to_thread(self._plugged)

    def is_whole(self, vif: Vif) -> bool:
        """Say whether the device waits here: one system call."""
        return exists(vif.sandbox_device)

    def _plugged(self) -> list[Plugged]:
        marked, addresses = self._links.marked(), defaultdict(list)
        for version in (4, 6):
            (answer,) = netlink.exchange([netlink_routes.dump_routes(version)])
            for route in netlink_routes.read_routes(answer):
                if route.protocol == PROTOCOL:
                    addresses[route.device].append(route.destination.network_address)
        return [
            Plugged(attachment_id, link.peer_away, tuple(addresses[link.index]))
            for attachment_id, link in sorted(marked.items())
        ]

    def _apply(self, vif: Vif) -> None:
        found = self._links.look(vif)
        if found.fit in (Fit.ABSENT, Fit.WRONG):
            self._links.make(vif, found)
        else:
            self._links.repair(vif, found)
        hoststack.be_gateway(vif.host_device, ipv6=any(one.version == 6 for one in vif.addresses))
        index = socket.if_nametoindex(vif.host_device)
        messages = [netlink_routes.put_address(gateway, index) for gateway in vif.gateways]
        messages += [netlink_routes.put_device_route(address, index, protocol=PROTOCOL) for address in vif.addresses]
        for answer in netlink.exchange(messages):
            if answer.error:
                raise DataplaneError(f"the kernel does not route to {vif.host_device}: {answer.reason}")


def become_router(nic: str, root: Path = Path("/proc/sys/net")) -> None:
    """Let the kernel forward, of both families; nic: the device whose router advertisements go on being heard.

    A host that forwards IPv6 ignores advertisements unless told otherwise, and would lose its default route (the
    kernel's networking/ip-sysctl documentation, `accept_ra`). Raises DataplaneError.
    """
    accept = root / _ACCEPT_RA.format(nic)
    try:
        if accept.exists() and accept.read_text().strip() == _ACCEPT_RA_OF_HOSTS:
            accept.write_text(_ACCEPT_RA_ALWAYS)
        for name in _FORWARDING:
            path = root / name
            if path.exists() and path.read_text().strip() != "1":
                path.write_text("1")
    except OSError as error:
        raise DataplaneError(
            f"can't make this host a router: {error}", remedy="run the agent as root, with /proc/sys writable"
        ) from error
