"""Open vSwitch's database for asyncio: one change after another, each in bounded time, and Interfaces to watch."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from fairlead.adapters.dataplane.rows import Change, InterfaceState, T
from fairlead.model.errors import DataplaneError, FairleadError, SwitchUnavailable

if TYPE_CHECKING:
    from fairlead.adapters.dataplane.replica import Call, Replica


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


class Ovsdb:
    """A standing connection to ovsdb-server, made at the first call and made again whenever it breaks.

    remote as in ovsdb(7), such as `unix:/run/openvswitch/db.sock`. timeout in seconds, for each call.
    on_transaction(seconds) is told of each transaction that the database was asked to commit.
    """

    def __init__(self, remote: str, *, timeout: float, on_transaction: Callable[[float], None]) -> None:
        self._remote = remote
        self._timeout = timeout
        self._on_transaction = on_transaction
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fairlead-ovsdb")
        self._replica: Replica | None = None
        self._connected = asyncio.Event()
        self._watches: dict[str, Watch] = {}

    async def run(self, change: Change[T]) -> T:
        """Make a change in one transaction, waiting for the connection where it is down.

        Raises SwitchUnavailable after the timeout, DataplaneError where the database refuses, and what the change
        raises.
        """
        call = await self._call(change)
        return call.result

    async def plug(self, change: Change[InterfaceState]) -> InterfaceState:
        """Like run, for a change that may insert the row it results in."""
        call = await self._call(change)
        return replace(call.result, row=call.permanent(call.result.row))

    @contextmanager
    def watch(self, interface: str) -> Iterator[Watch]:
        """Watch the Interfaces of a name; begin before the change whose effect is awaited."""
        watch = self._watches[interface] = Watch()
        try:
            yield watch
        finally:
            del self._watches[interface]

    async def close(self) -> None:
        """Disconnect. The object can't be used afterwards."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
        self._executor.shutdown(wait=False)

    async def _call(self, change: Change[T]) -> "Call[T]":
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + self._timeout
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    self._connected.clear()
                    call = await loop.run_in_executor(self._executor, self._blocking_call, loop, change, deadline)
                    if call is not None:
                        return call
                    await self._connected.wait()
        except TimeoutError as error:
            raise self._silent() from error

    def _blocking_call(self, loop: asyncio.AbstractEventLoop, change: Change[T], deadline: float) -> "Call[T] | None":
        """Run a change in the executor's thread; None where the connection is down just now."""
        from ovsdbapp.exceptions import OvsdbAppException  # noqa: PLC0415  # see replica's first lines

        from fairlead.adapters.dataplane.replica import Disconnected, Expired, Replica  # noqa: PLC0415

        try:
            if self._replica is None:
                self._replica = Replica(
                    self._remote,
                    self._timeout,
                    on_connected=lambda: _tell(loop, self._connected.set),
                    on_interface=lambda state: _tell(loop, self._learn, state),
                )
            started = time.perf_counter()
            call = self._replica.call(change, deadline)
            if call.sent:
                self._on_transaction(time.perf_counter() - started)
        except FairleadError:
            raise
        except Disconnected:
            return None
        except (OvsdbAppException, Expired) as error:
            raise self._silent() from error
        except RuntimeError as error:
            raise DataplaneError(f"Open vSwitch's database refuses the change: {error}") from error
        return call

    def _learn(self, state: InterfaceState) -> None:
        watch = self._watches.get(state.name)
        if watch is not None:
            watch.put(state)

    def _disconnect(self) -> None:
        if self._replica is not None:
            self._replica.close()
            self._replica = None

    def _silent(self) -> SwitchUnavailable:
        return SwitchUnavailable(
            f"Open vSwitch's database does not answer at {self._remote}",
            remedy="start it with `systemctl start openvswitch-switch`",
        )


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
        loop.call_soon_threadsafe(callback, *arguments)
