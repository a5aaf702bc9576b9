"""The service manager hears when the agent serves, how it is, that it lives, and that it ends."""

import asyncio
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.agent.service_manager import ServiceManager, service_manager


class Listener:
    """What systemd hears."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """All that was said since."""
        said = []
        while True:
            try:
                said.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def systemd(path: str) -> Iterator[Listener]:
    listener = Listener(path)
    yield listener
    listener.close()


class Steps:
    """A clock on which a task sleeps until the test has let it go round so often."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self.slept: list[float] = []

    def now(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self._rounds:
            raise asyncio.CancelledError


async def keep(manager: ServiceManager, *texts: str) -> list[float]:
    clock, said = Steps(len(texts)), iter(texts)
    with pytest.raises(asyncio.CancelledError):
        await manager.keep(lambda: next(said), clock)
    return clock.slept


async def test_it_hears_of_ready_status_and_end(path: str, systemd: Listener) -> None:
    manager = service_manager({"NOTIFY_SOCKET": path})
    manager.status("mode ovs")
    manager.ready()
    manager.stopping()
    assert systemd.heard() == ["STATUS=mode ovs", "READY=1", "STOPPING=1\nSTATUS=ends, once what runs is done"]


async def test_a_status_is_said_when_it_changes_and_the_watchdog_hears_twice_in_its_time(
    path: str, systemd: Listener
) -> None:
    manager = service_manager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())})
    assert await keep(manager, "one", "one", "two") == [10.0] * 3
    assert systemd.heard() == ["STATUS=one", "WATCHDOG=1", "WATCHDOG=1", "STATUS=two", "WATCHDOG=1"]


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}])
async def test_a_watchdog_that_nobody_or_another_is_to_feed_is_not_fed(
    path: str, systemd: Listener, watchdog: dict[str, str]
) -> None:
    await keep(service_manager({"NOTIFY_SOCKET": path, **watchdog}), "one", "one")
    assert systemd.heard() == ["STATUS=one"]


async def test_an_abstract_address_is_reached() -> None:
    name = f"fairlead-{uuid.uuid4().hex}"
    systemd = Listener(f"\0{name}")
    service_manager({"NOTIFY_SOCKET": f"@{name}"}).ready()
    assert systemd.heard() == ["READY=1"]
    systemd.close()


async def test_a_name_can_not_say_more_than_a_name(path: str, systemd: Listener) -> None:
    service_manager({"NOTIFY_SOCKET": path}).status("networks: web\nMAINPID=1\r\nx")
    assert systemd.heard() == ["STATUS=networks: web MAINPID=1 x"]


async def test_nobody_is_told_where_nobody_asked_and_one_that_went_ends_nothing(path: str) -> None:
    service_manager({}).ready()
    service_manager({"NOTIFY_SOCKET": path}).ready()
