"""When the background asks Neutron again."""

import random
from functools import partial

import pytest

from fairlead.engine.pace import FIRST_WAIT, LONGEST_WAIT, Pace


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
