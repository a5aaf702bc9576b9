"""Modes `trunk` and `ipvlan`: a device over the node's NIC for each container, and no switch.

The device is made in the host's namespace, down and without an address, and waits there for dockerd, which moves it
into the sandbox and back. It carries the attachment's mark wherever it is; it goes with the sandbox's namespace.

Sources: linux/if_link.h, linux/if_vlan.h; the kernel's networking/ipvlan documentation.
"""

import asyncio
import errno
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from fairlead.adapters.kernel import namespaces, netlink
from fairlead.adapters.kernel.links import exists
from fairlead.adapters.kernel.netlink import Answer, Link, Message
from fairlead.adapters.kernel.threads import to_its_end
from fairlead.adapters.marks import alias, attachment_of_alias, sandbox_device
from fairlead.concurrency import KeyedLocks
from fairlead.model.errors import DataplaneError
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import HostView, Plugged
from fairlead.ports.routing import Routing
from fairlead.ports.wired import Wired

T = TypeVar("T")

_MODULES: Final = {"vlan": "8021q"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device as the kernel calls it. own_mac: it has the attachment's MAC, not the NIC's.

    data: its settings for an attachment, as netlink attributes.
    """

    name: str
    own_mac: bool
    data: Callable[[Vif], bytes]


VLAN: Final = Kind("vlan", own_mac=True, data=lambda vif: netlink.vlan_settings(vif.vlan))
IPVLAN: Final = Kind("ipvlan", own_mac=False, data=lambda _: netlink.ipvlan_settings())


class NicDataplane:
    """The Dataplane of a node whose NIC is a Neutron port, in the host's own network namespace, as root.

    routing: tells the NIC. wired: whose word it is that a device's port is wired. folders: where runtimes keep their
    sandboxes. on_exchange(messages, seconds) is told after each exchange with the kernel. An apply costs two exchanges
    beside finding the NIC, a remove two, and one more for each sandbox where the device is not in the host's namespace.
    """

    def __init__(
        self,
        kind: Kind,
        routing: Routing,
        wired: Wired,
        *,
        folders: Sequence[Path] = namespaces.FOLDERS,
        on_exchange: Callable[[int, float], None] = lambda _count, _seconds: None,
    ) -> None:
        self._kind = kind
        self._routing = routing
        self._folders = folders
        self._wired = wired
        self._on_exchange = on_exchange
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="fairlead-netlink")
        self._locks = KeyedLocks()

    async def view(self) -> HostView:
        """Say what the node is called; the NIC stands in the bridge's place. Raises NotFound where there is none."""
        nic = await self._routing.nic()
        return HostView(platform.node(), bridge=nic.name, datapath=self._kind.name, ovn_controller=False)

    async def check(self) -> None:
        """Raise DataplaneError where the kernel can't make such devices."""
        (answer,) = await self._in_thread(lambda: self._exchange(netlink.new_over(self._kind.name, "", 0)))
        if answer.error == errno.EOPNOTSUPP:
            raise self._no_such_kind()

    async def apply(self, vif: Vif) -> None:
        """Make the device; where a container has it already, it keeps it.

        Raises DataplaneError, NotFound, and what Wired raises.
        """
        async with self._locks.hold(vif.id):
            nic = await self._routing.nic()
            await self._in_thread(lambda: self._put(vif, nic.name))
            await self._wired.wait(vif)

    async def remove(self, attachment_id: str) -> None:
        """Delete the device wherever it is; fine where there is none. Raises DataplaneError."""
        async with self._locks.hold(attachment_id):
            await self._in_thread(lambda: self._delete(attachment_id))

    async def plugged(self) -> list[Plugged]:
        """List the ports that have a device, here or in a container. Raises DataplaneError."""
        here, away = await self._in_thread(lambda: (self._here(), self._away()))
        return [Plugged(one, away=False) for one in sorted(here - away)] + [Plugged(one, away=True) for one in away]

    def is_whole(self, vif: Vif) -> bool:
        """Say whether the device waits here: one system call."""
        return exists(vif.sandbox_device)

    async def close(self) -> None:
        """Let the thread go."""
        self._threads.shutdown(wait=False)

    # What follows blocks.

    def _put(self, vif: Vif, nic: str) -> None:
        name = vif.sandbox_device
        parent, device = self._find(nic), self._find(name)
        if parent is None:
            raise DataplaneError(f"the NIC {nic} is gone")
        if device is not None:
            if device.alias != alias(vif.id):
                raise _taken(name)
            if self._as_wished(device, parent, vif):
                return
        new = netlink.new_over(
            self._kind.name,
            name,
            parent.index,
            mac=vif.mac if self._kind.own_mac else "",
            mtu=vif.mtu,
            data=self._kind.data(vif),
        )
        messages = [new, netlink.set_alias(name, alias(vif.id))]
        if device is not None:
            messages.insert(0, netlink.delete_link(device.index))
        *_, made, marked = self._exchange(*messages)
        if made.error == errno.EEXIST and vif.id in self._away():
            return
        if made.error == errno.EOPNOTSUPP:
            raise self._no_such_kind()
        if made.error == errno.EEXIST and vif.vlan:
            raise _taken(f"with VLAN id {vif.vlan} on {nic}")
        _check(made, f"can't make {name} over {nic}")
        if marked.error:
            # Nobody would know the unmarked device for Fairlead's: it must not outlive this call.
            if (unmarked := self._find(name)) is not None:
                self._exchange(netlink.delete_link(unmarked.index))
            _check(marked, f"can't mark {name}")

    def _as_wished(self, device: Link, parent: Link, vif: Vif) -> bool:
        return (
            device.kind == self._kind.name
            and device.peer == parent.index
            and device.vlan == vif.vlan
            and (not self._kind.own_mac or device.mac == vif.mac.lower())
            and vif.mtu in (0, device.mtu)
            and not device.up
        )

    def _delete(self, attachment_id: str) -> None:
        name = sandbox_device(attachment_id)
        device = self._find(name)
        if device is not None and device.alias == alias(attachment_id):
            _delete_link(device, self._exchange(netlink.delete_link(device.index))[0])
        else:
            namespaces.visit(self._folders, lambda: self._delete_marked(attachment_id))

    def _delete_marked(self, attachment_id: str) -> None:
        for link in self._all():
            if link.alias == alias(attachment_id):
                _delete_link(link, self._exchange(netlink.delete_link(link.index))[0])

    def _here(self) -> set[str]:
        return _marks(self._all())

    def _away(self) -> set[str]:
        found = namespaces.visit(self._folders, lambda: _marks(self._all()))
        return {attachment_id for marks in found.values() for attachment_id in marks}

    def _all(self) -> tuple[Link, ...]:
        (answer,) = self._exchange(netlink.dump_links(self._kind.name))
        _check(answer, "can't list the devices")
        return answer.links

    def _find(self, name: str) -> Link | None:
        (answer,) = self._exchange(netlink.get_link(name))
        if answer.error == errno.ENODEV:
            return None
        _check(answer, f"can't look at {name}")
        return answer.links[0]

    def _exchange(self, *messages: Message) -> list[Answer]:
        started = time.perf_counter()
        answers = netlink.exchange(messages)
        self._on_exchange(len(messages), time.perf_counter() - started)
        return answers

    def _no_such_kind(self) -> DataplaneError:
        module = _MODULES.get(self._kind.name, self._kind.name)
        return DataplaneError(
            f"this kernel has no {self._kind.name} devices",
            remedy=f"`modprobe {module}`, or a kernel that has the module {module}",
        )

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call, always to its end."""
        return await to_its_end(asyncio.get_running_loop().run_in_executor(self._threads, call))


def _marks(links: tuple[Link, ...]) -> set[str]:
    return {attachment_id for link in links if (attachment_id := attachment_of_alias(link.alias))}


def _delete_link(link: Link, answer: Answer) -> None:
    if answer.error not in (0, errno.ENODEV):
        raise DataplaneError(f"the kernel does not delete {link.name}: {answer.reason}")


def _taken(what: str) -> DataplaneError:
    return DataplaneError(
        f"a device {what} exists that is not this attachment's",
        remedy="look at it with `ip -d link` and delete it if nothing needs it",
    )


def _check(answer: Answer, what: str) -> None:
    if answer.error:
        raise DataplaneError(f"{what}: {answer.reason}")
