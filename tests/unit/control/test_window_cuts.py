"""How many requests at once: what cuts the window, step 6, and what holds whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.concurrency.window import FixedWindow
from s3_upload.errors import FailureKind
from s3_upload.report import SUCCESS
from tests.unit.control.reports import RESET, THROTTLE, TIMEOUT, attempt
from tests.unit.control.window_rig import START_ROUND_S, Run, adaptive_window

# --- refusals --------------------------------------------------------------------------------------


def test_what_is_refused_for_its_rate_says_nothing_of_the_window() -> None:
    run = Run(adaptive_window(10_000, start=100))
    run.now = 1.0
    for _ in range(1000):
        run.end(THROTTLE, age_s=0.02)
    assert run.window.limit == 100


# --- 6: timeouts -----------------------------------------------------------------------------------


def with_timeouts(attempts: int, timeouts: int, outcome: str = TIMEOUT) -> int:
    """The limit, from 100, after an epoch in which that many of the attempts timed out."""
    run = Run(adaptive_window(100, start=100))
    for _ in range(timeouts):
        run.end(outcome)
    return run.round(attempts - timeouts)


@pytest.mark.parametrize(("timeouts", "limit"), [(0, 100), (9, 100), (10, 50), (100, 50)])
def test_five_percent_timeouts_halve_it(timeouts: int, limit: int) -> None:
    assert with_timeouts(attempts=200, timeouts=timeouts) == limit


@pytest.mark.parametrize(("timeouts", "limit"), [(9, 100), (10, 50), (100, 50)])
def test_bodies_that_the_store_waited_for_in_vain_are_timeouts(timeouts: int, limit: int) -> None:
    assert with_timeouts(attempts=200, timeouts=timeouts, outcome=FailureKind.REQUEST_TIMEOUT) == limit


@pytest.mark.parametrize(("attempts", "limit"), [(19, 100), (20, 50)])
def test_a_few_attempts_prove_nothing(attempts: int, limit: int) -> None:
    assert with_timeouts(attempts=attempts, timeouts=5) == limit


def test_256_timeouts_at_once_cost_one_cut() -> None:
    run = Run(adaptive_window(256, start=256))
    run.succeed(256, within_s=START_ROUND_S / 2)
    run.now = 60.0
    for _ in range(256):
        run.end(TIMEOUT, age_s=59.0)
    assert run.succeed(1) == 128
    assert run.succeed(100) == 128


@pytest.mark.parametrize(("age_s", "limit"), [(59.0, 50), (0.1, 25)])
def test_only_what_was_sent_after_the_last_cut_counts(age_s: float, limit: int) -> None:
    run = Run(adaptive_window(100, start=100))
    run.now = 60.0
    for _ in range(100):
        run.end(TIMEOUT)
    assert run.window.limit == 50
    run.now = 61.0
    for _ in range(100):
        run.end(TIMEOUT, age_s=age_s)
    assert run.window.limit == limit


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
    runs = [Run(adaptive_window(max_limit)) for _ in range(2)]
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
    adaptive = adaptive_window(10, start=10)
    adaptive.observe(attempt(started_s=0.0, ended_s=0.0, outcome=THROTTLE), now=0.0, in_flight=1)
    assert adaptive.limit == 10
