"""How many requests at once: what cuts the window, steps 6 and 7, and what holds whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.window import AdaptiveWindow, FixedWindow
from s3_upload.report import SUCCESS
from tests.unit.control.reports import RESET, THROTTLE, TIMEOUT, attempt
from tests.unit.control.window_rig import AFTER_CUT_S, START_EPOCH_S, Run, throttled

# --- 6: throttles ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(100, 70), (8, 5), (2, 1), (1, 1)])
def test_step_6_a_throttle_costs_30_percent(before: int, after: int) -> None:
    assert throttled(before).window.limit == after


def test_step_6_a_hundred_refused_at_once_cost_one_cut() -> None:
    run = Run(AdaptiveWindow(10_000, start=100))
    run.now = 1.0
    for _ in range(100):
        run.end(THROTTLE, age_s=0.02)
    assert run.window.limit == 70
    run.now = 1.019  # stragglers of the same episode
    run.end(THROTTLE, age_s=0.02)
    assert run.window.limit == 70


@pytest.mark.parametrize(("started_s", "limit"), [(0.999, 70), (1.0, 70), (1.001, 49)])
def test_step_6_a_request_sent_after_the_cut_and_refused_costs_another(started_s: float, limit: int) -> None:
    run = throttled(100)
    run.now = 1.1
    report = attempt(started_s=started_s, ended_s=1.1, outcome=THROTTLE)
    run.window.observe(report, now=run.now, in_flight=70)
    assert run.window.limit == limit


def test_step_6_the_start_is_over() -> None:
    run = throttled(100)
    assert run.succeed(200, within_s=1.0) == 70


def test_step_6_then_one_more_every_two_seconds_until_where_it_was_refused() -> None:
    run = throttled(8)
    assert run.window.limit == 5
    assert run.succeed(1000, within_s=1.99) == 5
    assert run.succeed(1000, within_s=0.0101) == 6
    assert run.succeed(1000, within_s=AFTER_CUT_S) == 7
    assert run.succeed(1000, within_s=AFTER_CUT_S) == 8
    assert run.succeed(1000, within_s=AFTER_CUT_S) == 9  # measured at 8: from here on by probes
    assert run.succeed(50) == 8  # 500/s, as before; and its epoch was short again


def test_step_6_it_does_not_grow_while_it_is_not_filled() -> None:
    run = throttled(8)
    assert {run.succeed(1000, within_s=AFTER_CUT_S, filled=False) for _ in range(5)} == {5}


# --- 7: timeouts -----------------------------------------------------------------------------------


def with_timeouts(attempts: int, timeouts: int) -> int:
    """The limit, from 100, after an epoch in which that many of the attempts timed out."""
    run = Run(AdaptiveWindow(100, start=100))
    for _ in range(timeouts):
        run.end(TIMEOUT)
    return run.start(attempts - timeouts)


@pytest.mark.parametrize(("timeouts", "limit"), [(0, 100), (9, 100), (10, 50), (100, 50)])
def test_step_7_five_percent_timeouts_halve_it(timeouts: int, limit: int) -> None:
    assert with_timeouts(attempts=200, timeouts=timeouts) == limit


@pytest.mark.parametrize(("attempts", "limit"), [(19, 100), (20, 50)])
def test_step_7_a_few_attempts_prove_nothing(attempts: int, limit: int) -> None:
    assert with_timeouts(attempts=attempts, timeouts=5) == limit


def test_step_7_256_timeouts_at_once_cost_one_cut() -> None:
    run = Run(AdaptiveWindow(256, start=256))
    run.succeed(256, within_s=START_EPOCH_S / 2)
    run.now = 60.0
    for _ in range(256):
        run.end(TIMEOUT, age_s=59.0)
    assert run.succeed(1) == 128
    assert run.succeed(100) == 128


@pytest.mark.parametrize(("age_s", "limit"), [(59.0, 76), (0.1, 35)])
def test_step_7_only_what_was_sent_after_the_last_cut_counts(age_s: float, limit: int) -> None:
    run = throttled(100)
    assert run.window.limit == 70
    run.now = 1.5
    for _ in range(100):
        run.end(TIMEOUT, age_s=age_s)
    assert run.succeed(1000, within_s=1.51) == limit  # not halved, it recovers by 100 // 16 = 6


# --- whatever happens ------------------------------------------------------------------------------


def test_a_fixed_window_learns_nothing() -> None:
    fixed = FixedWindow(7)
    fixed.observe(attempt(outcome=THROTTLE), now=2.0, in_flight=7)
    assert fixed.limit == 7


endings = st.tuples(
    st.sampled_from([SUCCESS, SUCCESS, SUCCESS, THROTTLE, TIMEOUT, RESET]),
    st.floats(0.0, 3.0),  # since the last one
    st.floats(0.0, 5.0),  # its age
    st.integers(0, 1 << 30),  # bytes
    st.booleans(),  # whether the window was filled
    st.integers(1, 50),  # how many like this
)


@given(st.integers(1, 300), st.lists(endings, max_size=40))
def test_the_limit_stays_between_one_and_its_maximum_and_replays(
    max_limit: int, story: list[tuple[str, float, float, int, bool, int]]
) -> None:
    runs = [Run(AdaptiveWindow(max_limit)) for _ in range(2)]
    limits: list[list[int]] = []
    for run in runs:
        limits.append([])
        for outcome, pause_s, age_s, body_bytes, filled, times in story:
            run.now += pause_s
            for _ in range(times):
                run.end(outcome, age_s=age_s, filled=filled, body_bytes=body_bytes)
                assert 1 <= run.window.limit <= max_limit
                limits[-1].append(run.window.limit)
    assert limits[0] == limits[1]


def test_an_attempt_that_ends_before_anything_else_did() -> None:
    adaptive = AdaptiveWindow(10, start=10)
    adaptive.observe(attempt(started_s=0.0, ended_s=0.0, outcome=THROTTLE), now=0.0, in_flight=1)
    assert adaptive.limit == 7  # 10 * 0.7
