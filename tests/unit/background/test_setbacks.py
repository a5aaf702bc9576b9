"""Whose fault a failure is: one thing's alone, or common to what is asked of Neutron."""

from math import inf

import pytest

from fairlead.core.background.backoff import FIRST_WAIT, LONGEST_WAIT, Backoff
from fairlead.core.background.setbacks import Setbacks
from fairlead.model.errors import CloudUnavailable, Conflict, DataplaneError, SwitchUnavailable, WiringTimeout

ANSWERED = CloudUnavailable("Neutron answers HTTP 500", answered=True)
SILENCE = CloudUnavailable("no answer within 20 s")
UNREACHED = CloudUnavailable("can't be reached", reached=False)
BUSY = CloudUnavailable("Neutron answers HTTP 503", retry_after=30.0)
NOW = 1000.0


@pytest.fixture
def setbacks() -> Setbacks:
    return Setbacks(Backoff(lambda: 0.5))


def waits(setbacks: Setbacks, error: Exception, times: int = 10) -> list[float]:
    """Fail with the same thing over and over, as soon as it may be tried again."""
    now, seen = NOW, []
    for _ in range(times):
        setbacks.failed("one", error, now)
        before = now
        while not setbacks.is_due("one", now):
            now += 0.5
        seen.append(now - before)
    return seen


@pytest.mark.parametrize("error", [ANSWERED, Conflict("no"), ValueError("no such thing"), DataplaneError("no")])
def test_one_thing_that_always_fails_is_tried_ever_more_rarely_and_slows_nothing_else(
    setbacks: Setbacks, error: Exception
) -> None:
    seen = waits(setbacks, error)
    assert seen[:4] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT, 8 * FIRST_WAIT]
    assert seen[-1] == LONGEST_WAIT
    assert not setbacks.backoff.open
    assert setbacks.is_due("another", NOW)


def test_two_different_things_that_fail_in_a_row_are_neutrons_fault(setbacks: Setbacks) -> None:
    setbacks.failed("one", ANSWERED, NOW)
    setbacks.failed("two", ANSWERED, NOW)
    assert setbacks.backoff.open
    assert setbacks.is_due("two", NOW), "it was not its own fault"


def test_two_that_fail_with_a_success_between_them_are_not(setbacks: Setbacks) -> None:
    setbacks.failed("one", ANSWERED, NOW)
    setbacks.succeeded("three")
    setbacks.failed("two", ANSWERED, NOW)
    assert not setbacks.backoff.open


@pytest.mark.parametrize("error", [SILENCE, UNREACHED, BUSY])
def test_a_neutron_that_does_not_answer_is_left_alone_at_once(setbacks: Setbacks, error: Exception) -> None:
    setbacks.failed("one", error, NOW)
    assert setbacks.backoff.open
    assert setbacks.is_due("one", NOW)


@pytest.mark.parametrize("error", [ANSWERED, SILENCE])
def test_what_fails_while_others_succeed_is_known_to_be_at_fault_however_it_fails_again(
    setbacks: Setbacks, error: Exception
) -> None:
    for number in range(5):
        setbacks.failed("one", error, NOW)
        setbacks.succeeded(f"another {number}")
        setbacks.backoff.succeeded(NOW, 0.0)
    setbacks.failed("one", error, NOW)
    assert not setbacks.backoff.open
    assert not setbacks.is_due("one", NOW)


def test_what_is_at_fault_itself_tells_all_the_same_of_a_neutron_that_can_not_be_reached(setbacks: Setbacks) -> None:
    setbacks.failed("one", ANSWERED, NOW)
    setbacks.succeeded("another")
    setbacks.failed("one", UNREACHED, NOW)
    assert setbacks.backoff.open


def test_what_somebody_waits_for_is_tried_again_as_soon_each_time(setbacks: Setbacks) -> None:
    for _ in range(5):
        setbacks.failed("one", ANSWERED, NOW, seconds=7.0, awaited=True)
        assert not setbacks.is_due("one", NOW + 6.9)
        assert setbacks.is_due("one", NOW + 7.0)


def test_the_next_of_what_is_put_off_is_known(setbacks: Setbacks) -> None:
    assert setbacks.soonest(NOW) == inf
    setbacks.failed("one", Conflict("no"), NOW)
    setbacks.failed("two", Conflict("no"), NOW, first=60.0)
    assert setbacks.soonest(NOW) == NOW + FIRST_WAIT
    assert setbacks.soonest(NOW + FIRST_WAIT) == NOW + 60.0


def test_a_thing_that_is_done_at_last_begins_anew(setbacks: Setbacks) -> None:
    waits(setbacks, ANSWERED)
    setbacks.succeeded("one")
    assert not setbacks.has_failed("one")
    assert waits(setbacks, ANSWERED, 1) == [FIRST_WAIT]


def test_the_switchs_silence_is_not_neutrons_and_a_port_that_is_not_wired_is_neither() -> None:
    for error in (SwitchUnavailable("away"), WiringTimeout("never ready")):
        setbacks = Setbacks(Backoff(lambda: 0.5))
        setbacks.failed("one", error, NOW)
        assert not setbacks.backoff.open
    devices = Setbacks(Backoff(lambda: 0.5), SwitchUnavailable)
    devices.failed("one", WiringTimeout("never ready"), NOW)
    assert not devices.backoff.open
    devices.failed("one", SwitchUnavailable("away"), NOW)
    assert devices.backoff.open


def test_what_is_gone_is_forgotten(setbacks: Setbacks) -> None:
    for number in range(10_000):
        setbacks.failed(f"port {number}", Conflict("no"), NOW + number)
        setbacks.succeeded("another")
    assert len(setbacks) < 1000
