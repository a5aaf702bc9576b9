"""The record of everything a lab makes, written before it is made."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec

from fairlead.model.errors import LabError
from fairlead_lab.paths import LabPaths, existing_labs
from fairlead_lab.spec import LabSpec

State = Literal["starting", "up", "stopping"]
Datapath = Literal["netdev", "system"]


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process and no other: `started` is field 22 of /proc/PID/stat, in clock ticks since boot."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class ComponentRecord:
    """A component that was started. `process` is None from the intent until the process is known.

    `wanted` is False once the user stopped it, so that `up` and `status` don't call it dead. `kept` is True once it was
    ready: the watcher starts it again when it dies, and leaves alone what never came up.
    """

    process: ProcessId | None = None
    wanted: bool = True
    kept: bool = False


@dataclass(frozen=True, slots=True)
class NamespaceRecord:
    """The namespaces of the fabric or a host: the process holding them, and the numbers of net and mnt."""

    holder: ProcessId | None = None
    net: int = 0
    mnt: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of a lab. Mounts, interfaces and bridges are made only inside its namespaces and die with them.

    strangers: processes a `down` found in the namespaces that are not the lab's, such as a shell entered by hand.
    """

    spec: LabSpec
    datapath: Datapath
    state: State = "starting"
    databases_made: bool = False
    cgroups: tuple[str, ...] = ()
    loopback_ports: Mapping[str, int] = field(default_factory=dict)
    namespaces: Mapping[str, NamespaceRecord] = field(default_factory=dict)
    components: Mapping[str, ComponentRecord] = field(default_factory=dict)
    strangers: tuple[ProcessId, ...] = ()

    def with_component(self, name: str, record: ComponentRecord) -> "Manifest":
        """A copy in which one component's record is replaced."""
        return replace(self, components={**self.components, name: record})

    def with_namespace(self, name: str, record: NamespaceRecord) -> "Manifest":
        """A copy in which one namespace's record is replaced."""
        return replace(self, namespaces={**self.namespaces, name: record})


class ManifestFile:
    """The manifest on disk: read whole, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Manifest | None:
        """The manifest, or None where there is none; raises LabError when it can't be understood."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Manifest)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise LabError(
                f"{self._path} can't be read: {error}",
                remedy="`fairlead lab down` of the version that wrote it cleans up",
            ) from error

    def write(self, manifest: Manifest) -> Manifest:
        """Replace the file at once and return what was written."""
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        fresh.rename(self._path)
        return manifest


def load(paths: LabPaths) -> Manifest:
    """The manifest of a lab that exists; raises LabError naming the labs there are."""
    manifest = ManifestFile(paths.manifest).read()
    if manifest is None:
        known = [name for name in existing_labs(paths.run_root, paths.data_root) if name != paths.name]
        there = f"running here: {', '.join(known)} (choose with --name); or " if known else ""
        named = "" if paths.name == "lab" else f" --name {paths.name}"
        raise LabError(f"there is no lab {paths.name!r}", remedy=f"{there}`fairlead lab up{named}` makes it")
    return manifest


@contextmanager
def locked(folder: Path, name: str, patience: float = 30.0) -> Iterator[None]:
    """Hold a lab's folder for one command; raises LabError when another command works on the lab.

    The lock is on the folder itself, so that nothing is left when `down` removes it. A command that was killed may
    hold it a moment longer, in a child it had just forked, and the watcher holds it while it starts again what died: so
    it is tried for `patience` seconds.
    """
    limit = time.monotonic() + patience
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # removed by a `down` since
            continue
        try:
            if _lock(handle) and _same(handle, folder):
                yield
                return
        finally:
            os.close(handle)
        if time.monotonic() > limit:
            raise LabError(f"another command is at work on lab {name!r}", remedy="wait for it to end, or interrupt it")
        time.sleep(0.02)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same(handle: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False
