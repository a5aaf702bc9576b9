"""The door: HTTP POST over a unix socket, one path for each RPC of libnetwork's remote drivers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from aiohttp import web

from fairlead.core.attachments.contract import Attachments, Networks
from fairlead.frontends.body import decode
from fairlead.frontends.docker import wire
from fairlead.frontends.docker.ipam_driver import IpamDriver
from fairlead.frontends.docker.network_driver import NetworkDriver
from fairlead.frontends.docker.phrases import PHRASES
from fairlead.frontends.docker.pools import AddressPools
from fairlead.frontends.errors import status, unforeseen, unknown
from fairlead.frontends.phrases import said
from fairlead.model.errors import CloudUnavailable, FairleadError
from fairlead.ports.clock import Clock
from fairlead.ports.store import LeaseStore

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/vnd.docker.plugins.v1+json"
RPC_LIMIT = 60.0
"""Seconds within which every RPC is answered: dockerd itself would wait for ever."""

Handler = Callable[[Any], Awaitable[Any]]
Observer = Callable[[str, int, float], None]


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC: the type of its body, and what answers it."""

    body: type
    handler: Handler


def routes(network: NetworkDriver, ipam: IpamDriver) -> dict[str, Rpc]:
    """Return every RPC that dockerd may send, by its path."""
    return {
        "/Plugin.Activate": Rpc(wire.Empty, _activate),
        "/NetworkDriver.GetCapabilities": Rpc(wire.Empty, network.get_capabilities),
        "/NetworkDriver.CreateNetwork": Rpc(wire.CreateNetwork, network.create_network),
        "/NetworkDriver.DeleteNetwork": Rpc(wire.NetworkOnly, network.delete_network),
        "/NetworkDriver.CreateEndpoint": Rpc(wire.CreateEndpoint, network.create_endpoint),
        "/NetworkDriver.EndpointOperInfo": Rpc(wire.Endpoint, network.endpoint_oper_info),
        "/NetworkDriver.DeleteEndpoint": Rpc(wire.Endpoint, network.delete_endpoint),
        "/NetworkDriver.Join": Rpc(wire.Join, network.join),
        "/NetworkDriver.Leave": Rpc(wire.Endpoint, network.leave),
        "/NetworkDriver.ProgramExternalConnectivity": Rpc(wire.Empty, network.no_op),
        "/NetworkDriver.RevokeExternalConnectivity": Rpc(wire.Empty, network.no_op),
        "/NetworkDriver.DiscoverNew": Rpc(wire.Empty, network.no_op),
        "/NetworkDriver.DiscoverDelete": Rpc(wire.Empty, network.no_op),
        "/IpamDriver.GetCapabilities": Rpc(wire.Empty, ipam.get_capabilities),
        "/IpamDriver.GetDefaultAddressSpaces": Rpc(wire.Empty, ipam.get_default_address_spaces),
        "/IpamDriver.RequestPool": Rpc(wire.RequestPool, ipam.request_pool),
        "/IpamDriver.ReleasePool": Rpc(wire.ReleasePool, ipam.release_pool),
        "/IpamDriver.RequestAddress": Rpc(wire.RequestAddress, ipam.request_address),
        "/IpamDriver.ReleaseAddress": Rpc(wire.ReleaseAddress, ipam.release_address),
    }


def rpcs_over(store: LeaseStore, networks: Networks, attachments: Attachments, clock: Clock) -> dict[str, Rpc]:
    """Return every RPC, answered by the core."""
    pools = AddressPools(store, networks, clock)
    return routes(NetworkDriver(networks, attachments, pools), IpamDriver(pools, attachments))


def make_app(
    rpcs: dict[str, Rpc],
    *,
    prepare: Callable[[], Awaitable[None]],
    new_request_id: Callable[[], str],
    observe: Observer,
) -> web.Application:
    """Build the application.

    prepare is awaited before an RPC that needs to know of this node; what it raises is the answer.
    new_request_id makes an id, binds it to the current context and returns it. observe is told each RPC's path,
    status and seconds.
    """

    async def serve(request: web.Request) -> web.Response:
        started = time.monotonic()
        request_id = new_request_id()
        rpc = rpcs.get(request.path)
        if rpc is None:
            code, answer = 404, {"Err": str(unknown(request.path))}
        else:
            code, answer = await _answer(rpc, await request.read(), prepare)
        seconds = time.monotonic() - started
        observe(request.path if rpc else "/unknown", code, seconds)
        error = answer.get("Err") if isinstance(answer, dict) else None
        say = log.warning if error and rpc else log.info
        say("rpc", path=request.path, status=code, ms=round(seconds * 1000, 1), **({"error": error} if error else {}))
        return web.Response(
            body=msgspec.json.encode(answer),
            status=code,
            content_type=CONTENT_TYPE,
            headers={"X-Request-ID": request_id},
        )

    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/{path:.*}", serve)
    return app


async def _activate(_: wire.Empty) -> dict[str, Any]:
    return {"Implements": ["NetworkDriver", "IpamDriver"]}


async def _answer(rpc: Rpc, body: bytes, prepare: Callable[[], Awaitable[None]]) -> tuple[int, Any]:
    try:
        request = decode(body, rpc.body, remedy="report this with dockerd's version")
        async with asyncio.timeout(RPC_LIMIT):
            if rpc.body is not wire.Empty:
                await prepare()
            return 200, await rpc.handler(request)
    except TimeoutError:
        late = CloudUnavailable(f"no answer within {RPC_LIMIT:.0f} s", remedy="see `fairlead agent --check`")
        return status(late), {"Err": said(late, PHRASES)}
    except FairleadError as error:
        return status(error), {"Err": said(error, PHRASES)}
    except Exception as error:  # the last line: dockerd must get an answer, and the log the traceback
        log.exception("unexpected error")
        return 500, {"Err": str(unforeseen(error))}
