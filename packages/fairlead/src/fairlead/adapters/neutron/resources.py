"""What every collection of Neutron's has in common: lists in pages, creations under quota, tags, deletions."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar
from urllib.parse import quote

import msgspec
from yarl import URL

from fairlead.adapters.neutron import errors, reading, wire
from fairlead.adapters.neutron.client import NeutronClient, Query
from fairlead.adapters.neutron.errors import AnswerError
from fairlead.model.errors import FairleadError, NotFound

Wire = TypeVar("Wire", bound=msgspec.Struct)


class Resources:
    """Lists, makes, tags and deletes what a client may; paths start below /v2.0 and are percent-encoded.

    Every call raises what NeutronClient.call raises.
    """

    def __init__(self, client: NeutronClient) -> None:
        self._client = client

    async def find(self, key: str, kind: type[Wire], query: Query, *, path: str = "") -> list[Wire]:
        """List all pages: an operator may limit what one answer holds. path: where it is not the key's."""
        path = path or f"/{key}"
        found: list[Wire] = []
        asked: set[str] = set()
        while True:
            if str(query) in asked:
                raise errors.unreadable(f"GET {path}")  # pages that lead back to each other have no end
            asked.add(str(query))
            body = await self._client.call("GET", path, query=query)
            try:
                items, following = reading.read_page(body, key, kind)
            except reading.UNREADABLE as exc:
                raise errors.unreadable(f"GET {path}") from exc
            found += items
            if not following:
                return found
            # Of the link only the query counts: its host is what Neutron believes it is called.
            try:
                query = list(URL(following).query.items())
            except ValueError as exc:
                raise errors.unreadable(f"GET {path}") from exc

    async def get(self, collection: str, resource_id: str, key: str, kind: type[Wire]) -> Wire | None:
        """Read one by itself; None where there is none."""
        try:
            body = await self._client.call("GET", f"/{collection}/{segment(resource_id)}")
        except NotFound:
            return None
        return read_one(body, key, kind)

    async def create(self, path: str, body: bytes, *, extra_time: float = 0.0) -> bytes:
        """Make something and give the answer's body. Raises QuotaExceeded, which names the limit."""
        try:
            return await self._client.exchange("POST", path, body=body, extra_time=extra_time)
        except AnswerError as answer:
            if answer.over_quota:
                raise errors.over_quota(answer, await self.limits()) from answer
            raise errors.translate(answer) from answer

    async def limits(self) -> Mapping[str, int]:
        """Read the project's quota, for an error's text: worth one more request; nothing where that fails."""
        try:
            project_id = (await self._client.token()).project_id
            return reading.read_quota(await self._client.call("GET", f"/quotas/{project_id}"))
        except (FairleadError, *reading.UNREADABLE):
            return {}

    async def delete(self, path: str, *, revision: int | None = None) -> None:
        """Delete something, or find it gone; revision: only if it is still at this one."""
        with suppress(NotFound):
            await self._client.call("DELETE", path, headers=if_match(revision))

    async def put_tags(self, collection: str, resource_id: str, tags: frozenset[str]) -> None:
        """Give something these tags and no others."""
        await self._client.call("PUT", f"/{collection}/{resource_id}/tags", body=wire.tags_body(tags))

    async def undo(self, collection: str, ids: Sequence[str]) -> bool:
        """Delete what could not be tagged, and say whether all of it is gone: the caller's own error counts."""
        return all(await asyncio.shield(asyncio.gather(*(self._undo(f"/{collection}/{each}") for each in ids))))

    async def _undo(self, path: str) -> bool:
        try:
            await self.delete(path)
        except FairleadError:
            return False
        return True


def segment(text: str) -> str:
    """Percent-encode what is to be one segment of a path."""
    return quote(text, safe="")


def query(*, tags: Collection[str] = (), **filters: str) -> list[tuple[str, str]]:
    """Write a list's filters, without the empty ones; tags: all of them must be there."""
    return [(name, value) for name, value in {**filters, "tags": ",".join(sorted(tags))}.items() if value]


def if_match(revision: int | None) -> dict[str, str]:
    """Give the header by which a request counts only at this revision; None: at any."""
    return {} if revision is None else {"If-Match": f"revision_number={revision}"}


def read_one(body: bytes, key: str, kind: type[Wire]) -> Wire:
    """Read an answer that holds one object. Raises CloudUnavailable where it is not Neutron's."""
    try:
        return reading.read_one(body, key, kind)
    except reading.UNREADABLE as exc:
        raise errors.unreadable(key) from exc


def read_several(body: bytes, key: str, kind: type[Wire]) -> list[Wire]:
    """Read an answer that holds several objects. Raises CloudUnavailable where it is not Neutron's."""
    try:
        return reading.read_page(body, key, kind)[0]
    except reading.UNREADABLE as exc:
        raise errors.unreadable(key) from exc
