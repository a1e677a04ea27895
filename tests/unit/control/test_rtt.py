"""RFC 6298 by hand-computed sequences. Test names carry the RFC's section numbers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.waiting.rtt import RttEstimator
from tests.unit.control.constants import RTT


def estimator(
    *, min_s: float = 0.0, max_s: float = 60.0, alpha: float = 1 / 8, beta: float = 1 / 4
) -> RttEstimator:
    tuning = msgspec.structs.replace(RTT, alpha=alpha, beta=beta)
    return RttEstimator(initial_s=3.0, min_s=min_s, max_s=max_s, tuning=tuning)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-12)


def test_2_1_before_any_sample_the_rto_is_the_initial_one() -> None:
    rtt = estimator()
    assert (rtt.rto_s, rtt.srtt_s, rtt.rttvar_s, rtt.samples) == (3.0, 0.0, 0.0, 0)


def test_2_2_the_first_sample() -> None:
    rtt = estimator()
    rtt.sample(0.100)
    assert rtt.srtt_s == near(0.100)
    assert rtt.rttvar_s == near(0.050)  # R / 2
    assert rtt.rto_s == near(0.300)  # 0.100 + 4 * 0.050


def test_2_3_further_samples_move_rttvar_by_the_old_srtt() -> None:
    rtt = estimator()
    rtt.sample(0.100)
    rtt.sample(0.120)
    # RTTVAR = 3/4 * 0.050 + 1/4 * |0.100 - 0.120| = 0.0375 + 0.005
    # SRTT   = 7/8 * 0.100 + 1/8 * 0.120           = 0.0875 + 0.015
    # RTO    = 0.1025 + 4 * 0.0425
    assert (rtt.rttvar_s, rtt.srtt_s, rtt.rto_s) == (near(0.0425), near(0.1025), near(0.2725))
    rtt.sample(0.080)
    # RTTVAR = 3/4 * 0.0425 + 1/4 * |0.1025 - 0.080| = 0.031875 + 0.005625
    # SRTT   = 7/8 * 0.1025 + 1/8 * 0.080            = 0.0896875 + 0.01
    # RTO    = 0.0996875 + 4 * 0.0375
    assert (rtt.rttvar_s, rtt.srtt_s, rtt.rto_s) == (near(0.0375), near(0.0996875), near(0.2496875))
    assert rtt.samples == 3


def test_2_3_other_gains_forget_more_slowly() -> None:
    rtt = estimator(alpha=1 / 64, beta=1 / 32)
    rtt.sample(0.100)
    rtt.sample(0.164)
    # RTTVAR = 0.050 + 1/32 * (0.064 - 0.050) = 0.0504375;  SRTT = 0.100 + 1/64 * 0.064 = 0.101
    assert (rtt.rttvar_s, rtt.srtt_s) == (near(0.0504375), near(0.101))
    assert rtt.rto_s == near(0.30275)  # 0.101 + 4 * 0.0504375


def test_2_3_the_clock_granularity_is_the_least_margin() -> None:
    rtt = estimator()
    for _ in range(21):
        rtt.sample(0.100)
    # RTTVAR = 0.050 * (3/4)^20 = 0.000159; 4 times that is below G = 0.001
    assert rtt.rto_s == near(0.101)


def test_2_4_the_rto_is_never_below_its_minimum() -> None:
    rtt = estimator(min_s=1.0)
    rtt.sample(0.100)
    assert rtt.rto_s == 1.0
    rtt.timed_out()
    assert rtt.rto_s == 2.0  # what is doubled is the RTO, minimum and all


def test_2_5_the_rto_is_never_above_its_maximum() -> None:
    rtt = estimator(max_s=5.0)
    rtt.sample(10.0)
    assert rtt.rto_s == 5.0
    rtt.timed_out()
    assert rtt.rto_s == 5.0


def test_5_5_each_timeout_doubles_the_rto() -> None:
    rtt = estimator()
    rtt.timed_out()
    assert rtt.rto_s == 6.0
    rtt.timed_out()
    assert rtt.rto_s == 12.0
    assert (rtt.srtt_s, rtt.samples) == (0.0, 0)  # Karn: no sample


def test_5_5_doubling_has_a_bound() -> None:
    rtt = estimator(max_s=1e9)
    for _ in range(RTT.max_doublings + 5):
        rtt.timed_out()
    assert rtt.rto_s == 3072.0  # 3 * 2^10


def test_5_7_a_sample_ends_the_doubling() -> None:
    rtt = estimator()
    rtt.sample(0.100)
    rtt.timed_out()
    rtt.timed_out()
    assert rtt.rto_s == near(1.2)  # 0.300 * 4
    rtt.sample(0.100)
    # RTTVAR = 3/4 * 0.050 = 0.0375; RTO = 0.100 + 0.150
    assert rtt.rto_s == near(0.250)


@given(st.lists(st.one_of(st.none(), st.floats(0.0, 1e6))))
def test_the_rto_stays_in_its_bounds_and_the_same_story_gives_the_same_rto(story: list[float | None]) -> None:
    first, second = (estimator(min_s=0.2, max_s=60.0) for _ in range(2))
    for rtt in (first, second):
        for sample in story:
            if sample is None:
                rtt.timed_out()
            else:
                rtt.sample(sample)
            assert 0.2 <= rtt.rto_s <= 60.0
            assert rtt.rttvar_s >= 0.0
    assert (first.srtt_s, first.rttvar_s, first.rto_s) == (second.srtt_s, second.rttvar_s, second.rto_s)
