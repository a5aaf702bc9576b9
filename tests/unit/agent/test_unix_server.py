"""The plugin's socket belongs to root and to one agent."""

import socket
import stat
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from fairlead.agent.unix_server import serve_unix
from fairlead.model.errors import SettingsError


def app() -> web.Application:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    made = web.Application()
    made.router.add_get("/", hello)
    return made


async def ask(path: Path) -> str:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://agent/") as response,
    ):
        return await response.text()


async def test_it_serves_its_owner_alone_and_leaves_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "plugins" / "fairlead.sock"
    async with serve_unix(app(), path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await ask(path) == "hello"
    assert not path.exists()


async def test_a_socket_that_a_crash_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serve_unix(app(), path):
        assert await ask(path) == "hello"


async def test_a_second_agent_is_refused_and_the_first_serves_on(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.sock"
    async with serve_unix(app(), path):
        with pytest.raises(SettingsError, match="another agent serves"):
            async with serve_unix(app(), path):
                pass
        assert await ask(path) == "hello"


async def test_a_path_that_can_not_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="can't listen on"):
        async with serve_unix(app(), tmp_path / "file" / "fairlead.sock"):
            pass
