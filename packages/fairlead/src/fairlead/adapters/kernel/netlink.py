"""rtnetlink for veth pairs and devices over a NIC: messages, their coding, the exchange, and not what they are for.

The coding is our own, since Fairlead knows few messages and attributes: a library of the whole of rtnetlink costs
14 MB in every agent, and the coding took longer than the kernel's work (ADR 2, ADR 5). Routes are in `netlink_routes`.

A socket speaks to the network namespace that the calling thread is in when it is opened, from then on and from whatever
thread. `exchange` opens one for each exchange: that makes it safe from any thread and leaves nothing open.

Sources: netlink(7), rtnetlink(7), linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/veth.h. All numbers are in
the host's byte order.
"""

import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from fairlead.adapters.kernel.attributes import aligned, attribute, number_attribute, read_attributes, text_attribute
from fairlead.model.errors import DataplaneError

_RECEIVE_BYTES = 65536  # the kernel never puts more into one datagram of a dump
_TIMEOUT_S = 10.0  # an answer takes microseconds; this only bounds a kernel that is stuck

# linux/netlink.h
_SOL_NETLINK, _NETLINK_EXT_ACK = 270, 11  # send the reason in words with a refusal
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
NLM_F_REQUEST, _NLM_F_MULTI, NLM_F_ACK = 0x1, 0x2, 0x4
NLM_F_EXCL, NLM_F_CREATE, NLM_F_DUMP = 0x200, 0x400, 0x300
_NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200  # of an answer: the request's body is left out; attributes follow
_NLMSGERR_ATTR_MSG = 1

# linux/rtnetlink.h
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_NEWROUTE = 20, 24
_RTEXT_FILTER_SKIP_STATS = 1 << 3

# linux/if.h, linux/if_link.h, linux/veth.h
_IFF_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK = 1, 3, 4, 5
_IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_GROUP, _IFLA_NET_NS_FD, _IFLA_EXT_MASK, _IFLA_LINK_NETNSID = 18, 20, 27, 28, 29, 37
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_VETH_INFO_PEER = 1
_IFLA_VLAN_ID = 1
_IFLA_IPVLAN_MODE, _IPVLAN_MODE_L2 = 1, 0

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_DEVICE: Final = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_U32: Final = struct.Struct("=I")
_S32: Final = struct.Struct("=i")
_U16: Final = struct.Struct("=H")

Socket = socket.socket


@dataclass(frozen=True, slots=True)
class Link:
    """A network device as the kernel shows it.

    mtu in bytes. alias is empty where none is set. peer is the interface index of a veth's other end; peer_away says
    that the other end is in another network namespace, where that index counts. Of a device over a NIC these are the
    NIC's. vlan: its id, of a device of the kind `vlan`, else 0.
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
    vlan: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One request to the kernel: nlmsghdr's type and flags, and what follows the header."""

    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the kernel said to one message: links, objects of other kinds as they are written, or an errno in words."""

    links: tuple[Link, ...] = ()
    error: int = 0
    reason: str = ""
    others: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of the kernel's. last: nothing more comes to the request of that sequence number.

    other: the body of a route's or an address's message.
    """

    sequence: int
    last: bool
    link: Link | None = None
    error: int = 0
    reason: str = ""
    other: bytes = b""


def get_link(name: str) -> Message:
    """Ask for one device by name; answered with ENODEV where there is none."""
    # No NLM_F_ACK: the device or the refusal is answer enough.
    return Message(_RTM_GETLINK, NLM_F_REQUEST, _device() + text_attribute(_IFLA_IFNAME, name) + _NO_STATISTICS)


def get_link_at(index: int) -> Message:
    """Ask for one device by its index; answered with ENODEV where there is none."""
    return Message(_RTM_GETLINK, NLM_F_REQUEST, _device(index=index) + _NO_STATISTICS)


def dump_veths() -> Message:
    """Ask for every veth of the namespace."""
    return dump_links("veth")


def dump_links(kind: str = "") -> Message:
    """Ask for every device of a kind in the namespace; empty: of all kinds."""
    of_kind = _info(_kind(kind)) if kind else b""
    return Message(_RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, _device() + _NO_STATISTICS + of_kind)


def new_veth(name: str, peer: str, *, peer_mac: str, mtu: int) -> Message:
    """Make a pair, both ends down, both with the MTU (bytes; 0: the kernel's default).

    peer_mac as in Vif, six bytes in hexadecimal.
    """
    size = number_attribute(_IFLA_MTU, mtu) if mtu else b""
    mac = attribute(_IFLA_ADDRESS, bytes.fromhex(peer_mac.replace(":", "")))
    other = attribute(_VETH_INFO_PEER, _device() + text_attribute(_IFLA_IFNAME, peer) + mac + size)
    body = _device() + text_attribute(_IFLA_IFNAME, name) + size + _info(_VETH + attribute(_IFLA_INFO_DATA, other))
    return Message(_RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body)


def new_over(kind: str, name: str, parent: int, *, mac: str = "", mtu: int = 0, data: bytes = b"") -> Message:
    """Make a device of a kind over the one with the index parent, down. data: the kind's settings, as attributes.

    mac empty, mtu 0 (bytes): the kernel's choice. Without a name and a parent nothing can be made: the answer is
    EOPNOTSUPP where the kernel lacks the kind, and another error where it has it.
    """
    body = _device()
    if name:
        body += text_attribute(_IFLA_IFNAME, name) + number_attribute(_IFLA_LINK, parent)
    if mac:
        body += attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    if mtu:
        body += number_attribute(_IFLA_MTU, mtu)
    body += _info(_kind(kind) + (attribute(_IFLA_INFO_DATA, data) if data else b""))
    return Message(_RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body)


def vlan_settings(vlan: int) -> bytes:
    """Write what a device of the kind `vlan` needs: its id."""
    return attribute(_IFLA_VLAN_ID, _U16.pack(vlan))


def ipvlan_settings() -> bytes:
    """Write what a device of the kind `ipvlan` needs: it is in mode L2, in which it answers ARP itself."""
    return attribute(_IFLA_IPVLAN_MODE, _U16.pack(_IPVLAN_MODE_L2))


def set_alias(name: str, alias: str) -> Message:
    """Mark a device, and leave it as it is otherwise."""
    body = _device() + text_attribute(_IFLA_IFNAME, name) + text_attribute(_IFLA_IFALIAS, alias)
    return Message(_RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, body)


def bring_up(name: str, *, alias: str = "", mtu: int = 0) -> Message:
    """Set a device up; alias empty and mtu 0 leave those as they are."""
    body = _device(flags=_IFF_UP, change=_IFF_UP) + text_attribute(_IFLA_IFNAME, name)
    if alias:
        body += text_attribute(_IFLA_IFALIAS, alias)
    if mtu:
        body += number_attribute(_IFLA_MTU, mtu)
    return Message(_RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, body)


def change_link(index: int, *, namespace: int = -1, name: str = "", mac: str = "", mtu: int = 0, up: bool) -> Message:
    """Change a device by its index, in this order: namespace, MAC, MTU, name, state. Empty and 0 leave as it is.

    namespace: an open file of a network namespace to move the device into, -1: none. A refusal of one does not take
    back those before it. In its new namespace the device may have another index.
    """
    body = _device(index=index, flags=_IFF_UP if up else 0, change=_IFF_UP)
    if namespace >= 0:
        body += number_attribute(_IFLA_NET_NS_FD, namespace)
    if mac:
        body += attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    if mtu:
        body += number_attribute(_IFLA_MTU, mtu)
    if name:
        body += text_attribute(_IFLA_IFNAME, name)
    return Message(_RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, body)


def delete_link(index: int) -> Message:
    """Delete a device; a veth takes its other end with it, in whatever namespace that is."""
    return Message(_RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, _device(index=index))


def set_group(index: int, group: int) -> Message:
    """Put a device into a group, of which a device is in one at a time."""
    return Message(_RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, _device(index=index) + number_attribute(_IFLA_GROUP, group))


def delete_group(group: int) -> Message:
    """Delete all devices of a group, not 0, waiting once for the kernel's readers; ENODEV where there are none."""
    return Message(_RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, _device() + number_attribute(_IFLA_GROUP, group))


def exchange(messages: Sequence[Message]) -> list[Answer]:
    """Do as `talk`, on a socket of the calling thread's namespace that is closed at the end."""
    with open_socket() as handle:
        return talk(handle, messages)


@contextmanager
def open_socket() -> Iterator[Socket]:
    """Open a socket to the network namespace that the calling thread is in. Raises DataplaneError."""
    try:
        handle = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    except OSError as error:
        raise _silent(error) from error
    with handle:
        handle.settimeout(_TIMEOUT_S)
        handle.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        handle.bind((0, 0))
        yield handle


def talk(handle: Socket, messages: Sequence[Message]) -> list[Answer]:
    """Send all messages in one system call and return the kernel's answer to each, in order.

    The kernel works through them before the call returns, so a process can't die between two of them. A refused
    message does not stop the next ones. At most one of them may be a dump, and that the last: the kernel does one at a
    time. Blocks (deleting a device takes it 15 ms and more): call it from a thread.

    Raises DataplaneError where the kernel does not answer at all, or not in rtnetlink's form.
    """
    data = encode(messages)
    links: dict[int, list[Link]] = {sequence: [] for sequence in range(1, len(messages) + 1)}
    others: dict[int, list[bytes]] = {sequence: [] for sequence in links}
    last: dict[int, Reply] = {}
    try:
        handle.send(data)
        while len(last) < len(messages):
            for reply in decode(handle.recv(_RECEIVE_BYTES)):
                if reply.sequence not in links:
                    continue
                if reply.link is not None:
                    links[reply.sequence].append(reply.link)
                if reply.other:
                    others[reply.sequence].append(reply.other)
                if reply.last:
                    last[reply.sequence] = reply
    except OSError as error:
        raise _silent(error) from error
    return [Answer(tuple(links[n]), last[n].error, last[n].reason, tuple(others[n])) for n in links]


def _silent(error: OSError) -> DataplaneError:
    return DataplaneError(f"the kernel does not answer over rtnetlink: {error.strerror or error}")


def encode(messages: Sequence[Message]) -> bytes:
    """Write messages as one datagram, numbered from 1. Each body is a multiple of four bytes long already."""
    return b"".join(
        _HEADER.pack(_HEADER.size + len(message.body), message.kind, message.flags, sequence, 0) + message.body
        for sequence, message in enumerate(messages, start=1)
    )


def decode(data: bytes) -> list[Reply]:
    """Read a datagram of the kernel's: devices, acknowledgements, refusals, and the end of a dump.

    Raises DataplaneError where it is not in rtnetlink's form.
    """
    replies = []
    try:
        for kind, flags, sequence, body in _split(data):
            if kind == _RTM_NEWLINK:
                replies.append(Reply(sequence, last=not flags & _NLM_F_MULTI, link=_link(body)))
            elif kind in (RTM_NEWROUTE, RTM_NEWADDR):
                replies.append(Reply(sequence, last=not flags & _NLM_F_MULTI, other=body))
            elif kind in (_NLMSG_ERROR, _NLMSG_DONE):
                replies.append(Reply(sequence, True, None, *_refusal(kind, flags, body)))
    except (struct.error, ValueError, OverflowError) as error:
        raise DataplaneError(f"the kernel's answer over rtnetlink can't be read: {error}") from error
    return replies


def _split(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, sequence number and body of each message."""
    at = 0
    while at < len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            raise ValueError(f"a message of {length} bytes")
        yield kind, flags, sequence, data[at + _HEADER.size : at + length]
        at += aligned(length)


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _DEVICE.unpack_from(body)
    found = read_attributes(body, _DEVICE.size)
    info = read_attributes(found.get(_IFLA_LINKINFO, b""))
    kind = _string(info, _IFLA_INFO_KIND)
    return Link(
        name=_string(found, _IFLA_IFNAME),
        index=index,
        kind=kind,
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=_integer(found, _IFLA_MTU),
        up=bool(flags & _IFF_UP),
        alias=_string(found, _IFLA_IFALIAS),
        peer=_integer(found, _IFLA_LINK),
        peer_away=_IFLA_LINK_NETNSID in found,
        vlan=_vlan(info) if kind == "vlan" else 0,
    )


def _vlan(info: Mapping[int, bytes]) -> int:
    settings = read_attributes(info.get(_IFLA_INFO_DATA, b""))
    vlan: int = _U16.unpack_from(settings[_IFLA_VLAN_ID])[0] if _IFLA_VLAN_ID in settings else 0
    return vlan


def _refusal(kind: int, flags: int, body: bytes) -> tuple[int, str]:
    """Return the errno (0: done) and its words: nlmsgerr, or the status at a dump's end, and attributes of both."""
    (status,) = _S32.unpack_from(body)
    if not status:
        return 0, ""
    at = _S32.size
    if kind == _NLMSG_ERROR:  # the request follows, its header at least
        at += _HEADER.size if flags & _NLM_F_CAPPED else aligned(_HEADER.unpack_from(body, at)[0])
    words = _string(read_attributes(body, at), _NLMSGERR_ATTR_MSG) if flags & NLM_F_ACK_TLVS else ""
    return -status, words or os.strerror(-status)


def _string(found: Mapping[int, bytes], kind: int) -> str:
    return found.get(kind, b"").partition(b"\0")[0].decode(errors="replace")


def _integer(found: Mapping[int, bytes], kind: int) -> int:
    number: int = _U32.unpack(found[kind])[0] if kind in found else 0
    return number


def _device(*, index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _DEVICE.pack(socket.AF_UNSPEC, 0, index, flags, change)


def _info(parts: bytes) -> bytes:
    return attribute(_IFLA_LINKINFO, parts)


def _kind(kind: str) -> bytes:
    return attribute(_IFLA_INFO_KIND, kind.encode() + b"\0")


_VETH: Final = _kind("veth")
_NO_STATISTICS: Final = number_attribute(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)
