"""Debian packages: which are missing, and how to install them without starting their daemons."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fairlead.model.errors import LabError

# A program the lab runs, and the package that brings it. Programs are what is looked for, so that
# a dockerd from docker.com or a hand-built OVN serves as well.
PROGRAMS: Mapping[str, str] = {
    "ovsdb-server": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "ovn-northd": "ovn-central",
    "ovn-controller": "ovn-host",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "dockerd": "docker.io",
    "docker": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "busybox": "busybox-static",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "tcpdump": "tcpdump",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "tar": "tar",
    "gzip": "gzip",
}

# What virtual machines need besides.
MACHINE_PROGRAMS: Mapping[str, str] = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mke2fs": "e2fsprogs",
    "depmod": "kmod",
}

# Where Debian puts daemons, which an ordinary PATH may lack.
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_POLICY = Path("/usr/sbin/policy-rc.d")
_DENY_ALL = "#!/bin/sh\n# Put here by `fairlead lab install` for the time of an installation.\nexit 101\n"


def find_program(name: str) -> Path | None:
    """The path of an installed program, or None. A busybox that isn't static is no use in an image and isn't found."""
    found = shutil.which(name, path=SEARCH_PATH)
    if found is None or (name == "busybox" and not _is_static(Path(found))):
        return None
    return Path(found)


def missing_packages(*, machines: bool = False) -> tuple[str, ...]:
    """Debian packages to install before a lab can run, sorted. machines: and before it can carry virtual machines."""
    wanted = {**PROGRAMS, **(MACHINE_PROGRAMS if machines else {})}
    return tuple(sorted({package for program, package in wanted.items() if find_program(program) is None}))


def install_packages(packages: tuple[str, ...], log: Path) -> None:
    """Install by apt, with recommendations and daemons left out; raises LabError with apt's last words.

    apt's output goes to `log`. The package lists are fetched only when apt doesn't know a package.
    """
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise LabError(
            f"these Debian packages are missing and there is no apt-get here: {' '.join(packages)}",
            remedy="install the programs they bring by your own means",
        )
    before = _units()
    with daemons_kept_still(_POLICY), log.open("ab") as output:
        if not _all_known(packages):
            apt(["update"], output, log)
        # Lists may be older than the mirror: a download that fails is tried once more with fresh ones.
        try:
            apt(["install", *packages], output, log)
        except LabError:
            apt(["update"], output, log)
            apt(["install", *packages], output, log)
        _keep_from_boot(_units() - before, output)
    still = sorted(set(missing_packages(machines=True)) & set(packages))
    if still:
        raise LabError(f"after the installation programs of {' '.join(still)} are still missing", remedy=f"see {log}")


@contextmanager
def daemons_kept_still(policy: Path) -> Iterator[None]:
    """Forbid packages to start daemons (invoke-rc.d's policy) meanwhile, then restore what was there.

    A policy left aside by an installation that was killed is put back first.
    """
    aside = policy.with_name(policy.name + ".fairlead-saved")
    _restore(policy, aside)
    if policy.exists():
        policy.rename(aside)
    policy.write_text(_DENY_ALL)
    policy.chmod(0o755)
    try:
        yield
    finally:
        _restore(policy, aside)


def _restore(policy: Path, aside: Path) -> None:
    if policy.is_file() and policy.read_text(errors="replace") == _DENY_ALL:
        policy.unlink()
    if aside.exists():
        aside.rename(policy)


def apt(arguments: list[str], output: IO[bytes], log: Path, folder: Path | None = None) -> None:
    """Run apt-get in a folder; raises LabError with its last words. Its output goes to the log, open as `output`."""
    command = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        check=False,
    )
    if done.returncode != 0:
        errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("E: ")]
        said = errors[-1].removeprefix("E: ") if errors else f"exit status {done.returncode}"
        raise LabError(f"apt-get {arguments[0]} failed: {said}", remedy=f"see {log}")


def _all_known(packages: tuple[str, ...]) -> bool:
    shown = subprocess.run(
        ["apt-cache", "policy", *packages],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    candidates = [line for line in shown.stdout.splitlines() if line.strip().startswith("Candidate:")]
    return len(candidates) == len(packages) and not any("(none)" in line for line in candidates)


def _units() -> frozenset[str]:
    folder = Path("/lib/systemd/system")
    return frozenset(path.name for path in folder.glob("*.s[oe][cr][kv]*") if "@" not in path.name)


def _keep_from_boot(units: frozenset[str], output: IO[bytes]) -> None:
    """Disable the units that this installation brought: the lab starts its own daemons, the machine shouldn't."""
    if units and shutil.which("systemctl"):
        subprocess.run(
            ["systemctl", "disable", *sorted(units)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )


def _is_static(program: Path) -> bool:
    """Whether an ELF file asks for no dynamic loader."""
    with program.open("rb") as file:
        head = file.read(4096)
    return head.startswith(b"\x7fELF") and b"/ld-linux" not in head and b"/ld-musl" not in head
