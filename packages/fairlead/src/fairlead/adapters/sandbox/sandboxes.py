"""Sandboxes over rtnetlink: one socket of the host's namespace and one of the sandbox's, for each call.

`lo` is left alone: whoever makes a sandbox brings it up, as CNI's runtimes do by a plug-in of its own.

Sources: rtnetlink(7), setns(2); the CNI specification on ADD and CHECK.
"""

import asyncio
import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from fairlead.adapters.kernel import namespaces, netlink
from fairlead.adapters.kernel.netlink import Answer, Message
from fairlead.adapters.kernel.netlink_routes import Route
from fairlead.adapters.kernel.threads import to_its_end
from fairlead.adapters.marks import alias
from fairlead.adapters.sandbox import plan
from fairlead.adapters.sandbox.differences import differences
from fairlead.adapters.sandbox.plan import Change, LinkChange
from fairlead.adapters.sandbox.seen import Ask, Waiting, carries_mark, look_before, look_in_sandbox, look_on_host
from fairlead.concurrency import KeyedLocks
from fairlead.model.errors import Conflict, DataplaneError, NotFound
from fairlead.model.sandbox import SandboxConfig

T = TypeVar("T")

_ROUNDS: Final = 4
"""Looks at a device that is being mended: setting it up, or taking an address away, takes other things with it."""

_DISABLE_IPV6: Final = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"


class KernelSandboxes:
    """Sandboxes of an agent that is in the host's own network namespace, as root.

    on_exchange(messages, seconds) is told after each exchange with the kernel. A device that comes in costs two
    messages on the host and two in the sandbox to look, two to mark and move it (one where it is marked already), one
    to find it again, and one for each address and route; five sends in all. One that is as it should be costs five
    messages to look and nothing else, and so does verify without those on the host: three. Nothing is forked.
    """

    def __init__(self, *, on_exchange: Callable[[int, float], None] = lambda _count, _seconds: None) -> None:
        self._on_exchange = on_exchange
        self._locks = KeyedLocks()

    async def configure(self, netns: str, name: str, config: SandboxConfig) -> None:
        """Move the device into the sandbox and finish it there; where it is there, change only what differs.

        Raises Conflict, NotFound (no such namespace, no such device), DataplaneError, and InvalidInput where the
        namespace is the host's own. Nothing is changed where there is a Conflict.
        """

        def work() -> None:
            with netlink.open_socket() as socket:
                host = partial(self._talk, socket)
                self._inside(netns, lambda ask, handle: _configure(_Place(host, ask, handle), name, config))

        async with self._locks.hold(config.device):
            await _in_thread(work)

    async def verify(self, netns: str, name: str, config: SandboxConfig) -> list[str]:
        """Say in words what differs from the config. Raises DataplaneError, and InvalidInput as configure does."""

        def work() -> list[str]:
            return self._inside(
                netns, lambda ask, _: differences(look_in_sandbox(ask, name, config.device), name, config)
            )

        async with self._locks.hold(config.device):
            try:
                return await _in_thread(work)
            except NotFound as error:
                return [error.message]

    def _inside(self, netns: str, work: Callable[[Ask, int], T]) -> T:
        """Do blocking work in the sandbox's namespace, of which `handle` is the open file."""

        def enter(handle: int) -> T:
            with netlink.open_socket() as socket:
                return work(partial(self._talk, socket), handle)

        return namespaces.call_in(netns, enter)

    def _talk(self, socket: netlink.Socket, messages: Sequence[Message]) -> list[Answer]:
        started = time.perf_counter()
        answers = netlink.talk(socket, messages)
        self._on_exchange(len(messages), time.perf_counter() - started)
        return answers


async def _in_thread(work: Callable[[], T]) -> T:
    return await to_its_end(asyncio.ensure_future(asyncio.to_thread(work)))


# What follows blocks.


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a device comes from and where it goes: ways to ask about both, and the sandbox's open file."""

    host: Ask
    sandbox: Ask
    handle: int


def _configure(place: _Place, name: str, config: SandboxConfig) -> None:
    waiting = look_on_host(place.host, config.device)
    if waiting is not None and _bring_in(place, waiting, name, config):
        return
    for _ in range(_ROUNDS):
        if not _mend(place.sandbox, name, config):
            return
    raise DataplaneError(f"{name} does not stay as it is set", remedy="does something else in the sandbox change it?")


def _bring_in(place: _Place, waiting: Waiting, name: str, config: SandboxConfig) -> bool:
    """Move a device that waits on the host, and finish it; say whether that is all.

    It is not where the sandbox has the attachment's device already: over a NIC a data plane makes another one, if it is
    asked again after the first has been moved. That one goes.
    """
    named, routes = look_before(place.sandbox, name)
    if named is not None and not waiting.mark and carries_mark(named, config.device):
        (answer,) = place.host([netlink.delete_link(waiting.link.index)])
        _check_link(answer, waiting.link.name)
        return False
    if named is not None:
        raise _name_in_use(name)
    _refuse(place.sandbox, plan.others_routes(routes, config))
    # The mark first: whatever of the rest the kernel refuses, the device is found by it, wherever it is then.
    mark = [netlink.set_alias(waiting.link.name, alias(waiting.mark))] if waiting.mark else []
    change = plan.link_change(waiting.link, name, config)
    for answer in place.host([*mark, *_messages(waiting.link.index, change, place.handle)]):
        _check_link(answer, name)
    (moved,) = place.sandbox([netlink.get_link(name)])
    if not moved.links:
        raise DataplaneError(f"{name} is gone: {moved.reason}")
    _let_ipv6(name, config)
    _carry_out(place.sandbox, name, plan.additions((), (), moved.links[0].index, config))
    return True


def _mend(sandbox: Ask, name: str, config: SandboxConfig) -> bool:
    """Change what differs of a device in the sandbox; say whether it is to be looked at again."""
    seen = look_in_sandbox(sandbox, name, config.device)
    device = seen.device
    if seen.named is not None and (device is None or device.index != seen.named.index):
        raise _name_in_use(name)
    if device is None:
        raise NotFound(
            f"there is no device {config.device} on this host, nor in the sandbox", remedy="start the container again"
        )
    _refuse(sandbox, plan.others_routes(seen.routes, config, device.index))
    if change := plan.link_change(device, name, config):
        for answer in sandbox(_messages(device.index, change)):
            _check_link(answer, name)
        return True
    removed = plan.removals(seen.addresses, seen.routes, device.index, config)
    added = plan.additions(seen.addresses, seen.routes, device.index, config)
    if added:
        _let_ipv6(name, config)
    _carry_out(sandbox, name, [*removed, *added])
    return bool(removed)


def _messages(index: int, change: LinkChange, handle: int = -1) -> list[Message]:
    """Write a change of a device, which is up in the end; handle: of the namespace that it moves to."""
    down = [netlink.change_link(index, up=False)] if change.up_again else []
    return [
        *down,
        netlink.change_link(index, namespace=handle, name=change.name, mac=change.mac, mtu=change.mtu, up=True),
    ]


def _carry_out(sandbox: Ask, name: str, changes: Sequence[Change]) -> None:
    """Make all changes in one go."""
    if not changes:
        return
    for change, answer in zip(changes, sandbox([one.message for one in changes]), strict=True):
        if answer.error not in (0, change.nothing_to_do):
            raise DataplaneError(f"the kernel does not {change.what} of {name}: {answer.reason}")


def _refuse(sandbox: Ask, routes: Sequence[Route]) -> None:
    """Raise Conflict where there are routes of other devices."""
    for route in routes[:1]:
        (answer,) = sandbox([netlink.get_link_at(route.device)])
        owner = answer.links[0].name if answer.links else "another device"
        raise Conflict(
            f"the sandbox has a route to {route.destination} already, by {owner}",
            remedy="let one of the sandbox's networks be the one that leads there",
        )


def _let_ipv6(name: str, config: SandboxConfig) -> None:
    """Let the device have IPv6 addresses, which runtimes forbid by default where none has been asked for."""
    if not any(one.version == 6 for one in config.addresses):
        return
    path = Path(_DISABLE_IPV6.format(name))  # of the namespace that this thread is in
    try:
        if path.read_text().strip() != "0":
            path.write_text("0")
    except OSError as error:
        raise DataplaneError(
            f"can't allow IPv6 on {name}: {error.strerror}",
            remedy="IPv6 needs an MTU of 1280 or more, a kernel with it, and an agent that may write /proc/sys",
        ) from error


def _check_link(answer: Answer, name: str) -> None:
    if answer.error == errno.EEXIST:
        raise _name_in_use(name)
    if answer.error:
        raise DataplaneError(f"the kernel does not set up {name}: {answer.reason}")


def _name_in_use(name: str) -> Conflict:
    return Conflict(
        f"the sandbox has another device {name}", remedy="choose another name, or delete the device if nothing needs it"
    )
