"""How many ports should wait, as time and demand go by."""

from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.warm.sizing import HALF_LIFE, Demand, PoolLimits, watermarks

WINDOW = 20.0
LIMITS = PoolLimits(floor=2, ceiling=100)


def test_without_any_demand_the_floor_waits() -> None:
    assert watermarks(Demand(WINDOW, 0.0).level(1000.0), LIMITS).target == 2


def test_a_burst_is_remembered_at_once_and_whole() -> None:
    demand = Demand(WINDOW, 0.0)
    for _ in range(50):
        demand.take(100.0)
    assert watermarks(demand.level(100.0), LIMITS).target == 50


def test_takes_count_together_within_a_window_only() -> None:
    demand = Demand(WINDOW, 0.0)
    for moment in range(100):
        demand.take(moment * 2.0)
    assert demand.level(198.0) == WINDOW / 2


def test_what_does_not_come_again_is_half_forgotten_in_a_half_life() -> None:
    demand = Demand(WINDOW, 0.0)
    for _ in range(64):
        demand.take(0.0)
    levels = [watermarks(demand.level(HALF_LIFE * halves), LIMITS).target for halves in range(9)]
    assert levels == [64, 32, 16, 8, 4, 2, 2, 2, 2]


def test_looking_often_forgets_no_faster_than_looking_once() -> None:
    often, once = Demand(WINDOW, 0.0, peak=40.0), Demand(WINDOW, 0.0, peak=40.0)
    for second in range(int(HALF_LIFE)):
        often.level(float(second))
    assert abs(often.level(HALF_LIFE) - once.level(HALF_LIFE)) < 1e-6


def test_after_a_restart_what_waited_stands_for_the_demand_that_was() -> None:
    assert watermarks(Demand(WINDOW, 0.0, peak=30.0).level(0.0), LIMITS).target == 30


def test_nothing_waits_where_the_operator_wants_no_pool() -> None:
    found = watermarks(80.0, PoolLimits(floor=0, ceiling=0))
    assert (found.low, found.target, found.high) == (0, 0, 0)


@given(level=st.floats(min_value=0, max_value=10_000), floor=st.integers(0, 20), ceiling=st.integers(0, 500))
def test_marks_stand_in_order_and_within_the_limits(level: float, floor: int, ceiling: int) -> None:
    limits = PoolLimits(floor=floor, ceiling=ceiling)
    found = watermarks(level, limits)
    assert 0 <= found.low <= found.target <= found.high
    assert found.target <= ceiling
    assert found.target >= min(floor, ceiling)


@given(st.lists(st.floats(min_value=0, max_value=30), min_size=1, max_size=200))
def test_demand_is_never_less_than_what_was_taken_in_the_last_window(pauses: list[float]) -> None:
    demand, now, moments = Demand(WINDOW, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        moments.append(now)
        demand.take(now)
        recent = sum(moment > now - WINDOW for moment in moments)
        assert recent <= demand.level(now) <= len(moments)
