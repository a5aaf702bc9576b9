"""An aiohttp application on a unix socket that only root may use, and that is made anew where somebody removes it.

The socket is the site's own, or was handed in by whoever started the agent: that one outlives it, so that callers wait
for the next agent instead of being refused.
"""

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from fairlead.model.errors import SettingsError
from fairlead.ports.clock import Clock

log = structlog.get_logger(__name__)

LOOK_EVERY = 2.0
"""Seconds between two looks at whether the socket is still there."""

DRAIN = 10.0
"""Seconds that running requests get when the agent is told to stop."""

_BACKLOG = 4096
"""Callers that may wait: all endpoints of a dockerd that starts, not asyncio's hundred."""


class UnixSite:
    """One application on one path. To be opened, and closed in the end. handed: the socket there, kept by others."""

    def __init__(self, app: web.Application, path: Path, handed: socket.socket | None = None) -> None:
        self._app = app
        self._path = path
        self._handed = handed
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None
        self._listener: socket.socket | None = None
        self._inode = (0, 0)
        self._own = True

    async def open(self) -> None:
        """Serve. Raises SettingsError where the path can't be had or another agent serves it."""
        listener = self._listen()
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=DRAIN)
        try:
            await self._runner.setup()
            await self._start(self._runner, listener)
        except BaseException:
            listener.close()
            await self.close()
            raise

    async def close(self) -> None:
        """Let nobody in any more, and wait for those who are; fine where it is not open."""
        if self._own and self._is_ours():
            self._path.unlink(missing_ok=True)
        if self._runner:
            await self._runner.cleanup()
        self._runner = self._site = self._listener = None

    async def tend(self, lost: Callable[[], None], clock: Clock) -> None:
        """See to it, for ever, that whoever comes is served; lost is called each time that it was made anew.

        Requests that are running go on. Raises as `open`, and may be called again then.
        """
        while True:
            if self._runner is None:
                await self.open()
            elif not self._is_ours():
                log.warning("the socket is gone: making it anew", socket=str(self._path))
                await self._listen_anew(self._runner)
                lost()
            await clock.sleep(LOOK_EVERY)

    def _listen(self) -> socket.socket:
        """Take the socket that was handed in, and make one where there is none, or its path has been lost."""
        self._own = self._handed is None or not _is_served(self._path)
        # aiohttp closes what it listened on.
        return _listen(self._path) if self._own or self._handed is None else self._handed.dup()

    def _is_ours(self) -> bool:
        """Say whether the path leads to the listener. The inode can't be another's while the listener has it."""
        if self._listener is None or self._listener.fileno() < 0:
            return False
        try:
            found = self._path.lstat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._inode

    async def _listen_anew(self, runner: web.AppRunner) -> None:
        listener, before = self._listen(), self._site
        try:
            await self._start(runner, listener)
            if before in runner.sites:
                await before.stop()
        except BaseException:
            # Not the path is at fault, then: all is made anew the next time.
            listener.close()
            await self.close()
            raise

    async def _start(self, runner: web.AppRunner, listener: socket.socket) -> None:
        site = web.SockSite(runner, listener, backlog=_BACKLOG)
        await site.start()
        found = self._path.lstat()
        self._site, self._listener, self._inode = site, listener, (found.st_dev, found.st_ino)


@asynccontextmanager
async def serve_unix(app: web.Application, path: Path, handed: socket.socket | None = None) -> AsyncIterator[UnixSite]:
    """Serve while the context lasts. handed: the socket there, which stays.

    Raises SettingsError where the path can't be had or another agent serves it.
    """
    site = UnixSite(app, path, handed)
    await site.open()
    try:
        yield site
    finally:
        await site.close()


def look_at(path: Path) -> str:
    """Say who may be met at a path, without making anything. Raises SettingsError where the path can't be had."""
    if _is_served(path):
        return f"an agent serves {path}"
    _refuse_what_is_no_socket(path)
    existing = next(one for one in path.parents if one.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise SettingsError(f"can't listen on {path}: {existing} can't be written to", remedy="run as root")
    return f"{path} can be had"


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        _clear(path)
        # Made unusable for others from its first moment: chmod after bind would leave a gap.
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(f"can't listen on {path}: {error.strerror}", remedy="run as root") from error
    except SettingsError:
        listener.close()
        raise
    return listener


def _clear(path: Path) -> None:
    """Remove a socket that a crash left behind."""
    if _is_served(path):
        raise SettingsError(
            f"another agent serves {path}, or systemd keeps it for one",
            remedy="stop it first (`systemctl stop fairlead-agent.socket fairlead-agent`), or set agent.socket",
        )
    _refuse_what_is_no_socket(path)
    path.unlink(missing_ok=True)


def _refuse_what_is_no_socket(path: Path) -> None:
    if path.exists() and not path.is_socket():
        raise SettingsError(f"can't listen on {path}: it is there and is no socket", remedy="move it away")


def _is_served(path: Path) -> bool:
    """Say whether somebody answers there, or may: what can't be found out counts as answered."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass
    return True
