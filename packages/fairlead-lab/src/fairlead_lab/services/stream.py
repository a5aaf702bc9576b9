"""One TCP stream as fast as it goes, for the demo: run in the network namespaces of both ends. Standard library only.

stream.py receive ADDRESS PORT          take one stream, after printing `listening`
stream.py send ADDRESS PORT SECONDS     print the Mbit/s that the other end took
"""

import socket
import sys
import time

_PIECE = bytes(1 << 20)


def receive(address: str, port: int) -> None:
    """Take what one connection sends, and tell the sender how much it was."""
    with socket.create_server((address, port)) as server:
        print("listening", flush=True)
        connection, _ = server.accept()
        buffer, taken = bytearray(1 << 20), 0
        with connection:
            while count := connection.recv_into(buffer):
                taken += count
            connection.sendall(str(taken).encode())


def send(address: str, port: int, seconds: float) -> float:
    """Send for a while; return the Mbit/s that arrived."""
    with socket.create_connection((address, port), 10.0) as connection:
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            connection.sendall(_PIECE)
        connection.shutdown(socket.SHUT_WR)
        taken = int(connection.recv(64))
        return taken * 8 / (time.monotonic() - began) / 1e6


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(sys.argv[2], int(sys.argv[3]))
    else:
        print(send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
