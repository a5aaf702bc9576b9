"""A private Open vSwitch: an ovsdb-server and an ovs-vswitchd of a test's own, in the test's network namespace."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.functional.namespaces import run

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
BRIDGE = "br-int"
_START_S = 10.0


class Switch:
    """The two daemons and their files in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.remote = f"unix:{directory}/db.sock"
        self._database: subprocess.Popen[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        run("ovsdb-tool", "create", f"{directory}/conf.db", str(SCHEMA))

    def start_database(self) -> None:
        path = self.directory / "db.sock"
        path.unlink(missing_ok=True)
        self._database = self._start("ovsdb-server", f"{self.directory}/conf.db", f"--remote=p{self.remote}")
        until(lambda: _listens(path), "ovsdb-server does not listen")

    def start_daemon(self) -> None:
        self._daemon = self._start("ovs-vswitchd", self.remote)

    def stop_database(self) -> None:
        _stop(self._database)
        self._database = None

    def stop_daemon(self) -> None:
        _stop(self._daemon)
        self._daemon = None

    @contextmanager
    def frozen_database(self) -> Iterator[None]:
        with _frozen(self._database):
            yield

    @contextmanager
    def frozen_daemon(self) -> Iterator[None]:
        with _frozen(self._daemon):
            yield

    def make_bridge(self, datapath: str = "netdev") -> None:
        self.vsctl("add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, f"datapath_type={datapath}", "fail_mode=standalone")

    def vsctl(self, *command: str) -> str:
        return run("ovs-vsctl", "--timeout=10", f"--db={self.remote}", *command)

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        """All rows of a table by name, each a mapping of columns to plain values."""
        listed = json.loads(self.vsctl("--format=json", "list", table))
        rows = [dict(zip(listed["headings"], map(_plain, row), strict=True)) for row in listed["data"]]
        return {row["name"]: row for row in rows}

    def fairlead_rows(self) -> set[str]:
        return {name for table in ("Port", "Interface") for name in self.rows(table) if name.startswith("fl")}

    def comments(self) -> list[str]:
        """The comments of all transactions in the database's own log, oldest first."""
        log = run("ovsdb-tool", "show-log", f"{self.directory}/conf.db")
        return re.findall(r'^record \d+: \S+ \S+ "(.*)"$', log, re.MULTILINE)

    def close(self) -> None:
        self.stop_daemon()
        self.stop_database()

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        directory = self.directory
        quiet = ["-vconsole:off", f"--log-file={directory}/{program}.log", f"--unixctl={directory}/{program}.ctl"]
        environ = {
            **os.environ,
            "OVS_RUNDIR": str(directory),
            "OVS_LOGDIR": str(directory),
            "OVS_DBDIR": str(directory),
        }
        return subprocess.Popen([program, *arguments, *quiet], env=environ, stderr=subprocess.DEVNULL)


def _listens(path: Path) -> bool:
    """Say whether somebody accepts connections; the socket is there a moment before."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def until(condition: Any, complaint: str) -> None:
    """Wait until a condition holds; for what has no event to wait for."""
    limit = time.monotonic() + _START_S
    while not condition():
        assert time.monotonic() < limit, complaint
        time.sleep(0.005)


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait()


@contextmanager
def _frozen(process: subprocess.Popen[bytes] | None) -> Iterator[None]:
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _plain(value: Any) -> Any:
    """Turn RFC 7047's notation of a value (section 5.1) into Python's."""
    match value:
        case ["map", pairs]:
            return dict(pairs)
        case ["set", values]:
            return [_plain(each) for each in values]
        case ["uuid", identity]:
            return identity
    return value
