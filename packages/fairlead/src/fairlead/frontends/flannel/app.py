"""The door: HTTP POST over a unix socket, one path for each of flannel's commands, and the agent's view of it all."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from aiohttp import web

from fairlead.core.blocks.leases import Leases
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.frontends.body import decode
from fairlead.frontends.errors import status, unforeseen, unknown
from fairlead.frontends.flannel import wire
from fairlead.frontends.flannel.phrases import PHRASES
from fairlead.frontends.phrases import said
from fairlead.model.errors import FairleadError, InvalidInput
from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.records import Lease

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Flannel:
    """What each command asks of the core."""

    leases: Leases
    reconciler: Reconciler

    async def pre_startup(self, _: wire.Empty) -> dict[str, Any]:
        """Tell the data that this node's lease shall carry."""
        return {"data": wire.write_data(wire.BackendData(port=await self.leases.identify()))}

    async def post_startup(self, held: wire.Held) -> dict[str, Any]:
        """Take this node's lease."""
        parts = wire.ranges(held.subnet, held.ipv6_subnet)
        addresses = wire.addresses(held.public_ip, held.public_ipv6)
        if not parts or not addresses:
            raise InvalidInput(
                "SUBNET and PUBLIC_IP are not set", remedy="let flanneld run this, as its PostStartupCommand"
            )
        self.leases.hold(parts, addresses, wire.ranges(held.network, held.ipv6_network))
        return {}

    async def subnet_add(self, peer: wire.Peer) -> dict[str, Any]:
        """Take another node's lease down."""
        part, address, port_id = _peer(peer)
        self.leases.add_peer(part, address, port_id)
        return {}

    async def subnet_remove(self, peer: wire.Peer) -> dict[str, Any]:
        """Take down that another node's lease has ended."""
        part, address, port_id = _peer(peer)
        self.leases.end_peer(part, address, port_id)
        return {}

    async def leave(self, _: wire.Empty) -> dict[str, Any]:
        """Give this node's lease up."""
        self.leases.leave()
        return {}

    async def show(self, _: wire.Empty) -> dict[str, Any]:
        """Tell leases, and what is not as they want it."""
        return {
            "leases": [self._shown(lease) for lease in self.leases.node.store.all(Lease)],
            "trouble": self.reconciler.trouble,
        }

    def _shown(self, lease: Lease) -> dict[str, Any]:
        return {
            "subnets": [str(part) for part in lease.parts],
            "node": [str(address) for address in lease.addresses],
            "port": lease.port_id,
            "state": self._state(lease),
        }

    def _state(self, lease: Lease) -> str:
        if lease.ended:
            return "ended"
        if lease.own:
            return "own"
        return "former" if self.leases.node.is_former(lease) else "peer"


def make_app(flannel: Flannel, *, new_request_id: Callable[[], str]) -> web.Application:
    """Build the application. new_request_id makes an id, binds it to the current context and returns it."""
    handlers: dict[str, tuple[type, Callable[[Any], Awaitable[Any]]]] = {
        "/flannel/pre-startup": (wire.Empty, flannel.pre_startup),
        "/flannel/post-startup": (wire.Held, flannel.post_startup),
        "/flannel/subnet-add": (wire.Peer, flannel.subnet_add),
        "/flannel/subnet-remove": (wire.Peer, flannel.subnet_remove),
        "/flannel/leave": (wire.Empty, flannel.leave),
        "/flannel/status": (wire.Empty, flannel.show),
    }

    async def serve(request: web.Request) -> web.Response:
        started, request_id = time.monotonic(), new_request_id()
        code, answer = 404, {"error": str(unknown(request.path))}
        if known := handlers.get(request.path):
            code, answer = await _answer(*known, await request.read())
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        say = log.info if code == 200 else log.warning
        say("command", path=request.path, status=code, ms=milliseconds, error=answer.get("error"))
        return web.Response(
            body=msgspec.json.encode(answer),
            status=code,
            content_type="application/json",
            headers={"X-Request-ID": request_id},
        )

    app = web.Application()
    app.router.add_post("/{path:.*}", serve)
    return app


async def _answer(kind: type, handler: Callable[[Any], Awaitable[Any]], body: bytes) -> tuple[int, dict[str, Any]]:
    try:
        return 200, await handler(decode(body, kind, remedy="use `fairlead flannel`"))
    except FairleadError as error:
        return status(error), {"error": said(error, PHRASES)}
    except Exception as error:  # the last line: the command must get an answer, and the log the traceback
        log.exception("unexpected error")
        return 500, {"error": str(unforeseen(error))}


def _peer(peer: wire.Peer) -> tuple[IPNetwork, IPAddress, str]:
    parts, addresses = wire.ranges(peer.subnet), wire.addresses(peer.public_ip)
    if not parts or not addresses:
        raise InvalidInput(
            "a peer's lease has no IPv4 subnet",
            remedy="give the flannel network an IPv4 range: flanneld tells no other",
        )
    return parts[0], addresses[0], wire.read_data(peer.data).port
