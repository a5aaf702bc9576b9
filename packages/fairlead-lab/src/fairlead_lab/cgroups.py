"""Control groups: the one mark a process can't shake off, so what a lab started is known by its group."""

import os
from dataclasses import dataclass
from pathlib import Path

from fairlead.model.errors import LabError

_MOUNT = Path("/sys/fs/cgroup")
# Hierarchies of version 1 in which dockerd surely places its containers too, the best first.
_TRACKING = ("pids", "freezer", "devices", "memory", "cpu")


@dataclass(frozen=True, slots=True)
class CgroupTree:
    """The groups `fairlead/NAME` below every hierarchy of the machine.

    roots: the mounted hierarchies, one with cgroup version 2, one for each controller with version 1.
    tracking: the one in which all processes of the lab are put. Below the lab's group it has `daemons/COMPONENT`,
    `guests` (what users run on the hosts) and `containers/HOST` (made by dockerd). Only leaves have processes, as
    version 2 wants.
    """

    roots: tuple[Path, ...]
    tracking: Path
    name: str

    @property
    def guests(self) -> Path:
        """The group of what users and set-up commands run in the lab."""
        return self.tracking / "fairlead" / self.name / "guests"

    def daemon(self, component: str) -> Path:
        """The group of one component, such as `h1/dockerd`, and of all it starts."""
        return self.tracking / "fairlead" / self.name / "daemons" / component.replace("/", "-")

    def containers(self, host: str) -> str:
        """What is `cgroup-parent` to the dockerd of a host, in every hierarchy."""
        return f"/fairlead/{self.name}/containers/{host}"

    def folders(self) -> tuple[Path, ...]:
        """The lab's top group in each hierarchy, there or not."""
        return tuple(root / "fairlead" / self.name for root in self.roots)

    def processes(self) -> tuple[int, ...]:
        """Pids of all that is in the lab, containers included."""
        return tuple(sorted({pid for folder in self.folders() for pid in members(folder)}))

    def remove(self) -> tuple[str, ...]:
        """Remove the lab's groups in every hierarchy, and `fairlead` when no other lab is in it.

        Returns the groups that are left: the kernel keeps a group busy for a moment after its last process ended.
        """
        left = tuple(str(folder) for folder in self.folders() if not _remove_tree(folder))
        for folder in self.folders():
            try:
                folder.parent.rmdir()
            except OSError:  # another lab's, or never made
                continue
        return left


def cgroup_tree(name: str, mount: Path = _MOUNT) -> CgroupTree:
    """The groups of a lab on this machine; raises LabError where there is no cgroup file system."""
    if (mount / "cgroup.controllers").is_file():
        return CgroupTree((mount,), mount, name)
    hierarchies = (folder for folder in mount.glob("*") if not folder.is_symlink())
    roots = tuple(sorted(folder for folder in hierarchies if (folder / "cgroup.procs").is_file()))
    for controller in _TRACKING:
        if mount / controller in roots:
            return CgroupTree(roots, mount / controller, name)
    raise LabError(f"no cgroup hierarchy is mounted at {mount}", remedy="a lab needs one, as dockerd does")


def make_group(group: Path) -> None:
    """Make a group and those above it, unless it is there; raises LabError."""
    try:
        group.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"can't make the cgroup {group}: {error.strerror}",
            remedy="a lab needs root and a writable cgroup file system",
        ) from error


def members(group: Path) -> frozenset[int]:
    """Pids in a group and the groups below it; none when it isn't there."""
    found: set[int] = set()
    for folder, _, _ in os.walk(group):
        try:
            found.update(map(int, (Path(folder) / "cgroup.procs").read_text().split()))
        except OSError:  # removed meanwhile
            continue
    return frozenset(found - {0})


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
