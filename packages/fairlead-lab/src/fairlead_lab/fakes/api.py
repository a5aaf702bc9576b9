"""HTTP in front of the fake Keystone and Neutron: routes, bodies, statuses and headers as the real ones have them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fairlead_lab.fakes import query
from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.identity import Identity, unauthorized
from fairlead_lab.fakes.networking import Networking
from fairlead_lab.fakes.refusal import Refusal, forbidden
from fairlead_lab.fakes.store import KINDS, Resource, Store

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_REVISION = "revision_number="
_PRIVILEGED_ATTRIBUTES = ("binding:host_id", "binding:vif_type", "binding:vif_details", "binding:profile")


def identity_app(identity: Identity, url: Callable[[], str]) -> web.Application:
    """Build Keystone; url gives its own address, with /v3."""

    async def versions(request: web.Request) -> web.Response:
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{url()}/"}]}
        if request.path.rstrip("/").endswith("/v3"):
            return web.json_response({"version": version})
        return web.json_response({"versions": {"values": [version]}}, status=300)

    async def tokens(request: web.Request) -> web.Response:
        try:
            token_id, body = identity.issue(await request.json())
        except Refusal as refusal:
            return _identity_error(refusal)
        return web.json_response(body, status=201, headers={"X-Subject-Token": token_id})

    app = web.Application()
    for path in ("", "/", "/v3", "/v3/"):
        app.router.add_get(path, versions)
    app.router.add_post("/v3/auth/tokens", tokens)
    return app


@dataclass(slots=True)
class NeutronApi:
    """Neutron's routes. extensions: aliases that are announced. page_size: the operator's pagination_max_limit."""

    identity: Identity
    store: Store
    extensions: set[str]
    url: Callable[[], str]
    page_size: int = 0
    _networking: Networking = field(init=False)

    def __post_init__(self) -> None:
        self._networking = Networking(self.store)

    def app(self) -> web.Application:
        """Build the application."""
        app = web.Application(middlewares=[_refusals])
        app.router.add_get("/v2.0/extensions", self._list_extensions)
        app.router.add_route("*", "/v2.0/quotas/{project_id}", self._quota)
        app.router.add_get("/v2.0/quotas/{project_id}/details.json", self._quota_details)
        app.router.add_get("/v2.0/network-ip-availabilities/{id}", self._usage)
        for collection in KINDS:
            path = f"/v2.0/{collection.replace('_', '-')}"
            for suffix, handler in (
                ("", self._collection),
                ("/{id}", self._item),
                ("/{id}/tags", self._tags),
                ("/{id}/tags/{tag}", self._tag),
            ):
                app.router.add_route("*", path + suffix, _bound(handler, collection))
        app.router.add_put("/v2.0/routers/{id}/{action}", self._route)
        app.router.add_put("/v2.0/trunks/{id}/{action}", self._carry)
        return app

    async def _list_extensions(self, request: web.Request) -> web.Response:
        self._caller(request)
        aliases = [{"alias": alias, "name": alias} for alias in sorted(self.extensions)]
        return web.json_response({"extensions": [query.only_fields(item, _pairs(request)) for item in aliases]})

    async def _quota(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        project_id = request.match_info["project_id"]
        if not caller.admin and (request.method != "GET" or project_id != caller.project_id):
            raise forbidden("rule:get_quota" if request.method == "GET" else "rule:update_quota")
        if request.method == "PUT":
            self.store.quotas.setdefault(project_id, {}).update((await _body(request))["quota"])
        elif request.method == "DELETE":
            self.store.quotas.pop(project_id, None)
            return web.Response(status=204)
        return web.json_response({"quota": self.store.quota(project_id)})

    async def _quota_details(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        project_id = request.match_info["project_id"]
        if not caller.admin and project_id != caller.project_id:
            message = (
                "User does not have admin privileges: Only admin is authorized to access quotas for another project."
            )
            raise Refusal(403, "AdminRequired", message)
        return web.json_response({"quota": self.store.quota_details(project_id)})

    async def _usage(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        usage = self._networking.usage(request.match_info["id"], caller)
        return web.json_response({"network_ip_availability": query.only_fields(usage, _pairs(request))})

    async def _collection(self, collection: str, request: web.Request) -> web.Response:
        caller = self._caller(request)
        if request.method == "GET":
            pairs = _pairs(request)
            found = query.select(collection, self.store.visible(collection, caller), pairs)
            url = f"{self.url()}{request.rel_url.raw_path.partition('/v2.0')[2]}"
            shown, links = query.page(found, pairs, self.page_size, url)
            body: dict[str, Any] = {collection: [query.only_fields(_shown(item, caller), pairs) for item in shown]}
            return web.json_response(body | ({f"{collection}_links": links} if links else {}))
        if request.method != "POST":
            raise Refusal(405, "HTTPMethodNotAllowed", "Method Not Allowed")
        body = await _body(request)
        # The real one takes several of anything; of these is what Fairlead needs.
        several = collection in {"ports", "security_group_rules"} and collection in body
        wanted = _several(body, collection) if several else [_one(body, collection)]
        if "tag-ports-during-bulk-creation" not in self.extensions:
            for one in wanted:
                one.pop("tags", None)
        made = [_shown(item, caller) for item in self._networking.create(collection, wanted, caller)]
        return web.json_response({collection: made} if several else {collection[:-1]: made[0]}, status=201)

    async def _item(self, collection: str, request: web.Request) -> web.Response:
        caller = self._caller(request)
        resource_id = request.match_info["id"]
        revision = _wanted_revision(request)
        if request.method == "DELETE":
            self._networking.delete(collection, resource_id, caller, revision)
            return web.Response(status=204)
        if request.method == "PUT":
            change = _one(await _body(request), collection)
            item = self._networking.update(collection, resource_id, change, caller, revision)
        else:
            item = self.store.get(collection, resource_id, caller)
        return web.json_response({collection[:-1]: query.only_fields(_shown(item, caller), _pairs(request))})

    async def _route(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        router_id, action = request.match_info["id"], request.match_info["action"]
        return web.json_response(self._networking.routers.act(router_id, action, await _body(request), caller))

    async def _carry(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        trunk_id, action = request.match_info["id"], request.match_info["action"]
        return web.json_response(self._networking.trunks.act(trunk_id, action, await _body(request), caller))

    async def _tags(self, collection: str, request: web.Request) -> web.Response:
        caller = self._caller(request)
        resource_id = request.match_info["id"]
        if request.method == "GET":
            return web.json_response({"tags": self.store.get(collection, resource_id, caller)["tags"]})
        wanted = (await _body(request)).get("tags") if request.method == "PUT" else []
        if not isinstance(wanted, list):
            raise Refusal(400, "InvalidInput", "Invalid input for operation: Invalid tags body.")
        tags = self.store.set_tags(collection, resource_id, wanted, caller)
        return web.Response(status=204) if request.method == "DELETE" else web.json_response({"tags": tags})

    async def _tag(self, collection: str, request: web.Request) -> web.Response:
        caller = self._caller(request)
        # The real one, too, takes a last ".json" for a format, and stumbles where the resource is not there.
        resource_id, tag = request.match_info["id"], request.match_info["tag"].removesuffix(".json")
        if resource_id not in self.store.resources[collection]:
            raise Refusal(500, "HTTPInternalServerError", "Request Failed: internal server error.")
        if request.method == "DELETE":
            self.store.remove_tag(collection, resource_id, tag, caller)
            return web.Response(status=204)
        present = self.store.get(collection, resource_id, caller)["tags"]
        self.store.set_tags(collection, resource_id, [*present, tag], caller)
        return web.Response(status=201)

    def _caller(self, request: web.Request) -> Caller:
        caller = self.identity.tokens.get(request.headers.get("X-Auth-Token", ""))
        if caller is None:
            raise unauthorized()
        return caller


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        if refusal.status == 401:
            # Not Neutron's own: keystonemiddleware in front of it answers.
            return _identity_error(refusal)
        error = {"type": refusal.kind, "message": refusal.message, "detail": ""}
        return web.json_response({"NeutronError": error}, status=refusal.status)


def _identity_error(refusal: Refusal) -> web.Response:
    error = {"code": refusal.status, "title": refusal.kind, "message": refusal.message}
    return web.json_response({"error": error}, status=refusal.status)


def _bound(handler: Callable[[str, web.Request], Awaitable[web.Response]], collection: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(collection, request)

    return handle


def _pairs(request: web.Request) -> query.Pairs:
    return list(request.query.items())


async def _body(request: web.Request) -> Resource:
    try:
        body = await request.json()
    except ValueError:
        raise Refusal(400, "MalformedRequestBody", "Malformed request body: not JSON.") from None
    if not isinstance(body, dict):
        raise Refusal(400, "MalformedRequestBody", "Malformed request body: not an object.")
    return body


def _one(body: Resource, collection: str) -> Resource:
    name = collection[:-1]
    wanted = body.get(name)
    if not isinstance(wanted, dict):
        raise Refusal(400, "HTTPBadRequest", f"Unable to find '{name}' in request body")
    return wanted


def _several(body: Resource, collection: str) -> list[Resource]:
    wanted = body[collection]
    if not wanted or not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise Refusal(400, "HTTPBadRequest", "Resources required")
    return wanted


def _shown(item: Resource, caller: Caller) -> Resource:
    if caller.privileged:
        return item
    return {key: value for key, value in item.items() if key not in _PRIVILEGED_ATTRIBUTES}


def _wanted_revision(request: web.Request) -> int | None:
    condition = request.headers.get("If-Match", "").strip('"')
    if not condition.startswith(_REVISION):
        return None
    try:
        return int(condition.removeprefix(_REVISION))
    except ValueError:
        message = "Bad if-match request: Revision number etag must be in the format of revision_number=<int>."
        raise Refusal(400, "BadRequest", message) from None
