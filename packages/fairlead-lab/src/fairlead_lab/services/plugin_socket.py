"""A listening socket that outlives the program it is for, as systemd keeps one: this program keeps it and hands it on.

    plugin_socket.py keep SOCKET AT
    plugin_socket.py take AT COMMAND…

`keep` listens on SOCKET, and gives the listening socket to whoever connects to AT. `take` fetches it there and becomes
COMMAND, which finds it as sd_listen_fds(3) tells. Run by its path: it needs the standard library only.
"""

import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_FIRST = 3


def keep(path: Path, at: Path) -> None:
    """Keep the socket until SIGTERM, and leave no file."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        with _listening(at) as hatch, _listening(path) as kept:
            while True:
                caller, _ = hatch.accept()
                with caller, suppress(OSError):
                    socket.send_fds(caller, [b"\0"], [kept.fileno()])
    finally:
        for one in (path, at):
            one.unlink(missing_ok=True)


def take(at: str, command: Sequence[str]) -> None:
    """Become the command, with the socket."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(at)
        _, (kept,), _, _ = socket.recv_fds(asking, 1, 1)
    if kept != _FIRST:
        os.dup2(kept, _FIRST)
        os.close(kept)
    os.set_inheritable(_FIRST, True)
    handed = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "fairlead-agent.socket"}
    os.execvpe(command[0], list(command), {**os.environ, **handed})  # noqa: S606


def _listening(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.umask(0o177)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    os.umask(0o022)
    listener.listen(4096)
    return listener


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["keep", path, at]:
            keep(Path(path), Path(at))
        case ["take", at, *command]:
            take(at, command)
