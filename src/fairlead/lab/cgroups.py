"""Control groups: the one mark a process can't shake off, so what a lab started is known by its group."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from fairlead.model.errors import LabError

_MOUNT = Path("/sys/fs/cgroup")
# Hierarchies of version 1 in which dockerd surely places its containers too, the best first.
_TRACKING = ("pids", "freezer", "devices", "memory", "cpu")


@dataclass(frozen=True, slots=True)
class CgroupTree:
    """The groups `fairlead/NAME` below every hierarchy of the machine.

    `roots` are the mounted hierarchies: one with cgroup version 2, one for each controller with version 1.
    `tracking` is the one all processes of the lab are put in.
    """

    roots: tuple[Path, ...]
    tracking: Path
    name: str

    @property
    def parent(self) -> str:
        """What dockerd's `cgroup-parent` of a host begins with, such as `/fairlead/lab`."""
        return f"/fairlead/{self.name}"

    @property
    def daemons(self) -> Path:
        """The group of everything but containers. A leaf, as version 2 wants of a group that has processes."""
        return self.tracking / "fairlead" / self.name / "daemons"

    def folders(self) -> tuple[Path, ...]:
        """The lab's top group in each hierarchy, there or not."""
        return tuple(root / "fairlead" / self.name for root in self.roots)

    def create(self) -> None:
        """Make the group the daemons are put in."""
        try:
            self.daemons.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LabError(
                f"can't make a cgroup below {self.tracking}: {error.strerror}",
                remedy="a lab needs root and a writable cgroup file system",
            ) from error

    def join(self) -> None:
        """Put this process, and so its later children, into the lab."""
        (self.daemons / "cgroup.procs").write_text(str(os.getpid()))

    def processes(self) -> tuple[int, ...]:
        """Pids of all that is in the lab, containers included."""
        found: list[int] = []
        for folder in self.folders():
            for procs in folder.rglob("cgroup.procs"):
                try:
                    found += map(int, procs.read_text().split())
                except OSError:  # removed meanwhile
                    continue
        return tuple(sorted(set(found) - {0}))

    def remove(self, patience: float = 5.0) -> tuple[str, ...]:
        """Remove the lab's groups in every hierarchy, and `fairlead` when no other lab is in it.

        The kernel keeps a group busy for a moment after its last process ended: waits up to `patience` seconds.
        Returns the groups that are left.
        """
        limit = time.monotonic() + patience
        while True:
            left = [str(folder) for folder in self.folders() if not _remove_tree(folder)]
            if not left or time.monotonic() > limit:
                break
            time.sleep(0.02)
        for folder in self.folders():
            try:
                folder.parent.rmdir()
            except OSError:  # another lab's, or never made
                continue
        return tuple(left)


def cgroup_tree(name: str, mount: Path = _MOUNT) -> CgroupTree:
    """The groups of a lab on this machine; raises LabError where there is no cgroup file system."""
    if (mount / "cgroup.controllers").is_file():
        return CgroupTree((mount,), mount, name)
    roots = tuple(
        sorted(folder for folder in mount.glob("*") if (folder / "cgroup.procs").is_file() and not folder.is_symlink())
    )
    for controller in _TRACKING:
        if mount / controller in roots:
            return CgroupTree(roots, mount / controller, name)
    raise LabError(f"no cgroup hierarchy is mounted at {mount}", remedy="a lab needs one, as dockerd does")


def _remove_tree(folder: Path) -> bool:
    if not folder.is_dir():
        return True
    for child in folder.iterdir():
        if child.is_dir():
            _remove_tree(child)
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
