import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from fairlead.adapters.ovsdb.events import Configured, Connected, Gone, OvsdbEvents
from fairlead.adapters.ovsdb.rows import InterfaceState

PLUGGED = InterfaceState(UUID(int=1), "flh1")
INSTALLED = replace(PLUGGED, installed=True, ofport=7)


async def test_a_plug_is_over_when_ovn_says_so_of_the_row_that_has_the_name_now() -> None:
    news = OvsdbEvents()
    news.take(InterfaceState(UUID(int=2), "flh1", installed=True))  # an earlier plug
    for report in (PLUGGED, Gone(UUID(int=2), "flh1")):
        news.take(report)
    waiting = asyncio.create_task(news.installed("flh1"))
    for report in (InterfaceState(UUID(int=3), "flh2", installed=True), replace(PLUGGED, ofport=7)):
        news.take(report)
        await asyncio.sleep(0.01)
        assert not waiting.done()
    news.take(INSTALLED)
    async with asyncio.timeout(1):
        await waiting
    assert news.interface("flh1") == INSTALLED


async def test_news_that_comes_before_anybody_waits_is_not_lost() -> None:
    news = OvsdbEvents()
    news.take(INSTALLED)
    async with asyncio.timeout(1):
        await news.installed("flh1")


async def test_all_who_wait_for_one_interface_are_told_and_then_forgotten() -> None:
    news = OvsdbEvents()
    waiting = [asyncio.create_task(news.installed("flh1")) for _ in range(2)]
    await asyncio.sleep(0)
    news.take(INSTALLED)
    async with asyncio.timeout(1):
        await asyncio.gather(*waiting)
    assert news._waiting == {}


async def test_of_an_interface_that_went_nothing_is_kept_but_a_new_one_of_its_name_is() -> None:
    news = OvsdbEvents()
    news.take(INSTALLED)
    news.take(Gone(INSTALLED.row, "flh1"))
    assert news.interface("flh1") is None
    news.take(Gone(UUID(int=9), "eth0"))
    again = InterfaceState(UUID(int=2), "flh1")
    news.take(INSTALLED)
    news.take(again)
    news.take(Gone(INSTALLED.row, "flh1"))
    assert news.interface("flh1") == again


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
