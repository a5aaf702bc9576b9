"""The busybox image containers of the lab run, built from Debian's static busybox."""

import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.packages import find_program
from fairlead_lab.paths import CACHE_ROOT

_FOLDERS = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin", "usr/sbin", "sbin", "var")
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}


def busybox_image(cache_root: Path = CACHE_ROOT) -> Path:
    """The tar file of the image's file system, made when the cache doesn't have that of this busybox."""
    busybox = find_program("busybox")
    if busybox is None:
        raise LabError("busybox-static is not installed", remedy="`fairlead lab install` installs it")
    content = busybox.read_bytes()
    tar = cache_root / "images" / f"busybox-{hashlib.sha256(content).hexdigest()[:16]}.tar"
    if not tar.is_file():
        tar.parent.mkdir(parents=True, exist_ok=True)
        applets = subprocess.run(
            [str(busybox), "--list-full"], capture_output=True, text=True, check=True
        ).stdout.split()
        _write(tar, content, [applet for applet in applets if applet != "bin/busybox"])
    return tar


def _write(tar: Path, busybox: bytes, applets: list[str]) -> None:
    handle, half = tempfile.mkstemp(prefix=".half-", dir=tar.parent)
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
        folders = {*_FOLDERS, *(str(Path(applet).parent) for applet in applets)} - {"."}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        _add(archive, "bin/busybox", busybox, 0o755)
        for name, text in _FILES.items():
            _add(archive, name, text.encode(), 0o644)
        for applet in applets:
            link = tarfile.TarInfo(applet)
            link.type, link.linkname = tarfile.SYMTYPE, "/bin/busybox"
            archive.addfile(link)
    Path(half).rename(tar)


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
