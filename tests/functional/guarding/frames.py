"""Packets as bytes, with whatever their senders want to say of themselves.

Sources: RFC 768, 791, 826, 4861, 8200.
"""

import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

UDP, ICMPV6, FRAGMENT = 17, 58, 44
ARP_REQUEST, ARP_REPLY = 1, 2
ALL_NODES = IPv6Address("ff02::1")
_ETHER = {4: 0x0800, 6: 0x86DD}
_CUT = 32  # where a datagram is cut in two, in bytes; a multiple of eight


def datagram(
    source: Address, target: Address, ports: tuple[int, int], data: bytes, *, number: int, in_fragments: bool
) -> list[bytes]:
    """Write a UDP datagram as one IP packet or as two fragments. number: the packet's identification."""
    length = 8 + len(data)
    header = struct.pack("!HHHH", *ports, length, 0)
    checksum = _checksum(_pseudo(source, target, length, UDP) + header + data) or 0xFFFF
    body = header[:6] + struct.pack("!H", checksum) + data
    if not in_fragments:
        return [_packet(source, target, UDP, body, number)]
    return [
        _packet(source, target, UDP, part, number, offset=offset, more=offset == 0)
        for offset, part in ((0, body[:_CUT]), (_CUT, body[_CUT:]))
    ]


def ethernet(sender: str, receiver: str, packet: bytes) -> bytes:
    """Put an IP packet into a frame."""
    return _mac(receiver) + _mac(sender) + struct.pack("!H", _ETHER[packet[0] >> 4]) + packet


def arp(operation: int, sender: str, claimed: IPv4Address, target: IPv4Address) -> bytes:
    """Say by ARP that an address is the sender's."""
    body = struct.pack("!HHBBH", 1, _ETHER[4], 6, 4, operation)
    body += _mac(sender) + claimed.packed + bytes(6) + target.packed
    return b"\xff" * 6 + _mac(sender) + struct.pack("!H", 0x0806) + body


def solicitation(claimed: IPv6Address, target: IPv6Address, mac: str) -> bytes:
    """Ask for a neighbour, and say by the way whose address one has."""
    return _icmpv6(claimed, target, struct.pack("!BBHI", 135, 0, 0, 0) + target.packed + b"\x01\x01" + _mac(mac))


def advertisement(claimed: IPv6Address, target: IPv6Address, mac: str) -> bytes:
    """Say, unasked and over what is known, that an address is the sender's."""
    override = 0x20000000
    body = struct.pack("!BBHI", 136, 0, 0, override) + claimed.packed + b"\x02\x01" + _mac(mac)
    return _icmpv6(claimed, target, body)


def router_advertisement(claimed: IPv6Address, prefix: IPv6Address, mac: str) -> bytes:
    """Say that one is the way to everywhere, and what addresses to have."""
    router = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    of_link = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 1800, 1800, 0) + prefix.packed
    return _icmpv6(claimed, ALL_NODES, router + of_link + b"\x01\x01" + _mac(mac))


def _icmpv6(source: IPv6Address, target: IPv6Address, body: bytes) -> bytes:
    checksum = _checksum(_pseudo(source, target, len(body), ICMPV6) + body)
    return _packet(source, target, ICMPV6, body[:2] + struct.pack("!H", checksum) + body[4:], 0, hops=255)


def _packet(
    source: Address,
    target: Address,
    protocol: int,
    body: bytes,
    number: int,
    *,
    offset: int = 0,
    more: bool = False,
    hops: int = 64,
) -> bytes:
    if source.version == 4:
        place = (0x2000 if more else 0) | offset // 8
        parts = (0x45, 0, 20 + len(body), number & 0xFFFF, place, hops, protocol)
        header = struct.pack("!BBHHHBBH", *parts, 0) + source.packed + target.packed
        return header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + body
    if more or offset:
        body = struct.pack("!BBHI", protocol, 0, offset | more, number) + body
        protocol = FRAGMENT
    return struct.pack("!IHBB", 0x60000000, len(body), protocol, hops) + source.packed + target.packed + body


def _pseudo(source: Address, target: Address, length: int, protocol: int) -> bytes:
    if source.version == 4:
        return source.packed + target.packed + struct.pack("!BBH", 0, protocol, length)
    return source.packed + target.packed + struct.pack("!IHBB", length, 0, 0, protocol)


def _checksum(data: bytes) -> int:
    words: Sequence[int] = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def shoot(device: str, frames: Sequence[bytes]) -> None:
    """Send frames by a device of the calling process's namespace."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((device, 0))
        for frame in frames:
            raw.send(frame)
