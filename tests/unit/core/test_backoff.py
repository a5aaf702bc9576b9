"""When the background asks Neutron again."""

import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.background.backoff import (
    A_PORT,
    FIRST_WAIT,
    LONGEST_TURN,
    LONGEST_WAIT,
    LULL,
    SHORTEST_TURN,
    SLOW,
    Backoff,
    Throttle,
)


def middle() -> float:
    return 0.5


def test_after_a_request_it_rests_as_long_as_the_request_took() -> None:
    backoff = Backoff(middle)
    backoff.succeeded(100.0, 7.0)
    assert backoff.not_before == 107.0


def test_after_failures_it_waits_twice_as_long_each_time_up_to_a_limit() -> None:
    backoff = Backoff(middle)
    waits = []
    for _ in range(10):
        backoff.failed(100.0)
        waits.append(backoff.not_before - 100.0)
    assert waits[:4] == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4, FIRST_WAIT * 8]
    assert waits[-1] == LONGEST_WAIT
    assert backoff.open


def test_one_success_closes_the_circuit() -> None:
    backoff = Backoff(middle)
    for _ in range(5):
        backoff.failed(100.0)
    backoff.succeeded(200.0, 0.1)
    assert not backoff.open
    assert backoff.not_before == pytest.approx(200.1)


def test_neutrons_own_wish_is_kept_and_not_undercut() -> None:
    for chance in (0.0, 0.5, 0.999):
        backoff = Backoff(partial(float, chance))
        backoff.failed(100.0, retry_after=30.0)
        assert 130.0 <= backoff.not_before < 160.0


def test_hosts_that_failed_together_do_not_come_back_together() -> None:
    chance = random.Random(1)
    moments = []
    for _ in range(1000):
        backoff = Backoff(chance.random)
        for _ in range(4):
            backoff.failed(100.0)
        moments.append(backoff.not_before)
    busiest = max(sum(start <= moment < start + 1.0 for moment in moments) for start in range(100, 130))
    assert busiest < 100


def test_what_somebody_waits_for_is_tried_again_after_as_long_as_the_request_took() -> None:
    backoff = Backoff(middle)
    for _ in range(6):
        backoff.failed(100.0, seconds=20.0)
    assert backoff.starts_from == 120.0
    assert backoff.not_before == 100.0 + FIRST_WAIT * 32


def test_a_failure_is_rested_from_at_least_as_long_as_it_was_waited_for() -> None:
    backoff = Backoff(middle)
    backoff.failed(100.0, seconds=120.0)
    assert backoff.not_before == 220.0


def test_an_answer_is_slow_by_what_it_took_beyond_its_ports() -> None:
    backoff = Backoff(middle)
    assert not backoff.took(100.0, SLOW + 50 * A_PORT, ports=50)
    assert backoff.is_fair(100.0)
    assert backoff.took(100.0, SLOW + 5 * A_PORT, ports=4)
    assert not backoff.is_fair(100.0)


def test_neutron_is_taken_to_be_slow_until_a_while_after_the_next_turn() -> None:
    backoff = Backoff(middle)
    backoff.took(100.0, 40.0)
    assert backoff.need.not_before == 160.0
    assert not backoff.is_fair(160.0 + LULL - 1)
    assert backoff.is_fair(160.0 + LULL)


@given(st.lists(st.tuples(st.sampled_from(["busy", "free", "rest"]), st.floats(0.0, 200.0)), max_size=50))
def test_turns_are_never_in_the_past_and_never_further_away_than_the_longest(
    steps: list[tuple[str, float]],
) -> None:
    throttle, now = Throttle(middle), 1000.0
    for step, seconds in steps:
        before = throttle.not_before
        if step == "busy":
            throttle.busy(now, seconds)
            assert now + SHORTEST_TURN <= throttle.not_before
        elif step == "free":
            throttle.free()
            assert throttle.not_before == before
        else:
            throttle.rest(now)
        assert before <= throttle.not_before <= now + LONGEST_TURN * 1.5
        now = max(now, throttle.not_before) + seconds


def test_a_host_that_finds_neutron_busy_waits_twice_as_long_and_half_as_long_once_it_is_free() -> None:
    throttle, waits = Throttle(lambda: 0.0), []
    for answer in ("busy", "busy", "busy", "free", "free", "free"):
        if answer == "busy":
            throttle.busy(0.0, 0.6)
        else:
            throttle.free()
        throttle.not_before = 0.0
        throttle.rest(0.0)
        waits.append(throttle.not_before / SHORTEST_TURN)
    assert waits == [1, 2, 4, 2, 1, 0]
