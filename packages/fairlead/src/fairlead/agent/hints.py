"""One node's word to another that a network has changed: an empty datagram, upon which the other looks in Neutron.

Nothing is believed of it, and nothing but a second's rest is lost where one lies. Where the nodes' security groups do
not let it through, the others look by themselves within half a minute.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from fairlead.model.errors import DataplaneError
from fairlead.model.network import IPAddress
from fairlead.ports.clock import Clock

log = structlog.get_logger(__name__)

TAKEN_FOR = 60.0
"""Seconds until a port that somebody else has is tried again."""


class Hints(asyncio.DatagramProtocol):
    """Sends hints, and tells of each that comes. port: UDP, of every node."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._heard: Callable[[], None] = lambda: None
        self._transport: asyncio.DatagramTransport | None = None
        self._lost: asyncio.Future[None] | None = None

    async def listen(self, heard: Callable[[], None], clock: Clock) -> None:
        """Call heard for each hint, for ever. Raises DataplaneError where the socket is lost.

        As long as the port is taken, hints are neither heard nor sent, and the log says so once.
        """
        self._heard = heard
        said = False
        while True:
            try:
                transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: self,
                    local_addr=("0.0.0.0", self._port),  # noqa: S104  # whatever the NIC is, nothing of it is believed
                )
            except OSError as error:
                if not said:
                    log.warning("changes of networks will be seen late", port=self._port, error=str(error))
                said = True
                await clock.sleep(TAKEN_FOR)
                continue
            self._transport, self._lost = transport, asyncio.get_running_loop().create_future()
            try:
                await self._lost
            finally:
                self._transport = None
                transport.close()

    def tell(self, nodes: Iterable[IPAddress]) -> None:
        """Send a hint to nodes, by their IPv4 addresses."""
        if self._transport is not None:
            for address in nodes:
                if address.version == 4:
                    self._transport.sendto(b"", (str(address), self._port))

    def datagram_received(self, _data: bytes, _address: object) -> None:
        """Pass it on."""
        self._heard()

    def error_received(self, error: Exception) -> None:
        """Leave it at that: a node that does not listen looks by itself."""
        log.debug("a hint was refused", error=str(error))

    def connection_lost(self, error: Exception | None) -> None:
        """Let the listener know that nothing will be heard any more."""
        if self._lost and not self._lost.done():
            lost = DataplaneError(f"UDP port {self._port} is lost: {error or 'closed'}")
            lost.__cause__ = error
            self._lost.set_exception(lost)
