"""Processes of a lab: started apart from the command that starts them, ended for certain."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.manifest import ProcessId
from fairlead_lab.packages import SEARCH_PATH

# The shell joins the cgroup, forks the program away (so that no lab process is a child of the command, of a test
# or of a user's shell) and prints its pid.
_DETACH = 'echo 0 >"$1" && shift && log=$1 && shift && { "$@" </dev/null >>"$log" 2>&1 & echo $!; }'
_JOIN = 'echo 0 >"$1" && shift && exec "$@"'

# Seconds a killed process may take to give its memory back.
_TO_DIE = 10.0


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment that owes nothing to the user's: no proxy, no PYTHON*, no OS_*."""
    return {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": "/root", **(extra or {})}


def entering(holder: ProcessId, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in the namespaces a process holds."""
    return ["nsenter", "-t", str(holder.pid), "-m", "-n", "-u", "--", *argv]


def joining(cgroup: Path, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` as a member of a cgroup."""
    return ["sh", "-c", _JOIN, "sh", str(cgroup / "cgroup.procs"), *argv]


def spawn(
    argv: Sequence[str], *, cgroup: Path, log: Path, environment: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> ProcessId:
    """Start a daemon in a session and a cgroup of its own, output appended to `log`; raises LabError."""
    command = ["sh", "-c", _DETACH, "sh", str(cgroup / "cgroup.procs"), str(log), *argv]
    started = subprocess.run(
        command,
        env=dict(environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
        check=False,
    )
    if started.returncode != 0:
        raise LabError(f"can't start {argv[0]}: {started.stderr.strip()}")
    pid = int(started.stdout)
    return ProcessId(pid, start_time(pid) or 0)


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of a living process; None when there is none, or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def program(pid: int) -> str:
    """The short name of what a process runs; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def is_alive(process: ProcessId | None) -> bool:
    """Whether exactly this process still runs."""
    return process is not None and start_time(process.pid) == process.started


def stop(process: ProcessId, patience: float) -> None:
    """Ask a process to end and after `patience` seconds make it; at once when `patience` is 0."""
    if patience:
        _signal(process, signal.SIGTERM)
    if not patience or not wait_gone([process], patience):
        _signal(process, signal.SIGKILL)
        wait_gone([process], _TO_DIE)


def kill_all(pids: Iterable[int]) -> None:
    """Kill processes at once. The caller has just found them by an owner's mark, not by a number of old."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_gone(processes: Sequence[ProcessId], patience: float) -> bool:
    """Wait until none of the processes runs; False when some still did after `patience` seconds."""
    limit = time.monotonic() + patience
    while any(is_alive(process) for process in processes):
        if time.monotonic() > limit:
            return False
        time.sleep(0.005)
    return True


def descendants(pids: Iterable[int]) -> frozenset[int]:
    """All children, grandchildren and so on of the given processes."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
            except OSError:  # ended meanwhile
                continue
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    wanted = set(pids)
    while fresh := {pid for pid, parent in parents.items() if parent in wanted} - found:
        found |= fresh
        wanted = fresh
    return frozenset(found)


def proportional_memory(pid: int) -> int:
    """Bytes of memory that are this process's share (PSS); 0 when it is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def _signal(process: ProcessId, number: int) -> None:
    if is_alive(process):
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return
