"""Virtual machines put aside in the cache: one is booted and furnished once, and all others go on from there.

A snapshot is a folder with a disk, and two machines' memory and state: one is furnished, the other has also a dockerd
that runs and has its image. Its name is a fingerprint of all it was made from; where there is none of that name, one is
made, while whoever needs the same waits.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.host import Host
from fairlead_lab.packages import find_program
from fairlead_lab.paths import CACHE_ROOT
from fairlead_lab.readiness import last_line
from fairlead_lab.vm import files, guest
from fairlead_lab.vm.channel import Channel
from fairlead_lab.vm.emulator import Emulator, Hardware
from fairlead_lab.vm.initramfs import initramfs
from fairlead_lab.vm.kernel import Kernel

_FOLDER = "machines"
_EMULATOR = "qemu-system-x86_64"
# Each weighs between one and two gigabytes; two checkouts by turns should not make theirs anew each time.
_KEPT = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A machine that was put aside. next: the number of its next command; dockerd: that of one that runs."""

    hardware: Hardware
    memory: Path
    state: Path
    next: int
    dockerd: int | None


@dataclass(frozen=True, slots=True)
class Maker:
    """How to make a machine worth putting aside, given what takes its commands.

    furnish: given the kernel's version too; start_docker: returns when it answers and has its image.
    """

    host: Host
    log: Path
    patience: float
    say: Callable[[str], None]
    furnish: Callable[[Channel, str], None]
    start_docker: Callable[[Channel], None]


def snapshot(kernel: Kernel, memory: int, processors: int, maker: Maker, *, docker: bool) -> Snapshot:
    """Find a snapshot, or make it; raises LabError."""
    folder = CACHE_ROOT / _FOLDER / _name(kernel, memory, processors)
    hardware = Hardware(kernel, folder / "initramfs", folder / "disk", memory, processors)
    if not (folder / "snapshot.json").is_file():
        with _alone(folder.parent):
            if not (folder / "snapshot.json").is_file():
                _make(folder, hardware, maker)
                _forget_oldest(folder.parent)
    os.utime(folder)
    kind = "docker" if docker else "plain"
    found = json.loads((folder / "snapshot.json").read_text())[kind]
    return Snapshot(hardware, folder / f"memory-{kind}", folder / f"state-{kind}", found["next"], found["dockerd"])


def _name(kernel: Kernel, memory: int, processors: int) -> str:
    emulator = find_program(_EMULATOR)
    assert emulator  # noqa: S101  whoever asks has looked whether all is installed
    known = emulator.stat()
    made_from = f"{files.fingerprint(kernel)} {memory} {processors} {known.st_size} {known.st_mtime_ns}"
    return hashlib.sha256(made_from.encode()).hexdigest()[:16]


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait until nobody else makes a snapshot, and keep others waiting."""
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Who is killed while making one leaves its half behind.
        for half in root.glob(".half-*"):
            shutil.rmtree(half)
        yield
    finally:
        os.close(handle)


def _make(folder: Path, hardware: Hardware, maker: Maker) -> None:
    """Make it under another name, so that it is whole or not there. Only its name is fixed in what it has of qemu's."""
    half = Path(tempfile.mkdtemp(prefix=".half-", dir=folder.parent))
    try:
        maker.say("virtual machines: making their disk; this is done once for these packages and this Python")
        own = Hardware(hardware.kernel, half / "initramfs", half / "disk", hardware.memory, hardware.processors)
        files.make_disk(own.disk, own.kernel, half)
        own.initramfs.write_bytes(initramfs(own.kernel, Path(guest.__file__)))
        maker.say("virtual machines: booting one, to be put aside")
        with ExitStack() as undo:
            _put_aside(half, own, maker, undo)
        half.rename(folder)
        maker.say("virtual machines: done")
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _put_aside(half: Path, hardware: Hardware, maker: Maker, undo: ExitStack) -> None:
    emulator = Emulator(maker.host, hardware, f"/run/virtual-machines/{half.name.lstrip('.')}", maker.log)
    channel, monitor = emulator.boot(undo, half / "memory-docker")
    version = channel.wait_ready(maker.patience)
    if version is None:
        raise LabError(f"a machine did not come up: {last_line(maker.log)}", remedy=f"see {maker.log}")
    maker.furnish(channel, version)
    known = {"plain": channel.place()}
    emulator.put_aside(monitor, half / "state-plain")
    copy = ["cp", "--sparse=always", str(half / "memory-docker"), str(half / "memory-plain")]
    subprocess.run(copy, check=True)
    monitor("cont")
    maker.start_docker(channel)
    known["docker"] = channel.place()
    emulator.put_aside(monitor, half / "state-docker")
    told = {kind: {"next": at.next, "dockerd": min(at.running, default=None)} for kind, at in known.items()}
    (half / "snapshot.json").write_text(json.dumps(told))


def _forget_oldest(root: Path) -> None:
    """Delete all but the few that were used last."""
    there = sorted(root.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in there[_KEPT:]:
        shutil.rmtree(folder)
