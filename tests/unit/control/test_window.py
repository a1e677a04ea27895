"""How many requests at once, step by step of the module's theory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.window import AdaptiveWindow, FixedWindow, Goodput
from s3_upload.report import SUCCESS
from tests.unit.control.reports import RESET, THROTTLE, TIMEOUT, attempt

EPOCH_S = 0.1
"""The length of an epoch while requests are fast."""
AFTER_CUT_S = 2.0


class Run:
    """Feeds a window with what ends, on a clock of its own."""

    def __init__(self, window: AdaptiveWindow) -> None:
        self.window = window
        self.now = 0.0

    def end(self, outcome: str = SUCCESS, *, age_s: float = 0.001, filled: bool = True, **rest: Any) -> None:
        """One attempt of `age_s` ends; `filled`: the window was full while it ran."""
        report = attempt(started_s=self.now - age_s, ended_s=self.now, outcome=outcome, **rest)
        self.window.observe(report, now=self.now, in_flight=self.window.limit if filled else 1)

    def succeed(self, times: int, *, within_s: float = EPOCH_S, **rest: Any) -> int:
        """`times` successes, evenly over `within_s`, the last at its end; returns the limit then."""
        begin_s = self.now
        for position in range(1, times + 1):
            self.now = begin_s + within_s * position / times
            self.end(**rest)
        return self.window.limit


def probing(limit: int, *, max_limit: int = 10_000) -> Run:
    """A window that is through with its start, nothing learned yet, at the begin of an epoch."""
    run = Run(AdaptiveWindow(max_limit, start=2 * limit))
    run.now = EPOCH_S
    for _ in range(20):
        run.end(TIMEOUT)  # step 7: half of it
    assert run.window.limit == limit
    return run


def throttled(limit: int, *, max_limit: int = 10_000) -> Run:
    """A window of `limit` in which one request has just been refused."""
    run = Run(AdaptiveWindow(max_limit, start=limit))
    run.now = 1.0
    run.end(THROTTLE)
    return run


# --- 1: epochs -------------------------------------------------------------------------------------


def test_step_1_an_epoch_lasts_a_tenth_of_a_second_at_least() -> None:
    run = probing(40)
    assert run.succeed(1000, within_s=0.0999) == 40
    assert run.succeed(1, within_s=0.0002) == 45  # it has ended: a probe begins


def test_step_1_an_epoch_lasts_three_median_requests() -> None:
    run = probing(40)
    run.succeed(1000, age_s=0.5)  # the next epoch takes 1.5 s
    assert run.window.limit == 45
    assert run.succeed(1000, within_s=1.499, age_s=0.5) == 45
    assert run.succeed(1, within_s=0.002, age_s=0.5) == 40  # no rise: the probe is over


def test_step_1_an_epoch_sees_as_many_successes_as_the_window_is_wide() -> None:
    run = probing(40)
    assert run.succeed(39, within_s=5.0) == 40
    assert run.succeed(1, within_s=0.01) == 45


def test_step_1_the_longest_epoch_judges_what_there_is() -> None:
    run = probing(40)
    assert run.succeed(10, within_s=29.9) == 40
    assert run.succeed(1, within_s=0.2) == 45


# --- 2: goodput ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("objects", "limit"), [(1040, 40), (1049, 40), (1051, 45), (2000, 45)])
def test_step_2_five_percent_more_objects_is_a_rise(objects: int, limit: int) -> None:
    run = probing(40)
    assert run.succeed(1000) == 45
    assert run.succeed(objects) == limit


@pytest.mark.parametrize(("body_bytes", "limit"), [(1040, 40), (1049, 40), (1051, 45), (2000, 45)])
def test_step_2_five_percent_more_bytes_is_a_rise(body_bytes: int, limit: int) -> None:
    run = probing(40)
    assert run.succeed(500, body_bytes=1000) == 45
    assert run.succeed(500, body_bytes=body_bytes) == limit


def test_step_2_what_failed_is_no_goodput() -> None:
    run = probing(40)
    assert run.succeed(1000, body_bytes=1000) == 45
    for _ in range(1000):
        run.end(RESET, body_bytes=1000)
    assert run.succeed(1000, body_bytes=1000) == 40


def test_step_2_anything_is_a_rise_from_nothing() -> None:
    nothing, something = Goodput(0.0, 0.0), Goodput(0.0, 10.0)
    assert something.at_least(1.05, nothing)
    assert not nothing.at_least(1.05, nothing)
    assert not nothing.at_least(1.05, something)


# --- 3: start --------------------------------------------------------------------------------------


def test_step_3_the_start_doubles_while_goodput_rises() -> None:
    run = Run(AdaptiveWindow(10_000))
    assert run.window.limit == 16
    assert run.succeed(100) == 32  # nothing to compare with: a rise
    assert [run.succeed(objects) for objects in (200, 400, 800)] == [64, 128, 256]


def test_step_3_it_grows_at_the_end_of_an_epoch_only() -> None:
    run = Run(AdaptiveWindow(10_000))
    assert run.succeed(1000, within_s=0.0999) == 16


@pytest.mark.parametrize(("objects", "limit"), [(1000, 16), (1290, 16), (1310, 64), (4000, 64)])
def test_step_3_a_doubled_window_has_to_bring_30_percent(objects: int, limit: int) -> None:
    run = Run(AdaptiveWindow(10_000))
    assert run.succeed(1000) == 32
    assert run.succeed(objects) == limit


@pytest.mark.parametrize(("objects", "limit"), [(1070, 16), (1080, 20)])
def test_step_3_a_window_that_could_only_grow_by_a_quarter_has_to_bring_7_5_percent(
    objects: int, limit: int
) -> None:
    run = Run(AdaptiveWindow(20))
    assert run.succeed(1000) == 20
    assert run.succeed(objects) == limit


def test_step_3_at_the_first_flat_epoch_it_goes_back_and_on_with_probes() -> None:
    """The store does 5,000 a second, however many are asked for at once."""
    run = Run(AdaptiveWindow(10_000))
    assert [run.succeed(objects) for objects in (200, 400, 500, 500)] == [32, 64, 32, 36]


def test_step_3_its_epochs_last_two_median_requests() -> None:
    run = Run(AdaptiveWindow(10_000))
    assert run.succeed(100, age_s=0.5) == 32  # the next takes 1 s
    assert run.succeed(10_000, within_s=0.999, age_s=0.5) == 32
    assert run.succeed(1, within_s=0.002, age_s=0.5) == 64


def test_step_3_only_successes_make_goodput() -> None:
    run = Run(AdaptiveWindow(10_000))
    run.now = 1.0
    for _ in range(100):
        run.end(RESET)
    assert run.window.limit == 16


def test_step_3_a_silence_at_the_begin_does_not_end_the_start() -> None:
    """Whatever comes after an epoch without any success is a rise."""
    run = Run(AdaptiveWindow(10_000))
    run.now = 31.0
    run.end(RESET)  # the longest epoch ends with it
    before = run.window.limit
    assert run.succeed(100) == 2 * before


def test_step_3_it_starts_within_the_maximum() -> None:
    assert AdaptiveWindow(5).limit == 5


# --- 4: probes -------------------------------------------------------------------------------------


def test_step_4_a_probe_up_that_pays_stays_and_the_next_goes_up_again() -> None:
    run = probing(40)
    assert run.succeed(1000) == 45  # 40 measured at 10,000/s: try 40 // 8 = 5 more
    assert run.succeed(1100) == 45  # 11,000/s: stays
    assert run.succeed(1100) == 50  # 45 measured: try 5 more
    assert run.succeed(1200) == 50
    assert run.succeed(1200) == 56  # 50 // 8 = 6 more


def test_step_4_a_probe_up_that_does_not_pay_goes_back_and_the_next_goes_down() -> None:
    run = probing(40)
    assert run.succeed(1000) == 45
    assert run.succeed(1000) == 40
    assert run.succeed(1000) == 35  # 40 measured: try 5 fewer


@pytest.mark.parametrize(("objects", "limit"), [(1000, 35), (981, 35), (979, 40), (900, 40)])
def test_step_4_a_probe_down_stays_if_goodput_does_not_fall_by_2_percent(objects: int, limit: int) -> None:
    run = probing(40)
    for _ in range(3):
        run.succeed(1000)
    assert run.window.limit == 35
    assert run.succeed(objects) == limit


def test_step_4_up_and_down_take_turns() -> None:
    run = probing(40)
    limits = [run.succeed(1000 if run.window.limit >= 40 else 900) for _ in range(8)]
    assert limits == [45, 40, 35, 40, 45, 40, 35, 40]


def test_step_4_a_small_window_is_probed_by_one() -> None:
    run = probing(4)
    assert run.succeed(1000) == 5
    assert run.succeed(1000) == 4
    assert run.succeed(1000) == 3


def test_step_4_a_window_of_one_cannot_go_down() -> None:
    run = probing(1)
    assert [run.succeed(1000) for _ in range(6)] == [2, 1, 1, 2, 1, 1]


def test_step_4_with_flat_goodput_the_window_shrinks() -> None:
    run = probing(40)
    for _ in range(200):
        run.succeed(1000)
    assert run.window.limit <= 10


def test_step_4_a_window_that_pays_grows_to_its_maximum() -> None:
    """Goodput follows the window, 100/s for each request in flight."""
    run = probing(40, max_limit=300)
    limits = [run.succeed(10 * run.window.limit) for _ in range(100)]
    assert max(limits) == 300
    assert min(limits[50:]) >= 262  # a probe down by an eighth at most


# --- 5: app-limited --------------------------------------------------------------------------------


def test_step_5_a_window_that_is_not_filled_does_not_start() -> None:
    run = Run(AdaptiveWindow(10_000))
    assert run.succeed(1000, within_s=1.0, filled=False) == 16


def test_step_5_a_window_that_is_not_filled_is_not_probed() -> None:
    run = probing(40)
    assert {run.succeed(1000, filled=False) for _ in range(10)} == {40}


@pytest.mark.parametrize(("filled", "limit"), [(490, 40), (510, 45)])
def test_step_5_filled_means_half_of_the_observations(filled: int, limit: int) -> None:
    run = probing(40)
    run.succeed(filled, within_s=0.05)
    assert run.succeed(1000 - filled, within_s=0.0501, filled=False) == limit


def test_step_5_a_probe_is_given_up_and_what_was_measured_is_forgotten() -> None:
    run = probing(40)
    assert run.succeed(1000) == 45
    assert run.succeed(2000, filled=False) == 40  # twice the goodput, and yet no reason
    assert run.succeed(100) == 35  # measured anew; the next in turn is the probe down
    assert run.succeed(100) == 35  # 1,000/s were kept: the 10,000 from before are forgotten


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
    return run.succeed(attempts - timeouts)


@pytest.mark.parametrize(("timeouts", "limit"), [(0, 100), (9, 100), (10, 50), (100, 50)])
def test_step_7_five_percent_timeouts_halve_it(timeouts: int, limit: int) -> None:
    assert with_timeouts(attempts=200, timeouts=timeouts) == limit


@pytest.mark.parametrize(("attempts", "limit"), [(19, 100), (20, 50)])
def test_step_7_a_few_attempts_prove_nothing(attempts: int, limit: int) -> None:
    assert with_timeouts(attempts=attempts, timeouts=5) == limit


def test_step_7_256_timeouts_at_once_cost_one_cut() -> None:
    run = Run(AdaptiveWindow(256, start=256))
    run.succeed(256, within_s=0.05)
    run.now = 60.0
    for _ in range(256):
        run.end(TIMEOUT, age_s=59.0)
    assert run.succeed(1) == 128
    assert run.succeed(100) == 128


# --- whatever happens ------------------------------------------------------------------------------


def test_a_fixed_window_learns_nothing() -> None:
    window = FixedWindow(7)
    window.observe(attempt(outcome=THROTTLE), now=2.0, in_flight=7)
    assert window.limit == 7


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
    window = AdaptiveWindow(10)
    window.observe(attempt(started_s=0.0, ended_s=0.0, outcome=THROTTLE), now=0.0, in_flight=1)
    assert window.limit == 7  # 10 * 0.7
