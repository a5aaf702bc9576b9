"""Pieces of work that stand each for itself."""

from collections.abc import Coroutine
from typing import Any

import structlog

from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.model.errors import CloudUnavailable, Conflict
from tests.unit.docker.dockerd import HandClock


class Trial:
    """Attempts whose ends are written down."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, str]] = []
        self.unforeseen = 0
        self.clock = HandClock()
        self.backoff = Backoff(lambda: 0.5)
        self.attempts = Attempts(self.clock, self.backoff, self.note, self.count)

    def note(self, what: str, error: Exception | None) -> None:
        self.ends.append((what, str(error or "")))

    def is_open(self) -> bool:
        return self.backoff.open

    def count(self) -> None:
        self.unforeseen += 1


def raising(error: Exception | None) -> Coroutine[Any, Any, None]:
    async def work() -> None:
        if error:
            raise error

    return work()


async def test_what_fails_is_noted_and_stops_nobody() -> None:
    trial = Trial()
    await trial.attempts.run("one", raising(Conflict("taken")))
    await trial.attempts.run("two", raising(None))
    assert trial.ends == [("one", "taken"), ("two", "")]
    assert trial.unforeseen == 0


async def test_what_nobody_foresaw_is_noted_too_with_its_traceback_and_counted() -> None:
    trial = Trial()
    with structlog.testing.capture_logs() as logs:
        await trial.attempts.run("one", raising(TypeError("int and str")))
    assert trial.ends == [("one", "int and str")]
    assert trial.unforeseen == 1
    assert (logs[0]["event"], logs[0]["what"], logs[0]["exc_info"]) == ("unexpected error", "one", True)


async def test_only_what_asks_neutron_tells_when_neutron_may_be_asked_again() -> None:
    trial = Trial()
    await trial.attempts.run("the kernel's", raising(Conflict("taken")))
    assert not trial.is_open()
    await trial.attempts.run("Neutron's", raising(CloudUnavailable("busy", retry_after=100.0)), cloud=True)
    assert trial.is_open()
    assert trial.backoff.not_before == trial.clock.now() + 150.0
    await trial.attempts.run("the kernel's", raising(None))
    assert trial.is_open()
    await trial.attempts.run("Neutron's", raising(None), cloud=True)
    assert not trial.is_open()


async def test_one_piece_that_always_fails_is_tried_ever_more_rarely_and_the_others_as_ever() -> None:
    trial = Trial()
    for _ in range(300):
        await trial.attempts.run("one", raising(CloudUnavailable("HTTP 500", answered=True)), cloud=True)
        await trial.attempts.run("two", raising(None), cloud=True)
        trial.clock.time += 2
    ends = [what for what, _ in trial.ends]
    assert ends.count("two") == 300
    assert ends.count("one") < 12
    assert not trial.is_open()
