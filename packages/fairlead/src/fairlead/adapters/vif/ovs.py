"""Mode `ovs`: a veth pair whose host's end is plugged into a bridge of Open vSwitch."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from fairlead.adapters.kernel import hoststack
from fairlead.adapters.kernel.batches import Batches
from fairlead.adapters.kernel.links import Fit, Found, Links, exists
from fairlead.adapters.kernel.offload import disable_checksum_offload
from fairlead.adapters.kernel.threads import to_its_end
from fairlead.adapters.ovsdb import rows
from fairlead.adapters.ovsdb.database import Ovsdb
from fairlead.adapters.ovsdb.rows import SwitchState
from fairlead.adapters.vif.plug import bridge_for
from fairlead.concurrency import KeyedLocks
from fairlead.model.errors import DataplaneError, FairleadError
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import HostView, Plugged
from fairlead.ports.wired import Wired

T = TypeVar("T")

# One for a deletion, which waits 15 ms and more for the kernel's readers, and one for what else may go on meanwhile.
_NETLINK_THREADS = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the adapter's work, for metrics.

    name: `netlink` (count is messages), `host stack` (settings), `offload` (devices), `transaction` (1: one OVSDB
    transaction committed), `wiring` (1: the wait for it). seconds is the step's own time.
    """

    name: str
    seconds: float
    count: int


class OvsDataplane:
    """The Dataplane of a host with Open vSwitch, in the host's own network namespace, as root.

    ovsdb: the connection to the switch's database, which is closed with this. wired: whose word it is that a plugged
    port is wired. bridge: the integration bridge, for ports of which Neutron names no other. on_step is told of each
    step when it is done, from whatever thread did it.

    An apply costs four netlink messages in two system calls and one OVSDB transaction, a remove two messages and one
    transaction. A pair made anew under a port that is there costs one transaction more. What is to be deleted during a
    deletion is deleted after it in one go. Nothing is forked.
    """

    def __init__(
        self,
        ovsdb: Ovsdb,
        wired: Wired,
        *,
        bridge: str = "br-int",
        on_step: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        self._bridge = bridge
        self._wired = wired
        self._on_step = on_step
        self._links = Links(on_exchange=lambda count, seconds: on_step(Step("netlink", seconds, count)))
        self._ovsdb = ovsdb
        self._threads = ThreadPoolExecutor(_NETLINK_THREADS, thread_name_prefix="fairlead-netlink")
        self._removals = Batches(self._delete_all)
        self._locks = KeyedLocks()

    async def view(self) -> HostView:
        """Say what the host's switch is. Raises SwitchUnavailable, also where the bridge is missing."""
        return await self._ovsdb.read(rows.host_view(self._bridge))

    async def apply(self, vif: Vif) -> None:
        """Make the pair, plug it where Neutron says, and return when it is wired.

        On failure nothing stays behind, unless the sandbox's end has moved into a container, which then keeps what it
        has. Raises SwitchUnavailable, DataplaneError, UnsupportedRequest and Unavailable (see `bridge_for`), and what
        Wired raises.
        """
        bridge = bridge_for(vif, self._bridge)
        async with self._locks.hold(vif.id):
            found = await self._in_thread(lambda: self._links.look(vif))
            switch = await self._ovsdb.read(rows.look(vif, bridge))
            try:
                await self._make(vif, found, switch, bridge)
                await self._plug(vif, bridge)
            except BaseException as error:
                await self._undo(vif.id, error)
                raise

    async def remove(self, attachment_id: str) -> None:
        """Unplug the port and delete its devices, wherever the sandbox's end is; fine where nothing is left.

        Both are tried. Raises SwitchUnavailable or DataplaneError; both errors in one DataplaneError.
        """
        async with self._locks.hold(attachment_id):
            await self._remove(attachment_id)

    async def plugged(self) -> list[Plugged]:
        """List the ports that have a device or a row of Fairlead's. Raises SwitchUnavailable, DataplaneError."""
        marked = await self._in_thread(self._links.marked)
        ports = await self._ovsdb.read(rows.port_ids)
        return [
            Plugged(
                ports.get(attachment_id, attachment_id),
                away=attachment_id in marked and marked[attachment_id].peer_away,
                whole=attachment_id in marked and attachment_id in ports,
                marked=attachment_id,
            )
            for attachment_id in {**ports, **marked}
        ]

    def is_whole(self, vif: Vif) -> bool:
        """Say whether the port is wired, by the database's newest word, and its device waits: one system call."""
        return self._wired.is_wired(vif) and exists(vif.sandbox_device)

    async def close(self) -> None:
        """Disconnect from the database and let the threads go."""
        await self._ovsdb.close()
        self._threads.shutdown(wait=False)

    async def _make(self, vif: Vif, found: Found, switch: SwitchState, bridge: str) -> None:
        if found.fit is Fit.AWAY:
            await self._in_thread(lambda: self._links.repair(vif, found))
        elif found.fit is not Fit.READY:
            await self._free_name(vif, switch, bridge)
            await self._in_thread(lambda: self._links.make(vif, found))
        await self._in_thread(lambda: self._settle(vif, found.fit, switch.datapath))

    async def _free_name(self, vif: Vif, switch: SwitchState, bridge: str) -> None:
        """Wait until ovs-vswitchd holds no earlier device of the name.

        In user space it reads through a socket on the device, and keeps that one where it sees a port go and come
        back at once: the new device would be in the switch, and no packet would pass.
        """
        if switch.has_port:
            await self._ovsdb.run(rows.unplug(vif.id))
            switch = await self._ovsdb.read(rows.look(vif, bridge))
        await self._ovsdb.configured(switch.configuration)

    async def _plug(self, vif: Vif, bridge: str) -> None:
        await self._ovsdb.run(rows.plug(vif, bridge))
        started = time.perf_counter()
        await self._wired.wait(vif)
        self._on_step(Step("wiring", time.perf_counter() - started, 1))

    async def _remove(self, attachment_id: str) -> None:
        await _try_all(
            f"removing attachment {attachment_id}",
            lambda: self._ovsdb.run(rows.unplug(attachment_id)),
            lambda: self._delete(attachment_id),
        )

    async def _delete(self, attachment_id: str) -> None:
        refused = await to_its_end(asyncio.create_task(self._removals.add(attachment_id)))
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

    def _settle(self, vif: Vif, fit: Fit, datapath: str) -> None:
        started = time.perf_counter()
        written = hoststack.keep_off(vif.host_device)
        self._on_step(Step("host stack", time.perf_counter() - started, written))
        if datapath == "netdev":
            ends = (vif.host_device,) if fit is Fit.AWAY else (vif.host_device, vif.sandbox_device)
            started = time.perf_counter()
            disable_checksum_offload(*ends)
            self._on_step(Step("offload", time.perf_counter() - started, len(ends)))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call, always to its end."""
        return await to_its_end(asyncio.get_running_loop().run_in_executor(self._threads, call))


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
