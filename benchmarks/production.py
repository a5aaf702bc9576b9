"""Fairlead as an operator installs it: without the tests' and the benchmarks' libraries, of which an agent loads some.

structlog, for one, takes rich into the process where it finds it, at 7 MB.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
ENVIRONMENT: Final = ROOT / "build/bench/production"
PYTHON: Final = ENVIRONMENT / "bin/python"


def install() -> None:
    """Make the environment, or bring it up to date; raises CalledProcessError."""
    uv = str(ROOT / "build/uv/bin/uv")
    command = [uv, "sync", "--quiet", "--frozen", "--no-dev", "--no-editable", "--package", "fairlead"]
    command += ["--reinstall-package", "fairlead"]
    subprocess.run(
        command,
        check=True,
        cwd=ROOT,
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT), "UV_PYTHON_DOWNLOADS": "never"},
    )
