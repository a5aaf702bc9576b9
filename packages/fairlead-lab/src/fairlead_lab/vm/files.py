"""The files of virtual machines: a disk with what they need of this machine's, and the few that each brings anew.

The disk has Debian's packages that are needed, the Python this runs on, its packages, and /etc, each at the path it has
here. The project's own files come when a machine is resumed: what is being worked on changes too often for a disk.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.image import busybox_image
from fairlead_lab.packages import PROGRAMS, find_program
from fairlead_lab.vm.kernel import Kernel

# What a machine runs; with what they depend on. What isn't installed, such as one of two Dockers, is left out.
_PACKAGES = (
    *("base-files", "bash", "coreutils", "dash", "findutils", "grep", "gzip", "hostname", "kmod", "libc-bin", "mawk"),
    *("mount", "procps", "sed", "tar", "util-linux", "ca-certificates", "openssl", "netbase"),
    *("busybox-static", "ethtool", "iproute2", "iptables", "nftables", "openvswitch-switch", "tcpdump"),
    *("containerd", "docker.io", "docker-cli", "runc", "tini", "containerd.io", "docker-ce", "docker-ce-cli"),
)
_UNNEEDED = re.compile(r"/usr/share/(doc|info|lintian|locale|man|perl|zoneinfo)/|/usr/lib/python3/dist-packages/")
# Of Python's own library, what nobody runs here; of a project, what is made and not written.
_NOT_OF_PYTHON = {"ensurepip", "idlelib", "lib2to3", "site-packages", "dist-packages", "test", "tkinter", "turtledemo"}
_NOT_OF_PROJECT = (".git", ".venv", "build", "dist", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")
_MIB = 1 << 20


def project() -> Path | None:
    """The checkout this runs from; None where it is installed like any package."""
    return next((folder for folder in Path(__file__).parents if (folder / ".git").exists()), None)


def current(host_etc: Iterable[str]) -> list[str]:
    """The words for tar that write down what a machine brings anew: the project's files, and some of the host's /etc.

    Compiled files are among them, as Python takes them only where time and size of the source are what they were.
    """
    checkout = project()
    places = [*(f"etc/{name}" for name in host_etc), *([str(checkout).lstrip("/")] if checkout else [])]
    return [*(f"--exclude={name}" for name in _NOT_OF_PROJECT), "-C", "/", "-c", *places]


def fingerprint(kernel: Kernel) -> str:
    """Tell whether a disk is still what this machine has: all versions, and the files of Python and its packages."""
    told = hashlib.sha256()
    told.update(f"{kernel.version} {busybox_image()} {project()}".encode())
    installed = _installed()
    for package in with_dependencies(installed, _PACKAGES):
        told.update(f"{package} {installed[package]}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        told.update(source.read_bytes())
    for file in _python():
        # What is compiled comes and goes.
        if "__pycache__" not in file:
            known = os.lstat(file)
            told.update(f"{file} {known.st_size} {known.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return told.hexdigest()[:16]


def make_disk(image: Path, kernel: Kernel, scratch: Path) -> None:
    """Make the disk, by way of an empty folder; raises LabError."""
    wanted = sorted({*_debian(), *_python(), *_programs(), *_walk(Path("/etc")), str(busybox_image())})
    libraries = set(_libraries(file for file in wanted if ".so" in file or "/bin/" in file))
    names = {_where_it_is(file) for file in {*wanted, *libraries}}
    merged = {f"/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64") if Path(f"/{name}").is_symlink()}
    listed = "\0".join(sorted({*names, *merged} - {"/"})).encode(errors="surrogateescape")
    tree = scratch / "tree"
    tree.mkdir()
    pack = subprocess.Popen(
        ["tar", "-C", "/", "-c", "-P", "--no-recursion", "--null", "--ignore-failed-read", "-T", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with pack:
        unpack = subprocess.Popen(["tar", "-C", str(tree), "-x"], stdin=pack.stdout, stderr=subprocess.DEVNULL)
        assert pack.stdin  # noqa: S101  it is a pipe
        pack.stdin.write(listed)
        pack.stdin.close()
        unpack.wait()
    modules = tree / "usr/lib/modules" / kernel.version
    shutil.copytree(kernel.modules, modules, symlinks=True)
    for folder in ("dev", "proc", "sys", "run", "tmp", "root", "var/lib/docker", "var/tmp"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    size = sum(file.lstat().st_size + 4096 for file in tree.rglob("*")) * 11 // 10 + 64 * _MIB
    words = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(tree), str(image)]
    done = subprocess.run([*words, f"{size // _MIB}M"], capture_output=True, text=True, check=False)
    shutil.rmtree(tree)
    if done.returncode != 0:
        raise LabError(f"the disk of virtual machines could not be made: {done.stderr.strip()}", remedy="try again")


def _debian() -> Iterator[str]:
    """Files and folders of the packages, and of all that they depend on."""
    listed = _output(["dpkg-query", "-L", *with_dependencies(_installed(), _PACKAGES)])
    for name in listed.splitlines():
        if name.startswith("/") and not _UNNEEDED.match(name):
            yield name


def _installed() -> dict[str, str]:
    """What each package that is installed depends on, and after a tab its version."""
    form = "${db:Status-Status}\t${Package}\t${Pre-Depends},${Depends}\t${Version}\n"
    lines = (line.split("\t", 2) for line in _output(["dpkg-query", "-W", "-f", form]).splitlines())
    return {name: rest for status, name, rest in lines if status == "installed"}


def with_dependencies(installed: Mapping[str, str], wanted: Iterable[str]) -> list[str]:
    """Names of packages and of what they depend on, as far as it is installed, sorted.

    installed: the dependencies of each, as dpkg writes them: `libc6 (>= 2.34), debconf | debconf-2.0`; after a tab may
    come anything.
    """
    found: set[str] = set()
    todo = [name for name in wanted if name in installed]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            needs = (
                re.split(r"[ (:]", need.strip())[0] for need in re.split(r"[,|]", installed[name].partition("\t")[0])
            )
            todo += [need for need in needs if need in installed]
    return sorted(found)


def _programs() -> Iterator[str]:
    """What the lab runs, also where it is not Debian's."""
    for name in PROGRAMS:
        if path := find_program(name):
            yield from _links(path)


def _python() -> Iterator[str]:
    """The Python this runs on, its library, and all packages."""
    yield from _links(Path(sys.executable))
    library = Path(sysconfig.get_path("stdlib"))
    yield from _walk(library, _NOT_OF_PYTHON)
    yield from _walk(Path(sys.prefix) if sys.prefix != sys.base_prefix else Path(sysconfig.get_path("purelib")))


def _walk(root: Path, but: Iterable[str] = ()) -> Iterator[str]:
    left_out = set(but)
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in left_out]
        yield folder
        yield from (f"{folder}/{name}" for name in (*files, *folders))


def _links(path: Path) -> Iterator[str]:
    """A file, and every link on the way to it."""
    yield str(path)
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield str(path)


def _libraries(files: Iterable[str]) -> Iterator[str]:
    """The libraries that programs and other libraries need."""
    for line in _output(["ldd", *(file for file in files if Path(file).is_file())]).splitlines():
        path = line.partition("=>")[2].strip().partition(" ")[0]
        if path.startswith("/"):
            yield from _links(Path(path))


def _where_it_is(name: str) -> str:
    """A path without links among its folders: /bin/sh is in /usr/bin."""
    return os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))  # noqa: PTH118, PTH119, PTH120


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
