"""One node's word to another that a network has changed: a datagram, upon which the other looks in Neutron.

It comes by the NIC or is not heard: what arrives by another device is somebody on this host, whatever address it bears.
What it must say to be believed is the core's (`core.blocks.hints`). Where the nodes' security groups do not let it
through, the others look by themselves within half a minute.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from typing import Final

import structlog

from fairlead.model.errors import DataplaneError, NotFound
from fairlead.model.network import IPAddress
from fairlead.ports.clock import Clock
from fairlead.ports.routing import Nic

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 60.0
"""Seconds until a port that somebody else has is tried again, and between two looks at whether the NIC is the same."""

_FAMILIES: Final = {4: (socket.AF_INET, "0.0.0.0"), 6: (socket.AF_INET6, "::")}  # noqa: S104  # of the NIC alone

Heard = Callable[[bytes], None]
Place = tuple[int, frozenset[int]]
"""A NIC's index, and the IP versions of its addresses."""


class Hints:
    """Sends hints, and tells of each that comes. port: UDP, of every node. nic: finds the NIC, as Routing does."""

    def __init__(self, port: int, nic: Callable[[], Awaitable[Nic]]) -> None:
        self._port = port
        self._nic = nic
        self._transports: dict[int, asyncio.DatagramTransport] = {}

    async def listen(self, heard: Heard, clock: Clock) -> None:
        """Call heard for each hint, for ever. Raises DataplaneError where a socket is lost.

        As long as the port is taken, or there is no NIC, hints are neither heard nor sent, and the log says so once.
        """
        said = False
        while True:
            try:
                await self._listen_at_one_place(heard, clock)
                said = False
            except (OSError, NotFound) as error:
                if not said:
                    log.warning("changes of networks will be seen late", port=self._port, error=str(error))
                said = True
                await clock.sleep(LOOK_EVERY)

    def tell(self, nodes: Iterable[IPAddress], hint: bytes) -> None:
        """Send a hint to nodes."""
        for address in nodes:
            if transport := self._transports.get(address.version):
                transport.sendto(hint, (str(address), self._port))

    async def _listen_at_one_place(self, heard: Heard, clock: Clock) -> None:
        """Return when the NIC is another, or has addresses of another family."""
        nic = await self._nic()
        place, loop = _place(nic), asyncio.get_running_loop()
        lost: asyncio.Future[None] = loop.create_future()
        with ExitStack() as opened:
            opened.callback(self._transports.clear)
            for version in sorted(place[1]):
                one = self._open(version, nic.name)
                transport, _ = await loop.create_datagram_endpoint(lambda: _Ear(heard, lost), sock=one)
                opened.callback(transport.close)
                self._transports[version] = transport
            moved = asyncio.ensure_future(self._moved(place, clock))
            opened.callback(moved.cancel)
            opened.callback(lost.cancel)
            await asyncio.wait([lost, moved], return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise DataplaneError(f"UDP port {self._port} is lost: {lost.exception()}") from lost.exception()
            moved.result()

    async def _moved(self, place: Place, clock: Clock) -> None:
        while _place(await self._nic()) == place:
            await clock.sleep(LOOK_EVERY)

    def _open(self, version: int, device: str) -> socket.socket:
        family, any_address = _FAMILIES[version]
        with ExitStack() as undo:
            one = undo.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            one.setblocking(False)
            if version == 6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            one.bind((any_address, self._port))
            undo.pop_all()
        return one


class _Ear(asyncio.DatagramProtocol):
    """Passes on what one socket hears. lost: told where nothing will be heard any more."""

    def __init__(self, heard: Heard, lost: "asyncio.Future[None]") -> None:
        self._heard = heard
        self._lost = lost

    def datagram_received(self, data: bytes, _address: object) -> None:
        """Pass it on."""
        self._heard(data)

    def error_received(self, error: Exception) -> None:
        """Leave it at that: a node that does not listen looks by itself."""
        log.debug("a hint was refused", error=str(error))

    def connection_lost(self, error: Exception | None) -> None:
        """Let the listener know."""
        if not self._lost.done():
            self._lost.set_exception(error or ConnectionAbortedError("closed"))


def _place(nic: Nic) -> Place:
    return socket.if_nametoindex(nic.name), frozenset(one.version for one in nic.addresses)
