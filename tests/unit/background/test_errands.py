"""Tasks that nobody waits for."""

import asyncio

import structlog

from fairlead.core.background.errands import Errands


async def test_what_an_errand_raises_is_logged_and_counted() -> None:
    failed: list[str] = []
    errands = Errands(failed.append)

    async def die() -> None:
        raise ValueError("no such thing")

    with structlog.testing.capture_logs() as logs:
        await errands.start("starts", die())
    assert failed == ["starts"]
    assert (logs[0]["event"], logs[0]["task"], logs[0]["exc_info"]) == ("unexpected error", "starts", True)


async def test_errands_that_still_run_at_the_end_are_cancelled_and_their_ends_awaited() -> None:
    failed: list[str] = []
    errands, ended = Errands(failed.append), []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    errands.start("starts", wait())
    await asyncio.sleep(0)
    await errands.close()
    assert (ended, failed) == ([True], [])
