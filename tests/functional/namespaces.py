"""Network namespaces without names: they are gone with the last process in them, whatever becomes of a test."""

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def _must(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


@contextmanager
def new_namespace() -> Iterator[None]:
    """Put the calling thread, and every thread and process it starts, into a new network namespace."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _must(_LIBC.unshare(_CLONE_NEWNET), "unshare")
        try:
            run("ip", "link", "set", "lo", "up")
            yield
        finally:
            _must(_LIBC.setns(before, _CLONE_NEWNET), "setns")
    finally:
        os.close(before)


class Sandbox:
    """A container's network namespace, held by a process that does nothing else."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own = Path("/proc/thread-self/ns/net").readlink()
        while (theirs := Path(f"/proc/{self._holder.pid}/ns/net")).readlink() == own:
            os.sched_yield()
        self.inode = theirs.readlink()

    @property
    def pid(self) -> int:
        """Of a process in the namespace."""
        return self._holder.pid

    def take(self, device: str, mac: str = "", address: str = "", prefix: int = 24) -> None:
        """Move a device in, as dockerd does: renamed, addressed, and up."""
        run("ip", "link", "set", device, "netns", str(self._holder.pid))
        self.run("ip", "link", "set", device, "name", "eth0")
        if address:
            self.run("ip", "address", "add", f"{address}/{prefix}", "dev", "eth0", "nodad")
        self.run("ip", "link", "set", "eth0", "up")

    def command(self, *command: str) -> list[str]:
        return ["nsenter", "--target", str(self._holder.pid), "--net", *command]

    def run(self, *command: str, check: bool = True) -> str:
        return run(*self.command(*command), check=check)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


def run(*command: str, check: bool = True) -> str:
    """Run a program and return what it printed; with check, fail with it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def links() -> dict[str, dict[str, Any]]:
    """All devices of the namespace by name, as `ip -j -d link` tells them."""
    return {link["ifname"]: link for link in json.loads(run("ip", "-j", "-d", "link", "show"))}


def fairlead_links() -> set[str]:
    return {name for name in links() if name.startswith("fl")}
