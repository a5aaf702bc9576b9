"""The distributions built, and each installed into an environment where nothing else is."""

import json
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.packaging.distributions import ROOT, Distribution

DIST = ROOT / "build" / "dist"
UV = ROOT / "build" / "uv" / "bin" / "uv"


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment, by none of this one's settings, and return what it says."""
        done = subprocess.run(
            [self.folder / "bin" / program, *arguments], cwd="/", env={}, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def installed(self) -> frozenset[str]:
        """The names of the distributions that are in it."""
        listed = uv("pip", "list", "--format", "json", "--python", str(self.folder))
        return frozenset(one["name"] for one in json.loads(listed))


def uv(*arguments: str) -> str:
    done = subprocess.run(
        [UV, "--no-config", "--no-progress", "--no-python-downloads", *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder with the three wheels and sdists, made now."""
    done = subprocess.run(
        [ROOT / "packaging" / "build-wheels"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout
    return DIST


@pytest.fixture(scope="session")
def wheel(built: Path) -> Callable[[str], zipfile.ZipFile]:
    """The wheel of a distribution."""

    def find(name: str) -> zipfile.ZipFile:
        (path,) = built.glob(f"{Distribution(name).package}-*.whl")
        return zipfile.ZipFile(path)

    return find


@pytest.fixture(scope="session")
def environment(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """An environment that holds a distribution, what it requires, and nothing else; made once for each."""
    made: dict[str, Environment] = {}

    def install(name: str) -> Environment:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            (own,) = built.glob(f"{Distribution(name).package}-*.whl")
            uv("venv", "--quiet", "--python", str(ROOT / ".venv" / "bin" / "python"), "--clear", str(folder))
            uv("pip", "install", "--quiet", "--python", str(folder), "--find-links", str(built), str(own))
            made[name] = Environment(folder)
        return made[name]

    return install
