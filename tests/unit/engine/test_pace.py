"""When the background asks Neutron again."""

import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.engine.pace import (
    A_PORT,
    FIRST_WAIT,
    LONGEST_TURN,
    LONGEST_WAIT,
    LULL,
    SHORTEST_TURN,
    SLOW,
    Pace,
    Turns,
)


def middle() -> float:
    return 0.5


def test_after_a_request_it_rests_as_long_as_the_request_took() -> None:
    pace = Pace(middle)
    pace.succeeded(100.0, 7.0)
    assert pace.not_before == 107.0


def test_after_failures_it_waits_twice_as_long_each_time_up_to_a_limit() -> None:
    pace = Pace(middle)
    waits = []
    for _ in range(10):
        pace.failed(100.0)
        waits.append(pace.not_before - 100.0)
    assert waits[:4] == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4, FIRST_WAIT * 8]
    assert waits[-1] == LONGEST_WAIT
    assert pace.open


def test_one_success_closes_the_circuit() -> None:
    pace = Pace(middle)
    for _ in range(5):
        pace.failed(100.0)
    pace.succeeded(200.0, 0.1)
    assert not pace.open
    assert pace.not_before == pytest.approx(200.1)


def test_neutrons_own_wish_is_kept_and_not_undercut() -> None:
    for chance in (0.0, 0.5, 0.999):
        pace = Pace(partial(float, chance))
        pace.failed(100.0, retry_after=30.0)
        assert 130.0 <= pace.not_before < 160.0


def test_hosts_that_failed_together_do_not_come_back_together() -> None:
    chance = random.Random(1)
    moments = []
    for _ in range(1000):
        pace = Pace(chance.random)
        for _ in range(4):
            pace.failed(100.0)
        moments.append(pace.not_before)
    busiest = max(sum(start <= moment < start + 1.0 for moment in moments) for start in range(100, 130))
    assert busiest < 100


def test_what_somebody_waits_for_is_tried_again_after_as_long_as_the_request_took() -> None:
    pace = Pace(middle)
    for _ in range(6):
        pace.failed(100.0, seconds=20.0)
    assert pace.starts_from == 120.0
    assert pace.not_before == 100.0 + FIRST_WAIT * 32


def test_a_failure_is_rested_from_at_least_as_long_as_it_was_waited_for() -> None:
    pace = Pace(middle)
    pace.failed(100.0, seconds=120.0)
    assert pace.not_before == 220.0


def test_an_answer_is_slow_by_what_it_took_beyond_its_ports() -> None:
    pace = Pace(middle)
    assert not pace.took(100.0, SLOW + 50 * A_PORT, ports=50)
    assert pace.is_fair(100.0)
    assert pace.took(100.0, SLOW + 5 * A_PORT, ports=4)
    assert not pace.is_fair(100.0)


def test_neutron_is_taken_to_be_slow_until_a_while_after_the_next_turn() -> None:
    pace = Pace(middle)
    pace.took(100.0, 40.0)
    assert pace.need.not_before == 160.0
    assert not pace.is_fair(160.0 + LULL - 1)
    assert pace.is_fair(160.0 + LULL)


@given(st.lists(st.tuples(st.sampled_from(["busy", "free", "rest"]), st.floats(0.0, 200.0)), max_size=50))
def test_turns_are_never_in_the_past_and_never_further_away_than_the_longest(
    steps: list[tuple[str, float]],
) -> None:
    turns, now = Turns(middle), 1000.0
    for step, seconds in steps:
        before = turns.not_before
        if step == "busy":
            turns.busy(now, seconds)
            assert now + SHORTEST_TURN <= turns.not_before
        elif step == "free":
            turns.free()
            assert turns.not_before == before
        else:
            turns.rest(now)
        assert before <= turns.not_before <= now + LONGEST_TURN * 1.5
        now = max(now, turns.not_before) + seconds


def test_a_host_that_finds_neutron_busy_waits_twice_as_long_and_half_as_long_once_it_is_free() -> None:
    turns, waits = Turns(lambda: 0.0), []
    for answer in ("busy", "busy", "busy", "free", "free", "free"):
        if answer == "busy":
            turns.busy(0.0, 0.6)
        else:
            turns.free()
        turns.not_before = 0.0
        turns.rest(0.0)
        waits.append(turns.not_before / SHORTEST_TURN)
    assert waits == [1, 2, 4, 2, 1, 0]
