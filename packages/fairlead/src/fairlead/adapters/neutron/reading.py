"""Answers of the Networking API, read by their types.

What Neutron leaves empty it sends as null, also where it never did before: that is as if it had sent nothing.
"""

from typing import Any, TypeVar

import msgspec

Wire = TypeVar("Wire", bound=msgspec.Struct)
T = TypeVar("T")

UNREADABLE = (ValueError, RecursionError)
"""What an answer raises that is not Neutron's: msgspec's errors, bytes that are no UTF-8, brackets without end."""


class LinkWire(msgspec.Struct):
    """A link of a page to its neighbours."""

    rel: str
    href: str


def read_one(body: bytes, key: str, kind: type[Wire]) -> Wire:
    """Read {key: object}. Raises one of UNREADABLE."""
    return _read(_members(body, key)[key], kind)


def read_page(body: bytes, key: str, kind: type[Wire]) -> tuple[list[Wire], str]:
    """Read {key: [objects]} and the URL of the next page, empty on the last. Raises one of UNREADABLE."""
    members = _members(body, key)
    items = _read(members[key], list[kind])  # type: ignore[valid-type]  # a type at run time
    linked = _read(members[links], list[LinkWire]) if (links := f"{key}_links") in members else []
    return items, next((link.href for link in linked if link.rel == "next"), "")


def read_quota(body: bytes) -> dict[str, int]:
    """Read limits by resource, such as port; -1: none. Raises one of UNREADABLE."""
    return _read(_members(body, "quota")["quota"], dict[str, int])


def _read(raw: msgspec.Raw, kind: type[T]) -> T:
    """Read a value; where it is not as it should be, once more without its nulls, which cost time to find."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        return msgspec.convert(_without_nulls(msgspec.json.decode(raw)), kind)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in value if one is not None]
    return value


def _members(body: bytes, wanted: str) -> dict[str, msgspec.Raw]:
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if wanted not in members:
        raise msgspec.ValidationError(f"the answer has no {wanted!r}")
    return members
