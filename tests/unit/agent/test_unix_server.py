"""The plugin's socket belongs to root and to one agent."""

import asyncio
import socket
import stat
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from fairlead.agent.unix_server import UnixSite, look_at, serve_unix
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


def tended(site: UnixSite, lost: list[bool]) -> asyncio.Task[None]:
    """Let a site be tended, and look at it as fast as the loop goes round."""

    class Hurry:
        def now(self) -> float:
            return 0.0

        async def sleep(self, _seconds: float) -> None:
            await asyncio.sleep(0)

    return asyncio.create_task(site.tend(lambda: lost.append(True), Hurry()))


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def come_back(path: Path) -> None:
    async with asyncio.timeout(10):
        while not path.is_socket():  # noqa: ASYNC110  # a file rings nothing
            await asyncio.sleep(0)


async def test_a_socket_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    path, lost = tmp_path / "plugins" / "fairlead.sock", list[bool]()
    async with serve_unix(app(), path) as site:
        task = tended(site, lost)
        path.unlink()
        await come_back(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await ask(path) == "hello"
        path.unlink()
        path.parent.rmdir()
        await come_back(path)
        assert await ask(path) == "hello"
        await ended(task)
    assert lost == [True, True]
    assert not path.exists()


async def test_a_request_that_runs_while_the_socket_is_made_anew_is_answered(tmp_path: Path) -> None:
    path, lost, came, go_on = tmp_path / "fairlead.sock", list[bool](), asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        came.set()
        await go_on.wait()
        return web.Response(text="at last")

    made = web.Application()
    made.router.add_get("/", slow)
    async with serve_unix(made, path) as site:
        task = tended(site, lost)
        asking = asyncio.create_task(ask(path))
        await came.wait()
        path.unlink()
        await come_back(path)
        go_on.set()
        assert await asking == "at last"
        await ended(task)


async def test_a_path_that_another_agent_took_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.sock"
    async with serve_unix(app(), path) as site:
        path.unlink()
        async with serve_unix(app(), path):
            task = tended(site, [])
            with pytest.raises(SettingsError, match="another agent serves"):
                await task
            await site.close()
            assert await ask(path) == "hello"


async def test_a_site_that_broke_is_opened_again_when_it_is_tended_again(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.sock"
    async with serve_unix(app(), path) as site:
        await site.close()
        assert not path.exists()
        task = tended(site, [])
        await come_back(path)
        assert await ask(path) == "hello"
        await ended(task)


async def test_looking_at_a_path_says_whether_it_can_be_had_and_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "plugins" / "fairlead.sock"
    assert look_at(path) == f"{path} can be had"
    assert not path.parent.exists()
    async with serve_unix(app(), path):
        assert look_at(path) == f"an agent serves {path}"
    path.write_text("")
    with pytest.raises(SettingsError, match=r"can't listen on .* is no socket: move it away"):
        look_at(path)
    with pytest.raises(SettingsError, match="can't listen on"):
        look_at(path / "fairlead.sock")
