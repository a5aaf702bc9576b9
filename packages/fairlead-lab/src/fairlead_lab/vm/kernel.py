"""Debian's kernel for clouds, unpacked beside the lab's caches; it is never installed on the machine."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fairlead.model.errors import LabError
from fairlead_lab.packages import apt
from fairlead_lab.paths import CACHE_ROOT

PACKAGE = "linux-image-cloud-amd64"
"""Debian's package without files that depends on the newest one."""

_FOLDER = "cloud-kernel"
_NEWEST = re.compile(r"^Depends:.*?\b(linux-image-(\S+-cloud-amd64))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel and its modules. version: as `uname -r` prints it; root: the folder with `boot` and `lib/modules`."""

    version: str
    root: Path

    @property
    def image(self) -> Path:
        """What is to be booted."""
        return self.root / "boot" / f"vmlinuz-{self.version}"

    @property
    def modules(self) -> Path:
        """The folder that is /lib/modules/VERSION where it is installed."""
        return self.root / "lib/modules" / self.version


def find_kernel(cache_root: Path = CACHE_ROOT) -> Kernel | None:
    """The kernel in the cache, or None."""
    root = cache_root / _FOLDER
    versions = [folder.name for folder in root.glob("lib/modules/*")]
    return Kernel(versions[0], root) if versions else None


def download_kernel(log: Path, cache_root: Path = CACHE_ROOT) -> None:
    """Put what apt offers into the cache, whole or not at all; raises LabError. What apt and others say goes to log."""
    cache_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".half-", dir=cache_root) as half, log.open("ab") as output:
        folder = Path(half)
        # Lists may be missing, or older than the mirror: what fails is tried once more with fresh ones.
        try:
            version = _download(folder, output, log)
        except LabError:
            apt(["update"], output, log)
            version = _download(folder, output, log)
        (package,) = folder.glob("*.deb")
        root = folder / "root"
        # The package's own scripts are not run, so the list of what module needs which is made here.
        for command in (["dpkg-deb", "-x", str(package), str(root)], ["depmod", "-b", str(root), version]):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
            if done.returncode != 0:
                raise LabError(f"{command[0]} could not unpack {package.name}", remedy=f"see {log}")
        shutil.rmtree(cache_root / _FOLDER, ignore_errors=True)
        root.rename(cache_root / _FOLDER)


def newest_in(shown: str) -> tuple[str, str] | None:
    """The name and the version of the kernel's package in what `apt-cache show` prints of PACKAGE; None without one."""
    found = _NEWEST.search(shown)
    return (found[1], found[2]) if found else None


def _download(folder: Path, output: IO[bytes], log: Path) -> str:
    """Download the package into a folder and return the kernel's version."""
    shown = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", PACKAGE], capture_output=True, text=True, check=False
    )
    newest = newest_in(shown.stdout)
    if newest is None:
        raise LabError(f"apt has no {PACKAGE}", remedy="virtual machines need Debian on amd64")
    name, version = newest
    apt(["download", name], output, log, folder)
    return version
