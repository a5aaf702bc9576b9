"""Fairlead's veth pairs: made, marked, repaired, found and deleted.

The host's end carries an alias with the attachment's id. It is set in the same system call that makes the pair, so a
crash never leaves a device without its mark, and a device without the mark is never Fairlead's to change.
"""

import errno
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from fairlead.adapters.kernel import netlink
from fairlead.adapters.kernel.netlink import Answer, Link, Message
from fairlead.adapters.marks import alias, attachment_of_device, host_device
from fairlead.model.errors import DataplaneError
from fairlead.model.vif import Vif

_GROUP_BITS: Final = 31  # of the number, which the kernel keeps in 32 with a sign


class Fit(Enum):
    """How the devices on the host compare with what an attachment needs."""

    ABSENT = "absent"
    WRONG = "wrong"  # the pair is there and differs: to be made anew
    READY = "ready"
    AWAY = "away"  # the sandbox's end has moved to another namespace: nothing is left to make


@dataclass(frozen=True, slots=True)
class Found:
    """An attachment's devices. host is its marked end, None where there is none."""

    fit: Fit
    host: Link | None = None


class Links:
    """Veth pairs of the calling thread's network namespace. Its calls block; it keeps no state and no socket.

    on_exchange(messages, seconds) is told after each exchange with the kernel.
    """

    def __init__(self, on_exchange: Callable[[int, float], None]) -> None:
        self._on_exchange = on_exchange

    def look(self, vif: Vif) -> Found:
        """Compare the attachment's devices with what it needs.

        Raises DataplaneError where a device of that name is not this attachment's.
        """
        host, sandbox = self._find(vif.host_device, vif.sandbox_device)
        if host is None:
            return Found(Fit.ABSENT)
        if host.alias != alias(vif.id):
            raise _taken(vif.host_device)
        if host.peer_away:
            return Found(Fit.AWAY, host)
        return Found(Fit.READY if _as_wished(host, sandbox, vif) else Fit.WRONG, host)

    def make(self, vif: Vif, found: Found) -> None:
        """Make the pair, instead of the one that was found: both MTUs, the MAC, the host's end up and marked.

        Raises DataplaneError where the kernel refuses, or has a device of either name.
        """
        name, peer, mtu = vif.host_device, vif.sandbox_device, vif.mtu
        messages = [
            netlink.new_veth(name, peer, peer_mac=vif.mac, mtu=mtu),
            netlink.bring_up(name, alias=alias(vif.id)),
        ]
        if found.host is not None:
            messages.insert(0, netlink.delete_link(found.host.index))
        *_, made, marked = self._exchange(*messages)
        if made.error == errno.EEXIST:
            raise _taken(f"{name} or {peer}")
        _check(made, f"can't make the pair {name}, {peer}")
        if marked.error:
            # Nobody would know the unmarked pair for Fairlead's: it must not outlive this call.
            (host,) = self._find(name)
            if host is not None:
                for refused in self._delete(host).values():
                    raise refused
            _check(marked, f"can't set up {name}")

    def repair(self, vif: Vif, found: Found) -> None:
        """Set the host's end up and to the MTU, where the other end has moved away and the pair can't be made anew."""
        host = found.host
        if host is not None and not (host.up and _same_mtu(host, vif)):
            (answer,) = self._exchange(netlink.bring_up(host.name, mtu=vif.mtu))
            _check(answer, f"can't set up {host.name}")

    def is_away(self, attachment_id: str) -> bool:
        """Say whether the sandbox's end is in another namespace. Raises DataplaneError."""
        host = self._own(attachment_id)
        return host is not None and host.peer_away

    def remove(self, attachment_ids: Sequence[str]) -> list[DataplaneError | None]:
        """Delete the attachments' pairs, wherever the sandboxes' ends are; fine where there is none.

        Many take hardly longer than one. Returns for each what the kernel said against it. Raises DataplaneError where
        it does not answer.
        """
        names = [host_device(attachment_id) for attachment_id in attachment_ids]
        answers = self._exchange(*map(netlink.get_link, names))
        owned = [
            link
            for attachment_id, answer in zip(attachment_ids, answers, strict=True)
            for link in answer.links
            if link.alias == alias(attachment_id)
        ]
        refused = self._delete(*owned) if owned else {}
        for name, answer in zip(names, answers, strict=True):
            if answer.error not in (0, errno.ENODEV):
                refused[name] = DataplaneError(f"can't look at {name}: {answer.reason}")
        return [refused.get(name) for name in names]

    def marked(self) -> dict[str, Link]:
        """Return the host's ends of all attachments that have one here, by the attachments' ids.

        Raises DataplaneError.
        """
        (answer,) = self._exchange(netlink.dump_veths())
        _check(answer, "can't list the devices")
        return {
            attachment_id: link
            for link in answer.links
            if (attachment_id := attachment_of_device(link.name, link.alias))
        }

    def _own(self, attachment_id: str) -> Link | None:
        (host,) = self._find(host_device(attachment_id))
        return host if host is not None and host.alias == alias(attachment_id) else None

    def _find(self, *names: str) -> list[Link | None]:
        found: list[Link | None] = []
        for name, answer in zip(names, self._exchange(*map(netlink.get_link, names)), strict=True):
            if answer.error == errno.ENODEV:
                found.append(None)
            else:
                _check(answer, f"can't look at {name}")
                found.append(answer.links[0])
        return found

    def _delete(self, *links: Link) -> dict[str, DataplaneError]:
        """Delete devices; return by name what the kernel says against it."""
        if len(links) == 1:
            answers = self._exchange(netlink.delete_link(links[0].index))
        else:
            # One after another, each would wait 15 ms and more for the kernel's readers. A group waits once. Nobody
            # else has devices in this one, and it is gone when the call returns.
            group = secrets.randbits(_GROUP_BITS) | 1
            *grouped, deleted = self._exchange(
                *(netlink.set_group(link.index, group) for link in links), netlink.delete_group(group)
            )
            answers = [each if each.error else deleted for each in grouped]
        return {
            link.name: DataplaneError(f"the kernel does not delete {link.name}: {answer.reason}")
            for link, answer in zip(links, answers, strict=True)
            if answer.error not in (0, errno.ENODEV)
        }

    def _exchange(self, *messages: Message) -> list[Answer]:
        started = time.perf_counter()
        answers = netlink.exchange(messages)
        self._on_exchange(len(messages), time.perf_counter() - started)
        return answers


def exists(name: str) -> bool:
    """Say whether the calling thread's namespace has a device of that name: one ioctl, which waits for nobody."""
    try:
        return socket.if_nametoindex(name) > 0
    except OSError:
        return False


def _as_wished(host: Link, sandbox: Link | None, vif: Vif) -> bool:
    return (
        sandbox is not None
        and sandbox.peer == host.index
        and not sandbox.peer_away
        and not sandbox.up
        and sandbox.mac == vif.mac.lower()
        and _same_mtu(sandbox, vif)
        and host.up
        and _same_mtu(host, vif)
    )


def _same_mtu(link: Link, vif: Vif) -> bool:
    return vif.mtu in (0, link.mtu)


def _taken(name: str) -> DataplaneError:
    return DataplaneError(
        f"a device {name} exists that is not this attachment's",
        remedy="look at it with `ip -d link` and delete it if nothing needs it",
    )


def _check(answer: Answer, what: str) -> None:
    if answer.error:
        raise DataplaneError(f"{what}: {answer.reason}")
