"""What is there of an attachment's device: on the host, where it waits, and in the sandbox.

A device is the attachment's by its mark, an alias with the attachment's id, and by a name that agrees with it. In mode
`ovs` and in mode `routed` the sandbox's end has no mark yet while it waits: there the host's end vouches for it.
"""

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fairlead.adapters.kernel import netlink, netlink_routes
from fairlead.adapters.kernel.netlink import Answer, Link, Message
from fairlead.adapters.kernel.netlink_routes import DeviceAddress, Route
from fairlead.adapters.marks import attachment_of_alias, attachment_of_device, host_end_of, sandbox_device
from fairlead.model.errors import DataplaneError

Ask = Callable[[Sequence[Message]], list[Answer]]
"""Talks to the kernel about one network namespace."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device that waits on the host. mark: the attachment's id where the device does not carry it yet."""

    link: Link
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A sandbox as it is.

    device: the attachment's, whatever it is called, None where it is not there. named: what has the name that the
    device is to have, be it the device or another one. addresses: the device's. routes: all of the main table.
    """

    device: Link | None
    named: Link | None
    addresses: tuple[DeviceAddress, ...] = ()
    routes: tuple[Route, ...] = ()


def look_on_host(ask: Ask, device: str) -> Waiting | None:
    """Find a device where the data plane leaves it: two messages in one go.

    Raises DataplaneError where a device of that name is not Fairlead's.
    """
    waiting, host_end = ask([netlink.get_link(device), netlink.get_link(host_end_of(device))])
    if waiting.error == errno.ENODEV:
        return None
    link = _the_link(waiting, device)
    if carries_mark(link, device):
        return Waiting(link)
    for end in host_end.links:
        attachment_id = attachment_of_device(end.name, end.alias)
        if attachment_id and sandbox_device(attachment_id) == device and end.peer == link.index and not end.peer_away:
            return Waiting(link, attachment_id)
    raise DataplaneError(
        f"a device {device} exists that is not Fairlead's",
        remedy="look at it with `ip -d link` and delete it if nothing needs it",
    )


def look_before(ask: Ask, name: str) -> tuple[Link | None, tuple[Route, ...]]:
    """Read what has a name in the sandbox, and all routes of its main table: two messages in one go.

    Raises DataplaneError.
    """
    answer, table = ask([netlink.get_link(name), netlink_routes.dump_routes()])
    named = None if answer.error == errno.ENODEV else _the_link(answer, name)
    return named, tuple(netlink_routes.read_routes(table))


def look_in_sandbox(ask: Ask, name: str, device: str) -> Seen:
    """Read what is in the sandbox, the device too: two messages in one go, and one more for a device's addresses.

    One more is needed where the name is not the device's. Raises DataplaneError.
    """
    named, routes = look_before(ask, name)
    found = named if named and carries_mark(named, device) else _look_by_mark(ask, device)
    if found is None:
        return Seen(None, named, routes=routes)
    (dump,) = ask([netlink_routes.dump_addresses()])
    addresses = (one for one in netlink_routes.read_addresses(dump) if one.device == found.index)
    return Seen(found, named, tuple(addresses), routes)


def _look_by_mark(ask: Ask, device: str) -> Link | None:
    (answer,) = ask([netlink.dump_links()])
    return next((link for link in answer.links if carries_mark(link, device)), None)


def carries_mark(link: Link, device: str) -> bool:
    """Say whether a device, whatever it is called now, is the one that has this name while it waits on the host."""
    attachment_id = attachment_of_alias(link.alias)
    return bool(attachment_id) and sandbox_device(attachment_id) == device


def _the_link(answer: Answer, name: str) -> Link:
    if answer.error:
        raise DataplaneError(f"can't look at {name}: {answer.reason}")
    return answer.links[0]
