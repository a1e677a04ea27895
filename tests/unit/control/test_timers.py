"""The three adaptive timers, step by step of the module's theory."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.config import UploadConfig
from s3_upload.control.rtt import RttEstimator
from s3_upload.control.timeout import Timeouts
from s3_upload.control.timers import AdaptiveTimeout, stall_limit_s
from s3_upload.report import AttemptReport
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, PUT_OBJECT, UPLOAD_PART
from tests.unit.control.reports import RESET, TIMEOUT, any_attempt, attempt

MIB = 1 << 20


def adaptive(**settings: Any) -> AdaptiveTimeout:
    return AdaptiveTimeout(UploadConfig(**settings))


def allowed(
    timeout: AdaptiveTimeout, *, operation: str = PUT_OBJECT, body_bytes: int = 1000, retries: int = 0
) -> Timeouts:
    return timeout.timeouts(operation=operation, body_bytes=body_bytes, retries=retries)


def answered(response_s: float, **rest: Any) -> AttemptReport:
    """A success whose answer began `response_s` after its last byte was acknowledged, at 2.0."""
    first_byte_s = 2.0 + response_s
    times = {"request_s": 1.0, "sent_s": 1.5, "acked_s": 2.0, "first_byte_s": first_byte_s}
    return attempt(ended_s=first_byte_s, **(times | rest))


def cut(timer: str, **rest: Any) -> AttemptReport:
    return attempt(outcome=TIMEOUT, timer=timer, **rest)


def warmed_up(response_s: float, samples: int = 20, **settings: Any) -> AdaptiveTimeout:
    timeout = adaptive(**settings)
    for _ in range(samples):
        timeout.observe(answered(response_s))
    return timeout


# --- 1: connect ------------------------------------------------------------------------------------


def test_step_1_a_handshake_may_take_3_s_at_first() -> None:
    assert allowed(adaptive()).connect_s == 3.0


def test_step_1_handshakes_are_measured() -> None:
    timeout = adaptive()
    timeout.observe(attempt(connect_s=0.4))
    assert allowed(timeout).connect_s == pytest.approx(1.2)  # 0.4 + 4 * 0.2
    timeout.observe(attempt(connect_s=0.1, outcome=RESET))  # the handshake itself went well
    # RTTVAR = 3/4 * 0.2 + 1/4 * 0.3 = 0.225; SRTT = 7/8 * 0.4 + 1/8 * 0.1 = 0.3625
    assert allowed(timeout).connect_s == pytest.approx(1.2625)


def test_step_1_a_reused_connection_is_no_handshake() -> None:
    timeout = adaptive()
    timeout.observe(attempt(connect_s=0.4))
    timeout.observe(attempt(connect_s=0.0))
    assert allowed(timeout).connect_s == pytest.approx(1.2)


def test_step_1_a_fast_network_still_gets_half_a_second() -> None:
    timeout = adaptive()
    timeout.observe(attempt(connect_s=0.001))
    assert allowed(timeout).connect_s == 0.5


def test_step_1_a_connect_timeout_doubles_it_and_a_sample_ends_that() -> None:
    timeout = adaptive(connect_timeout_s=60.0)
    timeout.observe(attempt(connect_s=0.4))
    timeout.observe(cut("connect"))
    assert allowed(timeout).connect_s == pytest.approx(2.4)
    timeout.observe(cut("connect"))
    assert allowed(timeout).connect_s == pytest.approx(4.8)
    timeout.observe(attempt(connect_s=0.4))
    assert allowed(timeout).connect_s == pytest.approx(1.0)  # RTTVAR = 3/4 * 0.2; 0.4 + 4 * 0.15


def test_step_1_connect_timeout_s_bounds_it() -> None:
    timeout = adaptive(connect_timeout_s=0.2)
    assert allowed(timeout).connect_s == 0.2
    timeout.observe(attempt(connect_s=0.15))
    timeout.observe(cut("connect"))
    assert allowed(timeout).connect_s == 0.2


@pytest.mark.parametrize("timer", ["stall", "response", "total"])
def test_step_1_other_timers_leave_it_alone(timer: str) -> None:
    timeout = adaptive()
    timeout.observe(cut(timer))
    assert allowed(timeout).connect_s == 3.0


# --- 2: send ---------------------------------------------------------------------------------------


def test_step_2_a_stall_is_5_s_and_backoff_times_that_on_each_retry() -> None:
    stalls = [allowed(adaptive(), retries=retries).stall_s for retries in range(4)]
    assert stalls == [5.0, 7.5, 11.25, 16.875]
    assert allowed(adaptive(), retries=100).stall_s == 60.0


def test_step_2_a_stall_does_not_depend_on_the_size() -> None:
    assert allowed(adaptive(), body_bytes=5 << 30).stall_s == 5.0


@pytest.mark.parametrize(
    ("rto_s", "limit_s"), [(0.0, 5.0), (0.2, 5.0), (0.625, 5.0), (0.75, 6.0), (3.0, 24.0)]
)
def test_step_2_eight_of_the_connections_own_rto_where_that_is_longer(rto_s: float, limit_s: float) -> None:
    assert stall_limit_s(5.0, rto_s) == limit_s


# --- 3: response -----------------------------------------------------------------------------------


def test_step_3_no_hedge_and_10_s_before_20_samples() -> None:
    timeout = warmed_up(0.1, samples=19)
    assert (timeout.hedge_s, timeout.response_s) == (inf, 10.0)
    timeout.observe(answered(0.1))
    assert timeout.hedge_s < 1.0
    assert timeout.response_s == 2.0


def test_step_3_twenty_answers_in_a_second() -> None:
    timeout = warmed_up(1.0)
    # srtt = 1, rttvar = 0.5 * (31/32)^19 = 0.273522, m = 6 * 0.999^20 = 5.881133
    # hedge_s = 1 + 5.881133 * 0.273522 = 2.608621; response_s = 4 times that
    assert timeout.hedge_s == pytest.approx(2.608621, abs=1e-6)
    assert timeout.response_s == pytest.approx(10.434482, abs=1e-5)


def test_step_3_a_hedge_waits_a_tenth_of_a_second_longer_than_the_mean() -> None:
    timeout = warmed_up(0.01, samples=200)  # m * rttvar is next to nothing
    assert timeout.hedge_s == pytest.approx(0.11)
    assert timeout.response_s == 2.0  # 4 * 0.11 is below the minimum


def test_step_3_a_retry_gets_backoff_times_longer_for_its_answer_but_not_for_its_hedge() -> None:
    timeout = warmed_up(0.01, samples=200)
    tries = [allowed(timeout, retries=retries) for retries in range(4)]
    assert [each.response_s for each in tries] == [2.0, 3.0, 4.5, 6.75]
    assert {each.hedge_s for each in tries} == {timeout.hedge_s}
    assert allowed(timeout, retries=100).response_s == 60.0


@pytest.mark.parametrize(("body_bytes", "hedged"), [(0, True), (MIB, True), (MIB + 1, False)])
def test_step_3_only_small_bodies_are_hedged(body_bytes: int, hedged: bool) -> None:
    timeout = warmed_up(0.1)
    assert allowed(timeout, body_bytes=body_bytes).hedge_s == (timeout.hedge_s if hedged else inf)


@pytest.mark.parametrize(
    ("body_bytes", "acked_s", "is_sample"),
    [(MIB, 2.0, True), (64 << 10, 0.0, True), ((64 << 10) + 1, 0.0, False)],
)
def test_step_3_where_no_acknowledgement_was_seen_a_small_body_counts_from_its_sending(
    body_bytes: int, acked_s: float, is_sample: bool
) -> None:
    timeout = adaptive()
    for _ in range(20):
        timeout.observe(answered(1.0, body_bytes=body_bytes, acked_s=acked_s, sent_s=2.0))
    assert (timeout.hedge_s < inf) is is_sample
    if is_sample:
        assert timeout.hedge_s == pytest.approx(2.608621, abs=1e-6)


def test_step_3_an_answer_before_the_acknowledgement_was_seen_took_no_time() -> None:
    timeout = warmed_up(-0.5)
    assert timeout.hedge_s == pytest.approx(0.1)


def test_step_3_failures_are_no_samples() -> None:
    timeout = adaptive()
    for _ in range(30):
        timeout.observe(answered(0.1, outcome=RESET))
    assert timeout.hedge_s == inf


# --- 4: m ------------------------------------------------------------------------------------------


class Observed:
    """An `AdaptiveTimeout`, and beside it what is needed to see its `m` from outside."""

    def __init__(self) -> None:
        self.timeout = adaptive()
        self._rtt = RttEstimator(initial_s=10.0, min_s=0.0, max_s=60.0, alpha=1 / 64, beta=1 / 32)
        self._late = False

    def succeed(self, times: int, **rest: Any) -> None:
        for _ in range(times):
            self._late = not self._late  # 1 s, 11 s, 1 s, ...: rttvar stays about 5 s
            response_s = 11.0 if self._late else 1.0
            self.timeout.observe(answered(response_s, **rest))
            self._rtt.sample(response_s)

    @property
    def m(self) -> float:
        return (self.timeout.hedge_s - self._rtt.srtt_s) / self._rtt.rttvar_s


def test_step_4_every_success_lowers_m_a_little() -> None:
    observed = Observed()
    observed.succeed(100)
    assert observed.m == pytest.approx(6.0 * 0.999**100)  # 5.42875
    observed.succeed(1)
    assert observed.m == pytest.approx(6.0 * 0.999**101)


def test_step_4_m_has_a_floor() -> None:
    observed = Observed()
    observed.succeed(1000)  # 6 * 0.999^1000 = 2.2
    assert observed.m == pytest.approx(4.0)


def test_step_4_a_wasted_hedge_raises_m_by_half() -> None:
    observed = Observed()
    observed.succeed(100)
    observed.succeed(1, hedged=True)
    assert observed.m == pytest.approx(6.0 * 0.999**101 * 1.5)  # 8.13498


def test_step_4_a_hedge_that_won_changes_nothing() -> None:
    observed = Observed()
    observed.succeed(100)
    observed.succeed(1, hedge=True)
    assert observed.m == pytest.approx(6.0 * 0.999**101)


def test_step_4_one_wasted_hedge_in_400_is_the_equilibrium() -> None:
    observed = Observed()
    observed.succeed(100)
    before = observed.m
    observed.succeed(1, hedged=True)
    observed.succeed(405)
    assert observed.m == pytest.approx(before, rel=1e-3)  # 1.5 * 0.999^406 = 0.9993


# --- 5: a response timeout is a censored sample ----------------------------------------------------


def test_step_5_each_response_timeout_doubles_response_s_up_to_a_minute() -> None:
    timeout = adaptive()
    waits = []
    for _ in range(4):
        timeout.observe(cut("response"))
        waits.append(timeout.response_s)
    assert waits == [20.0, 40.0, 60.0, 60.0]


def test_step_5_a_hedge_does_not_wait_longer_for_it() -> None:
    timeout = warmed_up(0.1)
    before_s = timeout.hedge_s
    timeout.observe(cut("response"))
    assert (timeout.hedge_s, timeout.response_s) == (before_s, 4.0)


def test_step_5_a_success_halves_the_excess() -> None:
    timeout = adaptive()
    timeout.observe(cut("response"))
    timeout.observe(cut("response"))
    assert timeout.response_s == 40.0  # two doublings
    timeout.observe(attempt())
    assert timeout.response_s == 20.0  # one
    timeout.observe(attempt())
    assert timeout.response_s == pytest.approx(14.142136)  # half a one: 10 * sqrt(2)


def test_step_5_after_a_long_silence_successes_bring_it_back() -> None:
    timeout = warmed_up(0.01, samples=200)
    for _ in range(1000):
        timeout.observe(cut("response"))
    assert timeout.response_s == 60.0
    for _ in range(10):
        timeout.observe(answered(0.01))
    assert timeout.response_s < 2.01  # 2 * 2^(5 / 2^10)


@pytest.mark.parametrize("timer", ["connect", "stall", "total"])
def test_step_5_other_timers_leave_it_alone(timer: str) -> None:
    timeout = adaptive()
    timeout.observe(cut(timer))
    assert timeout.response_s == 10.0


# --- 6: the outer bound ----------------------------------------------------------------------------


def test_step_6_five_minutes_and_a_second_for_each_1000_bytes() -> None:
    assert allowed(adaptive(), body_bytes=0).total_s == 300.0
    assert allowed(adaptive(), body_bytes=8_000_000).total_s == 8300.0


def test_step_6_ten_times_the_origins_model_where_that_is_longer() -> None:
    timeout = adaptive(expected_upload_speed=0.001)
    # 10 * (0.5 + 1.5 * 8 / 0.001) = 10 * 12000.5
    assert allowed(timeout, body_bytes=8_000_000).total_s == pytest.approx(120_005.0)
    assert allowed(timeout, body_bytes=8_000_000, retries=1).total_s == pytest.approx(180_007.5)


def test_step_6_the_speed_is_the_origins() -> None:
    timeout = adaptive(expected_upload_speed=10.0)
    timeout.observe(attempt(request_s=1.0, ended_s=1.5, body_bytes=10_000_000))
    assert timeout.est_MBps == pytest.approx(17.0)  # 0.7 * 20 + 0.3 * 10


def test_step_6_a_stalled_transfer_is_a_censored_sample_of_the_speed() -> None:
    timeout = adaptive(expected_upload_speed=10.0)
    timeout.observe(cut("stall", request_s=1.0, ended_s=6.0, body_bytes=10_000_000))
    assert timeout.est_MBps == pytest.approx(4.4)  # 0.7 * 2 + 0.3 * 10


def test_step_6_a_transfer_that_was_done_and_not_answered_is_no_sample_of_the_speed() -> None:
    """Each timer adapts only where its cause lies: all bytes were there after 0.1 s."""
    timeout = adaptive(expected_upload_speed=10.0)
    silent = cut("response", request_s=1.0, sent_s=1.05, acked_s=1.1, ended_s=11.1, body_bytes=8_000_000)
    timeout.observe(silent)
    assert timeout.est_MBps == 10.0


# --- 7: CompleteMultipartUpload --------------------------------------------------------------------


def test_step_7_completing_a_multipart_upload_may_take_minutes() -> None:
    timeout = warmed_up(0.1)
    timeouts = allowed(timeout, operation=COMPLETE_MULTIPART_UPLOAD)
    assert (timeouts.response_s, timeouts.hedge_s) == (inf, inf)
    assert (timeouts.stall_s, timeouts.total_s) == (5.0, 301.0)
    assert allowed(timeout, operation=UPLOAD_PART).response_s == 2.0


def test_step_7_its_answers_are_no_samples() -> None:
    timeout = warmed_up(0.1)
    before_s = timeout.hedge_s
    timeout.observe(answered(100.0, operation=COMPLETE_MULTIPART_UPLOAD))
    assert timeout.hedge_s < before_s + 0.1


# --- whatever happens ------------------------------------------------------------------------------


@given(st.lists(any_attempt(), max_size=60), st.integers(0, 5 << 30), st.integers(0, 100))
def test_timeouts_stay_in_their_bounds_and_replay(
    story: list[AttemptReport], body_bytes: int, retries: int
) -> None:
    first, second = adaptive(), adaptive()
    for timeout in (first, second):
        for report in story:
            timeout.observe(report)
    timeouts = allowed(first, body_bytes=body_bytes, retries=retries)
    assert 0.5 <= timeouts.connect_s <= 5.0
    assert 5.0 <= timeouts.stall_s <= 60.0
    assert 2.0 <= timeouts.response_s <= 60.0
    assert 300.0 <= timeouts.total_s < inf
    assert timeouts.hedge_s >= 0.1
    assert timeouts.hedge_s == inf or timeouts.hedge_s <= timeouts.response_s
    assert timeouts == allowed(second, body_bytes=body_bytes, retries=retries)


@given(st.lists(st.floats(0.0, 60.0), min_size=20, max_size=60))
def test_a_hedge_never_comes_after_the_cut(responses_s: list[float]) -> None:
    timeout = adaptive()
    for response_s in responses_s:
        timeout.observe(answered(response_s))
        assert timeout.hedge_s == inf or timeout.hedge_s <= timeout.response_s
