"""A cloud in one object: starts the fake services on a loopback port, records what they are asked, lets them fail."""

import asyncio
import json
import ssl
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from aiohttp import web

from fairlead.adapters.neutron.credentials import APPLICATION_CREDENTIAL, DEFAULT_AUTH_TYPE, CloudConfig
from fairlead_lab.fakes.api import Handler, NeutronApi, identity_app
from fairlead_lab.fakes.identity import PASSWORD, Identity, User
from fairlead_lab.fakes.record import Call, Fault, How
from fairlead_lab.fakes.store import Store

ROLES: Mapping[str, frozenset[str]] = {
    "reader": frozenset({"reader"}),
    "member": frozenset({"member", "reader"}),
    "service": frozenset({"service", "member", "reader"}),
    "admin": frozenset({"admin", "manager", "member", "reader"}),
}
PROJECTS = ("demo", "other")
# What Fairlead looks for among the aliases of a Neutron 2026.1 with ML2/OVN.
EXTENSIONS = frozenset(
    {"standard-attr-tag", "standard-attr-revisions", "revision-if-match", "security-group", "binding", "net-mtu"}
    | {"allowed-address-pairs", "port-security", "router", "extraroute", "extraroute-atomic", "trunk"}
)
TAGS_WHILE_CREATING = "tag-ports-during-bulk-creation"


class FakeCloud:
    """Keystone and Neutron of a small cloud.

    Projects `demo` and `other`, in each one user for each of ROLES. Use with `async with`; until then nothing listens.
    tags_while_creating: whether ports take tags in the POST. members_bind: an operator's policy that lets members set
    binding:host_id. latency: seconds before Neutron acts on a request; port_latency: for each port to make as many
    more. tls: a server's context, for https.
    """

    def __init__(
        self,
        *,
        tags_while_creating: bool = True,
        members_bind: bool = False,
        latency: float = 0.0,
        port_latency: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.identity = Identity(members_bind=members_bind)
        self.store = Store()
        extensions = set(EXTENSIONS) | ({TAGS_WHILE_CREATING} if tags_while_creating else set())
        self.neutron = NeutronApi(self.identity, self.store, extensions, lambda: f"{self.url}/network/v2.0")
        self.latency = latency
        self.port_latency = port_latency
        self._tls = tls
        self.calls: list[Call] = []
        self.identity_calls: list[Call] = []
        self.url = ""
        self._faults: list[Fault] = []
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()
        for project in PROJECTS:
            for role, roles in ROLES.items():
                self._add_user(project, role, roles)

    def _add_user(self, project: str, role: str, roles: frozenset[str]) -> None:
        name = _user_name(project, role)
        self.identity.add(
            User(
                id=_stable_id(f"user {name}"),
                name=name,
                project_id=self.project_id(project),
                project=project,
                roles=roles,
                credential_id=_stable_id(f"application credential {name}"),
            )
        )

    async def __aenter__(self) -> Self:
        root = web.Application()
        root.add_subapp("/identity", identity_app(self.identity, lambda: f"{self.url}/identity/v3"))
        root.add_subapp("/network", self.neutron.app())
        root.middlewares.append(self._observe)
        self._runner = web.AppRunner(root, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"
        self.identity.catalogue.update(identity=f"{self.url}/identity", network=f"{self.url}/network")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening; what hangs is cut."""
        self._closing.set()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    # Who

    @staticmethod
    def project_id(project: str = "demo") -> str:
        """Give a project's id, the same in every run."""
        return _stable_id(f"project {project}")

    def credentials(
        self, role: str = "member", project: str = "demo", *, application_credential: bool = False
    ) -> CloudConfig:
        """Give what one user signs in with."""
        name = _user_name(project, role)
        auth: dict[str, Any] = {"auth_url": f"{self.url}/identity/v3"}
        if application_credential:
            credential_id = self.identity.users[name].credential_id
            auth |= {"application_credential_id": credential_id, "application_credential_secret": PASSWORD}
        else:
            auth |= {
                "username": name,
                "password": PASSWORD,
                "user_domain_name": "Default",
                "project_name": project,
                "project_domain_name": "Default",
            }
        return CloudConfig(
            auth_type=APPLICATION_CREDENTIAL if application_credential else DEFAULT_AUTH_TYPE,
            auth=auth,
            region="RegionOne",
            source="the fake cloud",
        )

    def write_clouds_yaml(self, path: Path) -> None:
        """Write a clouds.yaml with a cloud for each user, for programs that read one; `demo` is the member of demo."""
        clouds = {
            _user_name(project, role): {
                "auth_type": (config := self.credentials(role, project)).auth_type,
                "auth": dict(config.auth),
                "region_name": config.region,
            }
            for project in PROJECTS
            for role in ROLES
        }
        path.write_text(yaml.safe_dump({"clouds": clouds}), encoding="utf-8")

    # What goes wrong

    def fail(self, fault: Fault) -> None:
        """Do something wrong with the next requests that match; faults are used up in the order they were given."""
        self._faults.append(fault)

    def set_quota(self, project: str = "demo", **limits: int) -> None:
        """Limit a project's network=, subnet=, port=, security_group=, router_route= …; -1: no limit."""
        self.store.quotas.setdefault(self.project_id(project), {}).update(limits)

    # What was asked

    def count(self, method: str = "", path: str = "") -> int:
        """Count Neutron's calls by method and exact path; empty: any."""
        return sum(method in {"", call.method} and path in {"", call.path} for call in self.calls)

    @web.middleware
    async def _observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        service, version = ("identity", "/v3") if request.path.startswith("/identity") else ("network", "/v2.0")
        path = request.path.partition(version)[2] or "/"
        call = Call(
            method=request.method,
            path=path,
            query=tuple(request.query.items()),
            body=_decoded(await request.read()),
            request_id=request.headers.get("X-OpenStack-Request-ID", ""),
        )
        (self.calls if service == "network" else self.identity_calls).append(call)
        if service == "network" and (seconds := self.latency + self.port_latency * _ports_to_make(call)):
            await asyncio.sleep(seconds)
        fault = next((fault for fault in self._faults if fault.matches(service, request.method, path)), None)
        if fault:
            fault.times -= 1
            response = await self._misbehave(fault, request, handler)
        else:
            response = await _answered(request, handler)
        if response is None:
            # Written to a connection that is gone: aiohttp lets it drop.
            return web.Response()
        call.status = response.status
        response.headers["x-openstack-request-id"] = f"req-{uuid.uuid4()}"
        return response

    async def _misbehave(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse | None:
        """Do what the fault says; None: there is no connection left to answer on."""
        match fault.how:
            case How.ANSWER:
                error = {"type": fault.kind, "message": fault.message, "detail": ""}
                text = json.dumps({"NeutronError": error}) if fault.kind else f"<h1>{fault.status}</h1>"
                return web.Response(status=fault.status, text=text, headers=fault.headers)
            case How.GARBAGE:
                return web.Response(text="<h1>It works!</h1>", content_type="text/html")
            case How.LOSE:
                await _answered(request, handler)
            case How.TRUNCATE:
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b"{")
            case How.HANG:
                await self._closing.wait()
        if request.transport:
            request.transport.abort()
        return None


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as exc:
        return web.Response(status=exc.status, text=exc.text)


def _ports_to_make(call: Call) -> int:
    if (call.method, call.path) != ("POST", "/ports") or not isinstance(call.body, dict):
        return 0
    several = call.body.get("ports")
    return len(several) if isinstance(several, list) else 1


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _user_name(project: str, role: str) -> str:
    return project if role == "member" else f"{project}-{role}"


def _stable_id(name: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"fairlead fake {name}").hex
