"""Tasks that nobody waits for."""

import asyncio

import structlog

from fairlead.core.background.unawaited import Unawaited


async def test_what_such_a_task_raises_is_logged_and_counted() -> None:
    failed: list[str] = []
    unawaited = Unawaited(failed.append)

    async def die() -> None:
        raise ValueError("no such thing")

    with structlog.testing.capture_logs() as logs:
        await unawaited.start("starts", die())
    assert failed == ["starts"]
    assert (logs[0]["event"], logs[0]["task"], logs[0]["exc_info"]) == ("unexpected error", "starts", True)


async def test_those_that_still_run_at_the_end_are_cancelled_and_their_ends_awaited() -> None:
    failed: list[str] = []
    unawaited, ended = Unawaited(failed.append), []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    unawaited.start("starts", wait())
    await asyncio.sleep(0)
    await unawaited.close()
    assert (ended, failed) == ([True], [])
