"""The node's own truth in one SQLite file (write-ahead log), mirrored in memory.

Reads never touch the file. A write is one transaction of some tens of microseconds; with `synchronous=NORMAL` a crash
of the process loses nothing, and a crash of the machine at most the last moments, which the reconciler mends.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import IO, Any, get_args

import structlog
from cattrs import BaseValidationError
from cattrs.preconf.json import JsonConverter, make_converter

from fairlead.adapters.store.folder import open_folder
from fairlead.model.errors import StoreError
from fairlead.model.network import IPAddress, IPNetwork
from fairlead.ports.store import R, Record

# One statement list per version of the schema; `PRAGMA user_version` says how many have been applied.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE record (
        kind TEXT NOT NULL,
        id   TEXT NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (kind, id)
    )
    """,
    # A store that has anything tells the whole of its node.
    """
    INSERT INTO record (kind, id, body)
        SELECT 'Origin', 'node', '{"id": "node"}' WHERE EXISTS (SELECT 1 FROM record)
    """,
    # Allocations are known by their port's id; one without a port was an intent, and those are batches now.
    """
    INSERT INTO record (kind, id, body)
        SELECT 'Batch', id, json_object(
            'id', id, 'engine_network', body ->> 'engine_network', 'since', body -> 'since'
        )
        FROM record WHERE kind = 'Allocation' AND body ->> 'port_id' = '';
    DELETE FROM record WHERE kind = 'Allocation' AND body ->> 'port_id' = '';
    UPDATE record SET
        id = body ->> 'port_id',
        body = json_remove(
            json_set(
                body,
                '$.id', body ->> 'port_id',
                '$.leaving', json(iif(body ->> 'step' = 'leaving', 'true', 'false')),
                '$.told', iif(body ->> 'named', body ->> 'endpoint_id', ''),
                '$.single_use', json('false'),
                '$.rests_until', 0.0
            ),
            '$.step', '$.port_id', '$.named'
        )
        WHERE kind = 'Allocation';
    """,
    # The fields have the names of 0.2, and a subnet tells what its address pool told.
    """
    UPDATE record SET body = json_set(
            body, '$.subnets', (
                SELECT json_group_array(json_remove(
                    json_set(
                        subnet.value,
                        '$.part', pool.body ->> 'part',
                        '$.excluded', json(coalesce(pool.body -> 'reserved', '[]'))
                    ), '$.pool_id'
                ))
                FROM json_each(record.body, '$.subnets') AS subnet
                LEFT JOIN record AS pool ON pool.kind = 'AddressPool' AND pool.id = subnet.value ->> 'pool_id'
            )
        )
        WHERE kind = 'JoinedNetwork';
    UPDATE record SET body = json_remove(
            json_set(body, '$.auxiliary', json(coalesce(body -> 'reserved', '[]'))), '$.reserved'
        )
        WHERE kind = 'AddressPool';
    UPDATE record SET body = json_remove(
            json_set(body, '$.joined_id', body ->> 'engine_network'), '$.engine_network'
        )
        WHERE body ->> 'engine_network' IS NOT NULL;
    UPDATE record SET body = json_remove(
            json_set(body, '$.dirty', json(iif(body ->> 'soiled', 'true', 'false')),
                '$.reserved', json(coalesce(body -> 'claimed', '[]')),
                '$.owner', body ->> 'endpoint_id'),
            '$.soiled', '$.claimed', '$.endpoint_id'
        )
        WHERE kind = 'Allocation';
    UPDATE record SET kind = 'ReservedAddress', body = json_remove(
            json_set(body, '$.owner', body ->> 'endpoint_id'), '$.endpoint_id'
        )
        WHERE kind = 'Claim';
    """,
)


_DAMAGE = (sqlite3.DatabaseError, ValueError, BaseValidationError)
"""What a file raises that does not hold what was written."""

log = structlog.get_logger(__name__)


def _converter() -> JsonConverter:
    """Between records and JSON: addresses and ranges travel as text."""
    converter = make_converter()
    converter.register_structure_hook(IPAddress, lambda text, _: ip_address(text))
    converter.register_structure_hook(IPNetwork, lambda text, _: ip_network(text))
    for kind in (*get_args(IPAddress), *get_args(IPNetwork)):
        converter.register_unstructure_hook(kind, str)
    return converter


class SqliteStore:
    """LeaseStore over one file; one process at a time.

    kinds: of the records that it holds. A damaged file is moved aside, and the store begins empty. Raises StoreError
    where the file can't be opened, belongs to a newer Fairlead, or another agent holds it.
    """

    def __init__(self, path: Path, kinds: Sequence[type[Record]]) -> None:
        self._path = path
        self._kinds = kinds
        self._converter = _converter()
        self._lock = _lock(path)
        self._records: dict[type[Record], dict[str, Record]] = {}
        try:
            try:
                self._open()
            except _DAMAGE as error:
                if isinstance(error, sqlite3.OperationalError):  # no space, no right, a disk that fails
                    raise
                self._move_aside(error)
                self._open()
        except (sqlite3.Error, OSError) as error:
            self._lock.close()
            raise StoreError(
                f"can't read {path}: {error}", remedy="mend the disk, or move the file away and restart the agent"
            ) from error
        except StoreError:
            self._lock.close()
            raise

    def close(self) -> None:
        """Close the file and let another process have it."""
        self._db.close()
        self._lock.close()

    def put(self, record: Record) -> None:
        """Write a record, in the place of the one with its id."""
        body = self._converter.dumps(record)
        self._execute(
            "INSERT INTO record (kind, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (type(record).__name__, record.id, body),
        )
        self._records[type(record)][record.id] = record

    def get(self, kind: type[R], record_id: str) -> R | None:
        """Return one record."""
        record = self._records[kind].get(record_id)
        return record if isinstance(record, kind) else None

    def all(self, kind: type[R]) -> list[R]:
        """Return every record of a kind, oldest first."""
        return [record for record in self._records[kind].values() if isinstance(record, kind)]

    def delete(self, kind: type[R], record_id: str) -> None:
        """Forget a record; fine where there is none."""
        self._execute("DELETE FROM record WHERE kind = ? AND id = ?", (kind.__name__, record_id))
        self._records[kind].pop(record_id, None)

    def _execute(self, statement: str, values: tuple[Any, ...]) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"can't write {self._path}: {error}", remedy="free space, or mend the disk") from error

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None)
        try:
            self._path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._check()
            self._migrate()
            self._records = {kind: self._load(kind) for kind in self._kinds}
        except BaseException:
            self._db.close()
            raise

    def _check(self) -> None:
        """Look at every page, which takes 1 ms for each 300 ports: reading rows would miss a damaged index."""
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)

    def _move_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        self._path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        log.warning("this node's memory is damaged: moved aside", file=str(aside), error=str(error))

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self._path} has schema {version}, newer than this agent's {len(MIGRATIONS)}",
                remedy="upgrade Fairlead on this host",
            )
        for number, statement in enumerate(MIGRATIONS[version:], start=version + 1):
            try:
                self._db.executescript(f"BEGIN IMMEDIATE; {statement}; PRAGMA user_version = {number}; COMMIT")
            except sqlite3.OperationalError as error:
                if "malformed JSON" in str(error):  # SQLite has no code of its own for a record that can't be read
                    raise sqlite3.DatabaseError(str(error)) from error
                raise

    def _load(self, kind: type[Record]) -> dict[str, Record]:
        rows = self._db.execute("SELECT body FROM record WHERE kind = ? ORDER BY rowid", (kind.__name__,))
        records = [self._converter.loads(body, kind) for (body,) in rows]
        return {record.id: record for record in records}


def _lock(path: Path) -> IO[bytes]:
    """Hold the store for this process. The lock is on a file of its own: SQLite's belong to SQLite."""
    try:
        open_folder(path.parent)
        # SQLite gives the files beside it the rights of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        handle = open(os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")  # noqa: PTH123, SIM115
    except OSError as error:
        raise StoreError(
            f"can't open {path}: {error.strerror}", remedy="run as root, or set agent.state_dir"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = handle.read().decode(errors="replace").strip()
        handle.close()
        raise StoreError(
            f"another agent (pid {owner or 'unknown'}) uses {path}", remedy="stop it first, or set agent.state_dir"
        ) from error
    handle.truncate(0)
    handle.write(str(os.getpid()).encode())
    handle.flush()
    return handle
