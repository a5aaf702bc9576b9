"""What the service manager is told: that the agent serves, how it is, that it lives, that it ends.

The protocol is systemd's (sd_notify(3)): datagrams of NAME=VALUE lines to the socket NOTIFY_SOCKET.
"""

import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from fairlead.ports.clock import Clock

log = structlog.get_logger(__name__)

STATUS_EVERY: Final = 15.0
"""Seconds between two looks at whether the status has changed, at most."""


class ServiceManager:
    """Tells whoever asked for it; nobody where nobody did.

    address: path of a unix socket, or `@` and an abstract name. watchdog: seconds after which an agent that says
    nothing is taken for dead; 0: never.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog
        self._status = ""

    def status(self, text: str) -> None:
        """Say how the agent is, in a line, unless that has been said."""
        if text != self._status:
            self._status = text
            self._tell(STATUS=text)

    def ready(self) -> None:
        """Say that whoever comes is served from now on."""
        self._tell(READY="1")

    def stopping(self) -> None:
        """Say that the agent ends."""
        self._tell(STOPPING="1", STATUS="ends, once what runs is done")

    async def keep(self, describe: Callable[[], str], clock: Clock) -> None:
        """Say for ever that the event loop goes round, twice within the watchdog's time, and how the agent is."""
        while True:
            self.status(describe())
            if self._watchdog:
                self._tell(WATCHDOG="1")
            await clock.sleep(min(self._watchdog / 2 or STATUS_EVERY, STATUS_EVERY))

    def _tell(self, **values: str) -> None:
        if not self._address:
            return
        # A line is a value: what others named must not add one.
        lines = (f"{name}={' '.join(value.split())}" for name, value in values.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto("\n".join(lines).encode(), self._address)
            except OSError as error:
                log.warning("the service manager can't be told", error=str(error))


def service_manager(environ: Mapping[str, str]) -> ServiceManager:
    """Return the one that the environment names."""
    watched = environ.get("WATCHDOG_PID") in {None, str(os.getpid())}
    seconds = int(environ.get("WATCHDOG_USEC") or 0) / 1_000_000 if watched else 0.0
    return ServiceManager(environ.get("NOTIFY_SOCKET", ""), seconds)
