"""One node's word to another that a network has changed: an empty datagram, upon which the other looks in Neutron.

Nothing is believed of it, and nothing but a second's rest is lost where one lies. Where the nodes' security groups do
not let it through, the others look by themselves within half a minute.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import structlog

from fairlead.model.network import IPAddress

log = structlog.get_logger(__name__)


class Hints(asyncio.DatagramProtocol):
    """Sends hints, and tells of each that comes. port: UDP, of every node."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._heard: Callable[[], None] = lambda: None
        self._transport: asyncio.DatagramTransport | None = None

    @asynccontextmanager
    async def listen(self, heard: Callable[[], None]) -> AsyncIterator[None]:
        """Call heard for each hint until the end.

        Where the port is taken, hints are neither heard nor sent, and the log says so.
        """
        self._heard = heard
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: self,
                local_addr=("0.0.0.0", self._port),  # noqa: S104  # whatever the NIC is, nothing of it is believed
            )
        except OSError as error:
            log.warning("changes of networks will be seen late", port=self._port, error=str(error))
            yield
            return
        self._transport = transport
        try:
            yield
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
