"""The side of the OVSDB connection that lives in ovsdbapp's thread: the replica, and calls made within a transaction.

Importing this imports ovsdbapp (0.1 s), so `ovsdb` does it in its own thread and only when it first connects.
"""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Generic

import ovs.json
from ovs.db.idl import ROW_DELETE, SchemaHelper
from ovsdbapp.backend.ovs_idl.command import BaseCommand
from ovsdbapp.backend.ovs_idl.connection import Connection, OvsdbIdl
from ovsdbapp.backend.ovs_idl.transaction import Transaction

from fairlead.adapters.ovsdb.events import Configured, Connected, Gone, Report
from fairlead.adapters.ovsdb.messages import Parser
from fairlead.adapters.ovsdb.rows import Change, T, interface_state
from fairlead.adapters.ovsdb.schema import SCHEMA

_BACKOFF_MS = 1000  # the least that ovs allows; its default grows to 8 s, longer than a container's start may wait

if ovs.json.PARSER == ovs.json.PARSER_PY:
    ovs.json.Parser = Parser  # ovs.jsonrpc looks it up here for each message, and has no other way to be given one


class Disconnected(Exception):
    """The replica is not in step with the database just now."""


class Expired(Exception):
    """Whoever asked for the change has given up: it must not be made any more."""


class Call(BaseCommand, Generic[T]):  # type: ignore[misc]  # ovsdbapp's types are unknown
    """One change, as ovsdbapp's transactions take it. sent says whether the database had to be asked."""

    def __init__(self, idl: Any, change: Change[T], deadline: float) -> None:
        super().__init__(SimpleNamespace(idl=idl))
        self._change = change
        self._deadline = deadline
        self.sent = False

    def run_idl(self, txn: Any) -> None:
        """Make the change within the transaction; called again when the database moved under it."""
        if time.monotonic() > self._deadline:
            raise Expired
        if not self.api.idl.in_step:
            raise Disconnected
        self.result = self._change(self.api.idl.tables, txn)

    def post_commit(self, _txn: Any) -> None:
        """Take note that the database was asked; called after a transaction that changed something."""
        self.sent = True


class _Replica(OvsdbIdl):  # type: ignore[misc]  # ovsdbapp's types are unknown
    """The replica of SCHEMA's tables, reporting what it learns."""

    def __init__(self, remote: str, report: Callable[[Report], None]) -> None:
        helper = SchemaHelper(schema_json=SCHEMA)
        helper.register_all()
        super().__init__(remote, helper)
        self._session.reconnect.set_backoff(_BACKOFF_MS, _BACKOFF_MS)
        self._report = report
        for table in ("Bridge", "Port", "Interface"):
            self.index_create(table, "name").add_column("name")

    @property
    def in_step(self) -> bool:
        """Whether the replica follows the database at this moment."""
        connected: bool = self._session.is_connected()
        return connected and self.state == self.IDL_S_MONITORING

    def cooperative_yield(self) -> None:
        """Go on at once: ovsdbapp would sleep here after each row, for callers with green threads."""

    def run(self) -> Any:
        """Work off what the server sent, and report when the replica has come into step."""
        before = self.in_step
        changed = super().run()
        if self.in_step and not before:
            self._report(Connected())
        return changed

    def notify(self, event: str, row: Any, updates: Any = None) -> None:  # noqa: ARG002
        """Report an Interface that is new or changed, and the configuration that ovs-vswitchd has brought about."""
        table = row._table.name
        if table == "Open_vSwitch":
            self._report(Configured(row.cur_cfg))
        elif table == "Interface":
            state = interface_state(row) if event != ROW_DELETE else None
            self._report(state or Gone(row.uuid, row.name))


class Replica:
    """A running connection with its thread. Its calls block; make them from one thread."""

    def __init__(self, remote: str, timeout: float, report: Callable[[Report], None]) -> None:
        """Connect and wait for the first contents; raises ovsdbapp's TimeoutException after timeout seconds.

        report is called in the connection's thread.
        """
        replica = _Replica(remote, report)
        self._connection = Connection(replica, timeout)
        self._timeout = timeout
        try:
            self._connection.start()
        except BaseException:
            replica.close()
            raise

    def call(self, change: Change[T], deadline: float) -> Call[T]:
        """Run one change in a transaction of its own and return when it is committed.

        deadline is on time.monotonic(). Raises what the change raises, Disconnected, Expired, ovsdbapp's
        TimeoutException, and RuntimeError where the database refuses the transaction.
        """
        call = Call(self._connection.idl, change, deadline)
        transaction = Transaction(call.api, self._connection, self._timeout, check_error=True, log_errors=False)
        transaction.add(call)
        transaction.commit()
        return call

    def read(self, change: Change[T], deadline: float) -> T:
        """Run a change that only reads, on the replica as it is: no transaction, and no turn of the other thread.

        deadline and errors as in call.
        """
        idl = self._connection.idl
        if not self._connection.lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise Expired
        try:
            if not idl.in_step:
                raise Disconnected
            return change(idl.tables, None)
        finally:
            self._connection.lock.release()

    def close(self) -> None:
        """Stop the thread and the connection."""
        if self._connection.txns.full():  # a call whose asker has given up would keep stop() waiting
            self._connection.txns.get_nowait()
        self._connection.stop(self._timeout)
