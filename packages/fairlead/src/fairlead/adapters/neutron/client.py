"""HTTP to Neutron: one session, bounded time, retries only where they can do no harm."""

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from uuid import uuid4

import aiohttp
import structlog
from yarl import URL

from fairlead.adapters.neutron import errors, keystone_errors
from fairlead.adapters.neutron.credentials import CloudConfig
from fairlead.adapters.neutron.errors import AnswerError
from fairlead.adapters.neutron.tokens import Token, TokenSource
from fairlead.model.errors import CloudUnavailable

CONNECT_TIMEOUT = 5.0
TOTAL_TIMEOUT = 30.0

LONGEST_PAUSE = 300.0
"""Seconds for which an answer may ask to be left alone: who asks for a week means that he does not know."""

# RFC 9110, section 9.2.2: sending these twice does what sending them once does. aiohttp itself sends them once more
# where the connection breaks before an answer begins; where it breaks in the middle, we do.
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
_RESENDS = 1
_WAITS = 3
# Shorter than what servers keep a silent connection for (Apache: 5 s): a POST that meets a closing one can't be resent.
_KEEP_ALIVE = 4.0

Query = Sequence[tuple[str, str]]
OnCall = Callable[[str, str, int, float], None]

log = structlog.get_logger(__name__)


def new_request_id() -> str:
    """Make a request id of the form that OpenStack's services pass on."""
    return f"req-{uuid4()}"


class NeutronClient:
    """Sends requests with a token, as one project.

    request_id: gives the id that goes into X-OpenStack-Request-ID, so that Neutron's log and ours meet.
    on_call: told of each HTTP exchange: method, path with ids replaced, status (0: no answer), seconds.
    connect_timeout, total_timeout: seconds; the latter bounds a whole call, with its token, waits and retries.
    look: finds the credentials anew, before Keystone is asked for another token; what TLS needs is taken once.
    """

    def __init__(
        self,
        config: CloudConfig,
        *,
        request_id: Callable[[], str] = new_request_id,
        on_call: OnCall | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        total_timeout: float = TOTAL_TIMEOUT,
        look: Callable[[], CloudConfig] | None = None,
    ) -> None:
        self._config = config
        self._tokens = TokenSource(config, timeout=min(total_timeout, 2 * connect_timeout), look=look)
        self._request_id = request_id
        self._on_call = on_call
        self._connect_timeout = connect_timeout
        self._total_timeout = total_timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._tokens.close()
        if self._session:
            await self._session.close()
            self._session = None

    async def token(self) -> Token:
        """Give the current token. Raises AuthenticationFailed, CloudUnavailable, SettingsError."""
        try:
            async with asyncio.timeout(self._total_timeout):
                return await self._tokens.current()
        except TimeoutError as exc:
            raise _too_late(f"Keystone at {self._tokens.config.auth_url}", self._total_timeout, reached=False) from exc

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send one request and give its answer's body; path starts below /v2.0 and is percent-encoded.

        Raises what the tree of errors has for Neutron's refusals.
        """
        try:
            return await self.exchange(method, path, query=query, body=body, headers=headers)
        except AnswerError as answer:
            raise errors.translate(answer) from answer

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        extra_time: float = 0.0,
    ) -> bytes:
        """Send one request as `call` does, but give refusals as Neutron worded them: raises AnswerError.

        extra_time: seconds beyond total_timeout that it may take, for a request that is much work for Neutron.
        """
        where, reached = f"Keystone at {self._tokens.config.auth_url}", False
        timeout = self._total_timeout + extra_time
        try:
            async with asyncio.timeout(timeout) as limit:
                token = await self._tokens.current()
                where, reached = f"Neutron at {token.endpoint}", True
                request = _Request(method, path, query, body, headers or {}, limit.when() or 0.0)
                return await self._deliver(request, token)
        except TimeoutError as exc:
            raise _too_late(where, timeout, reached=reached) from exc

    async def _deliver(self, request: "_Request", token: Token) -> bytes:
        resends, waits, renewed = 0, 0, False
        while True:
            try:
                status, answer_headers, answer = await self._send(request, token)
            except aiohttp.ClientError as exc:
                if isinstance(exc, aiohttp.ClientPayloadError) and request.idempotent and resends < _RESENDS:
                    resends += 1
                    continue
                raise errors.silence(exc, token.endpoint, self._connect_timeout) from exc
            if 200 <= status < 300:
                return answer
            if status == 401 and not renewed:
                renewed = True
                token = await self._tokens.replace(token)
                continue
            pause = _retry_after(answer_headers) if status in {429, 503} else None
            now = asyncio.get_running_loop().time()
            if pause is None or waits == _WAITS or now + pause >= request.deadline:
                raise errors.read_answer(status, answer, token.endpoint, pause)
            waits += 1
            await asyncio.sleep(pause)

    async def _send(self, request: "_Request", token: Token) -> tuple[int, Mapping[str, str], bytes]:
        """Do one HTTP exchange, count it and log it."""
        session = self._opened_session()
        request_id = self._request_id()
        started = time.perf_counter()
        status, answer_id = 0, ""
        headers = {"X-Auth-Token": token.value, "X-OpenStack-Request-ID": request_id, **request.headers}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        url = URL(f"{token.endpoint}{request.path}", encoded=True).with_query(list(request.query))
        try:
            async with session.request(
                request.method, url, data=request.body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                answer_id = response.headers.get("x-openstack-request-id", "")
                return status, response.headers, await response.read()
        finally:
            seconds = time.perf_counter() - started
            if self._on_call:
                self._on_call(request.method, _route(request.path), status, seconds)
            tell = log.debug if request.method == "GET" and 200 <= status < 300 else log.info
            tell(
                "neutron",
                method=request.method,
                path=request.path,
                status=status,
                ms=round(seconds * 1000, 1),
                request_id=request_id,
                neutron_request_id=answer_id,
            )

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=_trust(self._config), keepalive_timeout=_KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
                headers={"Accept": "application/json", "User-Agent": "fairlead"},
                trust_env=True,
            )
        return self._session


@dataclass(frozen=True, slots=True)
class _Request:
    """One call to make; deadline is in the loop's time."""

    method: str
    path: str
    query: Query
    body: bytes | None
    headers: Mapping[str, str]
    deadline: float

    @property
    def idempotent(self) -> bool:
        return self.method in _IDEMPOTENT


def _too_late(where: str, seconds: float, *, reached: bool) -> CloudUnavailable:
    return CloudUnavailable(
        f"{where} does not answer within {seconds:g} s", remedy="look at its load and its log", reached=reached
    )


def _trust(config: CloudConfig) -> ssl.SSLContext | bool:
    if not config.verify:
        return False
    if not config.cacert and not config.cert:
        return True
    try:
        context = ssl.create_default_context(cafile=config.cacert or None)
        if config.cert:
            context.load_cert_chain(config.cert, config.key or None)
    except OSError as exc:
        raise keystone_errors.unreadable_certificate(config, exc) from exc
    return context


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by Retry-After, LONGEST_PAUSE at most; None where it is absent or odd.

    RFC 9110, section 10.2.3: seconds, or a date, which is one of the server's clock, as is the answer's own.
    """
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value) if _NUMBER.fullmatch(value) else _moment(value) - _moment(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return min(LONGEST_PAUSE, max(0.0, seconds))


def _moment(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()


_NUMBER = re.compile(r"[0-9]+")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _route(path: str) -> str:
    """Path without ids and tags, so that it can label a metric."""
    head, found, _ = _UUID.sub("{id}", path).partition("/tags/")
    return f"{head}/tags/{{tag}}" if found else head
