"""A socket that systemd keeps is the agent's for as long as it lives, and callers wait at it while there is none."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fairlead.agent.activation import handed_in, match
from fairlead.agent.unix_server import serve_unix
from fairlead.model.errors import SettingsError
from tests.unit.agent.test_unix_server import app, ask, come_back, ended, tended


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fairlead.sock"


@pytest.fixture
def kept(path: Path) -> Iterator[socket.socket]:
    """What systemd keeps."""
    with listening_at(path) as listener:
        yield listener


def listening_at(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(8)
    return listener


def environ(count: int = 1, pid: int | None = None) -> Mapping[str, str]:
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "fairlead-agent.socket"}


def taken(listener: socket.socket) -> AbstractContextManager[dict[Path, socket.socket]]:
    """Hand a copy in, as if this process had just begun."""
    return handed_in(environ(), first=listener.dup().detach())


def test_a_socket_is_known_by_its_path_and_no_child_inherits_it(path: Path, kept: socket.socket) -> None:
    with taken(kept) as sockets:
        assert list(sockets) == [path]
        assert not sockets[path].get_inheritable()


@pytest.mark.parametrize("variables", [{}, environ(pid=1), {"LISTEN_FDS": "1"}])
def test_sockets_of_another_process_are_left_alone(variables: Mapping[str, str]) -> None:
    with handed_in(variables) as sockets:
        assert sockets == {}


def test_what_is_no_listening_socket_with_a_path_is_refused(path: Path) -> None:
    with socket.socket(socket.AF_INET) as other, socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        for wrong in (other, mute):
            with pytest.raises(SettingsError, match="no listening unix socket"), taken(wrong):
                pass


def test_a_socket_that_others_may_use_is_refused(path: Path, kept: socket.socket) -> None:
    path.chmod(0o660)
    with pytest.raises(SettingsError, match=r"others than root may use .*: set SocketMode=0600"), taken(kept):
        pass


def test_a_socket_at_which_there_is_no_door_is_refused(path: Path, kept: socket.socket) -> None:
    with taken(kept) as sockets, pytest.raises(SettingsError, match=rf"has no door: {path}: .*agent\.socket"):
        match(sockets, [path.with_name("other.sock")])


def test_a_door_is_found_behind_a_link(path: Path, kept: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "var").symlink_to(tmp_path)
    door = tmp_path / "var" / path.name
    with taken(kept) as sockets:
        assert list(match(sockets, [door])) == [door]


async def test_who_calls_before_the_agent_is_there_or_between_two_is_answered_by_the_next(
    path: Path, kept: socket.socket
) -> None:
    for _ in range(3):
        early = asyncio.create_task(ask(path))
        await asyncio.sleep(0)
        async with serve_unix(app(), path, kept):
            assert await early == "hello"
            assert await ask(path) == "hello"
        assert path.is_socket(), "it is not the agent's to remove"


async def test_a_kept_socket_that_somebody_removed_gives_way_to_one_of_the_agents_own(
    path: Path, kept: socket.socket
) -> None:
    lost = list[bool]()
    async with serve_unix(app(), path, kept) as site:
        task = tended(site, lost)
        path.unlink()
        await come_back(path)
        assert await ask(path) == "hello"
        await ended(task)
    assert lost == [True]
    assert not path.exists()


async def test_a_stale_file_where_the_kept_socket_was_is_replaced(path: Path, kept: socket.socket) -> None:
    path.unlink()
    listening_at(path).close()
    async with serve_unix(app(), path, kept):
        assert await ask(path) == "hello"


async def test_a_site_that_broke_takes_the_kept_socket_again(path: Path, kept: socket.socket) -> None:
    async with serve_unix(app(), path, kept) as site:
        await site.close()
        early = asyncio.create_task(ask(path))
        task = tended(site, [])
        assert await early == "hello"
        await ended(task)


async def test_a_second_agent_without_the_kept_socket_is_told_who_has_it(path: Path, kept: socket.socket) -> None:
    with pytest.raises(SettingsError, match=r"or systemd keeps it for one: .*systemctl stop fairlead-agent\.socket"):
        async with serve_unix(app(), path):
            pass


@pytest.mark.skipif(not Path("/usr/bin/systemd-socket-activate").exists(), reason="no systemd here")
def test_systemds_own_starter_hands_the_socket_to_an_agent_that_serves_no_such_door(tmp_path: Path) -> None:
    """By systemd's own program: the agent reads what it hands over, and ends, as its settings have another path."""
    path = tmp_path / "elsewhere.sock"
    agent = [sys.executable, "-m", "fairlead", "agent"]
    wanted = {"HOME": tmp_path, "FAIRLEAD_AGENT_STATE_DIR": tmp_path / "state", "FAIRLEAD_AGENT_MODE": "ovs"}
    handed = [word for name, value in wanted.items() for word in ("-E", f"{name}={value}")]
    with subprocess.Popen(
        ["/usr/bin/systemd-socket-activate", "-l", str(path), *handed, *agent],
        stderr=subprocess.PIPE,
        text=True,
    ) as starter:
        try:
            while not path.is_socket():
                assert starter.poll() is None
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(path))
                starter.wait(60)
            assert starter.stderr
            assert "others than root may use" in starter.stderr.read()
        finally:
            if starter.poll() is None:
                starter.send_signal(signal.SIGKILL)
