"""Attributes of netlink messages: a length, a type and a value, padded to four bytes.

Source: netlink(7). All numbers are in the host's byte order.
"""

import struct
from typing import Final

_ATTRIBUTE: Final = struct.Struct("=HH")  # nlattr: length without padding, type
_U32: Final = struct.Struct("=I")
_ATTRIBUTE_TYPE = 0x3FFF  # the two bits above are flags


def read_attributes(data: bytes, at: int = 0) -> dict[int, bytes]:
    """Read attributes by type, from a place on. Raises ValueError and struct.error where they are in no such form."""
    found = {}
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise ValueError(f"an attribute of {length} bytes")
        found[kind & _ATTRIBUTE_TYPE] = data[at + _ATTRIBUTE.size : at + length]
        at += aligned(length)
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """Write one attribute, padded to four bytes."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(aligned(length) - length)


def text_attribute(kind: int, text: str) -> bytes:
    """Write a text, which ends in a zero byte."""
    return attribute(kind, text.encode() + b"\0")


def number_attribute(kind: int, number: int) -> bytes:
    """Write a number of four bytes."""
    return attribute(kind, _U32.pack(number))


def aligned(length: int) -> int:
    """Return a length with its padding."""
    return (length + 3) & ~3
