"""Packets between two containers on one host, and none past the switch."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.functional.conftest import Host, SandboxMaker, attachment
from tests.functional.namespaces import Sandbox, links, run
from tests.functional.switch import until

pytestmark = pytest.mark.root

SERVER = """
import socket
server = socket.create_server(("", 7000))
print("ready", flush=True)
link, _ = server.accept()
while part := link.recv(65536): link.sendall(part)
"""
CLIENT = """
import socket, sys, threading
data = bytes(range(256)) * 4096
link = socket.create_connection((sys.argv[1], 7000), timeout=10)
threading.Thread(target=lambda: (link.sendall(data), link.shutdown(socket.SHUT_WR))).start()
back = b""
while part := link.recv(65536): back += part
print(back == data)
"""
DATAGRAM = """
import errno, socket, sys
address, size = sys.argv[1], int(sys.argv[2])
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO: never in fragments
link.settimeout(3)
try:
    link.sendto(bytes(size), (address, 7000))
    print(len(link.recv(65536)))
except OSError as error:
    print(errno.errorcode.get(error.errno, "silence"))
"""
ECHO = """
import socket
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.setsockopt(socket.IPPROTO_IP, 10, 2)
link.bind(("", 7000))
print("ready", flush=True)
while True:
    link.sendto(*link.recvfrom(65536))
"""


class Place(Protocol):
    """Where programs can be run: a container, or the host."""

    def command(self, *command: str) -> list[str]: ...


def ping(source: Sandbox, target: str, *options: str) -> bool:
    done = subprocess.run(
        source.command("busybox", "ping", "-c", "1", "-W", "1", *options, target), capture_output=True, check=False
    )
    return done.returncode == 0


@contextmanager
def serving(container: Place, program: str) -> Iterator[None]:
    """Run a Python program in a container, from when it says that it is ready."""
    with subprocess.Popen(container.command(sys.executable, "-c", program), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def echoes(server: Sandbox, client: Sandbox, address: str) -> bool:
    """Send a megabyte by TCP and get it back."""
    with serving(server, SERVER):
        return client.run(sys.executable, "-c", CLIENT, address).strip() == "True"


async def pair_of_containers(host: Host, sandbox: SandboxMaker) -> tuple[Sandbox, Sandbox]:
    first, second = sandbox(), sandbox()
    for number, container in ((1, first), (2, second)):
        await host.dataplane.apply(attachment(number))
        container.take(attachment(number).sandbox_device, address=f"10.77.0.{number}")
    until(lambda: ping(first, "10.77.0.2"), "no packet passes")
    return first, second


async def test_ping_and_tcp_pass(host: Host, sandbox: SandboxMaker) -> None:
    first, second = await pair_of_containers(host, sandbox)
    assert ping(second, "10.77.0.1", "-s", str(attachment().mtu - 28))
    assert echoes(second, first, "10.77.0.2")
    assert echoes(first, second, "10.77.0.1")


async def test_a_datagram_of_the_full_mtu_passes_and_one_byte_more_does_not(host: Host, sandbox: SandboxMaker) -> None:
    first, second = await pair_of_containers(host, sandbox)
    full = attachment().mtu - 28  # less the headers of IPv4 and UDP
    with serving(second, ECHO):
        assert first.run(sys.executable, "-c", DATAGRAM, "10.77.0.2", str(full)).strip() == str(full)
        assert first.run(sys.executable, "-c", DATAGRAM, "10.77.0.2", str(full + 1)).strip() == "EMSGSIZE"


async def test_packets_pass_after_the_device_was_lost(host: Host, sandbox: SandboxMaker) -> None:
    first, second = await pair_of_containers(host, sandbox)
    for _ in range(3):
        run("ip", "link", "delete", attachment(1).host_device)
        await host.dataplane.apply(attachment(1))
        first.take(attachment(1).sandbox_device, address="10.77.0.1")
        until(lambda: ping(first, "10.77.0.2"), "no packet passes")
    assert echoes(second, first, "10.77.0.2")


async def test_packets_pass_after_remove_and_apply_again(host: Host, sandbox: SandboxMaker) -> None:
    first, _ = await pair_of_containers(host, sandbox)
    for _ in range(5):
        await host.dataplane.remove(attachment(1).id)
        await host.dataplane.apply(attachment(1))
        first.take(attachment(1).sandbox_device, address="10.77.0.1")
        until(lambda: ping(first, "10.77.0.2"), "no packet passes")
        assert ping(first, "10.77.0.2")


async def test_nothing_of_it_shows_in_the_hosts_own_stack(host: Host, sandbox: SandboxMaker, tmp_path: Path) -> None:
    """No address, route or neighbour of either family, from before the first message to after the last."""
    with watching(tmp_path / "seen") as seen:
        first, second = await pair_of_containers(host, sandbox)
        assert echoes(second, first, "10.77.0.2")
        await host.dataplane.remove(attachment(1).id)
        await host.dataplane.remove(attachment(2).id)
        assert seen() == []


@contextmanager
def watching(log: Path) -> Iterator[Callable[[], list[str]]]:
    """Write down every change of addresses, routes and neighbours in the namespace; give those that were seen.

    Addresses of its own making, in 192.0.2.0/24, tell when the monitor has begun and when it has caught up.
    """
    marks = iter(range(1, 255))

    def caught_up() -> bool:
        mark = f"192.0.2.{next(marks)}"
        run("ip", "address", "add", f"{mark}/32", "dev", "lo")
        run("ip", "address", "delete", f"{mark}/32", "dev", "lo")
        return mark in log.read_text()

    def seen() -> list[str]:
        until(caught_up, "the monitor sees nothing")
        return [line for line in log.read_text().splitlines() if "192.0.2." not in line and "valid_lft" not in line]

    watched = ("address", "route", "mroute", "neigh")
    with log.open("w") as file, subprocess.Popen(["ip", "monitor", *watched], stdout=file) as monitor:
        try:
            until(caught_up, "the monitor sees nothing")
            yield seen
        finally:
            monitor.kill()


@pytest.mark.parametrize("rp_filter", ["0", "2"])
async def test_a_container_does_not_reach_the_host_past_the_switch(
    host: Host, sandbox: SandboxMaker, rp_filter: str
) -> None:
    """A switch in user space only listens in: without more ado the host's own stack would answer too.

    rp_filter: what an operator has set for all devices; the kernel takes the larger one.
    """
    Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text(rp_filter)
    run("ip", "link", "add", "host0", "type", "veth", "peer", "name", "host1")
    for device in ("host0", "host1"):
        run("ip", "link", "set", device, "up")
    run("ip", "address", "add", "192.0.2.1/24", "dev", "host0")
    run("ip", "address", "add", "2001:db8::1/64", "dev", "host0", "nodad")
    run("ip", "route", "add", "default", "dev", "host0")
    first, _ = await pair_of_containers(host, sandbox)
    first.run("ip", "route", "add", "192.0.2.0/24", "dev", "eth0")
    first.run("ip", "route", "add", "2001:db8::/64", "dev", "eth0")
    assert not ping(first, "192.0.2.1")
    assert not ping(first, "2001:db8::1")
    first.run("busybox", "arping", "-D", "-c", "1", "-w", "1", "-I", "eth0", "192.0.2.1")  # fails where it is answered
    mac = links()[attachment(1).host_device]["address"]
    received = _received()
    first.run("ip", "neigh", "replace", "192.0.2.1", "lladdr", mac, "dev", "eth0")
    first.run("ip", "neigh", "replace", "2001:db8::1", "lladdr", mac, "dev", "eth0")
    assert not ping(first, "192.0.2.1")
    assert not ping(first, "2001:db8::1")
    assert _received() == received


def _received() -> int:
    """How many echo requests the host's stack has taken in (RFC 4293's and 4466's counters)."""
    icmp = dict(
        zip(
            *[line.split()[1:] for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Icmp:")],
            strict=True,
        )
    )
    icmp6 = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(icmp["InEchos"]) + int(icmp6["Icmp6InEchos"])
