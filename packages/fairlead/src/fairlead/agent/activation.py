"""Listening sockets that whoever starts the agent hands in: callers wait at them while no agent is there.

The protocol is systemd's (sd_listen_fds(3)): as many as LISTEN_FDS says, from number 3 on, for the process LISTEN_PID.
"""

import os
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from fairlead.model.errors import SettingsError

_FIRST: Final = 3


@contextmanager
def handed_in(environ: Mapping[str, str], first: int = _FIRST) -> Iterator[dict[Path, socket.socket]]:
    """Open the sockets that are for this process, by their real paths; none where nobody hands any in.

    They are open while the context lasts, and are not passed on to children. Raises SettingsError for one at which no
    door can be: not a listening unix socket with a path, or one that others than its owner may use.
    """
    ours = environ.get("LISTEN_PID") == str(os.getpid())
    with ExitStack() as stack:
        found = {}
        for number in range(first, first + int(environ.get("LISTEN_FDS") or 0)) if ours else ():
            os.set_inheritable(number, False)
            listener = stack.enter_context(socket.socket(fileno=number))
            found[_path(listener)] = listener
        yield found


def match(sockets: Mapping[Path, socket.socket], doors: Sequence[Path]) -> dict[Path, socket.socket]:
    """Return the sockets by the doors' own paths. Raises SettingsError for one that is no door's."""
    found = {door: sockets[real] for door in doors if (real := door.resolve()) in sockets}
    if strange := sockets.keys() - {door.resolve() for door in doors}:
        raise SettingsError(
            f"the agent was handed sockets at which it has no door: {', '.join(map(str, sorted(strange)))}",
            remedy="let ListenStream= of fairlead-agent.socket and agent.socket be the same, or disable the unit where"
            " agent.doors leaves docker out",
        )
    return found


def _path(listener: socket.socket) -> Path:
    name = listener.getsockname() if listener.family == socket.AF_UNIX else ""
    if not isinstance(name, str) or not name or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise SettingsError(
            f"the agent was handed {name or 'a socket'!r}, which is no listening unix socket with a path",
            remedy="let ListenStream= of fairlead-agent.socket be the path of agent.socket",
        )
    path = Path(name).resolve()
    # What has been removed since says nothing; the door makes a socket of its own there.
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SettingsError(f"others than root may use {path}", remedy="set SocketMode=0600 in fairlead-agent.socket")
    return path
