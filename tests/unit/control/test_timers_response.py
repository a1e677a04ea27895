"""The response timer and hedges: steps 3 to 5 of the module's theory."""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.waiting.rtt import RttEstimator
from s3_upload.errors import FailureKind
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, UPLOAD_PART
from tests.unit.control.constants import ADAPTIVE, SLOW_RTT
from tests.unit.control.reports import RESET, attempt
from tests.unit.control.timers_rig import (
    MIB,
    adaptive,
    allowed,
    answered,
    cut,
    one_after_the_other,
    warmed_up,
)

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


def test_step_3_a_hedge_waits_30_ms_longer_than_the_mean_at_least() -> None:
    timeout = warmed_up(0.01, samples=200)  # m * rttvar is next to nothing
    assert timeout.hedge_s == pytest.approx(0.04)
    assert timeout.response_s == 2.0  # 4 * 0.04 is below the minimum


def test_step_3_a_retry_gets_backoff_times_longer_for_its_answer_but_not_for_its_hedge() -> None:
    timeout = warmed_up(0.01, samples=200)
    tries = [allowed(timeout, retries=retries) for retries in range(4)]
    assert [each.response_s for each in tries] == [2.0, 3.0, 4.5, 6.75]
    assert {each.hedge_s for each in tries} == {timeout.hedge_s}
    assert allowed(timeout, retries=100).response_s == 300.0


@pytest.mark.parametrize(("max_outage_s", "longest_s"), [(0.0, 60.0), (30.0, 60.0), (900.0, 900.0)])
def test_step_3_no_answer_is_waited_for_longer_than_an_outage(max_outage_s: float, longest_s: float) -> None:
    timeout = warmed_up(1.0, max_outage_s=max_outage_s)
    assert allowed(timeout, retries=100).response_s == longest_s
    timeout.observe(answered(5000.0))
    assert allowed(timeout).response_s == longest_s
    assert timeout.hedge_s <= longest_s


def test_step_3_an_answer_that_took_minutes_has_the_next_waited_for_as_long_from_the_first_try_on() -> None:
    timeout = warmed_up(0.1)
    timeout.observe(answered(130.0, body_bytes=8 * MIB, acked_s=2.0))
    assert allowed(timeout, body_bytes=8 * MIB).response_s == 195.0
    assert allowed(timeout, body_bytes=8 * MIB, retries=1).response_s == 292.5
    timeout.observe(answered(1.0, body_bytes=8 * MIB, acked_s=2.0))  # 130 * 63 / 64 * 1.5
    assert allowed(timeout, body_bytes=8 * MIB).response_s == pytest.approx(191.953125)


def test_step_3_answers_to_small_bodies_are_not_waited_for_longer_since_big_ones_were_late() -> None:
    timeout = warmed_up(0.01, samples=200)
    for report in one_after_the_other("response", 5):
        timeout.observe(msgspec.structs.replace(report, body_bytes=8 * MIB))
    assert allowed(timeout, body_bytes=8 * MIB).response_s == 60.0
    assert allowed(timeout).response_s == 2.0
    timeout.observe(answered(130.0, body_bytes=8 * MIB, acked_s=2.0))
    assert allowed(timeout).response_s == 2.0
    assert allowed(timeout, body_bytes=8 * MIB).response_s == 195.0


def test_step_3_a_big_body_is_not_sent_again_for_an_answer_that_is_late_by_some_seconds() -> None:
    timeout = warmed_up(0.01, samples=200)
    assert allowed(timeout).response_s == 2.0
    assert allowed(timeout, body_bytes=MIB).response_s == 2.0
    assert allowed(timeout, body_bytes=MIB + 1).response_s == 10.0
    assert allowed(timeout, body_bytes=MIB + 1, retries=1).response_s == 15.0
    last_part = allowed(timeout, operation=UPLOAD_PART, body_bytes=1000)
    assert (last_part.response_s, last_part.hedge_s) == (10.0, inf)


def test_step_5_where_a_part_that_was_cut_spoiled_its_upload_parts_are_waited_for() -> None:
    timeout = warmed_up(0.01, samples=200)
    refused = attempt(operation=COMPLETE_MULTIPART_UPLOAD, outcome=FailureKind.INVALID_PART)
    timeout.observe(refused)
    assert allowed(timeout, body_bytes=8 * MIB).response_s == 10.0, "no part had come twice"
    timeout.observe(cut("response", operation=UPLOAD_PART, body_bytes=1000))
    timeout.observe(answered(0.01, body_bytes=8 * MIB, acked_s=2.0))
    assert allowed(timeout, body_bytes=8 * MIB).response_s < 20.0
    timeout.observe(refused)
    for _ in range(100):
        timeout.observe(answered(0.01, body_bytes=8 * MIB, acked_s=2.0))
    assert allowed(timeout, body_bytes=8 * MIB).response_s == 60.0
    assert allowed(timeout).response_s == 2.0


def test_step_5_each_cut_has_a_retry_wait_longer_beyond_a_minute_and_an_answer_ends_that() -> None:
    timeout = adaptive()
    waits = []
    for retries, report in enumerate(one_after_the_other("response", 5)):
        waits.append(allowed(timeout, retries=retries).response_s)
        timeout.observe(report)
    assert waits == [10.0, 30.0, 90.0, 202.5, 300.0]
    for _ in range(12):
        timeout.observe(answered(0.01))
    assert allowed(timeout).response_s < 11.0


@pytest.mark.parametrize(("body_bytes", "hedged"), [(0, True), (MIB, True), (MIB + 1, False)])
def test_step_3_only_small_bodies_are_hedged(body_bytes: int, hedged: bool) -> None:
    timeout = warmed_up(0.1)
    assert allowed(timeout, body_bytes=body_bytes).hedge_s == (timeout.hedge_s if hedged else inf)


@pytest.mark.parametrize(
    ("body_bytes", "look_s"), [(64 << 10, inf), ((64 << 10) + 1, 0.03), (MIB, 0.03), (MIB + 1, inf)]
)
def test_step_3_a_body_is_looked_at_until_there_are_samples(body_bytes: int, look_s: float) -> None:
    """One that is in the kernel at once gives a sample anyway."""
    assert allowed(warmed_up(0.1, samples=19), body_bytes=body_bytes).look_s == look_s


def test_step_3_then_as_often_as_hedging_needs() -> None:
    timeout = warmed_up(0.1)
    assert allowed(timeout, body_bytes=MIB).look_s == timeout.hedge_s
    assert allowed(timeout, body_bytes=MIB + 1).look_s == inf


@pytest.mark.parametrize(
    ("body_bytes", "sent_s", "acked_s", "is_sample"),
    [
        (64 << 10, 2.0, 2.04, True),
        (64 << 10, 2.0, 0.0, True),
        ((64 << 10) + 1, 1.5, 2.0, True),
        ((64 << 10) + 1, 2.0, 0.0, False),
    ],
)
def test_step_3_a_small_body_counts_from_its_sending_a_bigger_one_from_its_acknowledgement(
    body_bytes: int, sent_s: float, acked_s: float, is_sample: bool
) -> None:
    timeout = adaptive()
    for _ in range(20):
        timeout.observe(answered(1.0, body_bytes=body_bytes, sent_s=sent_s, acked_s=acked_s))
    assert (timeout.hedge_s < inf) is is_sample
    if is_sample:
        assert timeout.hedge_s == pytest.approx(2.608621, abs=1e-6)


def test_step_3_an_answer_before_the_acknowledgement_was_seen_took_no_time() -> None:
    timeout = adaptive()
    for _ in range(20):
        timeout.observe(answered(0.5, body_bytes=MIB, acked_s=3.0))
    assert timeout.hedge_s == pytest.approx(0.03)


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
        self._rtt = RttEstimator(initial_s=10.0, min_s=0.0, max_s=60.0, tuning=SLOW_RTT)
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
    """ln(m_raise) / -ln(m_decay) with the tuning of these tests."""
    observed = Observed()
    observed.succeed(100)
    before = observed.m
    observed.succeed(1, hedged=True)
    observed.succeed(405)
    assert observed.m == pytest.approx(before, rel=1e-3)  # 1.5 * 0.999^406 = 0.9993


def test_step_4_what_m_adds_is_bounded() -> None:
    timeout = warmed_up(1.0, tuning=msgspec.structs.replace(ADAPTIVE, hedge_spread_s=2.0))
    for _ in range(10):
        timeout.observe(answered(1.0, hedged=True))
    # m = 6 * 0.999^30 * 1.5^10 = 335.7, at most 200; rttvar = 0.5 * (31/32)^29 = 0.199118:
    # not 1 + 39.8, but 1 + 2 + 4 * 0.199118
    assert timeout.hedge_s == pytest.approx(3.796471, abs=1e-6)


# --- 5: a response timeout is a censored sample ----------------------------------------------------


def test_step_5_each_response_timeout_doubles_response_s_up_to_a_minute() -> None:
    timeout = adaptive()
    waits = []
    for report in one_after_the_other("response", 4):
        timeout.observe(report)
        waits.append(timeout.response_s)
    assert waits == [20.0, 40.0, 60.0, 60.0]


def test_step_5_all_that_were_under_way_at_a_timeout_are_one_episode() -> None:
    timeout = adaptive()
    for started_s, ended_s in ((1.0, 12.0), (2.0, 12.1), (11.9, 22.0), (12.0, 22.1)):
        timeout.observe(cut("response", started_s=started_s, ended_s=ended_s))
        assert timeout.response_s == 20.0
    timeout.observe(cut("response", started_s=12.01, ended_s=32.0))
    assert timeout.response_s == 40.0
    timeout.observe(cut("response", started_s=31.0, ended_s=51.0))
    assert timeout.response_s == 40.0


def test_step_5_a_hedge_does_not_wait_longer_for_it() -> None:
    timeout = warmed_up(0.1)
    before_s = timeout.hedge_s
    timeout.observe(cut("response"))
    assert (timeout.hedge_s, timeout.response_s) == (before_s, 4.0)


def test_step_5_a_success_halves_the_excess() -> None:
    timeout = adaptive()
    for report in one_after_the_other("response", 2):
        timeout.observe(report)
    assert timeout.response_s == 40.0  # two doublings
    timeout.observe(attempt())
    assert timeout.response_s == 20.0  # one
    timeout.observe(attempt())
    assert timeout.response_s == pytest.approx(14.142136)  # half a one: 10 * sqrt(2)


def test_step_5_after_a_long_silence_successes_bring_it_back() -> None:
    timeout = warmed_up(0.01, samples=200)
    for report in one_after_the_other("response", 1000):
        timeout.observe(report)
    assert timeout.response_s == 60.0
    for _ in range(10):
        timeout.observe(answered(0.01))
    assert timeout.response_s < 2.01  # 2 * 2^(5 / 2^10)


@pytest.mark.parametrize("timer", ["connect", "stall", "total"])
def test_step_5_other_timers_leave_it_alone(timer: str) -> None:
    timeout = adaptive()
    timeout.observe(cut(timer))
    assert timeout.response_s == 10.0


@given(st.lists(st.floats(0.0, 60.0), min_size=20, max_size=60))
def test_a_hedge_never_comes_after_the_cut(responses_s: list[float]) -> None:
    timeout = adaptive()
    for response_s in responses_s:
        timeout.observe(answered(response_s))
        assert timeout.hedge_s == inf or timeout.hedge_s <= timeout.response_s
