"""The Python environment Keystone and Neutron run in: pinned, byte-compiled, made once for a machine."""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.paths import CACHE_ROOT

_COMPLETE = "fairlead-complete"


def requirements() -> str:
    """The pinned requirements shipped with the package."""
    return resources.files("fairlead_lab").joinpath("openstack.txt").read_text()


def environment_path(cache_root: Path = CACHE_ROOT) -> Path:
    """Where the environment of these requirements and this Python belongs, made or not."""
    key = f"{sys.implementation.cache_tag} {sys.version}\n{requirements()}"
    return cache_root / f"openstack-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def is_complete(environment: Path) -> bool:
    """Whether the environment was made to the end: the marker is written last."""
    return (environment / _COMPLETE).is_file()


def make_environment(environment: Path, log: Path) -> None:
    """Create the environment, or begin it again when its making was interrupted; raises LabError.

    A virtual environment can't be moved, so it is made in its place and the marker tells whole from half.
    """
    if is_complete(environment):
        return
    uv = _find_uv()
    shutil.rmtree(environment, ignore_errors=True)
    environment.parent.mkdir(parents=True, exist_ok=True)
    pinned = environment.with_suffix(".txt")
    pinned.write_text(requirements())
    python = environment / "bin" / "python"
    try:
        _uv([uv, "venv", "-q", "--no-project", "--python", sys.executable, str(environment)], log)
        install = [uv, "pip", "install", "-q", "--python", str(python), "--compile-bytecode"]
        _uv([*install, "-r", str(pinned)], log)
    finally:
        pinned.unlink(missing_ok=True)
    (environment / _COMPLETE).write_text("")


def _find_uv() -> str:
    try:
        from uv import find_uv_bin  # noqa: PLC0415  wanted only here
    except ImportError:
        found = shutil.which("uv")
        if found is None:
            raise LabError("uv is not installed", remedy="pip install uv") from None
        return found
    return os.fspath(find_uv_bin())


def _uv(command: list[str], log: Path) -> None:
    # The bytecode is the point: without it every start of the services would compile 5000 modules.
    environment = {
        key: value for key, value in os.environ.items() if key not in {"PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"}
    }
    with log.open("ab") as output:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
    if done.returncode != 0:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        said = lines[-1] if lines else f"exit status {done.returncode}"
        raise LabError(f"uv {command[1]} failed: {said}", remedy=f"see {log}; PyPI must be reachable the first time")
