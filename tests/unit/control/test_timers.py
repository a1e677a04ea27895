"""The three adaptive timers: steps 1, 2, 6 and 7 of the module's theory, and what holds whatever happens."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.waiting.verdict import stall_limit_s
from s3_upload.report import AttemptReport
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, PUT_OBJECT
from tests.unit.control.constants import VERDICT
from tests.unit.control.reports import RESET, any_attempt, attempt
from tests.unit.control.timers_rig import (
    MIB,
    adaptive,
    allowed,
    answered,
    cut,
    one_after_the_other,
    warmed_up,
)

# --- 1: connect ------------------------------------------------------------------------------------


def test_step_1_a_handshake_may_take_3_s_at_first() -> None:
    assert allowed(adaptive()).connect_s == 3.0


def test_step_1_handshakes_are_measured() -> None:
    timeout = adaptive(connect_timeout_s=60.0)
    timeout.observe(attempt(connect_s=2.0))
    assert allowed(timeout).connect_s == pytest.approx(6.0)  # 2 + 4 * 1
    timeout.observe(attempt(connect_s=1.0, outcome=RESET))  # the handshake itself went well
    # RTTVAR = 3/4 * 1 + 1/4 * 1 = 1; SRTT = 7/8 * 2 + 1/8 * 1 = 1.875
    assert allowed(timeout).connect_s == pytest.approx(5.875)


def test_step_1_a_reused_connection_is_no_handshake() -> None:
    timeout = adaptive(connect_timeout_s=60.0)
    timeout.observe(attempt(connect_s=2.0))
    timeout.observe(attempt(connect_s=0.0))
    assert allowed(timeout).connect_s == pytest.approx(6.0)


@pytest.mark.parametrize(("rtt_s", "connect_s"), [(0.001, 1.002), (0.4, 1.8), (0.9, 2.8), (1.1, 3.3)])
def test_step_1_one_lost_syn_does_not_end_a_handshake(rtt_s: float, connect_s: float) -> None:
    """After 1 s the kernel sends it again; RFC 6298's 3 * rtt alone is longer from an rtt of 1 s on."""
    timeout = adaptive()
    timeout.observe(attempt(connect_s=rtt_s))
    assert allowed(timeout).connect_s == pytest.approx(connect_s)


def test_step_1_a_connect_timeout_doubles_it_and_a_sample_ends_that() -> None:
    timeout = adaptive(connect_timeout_s=60.0)
    timeout.observe(attempt(connect_s=2.0))
    timeout.observe(cut("connect"))
    assert allowed(timeout).connect_s == pytest.approx(12.0)
    timeout.observe(cut("connect"))
    assert allowed(timeout).connect_s == pytest.approx(24.0)
    timeout.observe(attempt(connect_s=3.0))
    # RTTVAR = 3/4 * 1 + 1/4 * 1 = 1; SRTT = 7/8 * 2 + 1/8 * 3 = 2.125
    assert allowed(timeout).connect_s == pytest.approx(6.125)


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


def test_step_2_a_stall_is_8_s_and_backoff_times_that_on_each_retry() -> None:
    stalls = [allowed(adaptive(), retries=retries).stall_s for retries in range(4)]
    assert stalls == [8.0, 12.0, 18.0, 27.0]
    assert allowed(adaptive(), retries=100).stall_s == 60.0


def test_step_2_a_stall_does_not_depend_on_the_size() -> None:
    assert allowed(adaptive(), body_bytes=5 << 30).stall_s == 8.0


@pytest.mark.parametrize(
    ("rto_s", "limit_s"), [(0.0, 8.0), (0.2, 8.0), (1.0, 8.0), (1.25, 10.0), (3.0, 24.0)]
)
def test_step_2_eight_of_the_connections_own_rto_where_that_is_longer(rto_s: float, limit_s: float) -> None:
    assert stall_limit_s(8.0, rto_s, VERDICT) == limit_s


def test_step_2_each_stall_doubles_it_up_to_a_minute() -> None:
    timeout = adaptive()
    waits = []
    for report in one_after_the_other("stall", 4):
        timeout.observe(report)
        waits.append(allowed(timeout).stall_s)
    assert waits == [16.0, 32.0, 60.0, 60.0]


def test_step_2_the_success_of_a_body_of_some_size_halves_the_excess() -> None:
    timeout = adaptive()
    for report in one_after_the_other("stall", 2):
        timeout.observe(report)
    assert allowed(timeout).stall_s == 32.0  # two doublings
    timeout.observe(attempt(body_bytes=64 << 10))  # one that was in the kernel at once proves nothing
    assert allowed(timeout).stall_s == 32.0
    timeout.observe(attempt(body_bytes=(64 << 10) + 1))
    assert allowed(timeout).stall_s == 16.0
    timeout.observe(attempt(body_bytes=MIB))
    assert allowed(timeout).stall_s == pytest.approx(11.313708)  # half a one: 8 * sqrt(2)


@pytest.mark.parametrize("timer", ["connect", "response", "total"])
def test_step_2_other_timers_leave_it_alone(timer: str) -> None:
    timeout = adaptive()
    timeout.observe(cut(timer))
    assert allowed(timeout).stall_s == 8.0


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
    assert (timeouts.stall_s, timeouts.total_s) == (8.0, 301.0)
    assert allowed(timeout, operation=PUT_OBJECT).response_s == 2.0


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
    assert 1.0 <= timeouts.connect_s <= 5.0
    assert 8.0 <= timeouts.stall_s <= 60.0
    assert 2.0 <= timeouts.response_s <= 300.0
    assert 300.0 <= timeouts.total_s < inf
    assert timeouts.hedge_s >= 0.03
    assert timeouts.hedge_s == inf or timeouts.hedge_s <= timeouts.response_s
    assert timeouts == allowed(second, body_bytes=body_bytes, retries=retries)
