"""The endpoints of Docker's networks, by the Engine API (GET /networks/ID) on dockerd's socket."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import structlog

log = structlog.get_logger(__name__)

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)


class _Endpoint(msgspec.Struct):
    id: str = msgspec.field(name="EndpointID")


class _Network(msgspec.Struct):
    """containers: by the container's id, or `ep-` and the endpoint's where it is in none."""

    id: str = msgspec.field(name="Id")
    containers: dict[str, _Endpoint] = msgspec.field(name="Containers")


class DockerEndpoints:
    """Asks dockerd (`ports.runtime.Runtime`). socket: its unix socket; a connection is made for each question.

    An endpoint is told from when dockerd has written it down, after CreateEndpoint, until DeleteEndpoint was answered.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def owners(self, joined_id: str) -> Collection[str] | None:
        """Return the ids of a network's endpoints; None where dockerd does not answer, or has no such network."""
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._socket)), timeout=_TIMEOUT) as session,
                session.get(f"http://docker/networks/{joined_id}") as response,
            ):
                if response.status != 200:
                    return None
                network = msgspec.json.decode(await response.read(), type=_Network)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            log.info("dockerd does not tell its endpoints", error=str(error) or type(error).__name__)
            return None
        return {one.id for one in network.containers.values()} if network.id == joined_id else None
