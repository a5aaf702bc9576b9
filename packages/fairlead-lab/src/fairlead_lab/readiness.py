"""Waiting for a component to be ready, from outside its namespaces."""

import asyncio
import re
import time
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.components import LoopbackHttp, Readiness, UnixHttp, UnixSocket
from fairlead_lab.manifest import ProcessId
from fairlead_lab.processes import is_alive

# gunicorn's own lines: after a service's error they say no more than that it ended.
_GUNICORN = re.compile(r"\[\d{4}-\d\d-\d\d [\d:]+ [+-]\d{4}\] \[\d+\] ")


async def wait_ready(
    name: str,
    ready: Readiness,
    process: ProcessId,
    *,
    root: Path,
    loopback_port: int | None,
    log: Path,
    patience: float = 90.0,
) -> None:
    """Return once the component shows its sign of readiness.

    root: the component's file system seen from here, `/proc/PID/root`, through which its unix sockets are reached.
    Raises LabError, with the last line of the component's log, when its process ends or `patience` seconds pass.
    """
    limit = time.monotonic() + patience
    while not await _shows(ready, root, loopback_port, limit):
        if not is_alive(process):
            raise LabError(f"{name} ended at its start: {last_line(log)}", remedy=f"see {log}")
        if time.monotonic() > limit:
            raise LabError(f"{name} was not ready after {patience:.0f} s: {last_line(log)}", remedy=f"see {log}")
        await asyncio.sleep(0.02)


async def _shows(ready: Readiness, root: Path, loopback_port: int | None, limit: float) -> bool:
    try:
        async with asyncio.timeout(max(0.1, limit - time.monotonic())):
            match ready:
                case None:
                    return True
                case UnixSocket(path):
                    _, writer = await asyncio.open_unix_connection(root / path.lstrip("/"))
                    writer.close()
                    return True
                case UnixHttp(path, method, target):
                    reader, writer = await asyncio.open_unix_connection(root / path.lstrip("/"))
                    return await _status(reader, writer, method, target) == 200
                case LoopbackHttp(target):
                    reader, writer = await asyncio.open_connection("127.0.0.1", loopback_port)
                    return 200 <= await _status(reader, writer, "GET", target) < 500
    except (OSError, EOFError, ValueError, TimeoutError):
        return False


async def _status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, target: str) -> int:
    try:
        request = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        writer.write(request.encode())
        line = await reader.readline()
        return int(line.split()[1]) if line else 0
    finally:
        writer.close()


def last_line(log: Path) -> str:
    """The last line of a log that says something, shortened; a word when there is none."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    except FileNotFoundError:
        lines = []
    told = [line for line in lines if line and not _GUNICORN.match(line)]
    return told[-1][:200] if told else "its log is empty"
