"""The bodies of requests, read by their schema."""

from typing import Any

import msgspec

from fairlead.model.errors import InvalidInput


def decode(body: bytes, schema: type, *, remedy: str) -> Any:
    """Read a JSON body; an empty one is an object without members. Raises InvalidInput with the remedy."""
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=schema)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"malformed request: {error}", remedy=remedy) from error
