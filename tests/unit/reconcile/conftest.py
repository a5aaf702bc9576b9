"""A host with ports that wait, on the cloud in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.core.warm.sizing import PoolLimits
from fairlead_lab.fakes import FakeCloud
from tests.unit.docker.dockerd import Host


@pytest.fixture
async def cloud() -> AsyncIterator[FakeCloud]:
    async with FakeCloud() as cloud:
        yield cloud


@pytest.fixture
async def pooled(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host = Host("h1", cloud.credentials("member"), tmp_path, PoolLimits(floor=3, cool_down=10.0))
    await host.start()
    yield host
    await host.stop()
