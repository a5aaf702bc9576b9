"""Hints come as datagrams, and a socket that is lost is not lost in silence."""

import asyncio
import socket

import pytest
import structlog

from fairlead.agent.clock import SystemClock
from fairlead.agent.hints import Hints
from fairlead.model.errors import DataplaneError


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def heard_one(port: int, heard: asyncio.Event) -> None:
    """Send until something is heard: the first may come before there is a socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        async with asyncio.timeout(10):
            while not heard.is_set():  # it is sent anew each time
                sender.sendto(b"", ("127.0.0.1", port))
                await asyncio.sleep(0.01)


async def test_a_hint_is_heard_and_a_lost_socket_ends_the_task_with_the_reason() -> None:
    port, heard = free_port(), asyncio.Event()
    hints = Hints(port)
    listening = asyncio.create_task(hints.listen(heard.set, SystemClock()))
    await heard_one(port, heard)
    assert hints._transport
    hints._transport.abort()
    with pytest.raises(DataplaneError, match=f"UDP port {port} is lost"):
        await listening


async def test_a_port_that_is_taken_is_said_once_and_tried_until_it_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, heard, slept = free_port(), asyncio.Event(), asyncio.Event()

    async def rest(_self: SystemClock, _seconds: float) -> None:
        slept.set()
        await asyncio.sleep(0)

    monkeypatch.setattr(SystemClock, "sleep", rest)
    hints = Hints(port)
    with structlog.testing.capture_logs() as logs:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", port))
            listening = asyncio.create_task(hints.listen(heard.set, SystemClock()))
            await slept.wait()
            slept.clear()
            await slept.wait()
        await heard_one(port, heard)
    listening.cancel()
    await asyncio.wait([listening])
    assert [line["event"] for line in logs] == ["changes of networks will be seen late"]
