"""The node's file keeps what it was told, through restarts, for one agent at a time."""

import json
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from fairlead.adapters.store import sqlite
from fairlead.adapters.store.sqlite import MIGRATIONS, SqliteStore
from fairlead.frontends.docker.records import KINDS as DOCKERS_KINDS
from fairlead.frontends.docker.records import AddressPool
from fairlead.model.errors import StoreError
from fairlead.model.network import HostRoute
from fairlead.model.records import (
    KINDS,
    Allocation,
    Batch,
    JoinedNetwork,
    JoinedSubnet,
    Lease,
    NetworkReference,
    Origin,
    ReservedAddress,
    Step,
)

ALL_KINDS = (*KINDS, *DOCKERS_KINDS)
POOL = AddressPool(
    "web@10.20.0.0/24",
    ip_network("10.20.0.0/24"),
    NetworkReference(name="web"),
    ip_address("10.20.0.1"),
    (ip_address("10.20.0.9"),),
)
ROUTE = HostRoute(ip_network("10.30.0.0/16"), ip_address("10.20.0.254"))
NETWORK = JoinedNetwork(
    "a" * 64,
    Step.HELD,
    1.5,
    subnets=(
        JoinedSubnet("s4", POOL.cidr, POOL.gateway, (ROUTE,)),
        JoinedSubnet("s6", ip_network("fd00::/64"), None),
    ),
    security_group_ids=("g",),
)
ALLOCATION = Allocation(
    "i",
    NETWORK.id,
    2.5,
    addresses=(ip_address("10.20.0.5"), ip_address("fd00::5")),
    reserved=frozenset({ip_address("10.20.0.5")}),
)


@contextmanager
def opened(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, ALL_KINDS)) as store:
        yield store


def test_every_kind_of_record_comes_back_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite") as store:
        for record in (POOL, NETWORK, ALLOCATION):
            store.put(record)
    with opened(tmp_path / "node.sqlite") as store:
        assert store.all(AddressPool) == [POOL]
        assert store.get(JoinedNetwork, NETWORK.id) == NETWORK
        assert store.get(Allocation, "i") == ALLOCATION
        store.delete(Allocation, "i")
        store.delete(Allocation, "never there")
    with opened(tmp_path / "node.sqlite") as store:
        assert store.all(Allocation) == []
        assert store.get(Allocation, "i") is None


def test_records_come_oldest_first_also_when_written_again(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite") as store:
        for name in ("b", "a", "c", "b"):
            store.put(Allocation(name, "n", 0.0))
        assert [one.id for one in store.all(Allocation)] == ["b", "a", "c"]
    with opened(tmp_path / "node.sqlite") as store:
        assert [one.id for one in store.all(Allocation)] == ["b", "a", "c"]


def test_a_second_agent_is_told_who_has_the_file(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite"), pytest.raises(StoreError, match=r"another agent \(pid \d+\)"):
        SqliteStore(tmp_path / "node.sqlite", ALL_KINDS)
    with opened(tmp_path / "node.sqlite"):
        pass


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "state" / "node.sqlite"):
        assert stat.S_IMODE((tmp_path / "state" / "node.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [b"not a database at all, but some text", b"{}"])
def test_a_damaged_file_is_moved_aside_and_the_store_begins_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "node.sqlite").write_bytes(damage * 100)
    with opened(tmp_path / "node.sqlite") as store:
        assert store.get(Origin, Origin.ID) is None
        store.put(ALLOCATION)
    (aside,) = tmp_path.glob("node.sqlite.damaged-*")
    assert aside.read_bytes() == damage * 100


def test_a_page_that_was_overwritten_is_found(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite") as store:
        for number in range(2000):
            store.put(replace(ALLOCATION, id=str(number)))
    with (tmp_path / "node.sqlite").open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"x" * 4096)
    with opened(tmp_path / "node.sqlite") as store:
        assert store.all(Allocation) == []
    assert list(tmp_path.glob("node.sqlite.damaged-*"))


def test_a_record_that_can_not_be_read_is_damage(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite") as store:
        store.put(ALLOCATION)
    with closing(sqlite3.connect(tmp_path / "node.sqlite")) as db:
        db.execute("UPDATE record SET body = '{\"id\": 1}'")
        db.commit()
    with opened(tmp_path / "node.sqlite") as store:
        assert store.all(Allocation) == []


FIRST_SCHEMA_ROWS = (
    ("JoinedNetwork", "a", {"id": "a", "step": "held", "since": 1.0}),
    (
        "Allocation",
        "i1",
        {"id": "i1", "step": "held", "engine_network": "a", "since": 2.5, "port_id": "p1", "mac": "fa:16:3e:00:00:01",
         "addresses": ["10.20.0.5"], "claimed": ["10.20.0.5"], "endpoint_id": "e1", "named": True},
    ),
    (
        "Allocation",
        "i2",
        {"id": "i2", "step": "leaving", "engine_network": "a", "since": 3.5, "port_id": "p2", "mac": "",
         "addresses": ["10.20.0.6"], "claimed": [], "endpoint_id": "", "named": False},
    ),
    (
        "Allocation",
        "i3",
        {"id": "i3", "step": "wanted", "engine_network": "a", "since": 4.5, "port_id": "", "mac": "",
         "addresses": [], "claimed": [], "endpoint_id": "", "named": False},
    ),
)  # fmt: skip


def test_a_file_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "node.sqlite")) as db:
        db.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1")
        db.executemany(
            "INSERT INTO record VALUES (?, ?, ?)",
            [(kind, one, json.dumps(body)) for kind, one, body in FIRST_SCHEMA_ROWS],
        )
        db.commit()
    with opened(tmp_path / "node.sqlite") as store:
        address = ip_address("10.20.0.5")
        assert store.all(Allocation) == [
            Allocation("p1", "a", 2.5, "fa:16:3e:00:00:01", (address,), frozenset({address}), owner="e1", told="e1"),
            Allocation("p2", "a", 3.5, addresses=(ip_address("10.20.0.6"),), leaving=True),
        ]
        assert store.all(Batch) == [Batch("i3", "a", 4.5)]
        assert store.get(Origin, Origin.ID) == Origin()


def test_a_file_of_the_third_schema_tells_the_same_by_its_new_names(tmp_path: Path) -> None:
    four = {"subnet_id": "", "pool_id": "*@10.20.0.0/24", "cidr": "10.20.0.0/24", "gateway": "10.20.0.1", "routes": []}
    rows = (
        (
            "AddressPool",
            "*@10.20.0.0/24",
            {"id": "*@10.20.0.0/24", "cidr": "10.20.0.0/24", "reference": {}, "gateway": "10.20.0.1",
             "reserved": ["10.20.0.9"], "engine_network": "a", "part": "10.20.0.128/25"},
        ),
        ("JoinedNetwork", "a", {"id": "a", "step": "held", "since": 1.0, "subnets": [four, {**four, "pool_id": ""}]}),
        ("JoinedNetwork", "b", {"id": "b", "step": "wanted", "since": 1.0, "subnets": []}),
        (
            "Claim",
            "10.20.0.5",
            {"id": "10.20.0.5", "engine_network": "a", "since": 3.0, "endpoint_id": "e", "mac": "m"},
        ),
        (
            "Lease",
            "a",
            {"id": "a", "parts": ["10.20.0.0/26"], "addresses": ["10.0.0.1"], "since": 1.0, "engine_network": "a"},
        ),
        (
            "Allocation",
            "p1",
            {"id": "p1", "engine_network": "b", "since": 2.0, "addresses": ["10.20.0.6"], "claimed": ["10.20.0.6"],
             "endpoint_id": "e1", "told": "e1", "soiled": True},
        ),
    )  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "node.sqlite")) as db:
        db.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 3")
        db.executemany(
            "INSERT INTO record VALUES (?, ?, ?)", [(kind, one, json.dumps(body)) for kind, one, body in rows]
        )
        db.commit()
    cidr, part = ip_network("10.20.0.0/24"), ip_network("10.20.0.128/25")
    gateway, spare = ip_address("10.20.0.1"), ip_address("10.20.0.9")
    with opened(tmp_path / "node.sqlite") as store:
        (pool,) = store.all(AddressPool)
        assert (pool.auxiliary, pool.joined_id, pool.part) == ((spare,), "a", part)
        one, two = store.all(JoinedNetwork)
        assert one.subnets == (
            JoinedSubnet("", cidr, gateway, part=part, excluded=(spare,)),
            JoinedSubnet("", cidr, gateway),
        )
        assert two.subnets == ()
        assert store.all(ReservedAddress) == [ReservedAddress("10.20.0.5", "a", 3.0, "e", "m")]
        (lease,) = store.all(Lease)
        assert lease.joined_id == "a"
        (port,) = store.all(Allocation)
        assert (port.joined_id, port.owner, port.dirty, set(port.reserved)) == (
            "b",
            "e1",
            True,
            {ip_address("10.20.0.6")},
        )


def test_a_record_of_an_older_schema_that_can_not_be_read_is_damage(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "node.sqlite")) as db:
        db.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 3")
        db.execute("INSERT INTO record (kind, id, body) VALUES ('JoinedNetwork', 'n', '{\"id\": ')")
        db.commit()
    with opened(tmp_path / "node.sqlite") as store:
        assert not store.all(JoinedNetwork)
    assert list(tmp_path.glob("node.sqlite.damaged-*"))


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "node.sqlite") as store:
        store.put(NETWORK)
    wrong = (*MIGRATIONS, "DELETE FROM record; SELECT nonsense FROM nowhere")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "MIGRATIONS", wrong)
        with pytest.raises(StoreError):
            SqliteStore(tmp_path / "node.sqlite", ALL_KINDS)
    with opened(tmp_path / "node.sqlite") as store:
        assert store.all(JoinedNetwork) == [NETWORK]


def test_a_file_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite"):
        pass
    with closing(sqlite3.connect(tmp_path / "node.sqlite")) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match="upgrade"):
        SqliteStore(tmp_path / "node.sqlite", ALL_KINDS)


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't open"):
        SqliteStore(tmp_path / "file" / "node.sqlite", ALL_KINDS)
