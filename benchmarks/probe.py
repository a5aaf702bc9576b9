"""Ends of a request/response test, one byte each way over TCP, run in the network namespaces of hosts and containers.

probe.py answer ADDRESS PORT            answer one client, after printing `listening`
probe.py ask ADDRESS PORT SECONDS       print the nanoseconds of each answer as a JSON list
"""

import json
import socket
import sys
import time

_TO_CONNECT = 10.0


def answer(address: str, port: int) -> None:
    """Send every byte of one connection back."""
    with socket.create_server((address, port)) as server:
        print("listening", flush=True)
        connection, _ = server.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while byte := connection.recv(1):
                connection.sendall(byte)


def ask(address: str, port: int, seconds: float) -> list[int]:
    """Send a byte, wait for it, and so on; the first hundred, which warm everything, are not counted."""
    times = []
    with socket.create_connection((address, port), _TO_CONNECT) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            started = time.perf_counter_ns()
            connection.sendall(b"x")
            connection.recv(1)
            times.append(time.perf_counter_ns() - started)
    return times[100:]


if __name__ == "__main__":
    if sys.argv[1] == "answer":
        answer(sys.argv[2], int(sys.argv[3]))
    else:
        print(json.dumps(ask(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
