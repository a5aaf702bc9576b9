"""The node's file keeps what it was told, through restarts, for one agent at a time."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from fairlead.adapters.store.sqlite import MIGRATIONS, SqliteStore
from fairlead.model.errors import StoreError
from fairlead.model.network import HostRoute
from fairlead.model.records import AddressPool, Allocation, JoinedNetwork, JoinedSubnet, NetworkReference, Step

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
        JoinedSubnet("s4", POOL.id, POOL.cidr, POOL.gateway, (ROUTE,)),
        JoinedSubnet("s6", "x", ip_network("fd00::/64"), None),
    ),
    security_group_ids=("g",),
)
ALLOCATION = Allocation(
    "i",
    Step.HELD,
    NETWORK.id,
    2.5,
    addresses=(ip_address("10.20.0.5"), ip_address("fd00::5")),
    claimed=frozenset({ip_address("10.20.0.5")}),
)


@contextmanager
def opened(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as store:
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
            store.put(Allocation(name, Step.WANTED, "n", 0.0))
        assert [one.id for one in store.all(Allocation)] == ["b", "a", "c"]
    with opened(tmp_path / "node.sqlite") as store:
        assert [one.id for one in store.all(Allocation)] == ["b", "a", "c"]


def test_a_second_agent_is_told_who_has_the_file(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite"), pytest.raises(StoreError, match=r"another agent \(pid \d+\)"):
        SqliteStore(tmp_path / "node.sqlite")
    with opened(tmp_path / "node.sqlite"):
        pass


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "state" / "node.sqlite"):
        assert stat.S_IMODE((tmp_path / "state" / "node.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [b"not a database at all, but some text", b"{}"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "node.sqlite").write_bytes(damage * 100)
    with pytest.raises(StoreError, match=r"node\.sqlite.*move it away"):
        SqliteStore(tmp_path / "node.sqlite")


def test_a_record_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite") as store:
        store.put(ALLOCATION)
    with closing(sqlite3.connect(tmp_path / "node.sqlite")) as db:
        db.execute("UPDATE record SET body = '{\"id\": 1}'")
        db.commit()
    with pytest.raises(StoreError, match="move it away"):
        SqliteStore(tmp_path / "node.sqlite")


def test_a_file_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite"):
        pass
    with closing(sqlite3.connect(tmp_path / "node.sqlite")) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match="upgrade"):
        SqliteStore(tmp_path / "node.sqlite")


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't open"):
        SqliteStore(tmp_path / "file" / "node.sqlite")
