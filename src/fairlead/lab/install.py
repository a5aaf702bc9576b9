"""What a lab needs on the machine: Debian packages, and the Python environment of Keystone and Neutron."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from fairlead.lab.environment import environment_path, is_complete, make_environment
from fairlead.lab.graph import Progress, Stage, StageTime, run_stages
from fairlead.lab.packages import install_packages, missing_packages
from fairlead.lab.paths import CACHE_ROOT
from fairlead.model.errors import LabError


def require_root() -> None:
    """Raise LabError where the user isn't root."""
    if os.geteuid() != 0:
        raise LabError("a lab needs root: it makes namespaces and runs daemons in them", remedy="run it with sudo")


async def install(progress: Progress, cache_root: Path = CACHE_ROOT) -> tuple[StageTime, ...]:
    """Install what is missing, packages and environment at once; returns the stages that were needed."""
    require_root()
    packages = missing_packages()
    environment = environment_path(cache_root)
    logs = cache_root / "log"
    logs.mkdir(parents=True, exist_ok=True)
    stages = []
    if packages:
        stages.append(Stage("packages", _in_thread(partial(install_packages, packages, logs / "apt.log"))))
    if not is_complete(environment):
        stages.append(Stage("environment", _in_thread(partial(make_environment, environment, logs / "uv.log"))))
    return await run_stages(stages, progress)


def _in_thread(work: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    return partial(asyncio.to_thread, work)
