import asyncio
from uuid import UUID

import pytest

from fairlead.adapters.ovsdb.events import Configured, Connected, OvsdbEvents
from fairlead.adapters.ovsdb.rows import InterfaceState

PLUGGED = InterfaceState(UUID(int=1), "flh1", {"iface-id": "p"})
INSTALLED = InterfaceState(UUID(int=1), "flh1", {"iface-id": "p", "ovn-installed": "true"}, ofport=7)


async def test_a_plug_is_over_when_ovn_says_so_of_its_row() -> None:
    news = OvsdbEvents()
    with news.watch("flh1") as watch:
        waiting = asyncio.create_task(watch.installed(PLUGGED))
        for report in (
            InterfaceState(UUID(int=2), "flh1", {"ovn-installed": "true"}),  # the row it replaced
            InterfaceState(UUID(int=3), "flh2", {"ovn-installed": "true"}),
            InterfaceState(UUID(int=1), "flh1", {"ovn-installed": "false"}, ofport=7),
        ):
            news.take(report)
            await asyncio.sleep(0.01)
            assert not waiting.done()
        news.take(INSTALLED)
        async with asyncio.timeout(1):
            await waiting
        assert watch.get(PLUGGED) == INSTALLED


async def test_news_that_comes_before_anybody_waits_is_not_lost() -> None:
    news = OvsdbEvents()
    with news.watch("flh1") as watch:
        news.take(INSTALLED)
        async with asyncio.timeout(1):
            await watch.installed(PLUGGED)
        assert watch.get(PLUGGED) == INSTALLED


async def test_a_plug_that_was_installed_already_needs_no_news() -> None:
    with OvsdbEvents().watch("flh1") as watch:
        async with asyncio.timeout(1):
            await watch.installed(INSTALLED)
        assert watch.get(INSTALLED).installed


async def test_nothing_is_kept_of_interfaces_that_nobody_watches() -> None:
    news = OvsdbEvents()
    with news.watch("flh1"):
        pass
    news.take(INSTALLED)
    assert news._watches == {}


async def test_a_configuration_is_awaited_by_its_number() -> None:
    news = OvsdbEvents()
    news.take(Configured(4))
    async with asyncio.timeout(1):
        await news.configured(4)
    waiting = asyncio.create_task(news.configured(6))
    news.take(Configured(5))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    news.take(Configured(7))
    async with asyncio.timeout(1):
        await waiting


async def test_a_connection_is_awaited_from_when_it_is_expected() -> None:
    news = OvsdbEvents()
    news.take(Connected())
    connected = news.expect_connection()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await connected.wait()
    news.take(Connected())
    async with asyncio.timeout(1):
        await connected.wait()
