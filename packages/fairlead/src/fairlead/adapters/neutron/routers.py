"""Routers and their extra routes, changed one by one (extension extraroute-atomic)."""

from collections.abc import Awaitable, Callable, Collection

import msgspec

from fairlead.adapters.neutron import errors, wire
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.errors import AnswerError
from fairlead.adapters.neutron.resources import Resources, read_one, segment
from fairlead.model.errors import FairleadError, InvalidInput, QuotaExceeded, UnsupportedRequest
from fairlead.model.network import HostRoute, Router

_ATOMIC = "extraroute-atomic"
# What a router's port on a subnet is called; the latter two by ML2/OVS, for distributed and for redundant routers.
_INTERFACES = (
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
)


class _InterfaceWire(msgspec.Struct):
    """Of a router's port only whose it is."""

    device_id: str = ""


class _RouterWire(msgspec.Struct):
    """A router as Neutron sends it."""

    id: str
    name: str = ""
    routes: list[wire.RouteWire] = []

    def model(self) -> Router:
        """Convert it."""
        return Router(self.id, self.name, tuple(route.model() for route in self.routes))


class Routers:
    """Finds routers and changes their routes. extensions: tells the aliases of Neutron's API extensions."""

    def __init__(
        self, client: NeutronClient, resources: Resources, extensions: Callable[[], Awaitable[frozenset[str]]]
    ) -> None:
        self._client = client
        self._resources = resources
        self._extensions = extensions

    async def on(self, subnet_ids: Collection[str]) -> list[Router]:
        """List the project's own routers that have an interface on any of these subnets: two requests.

        An interface is a port of the router's project, whosever the subnet is; a member does not see others' routers.
        """
        if not subnet_ids:
            return []
        own = ("project_id", (await self._client.token()).project_id)
        subnets = [("fixed_ips", f"subnet_id={subnet_id}") for subnet_id in sorted(set(subnet_ids))]
        owners = [("device_owner", owner) for owner in _INTERFACES]
        interfaces = await self._resources.find(
            "ports", _InterfaceWire, [*subnets, *owners, own, ("fields", "device_id")]
        )
        ids = sorted({interface.device_id for interface in interfaces} - {""})
        if not ids:
            return []
        fields = [("fields", field) for field in ("id", "name", "routes")]
        found = await self._resources.find("routers", _RouterWire, [*(("id", each) for each in ids), own, *fields])
        return [router.model() for router in found]

    async def add(self, router_id: str, routes: Collection[HostRoute]) -> Router:
        """Give a router routes beside those it has."""
        return await self._change(router_id, "add_extraroutes", routes)

    async def remove(self, router_id: str, routes: Collection[HostRoute]) -> Router:
        """Take routes off a router."""
        return await self._change(router_id, "remove_extraroutes", routes)

    async def _change(self, router_id: str, action: str, routes: Collection[HostRoute]) -> Router:
        if _ATOMIC not in await self._extensions():
            raise UnsupportedRequest(
                f"this Neutron can't change single routes of a router (it lacks the extension {_ATOMIC})",
                remedy="put all nodes on one subnet, where no router is needed, or ask the operator to upgrade",
            )
        wanted = [wire.RouteWire(str(route.destination), str(route.nexthop)) for route in routes]
        body = msgspec.json.encode({"router": {"routes": wanted}})
        try:
            answer = await self._client.exchange("PUT", f"/routers/{segment(router_id)}/{action}", body=body)
        except AnswerError as refusal:
            raise await self._refused(router_id, refusal) from refusal
        return read_one(answer, "router", _RouterWire).model()

    async def _refused(self, router_id: str, refusal: AnswerError) -> FairleadError:
        """Say in the operator's words why a router does not take the routes."""
        if refusal.kind == "InvalidRoutes":
            # Its message begins with every route that the router would have had; the reason is after them.
            reason = refusal.message.rpartition("], ")[2]
            return InvalidInput(
                f"the router {router_id} does not take the routes: {reason}",
                remedy="each next hop is an address on one of the router's subnets, and not the router's",
            )
        if refusal.kind == "RoutesExhausted":
            return _too_many(router_id, "max_routes of Neutron", "max_routes in neutron.conf")
        if refusal.over_quota and "router_route" in refusal.message:
            limit = (await self._resources.limits()).get("router_route")
            known = "" if limit is None else f" ({limit})"
            return _too_many(router_id, f"the project's quota router_route{known}", "the quota router_route")
        return errors.translate(refusal)


def _too_many(router_id: str, limit: str, what: str) -> QuotaExceeded:
    return QuotaExceeded(
        f"the router {router_id} would have more routes than {limit} allows",
        remedy=f"remove routes that are not needed, or ask the operator to raise {what}",
    )
