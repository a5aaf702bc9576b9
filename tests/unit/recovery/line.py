"""Neutron and the agent's door without sockets: what is asked of them is a call, so that time can be virtual."""

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.neutron.credentials import CloudConfig
from fairlead.adapters.neutron.tokens import Token
from fairlead_lab.fakes import FakeCloud
from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.cloud import ROLES
from tests.unit.recovery.trouble import Area, Life, Point, Trouble

ENDPOINT = "http://neutron/v2.0"


@dataclass(slots=True)
class Request:
    """As much of an aiohttp request as the fake's handlers and the door read."""

    method: str
    rel_url: URL
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    match_info: Any = None

    @property
    def path(self) -> str:
        return self.rel_url.path

    @property
    def query(self) -> Any:
        return self.rel_url.query

    async def read(self) -> bytes:
        return self.body

    async def json(self) -> Any:
        return json.loads(self.body)


async def ask(app: web.Application, request: Request) -> web.Response:
    """Let an application answer, its middlewares around it."""
    asked: Any = request
    match = request.match_info = await app.router.resolve(asked)
    handler: Any = match.handler
    for middleware in app.middlewares:
        inner = handler
        handler = lambda asked, middleware=middleware, inner=inner: middleware(asked, inner)  # noqa: E731
    try:
        answer: web.Response = await handler(asked)
    except web.HTTPException as error:
        return web.Response(status=error.status, text=error.text)
    return answer


class Refusing(Exception):
    """An error's answer of Neutron's, in the place of its own."""

    def __init__(self, status: int, kind: str) -> None:
        super().__init__(status, kind)
        self.status = status
        self.body = json.dumps({"NeutronError": {"type": kind, "message": f"the test says {kind}", "detail": ""}})


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token that a member of `demo` has, for ever."""

    config: CloudConfig
    token: Token

    async def current(self) -> Token:
        return self.token

    async def replace(self, _token: Token) -> Token:
        return self.token

    async def close(self) -> None:
        """Nothing is open."""


def neutron(cloud: FakeCloud, app: web.Application, trouble: Trouble, life: Life) -> NeutronService:
    """Give the adapter, its client's sending replaced."""
    project = cloud.project_id()
    cloud.identity.tokens["token"] = Caller(project, "demo", "demo", ROLES["member"])
    late: set[asyncio.Task[Any]] = set()

    async def send(request: Any, token: Token) -> tuple[int, Mapping[str, str], bytes]:
        headers = CIMultiDict({"X-Auth-Token": token.value, **request.headers})
        url = URL(f"/v2.0{request.path}", encoded=True).with_query(list(request.query))
        asked = Request(request.method, url, request.body or b"", headers)

        async def do_later(seconds: float) -> None:
            await asyncio.sleep(seconds)
            await ask(app, asked)

        point = Point(Area.NEUTRON, f"{request.method} {_kind(request.path)}", request.method != "GET")
        try:
            with trouble.through(point, life):
                if trouble.failure and trouble.failure.late and len(trouble.passed) - 1 == trouble.at:
                    task = asyncio.create_task(do_later(trouble.failure.late))
                    late.add(task)
                    task.add_done_callback(late.discard)
                    await asyncio.sleep(math.inf)
                answer = await ask(app, asked)
        except Refusing as refusal:
            return refusal.status, {}, refusal.body.encode()
        body = answer.body
        return answer.status, answer.headers, body if isinstance(body, bytes) else b""

    config = cloud.credentials("member")
    service = NeutronService(config)
    client: Any = service._client
    client._send = send
    client._tokens = Tokens(config, Token("token", math.inf, ENDPOINT, "demo", "demo", project, ROLES["member"]))
    return service


def cut() -> Exception:
    """The connection is closed in the place of an answer."""
    return aiohttp.ServerDisconnectedError()


def unreached() -> Exception:
    """There is no connection."""
    return aiohttp.ConnectionTimeoutError()


def _kind(path: str) -> str:
    return "/".join("*" if len(part) == 36 else part.partition("=")[0] for part in path.split("/")[1:])
