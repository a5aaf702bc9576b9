"""Installing is done once, however many ask for it at a time."""

import asyncio
from pathlib import Path

import pytest

from fairlead_lab import install as module
from fairlead_lab.environment import environment_path
from fairlead_lab.graph import StageTime
from fairlead_lab.install import install


class Heard:
    """Progress that is remembered."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def ended(self, time: StageTime) -> None:
        self.stages.append(time.name)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine on which only the environment is missing; what was made is listed."""
    made: list[str] = []

    def make(environment: Path, log: Path) -> None:
        assert log.parent.is_dir()
        made.append(environment.name)

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(module, "missing_packages", lambda machines: ())
    monkeypatch.setattr(module, "is_complete", lambda environment: environment.name in made)
    monkeypatch.setattr(module, "make_environment", make)
    return made


async def test_two_at_once_make_one_environment(made: list[str], tmp_path: Path) -> None:
    heard = Heard()
    await asyncio.gather(install(heard, tmp_path), install(heard, tmp_path))
    assert len(made) == 1
    assert heard.stages == ["environment"]


async def test_nothing_is_written_when_all_is_there(made: list[str], tmp_path: Path) -> None:
    made.append(environment_path(tmp_path).name)
    assert await install(Heard(), tmp_path) == ()
    assert list(tmp_path.iterdir()) == []
