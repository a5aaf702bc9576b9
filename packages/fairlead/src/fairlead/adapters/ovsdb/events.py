"""What the replica's thread reports, kept for the coroutines that wait for it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
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


Report = Connected | Configured | InterfaceState


class Watch:
    """What is learnt of the Interfaces of one name, row by row: a name may be plugged anew, a row never."""

    def __init__(self) -> None:
        self._states: dict[UUID, InterfaceState] = {}
        self._changed = asyncio.Event()

    def put(self, state: InterfaceState) -> None:
        """Take note of a row's newest state."""
        self._states[state.row] = state
        self._changed.set()

    def get(self, plugged: InterfaceState) -> InterfaceState:
        """Return the newest state of the row that a plug resulted in."""
        return self._states.get(plugged.row, plugged)

    async def installed(self, plugged: InterfaceState) -> None:
        """Return when ovn-controller has put that row's flows in place."""
        while not self.get(plugged).installed:
            self._changed.clear()
            await self._changed.wait()


class OvsdbEvents:
    """The newest of the reports. All of it is used in the event loop's thread."""

    def __init__(self) -> None:
        self._connected = asyncio.Event()
        self._configuration = 0
        self._reconfigured = asyncio.Event()
        self._watches: dict[str, Watch] = {}

    def take(self, report: Report) -> None:
        """Take note of a report and wake those who wait for it."""
        match report:
            case Connected():
                self._connected.set()
            case Configured(number):
                self._configuration = number
                self._reconfigured.set()
            case InterfaceState(name=name) if name in self._watches:
                self._watches[name].put(report)

    def expect_connection(self) -> asyncio.Event:
        """Return what will be set when the replica next comes into step."""
        self._connected.clear()
        return self._connected

    async def configured(self, number: int) -> None:
        """Return when ovs-vswitchd has brought about the configuration of that number."""
        while self._configuration < number:
            self._reconfigured.clear()
            await self._reconfigured.wait()

    @contextmanager
    def watch(self, interface: str) -> Iterator[Watch]:
        """Watch the Interfaces of a name; begin before the change whose effect is awaited."""
        watch = self._watches[interface] = Watch()
        try:
            yield watch
        finally:
            del self._watches[interface]
