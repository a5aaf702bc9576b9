"""Bodies of RPCs, near to what dockerd and flanneld send: made by their schema out of what is known, then spoilt."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

NASTY: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    2**63,
    2**200,
    "",
    " ",
    "\x00",
    "a\nb",
    "\r\n2026-01-01 [error] forged",
    "\x1b[31mred\x1b[0m",
    "\u2028\u202e\ufeff",
    "\ud83d\ude00" * 3,
    "../../../../etc/passwd",
    "%s%n%x",
    "' OR 1=1 --",
    "a,b",
    "a/b?c#d&e=f",
    "x" * 5000,
    "é" * 300,
    [],
    {},
    [[[[]]]],
    {"a": {"b": {"c": None}}},
    ["a", 1, None],
    {"": ""},
    {"\n": "\n"},
)
"""Values of any type, in the place of any other."""

ADDRESSES = (
    "10.20.0.5",
    "10.20.0.5/24",
    "10.20.0.0",
    "10.20.0.255",
    "10.99.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "fd00:20::5",
    "fd00:20::5/64",
    "::",
    "::1",
    "fe80::1%eth0",
    "::ffff:10.20.0.5",
    "ff02::1",
    "10.20.0.5/33",
    "10.20.0.05",
    "010.020.0.5",
    "10.20.0.5 ",
    "10.20.0",
    "1",
    "fd00:20::5/129",
)
RANGES = (
    "10.20.0.0/24",
    "10.21.0.0/28",
    "10.22.0.0/30",
    "10.23.0.0/31",
    "10.24.0.0/32",
    "fd00:20::/64",
    "fd00:21::/127",
    "fd00:22::/128",
    "0.0.0.0/0",
    "::/0",
    "10.20.0.5/24",
    "10.20.0.0/255.255.255.0",
    "10.0.0.0/8",
    "127.0.0.0/8",
    "224.0.0.0/4",
    "fe80::/64",
    "10.20.0.0",
    "10.20.0.0/-1",
)
MACS = (
    "",
    "fa:16:3e:00:00:01",
    "FA-16-3E-00-00-02",
    "00:00:00:00:00:00",
    "ff:ff:ff:ff:ff:ff",
    "01:00:5e:00:00:01",
    "zz",
)
OPTIONS = (
    "neutron.net.name",
    "neutron.net.uuid",
    "neutron.security_groups",
    "com.docker.network.generic",
    "com.docker.network.internal",
    "com.docker.network.enable_ipv6",
    "com.docker.network.endpoint.macaddress",
    "RequestAddressType",
    "neutron.unknown",
    "",
)
VALUES = ("web", "default", "com.docker.network.gateway", "true", "11111111-2222-3333-4444-555555555555", "a" * 300)


@dataclass
class Bodies:
    """Makes bodies. known: ids and addresses that answers gave, by the name of the field that takes them."""

    chance: random.Random
    known: dict[str, list[str]] = field(default_factory=dict)

    def learn(self, name: str, value: str, *, most: int = 24) -> None:
        """Remember a value for later bodies; the oldest are forgotten."""
        values = self.known.setdefault(name, [])
        values.append(value)
        del values[:-most]

    def make(self, schema: type) -> bytes:
        """Make a body: as it should be, with a field or two spoilt, or no JSON at all."""
        body = self._struct(schema)
        match self.chance.choices(("good", "spoilt", "broken"), (5, 8, 1))[0]:
            case "spoilt":
                for _ in range(self.chance.choice((1, 1, 2, 4))):
                    body = self._spoil(body)
            case "broken":
                return self._break(_encode(body))
        return _encode(body)

    def _struct(self, schema: type) -> dict[str, Any]:
        return {
            one.encode_name: self._value(one.encode_name, one.type)
            for one in msgspec.structs.fields(schema)
            if one.required or self.chance.random() < 0.8
        }

    def _value(self, name: str, kind: Any) -> Any:
        by_name: dict[str, Callable[[], Any]] = {
            "NetworkID": lambda: self._one("NetworkID", self._id()),
            "EndpointID": lambda: self._one("EndpointID", self._id()),
            "PoolID": lambda: self._one("PoolID", f"any@{self.chance.choice(RANGES)}"),
            "Address": lambda: self._one("Address", self.chance.choice(("", *ADDRESSES))),
            "AddressIPv6": lambda: self._one("AddressIPv6", self.chance.choice(("", *ADDRESSES))),
            "MacAddress": lambda: self.chance.choice(MACS),
            "AddressSpace": lambda: "FairleadLocal",
            "Pool": lambda: self.chance.choice(("", *RANGES)),
            "SubPool": lambda: self.chance.choice(("", "", *RANGES)),
            "Gateway": lambda: self.chance.choice(("", *ADDRESSES)),
            "SandboxKey": lambda: self.chance.choice(("/var/run/docker/netns/0123456789ab", "", "/proc/self/ns/net")),
            "AuxAddresses": lambda: self.chance.choice((None, {"a": self.chance.choice(ADDRESSES)})),
            "Options": self._options,
            "V6": lambda: self.chance.random() < 0.3,
            "DATA": lambda: self.chance.choice(('{"port": "p"}', '"{}"', "null", "{", "[]", "")),
        }
        if name in by_name:
            return by_name[name]()
        if name in {"IPv4Data", "IPv6Data"}:
            (item,) = (one for one in kind.__args__ if one is not type(None))
            return [self._struct(item.__args__[0]) for _ in range(self.chance.choice((0, 1, 1, 1, 2)))]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(kind)
        structs = [one for one in getattr(kind, "__args__", ()) if isinstance(one, type)]
        if structs and issubclass(structs[0], msgspec.Struct):
            return self._struct(structs[0])
        return self.chance.choice((*RANGES, *ADDRESSES, "<nil>"))

    def _one(self, name: str, fresh: str) -> str:
        values = self.known.get(name, ())
        return self.chance.choice(values) if values and self.chance.random() < 0.8 else fresh

    def _id(self) -> str:
        return f"{self.chance.getrandbits(256):064x}"

    def _options(self) -> Any:
        names = self.chance.sample(OPTIONS, self.chance.choice((0, 0, 0, 1, 2)))
        options: dict[str, Any] = {name: self.chance.choice(VALUES) for name in names}
        if "com.docker.network.generic" in options and self.chance.random() < 0.8:
            options["com.docker.network.generic"] = {self.chance.choice(OPTIONS): self.chance.choice(VALUES)}
        return options

    def _spoil(self, value: Any) -> Any:
        """Spoil something, here or deeper within."""
        if isinstance(value, dict) and value and self.chance.random() < 0.9:
            name = self.chance.choice(list(value))
            match self.chance.randrange(8):
                case 0:
                    return {key: one for key, one in value.items() if key != name}
                case 1:
                    return {**value, self.chance.choice(("Extra", "\n", "x" * 2000)): self.chance.choice(NASTY)}
                case _:
                    return {**value, name: self._spoil(value[name])}
        if isinstance(value, list) and value and self.chance.random() < 0.7:
            place = self.chance.randrange(len(value))
            return [*value[:place], self._spoil(value[place]), *value[place + 1 :]]
        if isinstance(value, str) and self.chance.random() < 0.5:
            place = self.chance.randrange(len(value) + 1)
            nasty = self.chance.choice([one for one in NASTY if isinstance(one, str)])
            return value[:place] + nasty + value[place + self.chance.randrange(2) :]
        return self.chance.choice(NASTY)

    def _break(self, body: bytes) -> bytes:
        place = self.chance.randrange(len(body) + 1)
        match self.chance.randrange(4):
            case 0:
                return body[:place]
            case 1:
                return body[:place] + bytes([self.chance.randrange(256)]) + body[place + 1 :]
            case 2:
                return body * 2
            case _:
                return self.chance.choice((b"", b"null", b"[]", b"0", b'"', b"\xff\xfe", b"[" * 2000, b'{"a":' * 500))


def _encode(body: Any) -> bytes:
    return json.dumps(body).encode()
