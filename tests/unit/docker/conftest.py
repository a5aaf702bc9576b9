"""Two hosts with an agent each, on one fake cloud."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead_lab.fakes import FakeCloud
from tests.unit.docker.dockerd import Host


@pytest.fixture
async def cloud() -> AsyncIterator[FakeCloud]:
    async with FakeCloud() as cloud:
        yield cloud


@pytest.fixture
async def h1(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host = Host("h1", cloud.credentials("member"), tmp_path)
    await host.start()
    yield host
    await host.stop()


@pytest.fixture
async def h2(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host = Host("h2", cloud.credentials("member"), tmp_path)
    await host.start()
    yield host
    await host.stop()
