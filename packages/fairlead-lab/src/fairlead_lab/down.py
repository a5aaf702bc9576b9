"""Taking a lab down, whole or what a crash left of it."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.cgroups import CgroupTree, cgroup_tree
from fairlead_lab.components import WATCHER
from fairlead_lab.manifest import Manifest, ManifestFile, ProcessId, load, locked
from fairlead_lab.namespaces import namespace_number
from fairlead_lab.paths import LabPaths
from fairlead_lab.processes import descendants, is_alive, kill_all, start_time, stop

_PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Removed:
    """What `down` took away."""

    processes: int
    seconds: float


def down(paths: LabPaths) -> Removed:
    """End and remove everything of a lab; raises LabError naming what would not go, and can be run again.

    Nothing in a lab is worth a clean end, so all processes are killed at once. Mounts, interfaces and network
    namespaces live in the lab's namespaces only, and go with the last process in them.
    """
    began = time.monotonic()
    if not paths.run.is_dir() and not paths.data.is_dir():
        load(paths)
    _end_watcher(paths)
    with locked(paths.run, paths.name):
        file = ManifestFile(paths.manifest)
        manifest = file.read()
        if manifest is not None:
            manifest = file.write(replace(manifest, state="stopping", strangers=_strangers(manifest)))
        killed = clear(paths, manifest)
        # The manifest goes last: while anything is left there is a record of it.
        shutil.rmtree(paths.run)
    for root in (paths.data_root, paths.data_root.parent, paths.run_root, paths.run_root.parent):
        _remove_if_empty(root)
    return Removed(killed, time.monotonic() - began)


def clear(paths: LabPaths, manifest: Manifest | None) -> int:
    """Remove all of a lab but its record, by its cgroups alone where there is no manifest; returns how many it killed.

    Raises LabError naming what would not go.
    """
    killed = _end(cgroup_tree(paths.name), _recorded(manifest))
    staying = [str(process.pid) for process in (manifest.strangers if manifest else ()) if is_alive(process)]
    if staying:
        raise LabError(
            f"processes {', '.join(staying)} are in the lab's namespaces and not the lab's",
            remedy="end them, then `fairlead lab down` again",
        )
    if paths.data.exists():
        shutil.rmtree(paths.data)
    left = [name for name in (manifest.cgroups if manifest else ()) if Path(name).exists()]
    if left:
        raise LabError(f"these cgroups are left: {', '.join(left)}", remedy="remove them with rmdir")
    return killed


def _end(cgroups: CgroupTree, recorded: tuple[ProcessId, ...]) -> int:
    """Kill all of the lab and remove its cgroups, until there is no group left to start anything in.

    Both again and again, since what is being killed may still start something. Returns how many were killed.
    """
    limit = time.monotonic() + _PATIENCE
    seen: set[int] = set()
    while True:
        members = {*cgroups.processes(), *(process.pid for process in recorded if is_alive(process))}
        members |= {pid for pid in descendants(members) if start_time(pid) is not None}
        if not members and not cgroups.remove():
            return len(seen)
        if time.monotonic() > limit:
            raise LabError(
                f"these would not end: processes {sorted(members)}, cgroups {', '.join(cgroups.remove()) or 'none'}",
                remedy="see `ps`, then `fairlead lab down` again",
            )
        seen |= members
        kill_all(members)
        time.sleep(0.01)


def _end_watcher(paths: LabPaths) -> None:
    """End what starts again whatever dies: it may hold the lock for as long as a start takes."""
    manifest = ManifestFile(paths.manifest).read()
    record = manifest.components.get(WATCHER) if manifest else None
    if record is not None and record.process is not None:
        stop(record.process, 0.0)


def _recorded(manifest: Manifest | None) -> tuple[ProcessId, ...]:
    if manifest is None:
        return ()
    found = [record.process for record in manifest.components.values()]
    found += [record.holder for record in manifest.namespaces.values()]
    return tuple(process for process in found if process is not None)


def _strangers(manifest: Manifest) -> tuple[ProcessId, ...]:
    """Processes in the lab's namespaces that are not in its cgroups, and those an earlier `down` found.

    They are looked for while the lab still runs: the kernel gives the number of a namespace that is gone to the next
    one made, by whoever.
    """
    members = {*cgroup_tree(manifest.spec.name).processes(), *(process.pid for process in _recorded(manifest))}
    ours = {number for record in manifest.namespaces.values() for number in (record.net, record.mnt)}
    held = ours & {number for pid in members for number in _namespaces(pid)} - {0}
    found = {process for process in manifest.strangers if is_alive(process)}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) not in members and held & _namespaces(int(folder.name)):
            started = start_time(int(folder.name))
            if started is not None:
                found.add(ProcessId(int(folder.name), started))
    return tuple(sorted(found, key=lambda process: process.pid))


def _namespaces(pid: int) -> frozenset[int]:
    """Numbers of the network and the mount namespace of a process; 0 for those of one that is gone."""
    return frozenset(namespace_number(pid, kind) for kind in ("net", "mnt"))


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # another lab's, or the agent's
        return
