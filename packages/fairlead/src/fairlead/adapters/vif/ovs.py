"""Mode `ovs`: a veth pair whose host's end is plugged into OVN's integration bridge."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from fairlead.adapters.kernel import hoststack
from fairlead.adapters.kernel.batches import Batches
from fairlead.adapters.kernel.links import Fit, Found, Links
from fairlead.adapters.kernel.offload import disable_checksum_offload
from fairlead.adapters.ovsdb import rows
from fairlead.adapters.ovsdb.database import Ovsdb
from fairlead.adapters.ovsdb.rows import InterfaceState, SwitchState
from fairlead.concurrency import KeyedLocks
from fairlead.model.errors import DataplaneError, FairleadError, WiringTimeout
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import HostView, Plugged

T = TypeVar("T")

# One for a deletion, which waits 15 ms and more for the kernel's readers, and one for what else may go on meanwhile.
_NETLINK_THREADS = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the adapter's work, for metrics.

    name: `netlink` (count is messages), `host stack` (settings), `offload` (devices), `transaction` (1: one OVSDB
    transaction committed), `wiring` (1: the wait for ovn-installed). seconds is the step's own time.
    """

    name: str
    seconds: float
    count: int


class OvsDataplane:
    """The Dataplane of a host with Open vSwitch and ovn-controller, in the host's own network namespace, as root.

    bridge: OVN's integration bridge. ovsdb: the database's address. timeout: seconds for one OVSDB transaction,
    connecting included. wiring_timeout: seconds for OVN to put a plugged port's flows in place. on_step is told of
    each step when it is done, from whatever thread did it.

    An apply costs four netlink messages in two system calls and one OVSDB transaction, a remove two messages and one
    transaction. A pair made anew under a port that is there costs one transaction more. What is to be deleted during a
    deletion is deleted after it in one go. Nothing is forked.
    """

    def __init__(
        self,
        *,
        bridge: str = "br-int",
        ovsdb: str = "unix:/run/openvswitch/db.sock",
        timeout: float = 5.0,
        wiring_timeout: float = 10.0,
        on_step: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        self._bridge = bridge
        self._wiring_timeout = wiring_timeout
        self._on_step = on_step
        self._links = Links(on_exchange=lambda count, seconds: on_step(Step("netlink", seconds, count)))
        self._ovsdb = Ovsdb(
            ovsdb, timeout=timeout, on_transaction=lambda seconds: on_step(Step("transaction", seconds, 1))
        )
        self._threads = ThreadPoolExecutor(_NETLINK_THREADS, thread_name_prefix="fairlead-netlink")
        self._removals = Batches(self._delete_all)
        self._locks = KeyedLocks()

    async def view(self) -> HostView:
        """Say what the host's switch is. Raises SwitchUnavailable, also where the bridge is missing."""
        return await self._ovsdb.read(rows.host_view(self._bridge))

    async def apply(self, attachment: Vif) -> None:
        """Make the pair, plug it, and return when OVN's flows for it are in place.

        On failure nothing stays behind, unless the sandbox's end has moved into a container, which then keeps what it
        has. Raises SwitchUnavailable, DataplaneError and WiringTimeout.
        """
        async with self._locks.hold(attachment.id):
            found = await self._in_thread(lambda: self._links.look(attachment))
            switch = await self._ovsdb.read(rows.look(attachment, self._bridge))
            try:
                await self._make(attachment, found, switch)
                await self._plug(attachment)
            except BaseException as error:
                await self._undo(attachment.id, error)
                raise

    async def remove(self, attachment_id: str) -> None:
        """Unplug the port and delete its devices, wherever the sandbox's end is; fine where nothing is left.

        Both are tried. Raises SwitchUnavailable or DataplaneError; both errors in one DataplaneError.
        """
        async with self._locks.hold(attachment_id):
            await self._remove(attachment_id)

    async def plugged(self) -> list[Plugged]:
        """List the ports of Fairlead's attachments that the switch has. Raises SwitchUnavailable, DataplaneError."""
        marked = await self._in_thread(self._links.marked)
        away = {attachment_id for attachment_id, link in marked.items() if link.peer_away}
        ports = await self._ovsdb.read(rows.port_ids)
        return [Plugged(port_id, attachment_id in away) for attachment_id, port_id in ports.items()]

    async def sweep(self, known: Container[str]) -> list[str]:
        """Remove all that carries Fairlead's mark on this host but the known ids; return the ids removed, sorted.

        known is asked in the event loop, about each id when its turn comes: after any apply at work on it.
        All are tried. Raises SwitchUnavailable or DataplaneError; several errors in one DataplaneError.
        """
        found: set[str] = set()
        removed: list[str] = []

        async def find_rows() -> None:
            found.update(await self._ovsdb.read(rows.marks))

        async def find_devices() -> None:
            found.update(await self._in_thread(self._links.marked))

        async def remove_unless_known(attachment_id: str) -> None:
            async with self._locks.hold(attachment_id):
                if attachment_id not in known:
                    await self._remove(attachment_id)
                    removed.append(attachment_id)

        async def remove_unknown() -> None:
            await _try_all("sweeping", *(partial(remove_unless_known, each) for each in sorted(found)))

        await _try_all("sweeping", find_rows, find_devices, remove_unknown)
        return removed

    async def close(self) -> None:
        """Disconnect from the database and let the threads go."""
        await self._ovsdb.close()
        self._threads.shutdown(wait=False)

    async def _make(self, attachment: Vif, found: Found, switch: SwitchState) -> None:
        if found.fit is Fit.AWAY:
            await self._in_thread(lambda: self._links.repair(attachment, found))
        elif found.fit is not Fit.READY:
            await self._free_name(attachment, switch)
            await self._in_thread(lambda: self._links.make(attachment, found))
        await self._in_thread(lambda: self._settle(attachment, found.fit, switch.datapath))

    async def _free_name(self, attachment: Vif, switch: SwitchState) -> None:
        """Wait until ovs-vswitchd holds no earlier device of the name.

        In user space it reads through a socket on the device, and keeps that one where it sees a port go and come
        back at once: the new device would be in the switch, and no packet would pass.
        """
        if switch.has_port:
            await self._ovsdb.run(rows.unplug(attachment.id))
            switch = await self._ovsdb.read(rows.look(attachment, self._bridge))
        await self._ovsdb.configured(switch.configuration)

    async def _plug(self, attachment: Vif) -> None:
        with self._ovsdb.watch(attachment.host_device) as watch:
            plugged = await self._ovsdb.plug(rows.plug(attachment, self._bridge))
            started = time.perf_counter()
            try:
                async with asyncio.timeout(self._wiring_timeout):
                    await watch.installed(plugged)
            except TimeoutError as error:
                raise self._not_wired(attachment, watch.get(plugged)) from error
            self._on_step(Step("wiring", time.perf_counter() - started, 1))

    async def _remove(self, attachment_id: str) -> None:
        await _try_all(
            f"removing attachment {attachment_id}",
            lambda: self._ovsdb.run(rows.unplug(attachment_id)),
            lambda: self._delete(attachment_id),
        )

    async def _delete(self, attachment_id: str) -> None:
        refused = await _to_its_end(asyncio.create_task(self._removals.add(attachment_id)))
        if refused:
            raise refused

    async def _delete_all(self, attachment_ids: Sequence[str]) -> list[DataplaneError | None]:
        return await self._in_thread(lambda: self._links.remove(attachment_ids))

    async def _undo(self, attachment_id: str, error: BaseException) -> None:
        """Take back what a failed apply made; a container that has its end already keeps what it has."""
        try:
            if not await self._in_thread(lambda: self._links.is_away(attachment_id)):
                await self._remove(attachment_id)
        except FairleadError as left:
            error.add_note(f"and cleaning up failed: {left}")

    def _settle(self, attachment: Vif, fit: Fit, datapath: str) -> None:
        started = time.perf_counter()
        written = hoststack.keep_off(attachment.host_device)
        self._on_step(Step("host stack", time.perf_counter() - started, written))
        if datapath == "netdev":
            ends = (attachment.host_device,) if fit is Fit.AWAY else (attachment.host_device, attachment.sandbox_device)
            started = time.perf_counter()
            disable_checksum_offload(*ends)
            self._on_step(Step("offload", time.perf_counter() - started, len(ends)))

    def _not_wired(self, attachment: Vif, seen: InterfaceState) -> WiringTimeout:
        limit = f"within {self._wiring_timeout:g} s"
        if seen.ofport is None:
            return WiringTimeout(
                f"Open vSwitch did not take {attachment.host_device} into {self._bridge} {limit}",
                remedy="is ovs-vswitchd running on this host?",
            )
        if seen.error or seen.ofport < 0:
            return WiringTimeout(f"Open vSwitch can't open {attachment.host_device}: {seen.error}")
        return WiringTimeout(
            f"OVN did not wire port {attachment.port_id} {limit}",
            remedy="is ovn-controller running on this host and connected to the southbound database, "
            "and does OVN know the port (`ovn-sbctl find Port_Binding logical_port=…`)?",
        )

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call, always to its end."""
        return await _to_its_end(asyncio.get_running_loop().run_in_executor(self._threads, call))


async def _to_its_end(work: asyncio.Future[T]) -> T:
    """Await work that goes on though the caller gives up: what comes after a cancelled one must find it done."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


async def _try_all(what: str, *parts: Callable[[], Awaitable[object]]) -> None:
    errors: list[FairleadError] = []
    for part in parts:
        try:
            await part()
        except FairleadError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise DataplaneError(f"{what} failed: {'; '.join(map(str, errors))}") from ExceptionGroup(what, errors)
