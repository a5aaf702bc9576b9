"""The fake cloud, and the adapter signed in to it as a member."""

from collections.abc import AsyncIterator

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead_lab.fakes import FakeCloud


@pytest.fixture
async def cloud() -> AsyncIterator[FakeCloud]:
    async with FakeCloud() as cloud:
        yield cloud


@pytest.fixture
async def neutron(cloud: FakeCloud) -> AsyncIterator[NeutronService]:
    async with NeutronService(cloud.credentials()) as service:
        yield service
