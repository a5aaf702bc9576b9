"""rtnetlink for veth pairs: the messages and the exchange, and nothing of what they are for.

pyroute2 encodes and decodes; the socket is a plain one, opened for each exchange in the calling thread's network
namespace. That makes an exchange safe from any thread, leaves nothing open, and is the quickest of the ways measured
(0.45 ms to make and mark a pair, against 0.72 ms through a standing IPRoute).

Sources: rtnetlink(7), netlink(7), linux/if_link.h.
"""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from fairlead.model.errors import DataplaneError

_ACKED = NLM_F_REQUEST | NLM_F_ACK
_RECEIVE_BYTES = 65536  # the kernel never puts more into one datagram of a dump
_TIMEOUT_S = 10.0  # an answer takes microseconds; this only bounds a kernel that is stuck
_SOL_NETLINK, _NETLINK_EXT_ACK = 270, 11  # linux/netlink.h: send the reason in words with a refusal
_SKIP_STATISTICS = 1 << 3  # RTEXT_FILTER_SKIP_STATS


@dataclass(frozen=True, slots=True)
class Link:
    """A network device as the kernel shows it.

    mtu in bytes. alias is empty where none is set. peer is the interface index of a veth's other end; peer_away says
    that the other end is in another network namespace, where that index counts.
    """

    name: str
    index: int
    kind: str
    mac: str
    mtu: int
    up: bool
    alias: str
    peer: int
    peer_away: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What the kernel said to one message: links, or an errno with its words."""

    links: tuple[Link, ...] = ()
    error: int = 0
    reason: str = ""


def get_link(name: str) -> Any:
    """Ask for one device by name; answered with ENODEV where there is none."""
    return _message(RTM_GETLINK, _ACKED, [("IFLA_IFNAME", name), ("IFLA_EXT_MASK", _SKIP_STATISTICS)])


def dump_veths() -> Any:
    """Ask for every veth of the namespace."""
    kind = {"attrs": [("IFLA_INFO_KIND", "veth")]}
    attributes = [("IFLA_EXT_MASK", _SKIP_STATISTICS), ("IFLA_LINKINFO", kind)]
    return _message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, attributes)


def new_veth(name: str, peer: str, *, peer_mac: str, mtu: int) -> Any:
    """Make a pair, both ends down, both with the MTU (bytes; 0: the kernel's default)."""
    size = [("IFLA_MTU", mtu)] if mtu else []
    other = {"attrs": [("IFLA_IFNAME", peer), ("IFLA_ADDRESS", peer_mac), *size]}
    veth = {
        "attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", other)]})],
    }
    attributes = [("IFLA_IFNAME", name), *size, ("IFLA_LINKINFO", veth)]
    return _message(RTM_NEWLINK, _ACKED | NLM_F_CREATE | NLM_F_EXCL, attributes)


def bring_up(name: str, *, alias: str = "", mtu: int = 0) -> Any:
    """Set a device up; alias empty and mtu 0 leave those as they are."""
    attributes: list[tuple[str, Any]] = [("IFLA_IFNAME", name)]
    if alias:
        attributes.append(("IFLA_IFALIAS", alias))
    if mtu:
        attributes.append(("IFLA_MTU", mtu))
    message = _message(RTM_NEWLINK, _ACKED, attributes)
    message["flags"] = message["change"] = IFF_UP
    return message


def delete_link(index: int) -> Any:
    """Delete a device; a veth takes its other end with it, in whatever namespace that is."""
    message = _message(RTM_DELLINK, _ACKED, [])
    message["index"] = index
    return message


def exchange(messages: Sequence[Any]) -> list[Answer]:
    """Send all messages in one system call and return the kernel's answer to each, in order.

    The kernel works through them before the call returns, so a process can't die between two of them. A refused
    message does not stop the next ones. Blocks (deleting a device takes it 15 ms and more): call it from a thread.

    Raises DataplaneError where the kernel does not answer at all.
    """
    data = b"".join(_encode(message, sequence) for sequence, message in enumerate(messages, start=1))
    links: dict[int, list[Link]] = {sequence: [] for sequence in range(1, len(messages) + 1)}
    errors: dict[int, tuple[int, str]] = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
            netlink.settimeout(_TIMEOUT_S)
            netlink.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
            netlink.bind((0, 0))
            netlink.send(data)
            codec = MarshalRtnl()
            while len(errors) < len(messages):
                for reply in codec.parse(netlink.recv(_RECEIVE_BYTES)):
                    sequence = reply["header"]["sequence_number"]
                    if reply["header"]["type"] in (NLMSG_ERROR, NLMSG_DONE):
                        errors[sequence] = _refusal(reply)
                    else:
                        links[sequence].append(_link(reply))
    except OSError as error:
        raise DataplaneError(f"the kernel does not answer over rtnetlink: {error.strerror or error}") from error
    return [Answer(tuple(links[n]), *errors[n]) for n in range(1, len(messages) + 1)]


def _message(kind: int, flags: int, attributes: list[tuple[str, Any]]) -> Any:
    message = ifinfmsg()
    message["header"]["type"] = kind
    message["header"]["flags"] = flags
    message["attrs"] = attributes
    return message


def _encode(message: Any, sequence: int) -> bytes:
    message["header"]["sequence_number"] = sequence
    message.reset()
    message.encode()
    return bytes(message.data)


def _refusal(reply: Any) -> tuple[int, str]:
    error = reply["header"]["error"]
    if error is None:
        return 0, ""
    if isinstance(error, NetlinkError):
        return error.code, str(error.args[1])
    return getattr(error, "errno", None) or errno.EIO, str(error)


def _link(reply: Any) -> Link:
    info = reply.get_attr("IFLA_LINKINFO")
    return Link(
        name=reply.get_attr("IFLA_IFNAME"),
        index=reply["index"],
        kind=(info.get_attr("IFLA_INFO_KIND") if info else None) or "",
        mac=reply.get_attr("IFLA_ADDRESS") or "",
        mtu=reply.get_attr("IFLA_MTU") or 0,
        up=bool(reply["flags"] & IFF_UP),
        alias=reply.get_attr("IFLA_IFALIAS") or "",
        peer=reply.get_attr("IFLA_LINK") or 0,
        peer_away=reply.get_attr("IFLA_LINK_NETNSID") is not None,
    )
