"""What a lab needs on the machine: Debian packages, and the Python environment of Keystone and Neutron."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.environment import environment_path, is_complete, make_environment
from fairlead_lab.graph import Progress, Stage, StageTime, run_stages
from fairlead_lab.packages import install_packages, missing_packages
from fairlead_lab.paths import CACHE_ROOT
from fairlead_lab.vm.kernel import download_kernel, find_kernel


def require_root() -> None:
    """Raise LabError where the user isn't root."""
    if os.geteuid() != 0:
        raise LabError("a lab needs root: it makes namespaces and runs daemons in them", remedy="run it with sudo")


async def install(
    progress: Progress, cache_root: Path = CACHE_ROOT, *, machines: bool = False
) -> tuple[StageTime, ...]:
    """Install what is missing, packages and environment at once; returns the stages that were needed.

    machines: whether what virtual machines need is wanted too.
    """
    require_root()
    if not _missing(cache_root, machines):
        return ()
    async with _alone(cache_root):
        return await run_stages(_missing(cache_root, machines), progress)


def _missing(cache_root: Path, machines: bool) -> list[Stage]:
    """Stages for what is not there yet."""
    logs = cache_root / "log"
    packages, environment = missing_packages(machines=machines), environment_path(cache_root)
    stages = []
    if machines and find_kernel(cache_root) is None:
        # Its modules are listed by a program that the packages may have to bring.
        download = partial(download_kernel, logs / "kernel.log", cache_root)
        stages.append(Stage("kernel", _in_thread(download), ("packages",) if packages else ()))
    if packages:
        stages.append(Stage("packages", _in_thread(partial(install_packages, packages, logs / "apt.log"))))
    if not is_complete(environment):
        stages.append(Stage("environment", _in_thread(partial(make_environment, environment, logs / "uv.log"))))
    return stages


@asynccontextmanager
async def _alone(cache_root: Path) -> AsyncIterator[None]:
    """Wait until no other command installs, then keep others waiting."""
    (cache_root / "log").mkdir(parents=True, exist_ok=True)
    handle = os.open(cache_root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.2)
        yield
    finally:
        os.close(handle)


def _in_thread(work: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    return partial(asyncio.to_thread, work)
