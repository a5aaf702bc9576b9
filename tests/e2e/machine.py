"""What is on a machine, so that before and after can be compared."""

import os
import time
from dataclasses import dataclass, fields
from pathlib import Path

from fairlead_lab.paths import CACHE_ROOT, existing_labs
from tests.side_by_side import worker

# Folders a lab might leave something in. Of the second kind only the first level is looked at.
_DEEP = ("/run", "/etc", "/var/lib/fairlead")
_SHALLOW = ("/dev/shm", "/home", "/opt", "/root", "/usr/sbin", "/var/cache", "/var/lib", "/var/log", "/var/run", "/")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")


@dataclass(frozen=True)
class Machine:
    """Each field is a set of names; what other labs have, and kernel threads, is left out."""

    processes: frozenset[str]
    namespaces: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    links: frozenset[str]
    files: frozenset[str]

    def more_than(self, before: "Machine") -> dict[str, list[str]]:
        """What is here that was not there before, by kind; empty when nothing is."""
        found = {
            field.name: sorted(getattr(self, field.name) - getattr(before, field.name)) for field in fields(Machine)
        }
        return {kind: names for kind, names in found.items() if names}


KINDS = frozenset(field.name for field in fields(Machine))


def look(of: str) -> Machine:
    """Look at the machine. `of` is the lab whose traces are wanted; those of other labs are ignored."""
    others = frozenset(existing_labs()) - {of}
    pids = [pid for pid in _pids() if not _in_lab(pid, others) and not _somebodys(pid) and not _other_workers(pid)]
    return Machine(
        processes=frozenset(filter(None, map(_process, pids))),
        namespaces=frozenset(name for pid in pids for name in _namespaces(pid)),
        mounts=frozenset(line.split(" ", 3)[3] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        cgroups=frozenset(
            folder
            for folder, _, _ in os.walk("/sys/fs/cgroup")
            if not any(f"/fairlead/{name}/" in f"{folder}/" for name in others)
            and not (others and folder.endswith("/fairlead"))
        ),
        links=frozenset(link.name for link in Path("/sys/class/net").iterdir()),
        files=frozenset(_files(others)),
    )


def left_behind(
    before: Machine, of: str, patience: float = 10.0, kinds: frozenset[str] = KINDS
) -> dict[str, list[str]]:
    """What a lab left, of these kinds. As others work here too, only what stays for `patience` seconds counts."""
    limit = time.monotonic() + patience
    ever = {kind: names for kind, names in look(of).more_than(before).items() if kind in kinds}
    while ever and time.monotonic() < limit:
        time.sleep(0.5)
        now = look(of).more_than(before)
        ever = {kind: [name for name in names if name in now.get(kind, ())] for kind, names in ever.items()}
        ever = {kind: names for kind, names in ever.items() if names}
    return ever


def _pids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def _in_lab(pid: int, names: frozenset[str]) -> bool:
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False
    return any(f"/fairlead/{name}/" in groups for name in names)


def _process(pid: int) -> str | None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
    return f"{pid}@{started} {command}" if command else None


def _somebodys(pid: int) -> bool:
    """Whether a process is of another program's session: the leader lives, in the machine's own namespaces.

    A lab's daemons have a leader that ended when it had started them; a container's is in namespaces of its own.
    """
    try:
        session = os.getsid(pid)
    except ProcessLookupError:
        return False
    if session == os.getsid(0):
        return False
    return bool(ours := _namespaces(os.getpid())) and _namespaces(session) == ours


def _other_workers(pid: int) -> bool:
    """Whether a process is another worker of this run's, or descends from one (`tests.side_by_side`).

    What a lab leaves behind does not: its daemons are children of process 1.
    """
    if not worker():
        return False
    while (parent := _parent(pid)) not in (0, 1, os.getppid()):
        pid = parent
    return parent == os.getppid() and pid != os.getpid()


def _parent(pid: int) -> int:
    """The parent of a process; 0 for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _namespaces(pid: int) -> list[str]:
    found = []
    for kind in _NAMESPACES:
        try:
            found.append(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
        except OSError:
            continue
    return found


def _files(others: frozenset[str]) -> list[str]:
    ignored = {f"{root}/lab/{name}" for root in ("/run/fairlead", "/var/lib/fairlead") for name in others}
    ignored.add("/run/xtables.lock")  # which iptables makes once, for whoever needs it first
    shared = {"/run/fairlead", "/run/fairlead/lab", "/var/lib/fairlead", "/var/lib/fairlead/lab", str(CACHE_ROOT)}
    if others:
        ignored |= shared
    else:
        ignored.add(str(CACHE_ROOT))
    found = []
    for root in _DEEP:
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if f"{folder}/{name}" not in ignored - shared]
            found += [f"{folder}/{name}" for name in (*folders, *files) if f"{folder}/{name}" not in ignored]
    for root in _SHALLOW:
        found += [str(path) for path in Path(root).iterdir() if str(path) not in ignored]
    return found
