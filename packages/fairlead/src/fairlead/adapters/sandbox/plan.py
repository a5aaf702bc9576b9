"""What of a sandbox's device is to be other than it is: pure functions over what is there and what is to be.

Fairlead's own addresses and routes carry its protocol number, and go where the config no longer has them. What others
put on the device stays, unless it stands in the way: the same address with another prefix length, another way to one of
the config's destinations. What the kernel made itself, or learnt from a router, is left to it.
"""

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fairlead.adapters.kernel import netlink_routes
from fairlead.adapters.kernel.netlink import Link, Message
from fairlead.adapters.kernel.netlink_routes import RTPROT_KERNEL, RTPROT_RA, DeviceAddress, Route
from fairlead.model.sandbox import IPInterface, SandboxConfig, SandboxRoute

PROTOCOL: Final = 172
"""Of the routes and addresses in sandboxes (`ip route show proto 172`); the host's routes have others."""

METRICS: Final = {4: 0, 6: 512}
"""By IP version. Less than the 1024 of what IPv6 learns from routers: ours is preferred, and can be made beside it."""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """What of a device's own is to be other; empty and 0: it stays. up_again: it is to be down before it is renamed."""

    name: str = ""
    mac: str = ""
    mtu: int = 0
    up: bool = False
    up_again: bool = False

    def __bool__(self) -> bool:
        return self != LinkChange()


@dataclass(frozen=True, slots=True)
class Change:
    """One message, what it does in words, and the errno by which the kernel says that there was nothing to do."""

    message: Message
    what: str
    nothing_to_do: int = 0


def link_change(device: Link, name: str, config: SandboxConfig) -> LinkChange:
    """Say what differs of the device's own. Kernels before 6.2 rename no device that is up."""
    renamed = device.name != name
    return LinkChange(
        name=name if renamed else "",
        mac=config.mac if config.mac and config.mac.lower() != device.mac else "",
        mtu=config.mtu if config.mtu not in (0, device.mtu) else 0,
        up=not device.up,
        up_again=renamed and device.up,
    )


def others_routes(routes: Iterable[Route], config: SandboxConfig, device: int = 0) -> list[Route]:
    """Return routes to the config's destinations that are not this device's (its index, 0 where it is not there yet).

    Those that the kernel learnt from a router are not among them: they come and go, and Fairlead's are preferred.
    """
    wanted = {one.destination for one in config.routes}
    return [one for one in routes if one.destination in wanted and one.device != device and one.protocol != RTPROT_RA]


def lacking_addresses(addresses: Iterable[DeviceAddress], config: SandboxConfig) -> list[IPInterface]:
    """Return the config's addresses that are not among the device's."""
    there = {one.address for one in addresses}
    return [one for one in config.addresses if one not in there]


def lacking_routes(routes: Iterable[Route], device: int, config: SandboxConfig) -> list[SandboxRoute]:
    """Return the config's routes that are not there by the device, whoever made them; those on the link come first."""
    there = {(one.destination, one.gateway) for one in routes if one.device == device}
    missing = [one for one in config.routes if (one.destination, one.via) not in there]
    return sorted(missing, key=lambda one: one.via is not None)


def removals(
    addresses: Iterable[DeviceAddress], routes: Iterable[Route], device: int, config: SandboxConfig
) -> list[Change]:
    """Take off the device what is Fairlead's and not the config's, and what stands in the config's way."""
    ways = {(one.destination, one.via) for one in config.routes}
    destinations = {one.destination for one in config.routes}
    changes = []
    for route in routes:
        in_the_way = route.destination in destinations and route.protocol not in (RTPROT_KERNEL, RTPROT_RA)
        ours = route.protocol == PROTOCOL
        if route.device == device and (in_the_way or ours) and (route.destination, route.gateway) not in ways:
            message = netlink_routes.drop_route(route.destination, route.gateway, device, metric=route.metric)
            changes.append(Change(message, f"delete the route to {route.destination}", errno.ESRCH))
    wanted = {one.ip for one in config.addresses}
    for one in addresses:
        if one.address not in config.addresses and (one.protocol == PROTOCOL or one.address.ip in wanted):
            message = netlink_routes.delete_address(one.address, device)
            changes.append(Change(message, f"take away the address {one.address}", errno.EADDRNOTAVAIL))
    return changes


def additions(
    addresses: Iterable[DeviceAddress], routes: Iterable[Route], device: int, config: SandboxConfig
) -> list[Change]:
    """Give the device what it lacks, addresses first: what a route goes by must be there before it.

    The kernel looks for no duplicate of an IPv6 address, during which it could not be used for a second: who gave it to
    this sandbox, Neutron or the holder of the node's block, gave it to no other.
    """
    changes = [
        Change(netlink_routes.add_address(one, device, protocol=PROTOCOL), f"add the address {one}")
        for one in lacking_addresses(addresses, config)
    ]
    for route in lacking_routes(routes, device, config):
        metric = METRICS[route.destination.version]
        message = netlink_routes.add_route(route.destination, route.via, device, protocol=PROTOCOL, metric=metric)
        changes.append(Change(message, f"route {in_words(route)}"))
    return changes


def in_words(route: SandboxRoute) -> str:
    """Say where a route leads."""
    return f"{route.destination} by {route.via}" if route.via else f"{route.destination} on the link"
