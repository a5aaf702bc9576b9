import asyncio

import pytest

from fairlead.concurrency import KeyedLocks


async def test_one_key_is_held_by_one_at_a_time_in_the_order_of_asking() -> None:
    locks = KeyedLocks()
    story: list[str] = []

    async def work(name: str) -> None:
        async with locks.hold("key"):
            story.append(f"{name} begins")
            await asyncio.sleep(0)
            story.append(f"{name} ends")

    await asyncio.gather(work("first"), work("second"), work("third"))
    assert story == [f"{name} {what}" for name in ("first", "second", "third") for what in ("begins", "ends")]


async def test_other_keys_do_not_wait() -> None:
    locks = KeyedLocks()
    async with locks.hold("one"), asyncio.timeout(1), locks.hold("other"):
        assert locks.keys == {"one", "other"}


async def test_a_turn_that_fails_lets_the_next_in() -> None:
    locks = KeyedLocks()
    with pytest.raises(ValueError, match="failed"):
        async with locks.hold("key"):
            raise ValueError("failed")
    async with asyncio.timeout(1), locks.hold("key"):
        pass


async def test_who_gives_up_waiting_holds_up_nobody() -> None:
    locks = KeyedLocks()
    async with locks.hold("key"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), locks.hold("key"):
                pass
    async with asyncio.timeout(1), locks.hold("key"):
        pass


async def test_nothing_is_kept_of_keys_that_nobody_uses() -> None:
    locks = KeyedLocks()
    for number in range(100):
        async with locks.hold(str(number)):
            pass
    assert locks._locks == {}
    assert locks._users == {}
