import asyncio

import pytest

from fairlead.adapters.dataplane.turns import Turns


async def test_one_key_is_held_by_one_at_a_time_in_the_order_of_asking() -> None:
    turns = Turns()
    story: list[str] = []

    async def work(name: str) -> None:
        async with turns.turn("key"):
            story.append(f"{name} begins")
            await asyncio.sleep(0)
            story.append(f"{name} ends")

    await asyncio.gather(work("first"), work("second"), work("third"))
    assert story == [f"{name} {what}" for name in ("first", "second", "third") for what in ("begins", "ends")]


async def test_other_keys_do_not_wait() -> None:
    turns = Turns()
    async with turns.turn("one"), asyncio.timeout(1), turns.turn("other"):
        assert turns.keys == {"one", "other"}


async def test_a_turn_that_fails_lets_the_next_in() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="failed"):
        async with turns.turn("key"):
            raise ValueError("failed")
    async with asyncio.timeout(1), turns.turn("key"):
        pass


async def test_who_gives_up_waiting_holds_up_nobody() -> None:
    turns = Turns()
    async with turns.turn("key"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), turns.turn("key"):
                pass
    async with asyncio.timeout(1), turns.turn("key"):
        pass


async def test_nothing_is_kept_of_keys_that_nobody_uses() -> None:
    turns = Turns()
    for number in range(100):
        async with turns.turn(str(number)):
            pass
    assert turns._locks == {}
    assert turns._users == {}
