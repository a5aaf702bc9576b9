"""What the replica's thread reports, kept for the coroutines that wait for it."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from fairlead.adapters.ovsdb.rows import InterfaceState


@dataclass(frozen=True, slots=True)
class Connected:
    """The replica has come into step with the database."""


@dataclass(frozen=True, slots=True)
class Configured:
    """ovs-vswitchd has brought about the configuration of that number (`cur_cfg`)."""

    number: int


@dataclass(frozen=True, slots=True)
class Gone:
    """An Interface row is no longer there, or no longer Fairlead's."""

    row: UUID
    name: str


Report = Connected | Configured | InterfaceState | Gone


class OvsdbEvents:
    """The newest of the reports. All of it is used in the event loop's thread.

    A plug's own report is here before the plug returns: the database tells of a change before it says that the change
    is made (ovsdb-server(7)), and the reports of the replica's thread and its answers come by the same queue.
    """

    def __init__(self) -> None:
        self._connected = asyncio.Event()
        self._configuration = 0
        self._reconfigured = asyncio.Event()
        self._interfaces: dict[str, InterfaceState] = {}
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def take(self, report: Report) -> None:
        """Take note of a report and wake those who wait for it."""
        match report:
            case Connected():
                self._connected.set()
            case Configured(number):
                self._configuration = number
                self._reconfigured.set()
            case InterfaceState(name=name):
                self._interfaces[name] = report
                for news in self._waiting.get(name, ()):
                    news.set()
            case Gone(row, name):
                # A name may be plugged anew in the transaction that its old row goes in, and be told of first.
                known = self._interfaces.get(name)
                if known is not None and known.row == row:
                    del self._interfaces[name]

    def expect_connection(self) -> asyncio.Event:
        """Return what will be set when the replica next comes into step."""
        self._connected.clear()
        return self._connected

    async def configured(self, number: int) -> None:
        """Return when ovs-vswitchd has brought about the configuration of that number."""
        while self._configuration < number:
            self._reconfigured.clear()
            await self._reconfigured.wait()

    def interface(self, name: str) -> InterfaceState | None:
        """Return the newest state of Fairlead's Interface of that name; None where there is none."""
        return self._interfaces.get(name)

    async def installed(self, name: str) -> None:
        """Return when ovn-controller has put the flows in place of the Interface that has the name."""
        news = asyncio.Event()
        self._waiting.setdefault(name, set()).add(news)
        try:
            while not ((state := self._interfaces.get(name)) and state.installed):
                news.clear()
                await news.wait()
        finally:
            self._waiting[name].discard(news)
            if not self._waiting[name]:
                del self._waiting[name]
