"""Sends and receives packets inside a container's network namespace; run as a program of its own.

usage: probe.py listen-udp ADDRESS PORT SECONDS      prints the size of each datagram that arrives
       probe.py send-udp ADDRESS PORT SIZE [SOURCE]  one datagram with SIZE bytes of payload, never fragmented
       probe.py listen-tcp ADDRESS PORT              accepts one connection, sends back what it gets
       probe.py talk-tcp ADDRESS PORT SIZE           sends SIZE bytes, and wants them back
       probe.py frame DEVICE SOURCE_MAC SOURCE DESTINATION_MAC DESTINATION PORT [TEXT]
                                                     one UDP datagram as a raw frame
"""

import ipaddress
import socket
import struct
import sys
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
    payload = text.encode()
    udp = struct.pack("!HHHH", 4000, int(port), 8 + len(payload), 0) + payload
    total = 20 + len(udp)
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, total, 1, 0, 64, socket.IPPROTO_UDP, 0,
        ipaddress.IPv4Address(source).packed, ipaddress.IPv4Address(destination).packed,
    )  # fmt: skip
    words = sum(struct.unpack("!10H", header))
    words = (words >> 16) + (words & 0xFFFF)
    checksum = ~(words + (words >> 16)) & 0xFFFF
    header = header[:10] + struct.pack("!H", checksum) + header[12:]
    ethernet = bytes.fromhex(destination_mac.replace(":", "")) + bytes.fromhex(source_mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((device, 0))
        sender.send(ethernet + b"\x08\x00" + header + udp)


if __name__ == "__main__":
    COMMANDS: dict[str, Callable[..., None]] = {
        "listen-udp": listen_udp,
        "send-udp": send_udp,
        "listen-tcp": listen_tcp,
        "talk-tcp": talk_tcp,
        "frame": frame,
    }
    COMMANDS[sys.argv[1]](*sys.argv[2:])
