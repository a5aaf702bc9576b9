"""An aiohttp application on a unix socket that only root may use."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from fairlead.model.errors import SettingsError

_DRAIN = 10.0
"""Seconds that running requests get when the agent is told to stop."""


@asynccontextmanager
async def serve_unix(app: web.Application, path: Path) -> AsyncIterator[None]:
    """Serve while the context lasts. Raises SettingsError where the path can't be had or another agent serves it."""
    listener = _listen(path)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        path.unlink(missing_ok=True)
        await runner.cleanup()


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
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise SettingsError(f"can't listen on {path}: {error.strerror}", remedy="run as root") from error
    except SettingsError:
        listener.close()
        raise
    return listener


def _clear(path: Path) -> None:
    """Remove a socket that a crash left behind."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass
    raise SettingsError(f"another agent serves {path}", remedy="stop it first, or set agent.socket")
