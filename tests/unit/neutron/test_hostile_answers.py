"""Answers that Neutron never gave and may give one day: nulls, wrong types, texts that are no addresses, and worse.

Each field of each thing that is read is tried, as the types say what there is; none is picked by hand.
"""

import json
import types
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService, groups, headroom, reading, resources, routers, trunks, wire
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.errors import over_quota, read_answer
from fairlead.core.background.evidence import Evidence
from fairlead.core.reconcile.from_ports import PortRecollection
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.errors import CloudUnavailable, FairleadError, QuotaExceeded
from fairlead.model.network import NewNetwork, NewSubnet
from fairlead_lab.fakes import FakeCloud
from tests.unit.docker.dockerd import DriverError, Host
from tests.unit.docker.instance import boot
from tests.unit.docker.test_trunk import binding as trunk_of

Kind = type[msgspec.Struct]

SPECIAL = {
    "cidr": "10.0.0.0/24",
    "gateway_ip": "10.0.0.1",
    "ip_address": "10.0.0.5",
    "destination": "10.1.0.0/24",
    "nexthop": "10.0.0.2",
    "start": "10.0.0.2",
    "end": "10.0.0.9",
    "remote_ip_prefix": "10.2.0.0/16",
    "direction": "ingress",
    "ethertype": "IPv4",
}
"""What Neutron says where not any text will do, by the field's name."""

WRONG: list[Any] = [7, -1, 1.5, True, "not so", "", [], [[]], ["x"], {}, {"a": 1}, [None], [{"id": None}]]

ANSWERS: list[Kind] = [
    wire.NetworkWire,
    wire.SubnetWire,
    wire.PortWire,
    wire.AddressesWire,
    headroom.QuotaDetailsWire,
    headroom.NetworkUsageWire,
    wire.NamedWire,
    groups._GroupWire,
    routers._RouterWire,
    routers._InterfaceWire,
    trunks._TrunkWire,
]
"""What is read at the top of an answer; what is within these follows from their fields."""


def sample(name: str, kind: Any) -> Any:
    """Make up a value of a field."""
    options = [one for one in get_args(kind) if one is not types.NoneType]
    if get_origin(kind) in {Union, types.UnionType}:
        return sample(name, options[0])
    if get_origin(kind) is list:
        return [sample(name, options[0])]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {one.encode_name: sample(one.encode_name, one.type) for one in msgspec.structs.fields(kind)}
    return {str: SPECIAL.get(name, f"a {name}"), int: 3, bool: True}[kind]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place within a value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Copy a value with another one at a place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def read(kind: Kind, answer: Any) -> None:
    """Read it as one object and as a page, and use it."""
    alone, listed = json.dumps({"it": answer}).encode(), json.dumps({"it": [answer]}).encode()
    for found in (resources.read_one(alone, "it", kind), *resources.read_several(listed, "it", kind)):
        if hasattr(found, "model"):
            found.model()
        for one in getattr(found, "subnets", ()):
            assert getattr(one, "free", 0) is not None


def is_read(kind: Kind, answer: Any) -> bool:
    """Say whether it is Neutron's; nothing but this one error says that it is not."""
    try:
        read(kind, answer)
    except CloudUnavailable:
        return False
    return True


CASES = [
    pytest.param(kind, path, id=f"{kind.__name__}-{'.'.join(map(str, path))}")
    for kind in ANSWERS
    for path in places(sample("", kind))
]


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_what_is_made_up_of_the_types_is_read(kind: Kind) -> None:
    read(kind, sample("", kind))


def test_everything_that_is_read_is_tried() -> None:
    written = {"_NewNetworkWire", "_NewSubnetWire", "_NewPortWire", "_PortChangeWire", "_NewGroupWire", "_NewRuleWire"}
    written |= {"_PortOnlyWire", "_SubnetChangeWire"}
    tried, rest = set[Kind](), list(ANSWERS)
    while rest:
        kind = rest.pop()
        tried.add(kind)
        for one in msgspec.structs.fields(kind):
            found = [one.type, *get_args(one.type)]
            rest += [each for each in found if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    declared = {
        one
        for module in (wire, reading, groups, headroom, routers, trunks)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, msgspec.Struct) and one is not msgspec.Struct
    }
    assert {one.__name__ for one in declared - tried} == written | {"LinkWire"}


@pytest.mark.parametrize(("kind", "path"), CASES)
def test_a_null_anywhere_is_as_if_nothing_were_said_there(kind: Kind, path: tuple[Any, ...]) -> None:
    """What can't be done without, an id or a MAC, is missed with an error that says so."""
    answer = put(sample("", kind), path, None)
    needed = {"id", "network_id", "mac_address", "cidr", "port_id", "segmentation_id", "subnet_id"}
    needed |= {"ip_address", "start", "end", "destination", "nexthop", "port", "limit", "used"}
    needed |= {one for one in SPECIAL if one not in {"gateway_ip", "remote_ip_prefix", "direction", "ethertype"}}
    needed |= {"total_ips", "used_ips", "total_ips_in_allocation_pool", "used_ips_in_allocation_pool"}
    assert is_read(kind, answer) or not path or path[-1] in needed


@pytest.mark.parametrize(("kind", "path"), CASES)
def test_a_wrong_type_anywhere_is_borne_or_told_of(kind: Kind, path: tuple[Any, ...]) -> None:
    for wrong in WRONG:
        is_read(kind, put(sample("", kind), path, wrong))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"ports": null}',
        b'{"ports": {}}',
        b'{"ports": [{"id": "\xff"}]}',
        b'{"ports": ' + b"[" * 100_000,
        b'{"ports": [null, {"id": ' + b"[" * 5000 + b"]" * 5000 + b"}]}",
    ],
    ids=repr,
)
def test_what_is_no_answer_at_all_is_not_neutrons(body: bytes) -> None:
    """Least of all is it an empty list: what is not listed is deleted in the end."""
    with pytest.raises(CloudUnavailable, match="not Neutron's"):
        resources.read_several(body, "ports", wire.PortWire)
    assert read_answer(500, body, "http://neutron").status == 500


@pytest.mark.parametrize("listed", ["[oops", "['port'", "[{}]", "['port', ['x']]", "[__import__('os')]", "[" * 10_000])
def test_a_quota_that_is_told_oddly_is_a_quota_all_the_same(listed: str) -> None:
    answer = read_answer(409, json.dumps({"NeutronError": {"message": f"resources: {listed}]"}}).encode(), "http://x")
    assert isinstance(over_quota(answer, {"port": 3}), QuotaExceeded)


async def test_pages_that_lead_back_to_each_other_come_to_an_end(
    cloud: FakeCloud, neutron: NeutronService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(*_: Any, **__: Any) -> bytes:
        return b'{"networks": [], "networks_links": [{"rel": "next", "href": "http://x/v2.0/networks?marker=a"}]}'

    monkeypatch.setattr(neutron._client, "call", answer)
    with pytest.raises(CloudUnavailable, match="not Neutron's"):
        await neutron.find_networks()


NULLABLE: dict[str, Kind] = {
    "network": wire.NetworkWire,
    "subnet": wire.SubnetWire,
    "port": wire.PortWire,
    "trunk": trunks._TrunkWire,
    "extension": wire.NamedWire,
    "security_group": groups._GroupWire,
}


def with_null(body: bytes, key: str, field: str) -> bytes:
    """Answer with null in one field of each thing of a kind."""
    answer = json.loads(body or b"{}")
    things = [*answer.get(f"{key}s", ()), *([answer[key]] if key in answer else [])]
    for one in things:
        one[field] = None
    return json.dumps(answer).encode()


@pytest.mark.parametrize(
    ("key", "field"), [(key, one.encode_name) for key, kind in NULLABLE.items() for one in msgspec.structs.fields(kind)]
)
async def test_a_null_in_neutrons_answers_ends_no_command_without_a_reason_and_nothing_that_is_done_behind(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, field: str
) -> None:
    exchange = NeutronClient.exchange

    async def nulled(*args: Any, **more: Any) -> bytes:
        return with_null(await exchange(*args, **more), key, field)

    host, _ = await boot(cloud, tmp_path, trunk_of, limits=PoolLimits(floor=2, cool_down=5.0), trunk=True)
    monkeypatch.setattr(NeutronClient, "exchange", nulled)
    try:
        for options in ({}, {"neutron.security_groups": "default"}):
            with suppress(DriverError):
                network = await host.network_create(SPECIAL["cidr"], subnet6="fd00:20::/64", options=options)
                await host.behind(10)
                with suppress(DriverError):
                    for container in (await host.run(network), await host.run(network, ip="10.0.0.99")):
                        await host.rm(container)
                await host.behind(60)
                await host.core.reconciliation.step()
                await host.network_rm(network)
        await host.restart()
        with suppress(FairleadError):
            await PortRecollection(host.node, 0.0, Evidence(host.clock)).recollect()
        await host.behind(60)
    finally:
        monkeypatch.undo()
        await host.stop()
    assert 500 not in {status for _, status in host.observed}, "what nobody foresaw"


@pytest.mark.parametrize("field", ["description", "name", "created_at", "revision_number", "mtu"])
async def test_a_network_of_a_user_with_a_null_is_adopted_as_any_other(
    cloud: FakeCloud, tmp_path: Path, field: str
) -> None:
    cidr = SPECIAL["cidr"]
    async with NeutronService(cloud.credentials("member")) as member:
        made = await member.create_network(NewNetwork("users"))
        await member.create_subnet(NewSubnet(made.id, ip_network(cidr), None))
    cloud.store.resources["networks"][made.id][field] = None
    by_id = {"neutron.net.uuid": made.id}
    host = Host("h1", cloud.credentials("member"), tmp_path)
    await host.start()
    try:
        network = await host.network_create(cidr, ipam_options=by_id, options=by_id)
        await host.rm(await host.run(network))
    finally:
        await host.stop()
