"""Hints come as datagrams by the NIC, and a socket that is lost is not lost in silence."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest
import structlog

from fairlead.agent.clock import SystemClock
from fairlead.agent.hints import Hints
from fairlead.model.errors import DataplaneError, NotFound
from fairlead.ports.routing import Nic

LOOPBACK = Nic("lo", "", 65536, (ip_interface("127.0.0.1/8"), ip_interface("::1/128")))
ADDRESSES = ("127.0.0.1", "::1")


async def loopback() -> Nic:
    return LOOPBACK


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::", 0))
        port: int = probe.getsockname()[1]
        return port


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  # of a socket, which rings nothing
            await asyncio.sleep(0.01)


async def send_until_heard(address: str, port: int, heard: list[bytes]) -> None:
    """Send until something is heard: the first may come before there is a socket."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:

        def once() -> bool:
            sender.sendto(address.encode(), (address, port))
            return bool(heard)

        await until(once)


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_hint_is_heard_and_a_lost_socket_ends_the_task_with_the_reason(address: str) -> None:
    port, heard = free_port(), list[bytes]()
    hints = Hints(port, loopback)
    listening = asyncio.create_task(hints.listen(heard.append, SystemClock()))
    await send_until_heard(address, port, heard)
    assert set(heard) == {address.encode()}
    hints._transports[ip_address(address).version].abort()
    with pytest.raises(DataplaneError, match=f"UDP port {port} is lost"):
        await listening


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_hint_is_sent_by_the_family_of_the_nodes_address(address: str) -> None:
    port, heard = free_port(), list[bytes]()
    hints = Hints(port, loopback)
    listening = asyncio.create_task(hints.listen(heard.append, SystemClock()))
    await until(lambda: len(hints._transports) == 2)
    hints.tell([ip_address(address)], b"to myself")
    await until(lambda: heard)
    listening.cancel()
    await asyncio.wait([listening])
    hints.tell([ip_address(address)], b"to nobody: there is no socket any more")
    assert heard == [b"to myself"]


async def test_a_port_that_is_taken_is_said_once_and_tried_until_it_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, heard, slept = free_port(), list[bytes](), asyncio.Event()

    async def rest(_self: SystemClock, _seconds: float) -> None:
        slept.set()
        await asyncio.sleep(0)

    monkeypatch.setattr(SystemClock, "sleep", rest)
    hints = Hints(port, loopback)
    with structlog.testing.capture_logs() as logs:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", port))
            listening = asyncio.create_task(hints.listen(heard.append, SystemClock()))
            await slept.wait()
            slept.clear()
            await slept.wait()
        await send_until_heard("127.0.0.1", port, heard)
    listening.cancel()
    await asyncio.wait([listening])
    assert [line["event"] for line in logs] == ["changes of networks will be seen late"]


async def test_a_nic_that_comes_late_or_gets_another_family_is_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    port, heard = free_port(), list[bytes]()
    seen: list[Nic | NotFound] = [
        NotFound("this host has no default route"),
        replace(LOOPBACK, addresses=LOOPBACK.addresses[:1]),
    ]

    async def nic() -> Nic:
        found = seen.pop(0) if seen else LOOPBACK
        if isinstance(found, NotFound):
            raise found
        return found

    async def rest(_self: SystemClock, _seconds: float) -> None:
        await asyncio.sleep(0.01)

    monkeypatch.setattr(SystemClock, "sleep", rest)
    hints = Hints(port, nic)
    listening = asyncio.create_task(hints.listen(heard.append, SystemClock()))
    await send_until_heard("::1", port, heard)
    listening.cancel()
    await asyncio.wait([listening])
    assert not hints._transports
