"""Open vSwitch's database for asyncio: one change after another, each in bounded time, and Interfaces to watch."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from fairlead.adapters.ovsdb.events import OvsdbEvents, Report
from fairlead.adapters.ovsdb.rows import Change, InterfaceState, T
from fairlead.model.errors import DataplaneError, FairleadError, SwitchUnavailable

if TYPE_CHECKING:
    from fairlead.adapters.ovsdb.replica import Call, Replica


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
        self._events = OvsdbEvents()

    async def run(self, change: Change[T]) -> T:
        """Make a change in one transaction, waiting for the connection where it is down.

        Raises SwitchUnavailable after the timeout, DataplaneError where the database refuses, and what the change
        raises.
        """
        call = await self._call(lambda replica, deadline: self._commit(replica, change, deadline))
        return call.result

    async def read(self, change: Change[T]) -> T:
        """Run a change that only reads, as soon as the connection is up. Raises as run does."""
        return await self._call(lambda replica, deadline: replica.read(change, deadline))

    def interface(self, name: str) -> InterfaceState | None:
        """Return what is known of Fairlead's Interface of that name, at once; None where there is none."""
        return self._events.interface(name)

    async def installed(self, name: str) -> None:
        """Return when ovn-controller has put the flows in place of the Interface of that name.

        To be asked after a plug. Waits for ever: how long that is worth it, the caller knows.
        """
        await self._events.installed(name)

    async def configured(self, number: int) -> None:
        """Return when ovs-vswitchd has brought about the configuration of that number, and let go of what it held.

        Raises SwitchUnavailable after the timeout.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._events.configured(number)
        except TimeoutError as error:
            raise SwitchUnavailable(
                "ovs-vswitchd does not follow its database",
                remedy="start it with `systemctl start openvswitch-switch`",
            ) from error

    async def close(self) -> None:
        """Disconnect. The object can't be used afterwards."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
        self._executor.shutdown(wait=False)

    async def _call(self, work: "Callable[[Replica, float], T]") -> T:
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + self._timeout
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    connected = self._events.expect_connection()
                    done = await loop.run_in_executor(self._executor, self._blocking_call, loop, work, deadline)
                    if done is not None:
                        return done[0]
                    await connected.wait()
        except TimeoutError as error:
            raise self._silent() from error

    def _blocking_call(
        self, loop: asyncio.AbstractEventLoop, work: "Callable[[Replica, float], T]", deadline: float
    ) -> tuple[T] | None:
        """Do the work in the executor's thread; None where the connection is down just now."""
        from ovsdbapp.exceptions import OvsdbAppException  # noqa: PLC0415  # see replica's first lines

        from fairlead.adapters.ovsdb.replica import Disconnected, Expired, Replica  # noqa: PLC0415

        try:
            if self._replica is None:
                self._replica = Replica(
                    self._remote,
                    self._timeout,
                    report=lambda report: _tell(loop, self._events.take, report),
                )
            return (work(self._replica, deadline),)
        except FairleadError:
            raise
        except Disconnected:
            return None
        except (OvsdbAppException, Expired) as error:
            raise self._silent() from error
        except RuntimeError as error:
            raise DataplaneError(f"Open vSwitch's database refuses the change: {error}") from error

    def _commit(self, replica: "Replica", change: Change[T], deadline: float) -> "Call[T]":
        started = time.perf_counter()
        call = replica.call(change, deadline)
        if call.sent:
            self._on_transaction(time.perf_counter() - started)
        return call

    def _disconnect(self) -> None:
        if self._replica is not None:
            self._replica.close()
            self._replica = None

    def _silent(self) -> SwitchUnavailable:
        return SwitchUnavailable(
            f"Open vSwitch's database does not answer at {self._remote}",
            remedy="start it with `systemctl start openvswitch-switch`",
        )


def _tell(loop: asyncio.AbstractEventLoop, take: Callable[[Report], None], report: Report) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
        loop.call_soon_threadsafe(take, report)
