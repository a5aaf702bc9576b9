"""Sends and receives packets inside a container's network namespace; run as a program of its own.

usage: probe.py listen-udp ADDRESS PORT SECONDS      prints the size of each datagram that arrives
       probe.py send-udp ADDRESS PORT SIZE [SOURCE]  one datagram with SIZE bytes of payload, never fragmented
       probe.py listen-tcp ADDRESS PORT              accepts one connection, sends back what it gets
       probe.py talk-tcp ADDRESS PORT SIZE           sends SIZE bytes, and wants them back
       probe.py frame DEVICE SOURCE_MAC SOURCE DESTINATION_MAC DESTINATION PORT [TEXT]
                                                     one UDP datagram as a raw frame
       probe.py echo ADDRESS COUNT INTERVAL          that many pings; prints the numbers of those without an answer
"""

import ipaddress
import os
import socket
import struct
import sys
import time
from collections.abc import Callable

IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen_udp(address: str, port: str, seconds: str) -> None:
    with socket.socket(family(address), socket.SOCK_DGRAM) as listener:
        listener.bind((address, int(port)))
        listener.settimeout(float(seconds))
        print("listening", flush=True)
        while True:
            try:
                data, source = listener.recvfrom(65536)
            except TimeoutError:
                return
            print(len(data), source[0], flush=True)


def send_udp(address: str, port: str, size: str, source: str = "") -> None:
    with socket.socket(family(address), socket.SOCK_DGRAM) as sender:
        if family(address) is socket.AF_INET6:
            sender.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO)
        else:
            sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
        if source:
            sender.bind((source, 0))
        sender.sendto(b"x" * int(size), (address, int(port)))


def listen_tcp(address: str, port: str) -> None:
    with socket.create_server((address, int(port)), family=family(address)) as listener:
        listener.settimeout(60)
        print("listening", flush=True)
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)


def talk_tcp(address: str, port: str, size: str) -> None:
    want = int(size)
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        got = 0
        for start in range(0, want, 16384):
            part = b"y" * min(16384, want - start)
            connection.sendall(part)
            back = 0
            while back < len(part):
                back += len(connection.recv(65536))
            got += back
    print(got)


def frame(
    device: str,
    source_mac: str,
    source: str,
    destination_mac: str,
    destination: str,
    port: str,
    text: str = "forged",
) -> None:
    packed = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    payload = text.encode()
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", 4000, int(port), length, 0) + payload
    if family(source) is socket.AF_INET6:
        pseudo = b"".join(packed) + struct.pack("!II", length, socket.IPPROTO_UDP)
        udp = udp[:6] + checksum(pseudo + udp) + udp[8:]
        kind, header = b"\x86\xdd", struct.pack("!IHBB", 6 << 28, length, socket.IPPROTO_UDP, 64) + b"".join(packed)
    else:
        fields = 0x45, 0, 20 + length, 1, 0, 64, socket.IPPROTO_UDP, 0, *packed
        header = struct.pack("!BBHHHBBH4s4s", *fields)
        kind, header = b"\x08\x00", header[:10] + checksum(header) + header[12:]
    ethernet = bytes.fromhex(destination_mac.replace(":", "")) + bytes.fromhex(source_mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((device, 0))
        sender.send(ethernet + kind + header + udp)


def echo(address: str, count: str, interval: str) -> None:
    is_v6 = family(address) is socket.AF_INET6
    protocol = socket.getprotobyname("ipv6-icmp" if is_v6 else "icmp")
    asked, answered = (128, 129) if is_v6 else (8, 0)
    missing, own = set(range(int(count))), os.getpid() & 0xFFFF
    with socket.socket(family(address), socket.SOCK_RAW, protocol) as pinger:
        for number in range(int(count)):
            request = struct.pack("!BBHHH", asked, 0, 0, own, number)
            if not is_v6:
                request = request[:2] + checksum(request) + request[4:]
            pinger.sendto(request, (address, 0))
            collect(pinger, float(interval), missing, answered, own)
        collect(pinger, 3.0, missing, answered, own)
    print(*sorted(missing))


def collect(pinger: socket.socket, seconds: float, missing: set[int], kind: int, own: int) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and missing:
        pinger.settimeout(left)
        try:
            data = pinger.recv(2048)
        except TimeoutError:
            return
        answer = data[(data[0] & 15) * 4 :] if pinger.family is socket.AF_INET else data
        got, _, _, owner, number = struct.unpack("!BBHHH", answer[:8])
        if (got, owner) == (kind, own):
            missing.discard(number)


def checksum(data: bytes) -> bytes:
    """The internet's (RFC 1071), of an even number of bytes."""
    words = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while words >> 16:
        words = (words >> 16) + (words & 0xFFFF)
    return struct.pack("!H", ~words & 0xFFFF)


if __name__ == "__main__":
    COMMANDS: dict[str, Callable[..., None]] = {
        "listen-udp": listen_udp,
        "send-udp": send_udp,
        "listen-tcp": listen_tcp,
        "talk-tcp": talk_tcp,
        "frame": frame,
        "echo": echo,
    }
    COMMANDS[sys.argv[1]](*sys.argv[2:])
