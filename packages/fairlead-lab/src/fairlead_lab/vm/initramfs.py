"""The small file system a virtual machine starts from: busybox, a few modules, and the way to its disk.

The machine's root is a disk with this machine's files, read-only, under a layer in memory: so it has the same programs
at the same paths, and what it writes is gone with it.
"""

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.packages import find_program
from fairlead_lab.vm.kernel import Kernel

# Drivers of devices, which no one else looks for, and what the root needs; the kernel loads all others by itself.
_MODULES = ("virtio_pci", "virtio_console", "virtio_blk", "virtio_net", "overlay")

_INIT = """#!/bin/busybox sh
set -e
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do
    busybox insmod "/modules/$module"
done </modules/order
busybox mount -t ext4 -o ro /dev/vda /host
busybox mount -t tmpfs -o size=75%,mode=755 tmpfs /layer
busybox mkdir /layer/files /layer/work
busybox mount -t overlay -o lowerdir=/host,upperdir=/layer/files,workdir=/layer/work overlay /root
for folder in proc sys dev; do
    busybox mount --move "/$folder" "/root/$folder"
done
busybox cp /guest /root/run/guest
exec busybox switch_root /root {python} -I -S -B /run/guest
"""


def initramfs(kernel: Kernel, guest: Path) -> bytes:
    """The archive for this kernel. guest: the program, for this Python, that is the machine's first process."""
    busybox = find_program("busybox")
    if busybox is None:
        raise LabError("busybox-static is not installed", remedy="`fairlead lab install` installs it")
    order = module_order((kernel.modules / "modules.dep").read_text(), _MODULES)
    files: dict[str, bytes | None] = dict.fromkeys(
        ("bin", "proc", "sys", "dev", "host", "layer", "root", "modules"), None
    )
    files["init"] = _INIT.format(python=sys.executable).encode()
    files["guest"] = guest.read_bytes()
    files["bin/busybox"] = busybox.read_bytes()
    files["modules/order"] = "".join(f"{Path(module).name}\n" for module in order).encode()
    files |= {f"modules/{Path(module).name}": (kernel.modules / module).read_bytes() for module in order}
    return archive(files)


def module_order(dependencies: str, wanted: Iterable[str]) -> list[str]:
    """Paths of the modules that are wanted and of what they need, each after what it needs.

    dependencies: the text of modules.dep, where a module's line names all that it needs, the nearest first
    (modules.dep(5)). A module that isn't there is built in.
    """
    needs: dict[str, list[str]] = {}
    for line in dependencies.splitlines():
        module, _, others = line.partition(":")
        needs[module] = others.split()
    by_name = {Path(module).name.partition(".")[0].replace("-", "_"): module for module in needs}
    found: dict[str, None] = {}

    def add(module: str) -> None:
        for need in reversed(needs[module]):
            if need not in found:
                add(need)
        found[module] = None

    for name in wanted:
        if name in by_name:
            add(by_name[name])
    return list(found)


def archive(files: Mapping[str, bytes | None]) -> bytes:
    """A cpio archive in the `newc` format, which is what the kernel takes (its early-userspace/buffer-format).

    files: what is in them by path, folders before their files; None for a folder. All are root's, and may be run.
    """
    return b"".join(_entries(files))


def _entries(files: Mapping[str, bytes | None]) -> Iterator[bytes]:
    number = 0
    for number, (name, content) in enumerate(files.items(), 1):
        kind = stat.S_IFDIR if content is None else stat.S_IFREG
        yield _entry(name, number, kind | 0o755, content or b"")
    yield _entry("TRAILER!!!", number + 1, 0, b"")


def _entry(name: str, number: int, mode: int, content: bytes) -> bytes:
    path = os.fsencode(name) + b"\0"
    # Inode, mode, user, group, links, time, size, four device numbers, the length of the name, no checksum.
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
    return _padded(head) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)
