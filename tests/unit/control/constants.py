"""Values for the tuning of `control/` while tests run: sequences computed by hand then test the formulas, not
the tuning.  `test_constants.py` looks at the true ones.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from s3_upload.control.concurrency import big_bodies, prefixes, rate, window
from s3_upload.control.retrying import budget, retry, situation
from s3_upload.control.waiting import adaptive, rtt, verdict

MIB = 1 << 20

TuningT = TypeVar("TuningT", bound=msgspec.Struct)


def pinned(tuning: type[TuningT], **values: Any) -> TuningT:
    """A tuning of which no field is left to its default."""
    assert sorted(values) == sorted(tuning.__struct_fields__)
    return tuning(**values)


RTT = pinned(rtt.Tuning, alpha=1 / 8, beta=1 / 4, k=4.0, g_s=0.001, max_doublings=10)

VERDICT = pinned(verdict.Tuning, stall_rtos=8.0)

ADAPTIVE = pinned(
    adaptive.Tuning,
    connect_initial_s=3.0,
    syn_retry_s=1.0,
    stall_min_s=8.0,
    response_initial_s=10.0,
    response_min_s=2.0,
    response_factor=4.0,
    response_alpha=1 / 64,
    response_beta=1 / 32,
    late_factor=1.5,
    late_kept=63 / 64,
    max_doublings=5,
    hedge_margin_s=0.03,
    hedge_spread_s=1000.0,
    hedge_max_bytes=MIB,
    hedge_min_samples=20,
    learn_look_s=0.03,
    m_initial=6.0,
    m_min=4.0,
    m_max=200.0,
    m_raise=1.5,
    m_decay=0.999,
    limits_kept=1,
    outer_factor=10.0,
    outer_min_s=300.0,
    outer_min_bytes_per_s=1000.0,
)

RETRY_BUDGET = pinned(
    budget.RetryTuning,
    capacity=500.0,
    cost_transient=14.0,
    cost_throttle=5.0,
    refund_per_success=1.0,
    refill_per_s=14.0,
)

SPECULATION = pinned(
    budget.SpeculationTuning,
    income=0.05,
    income_per_s=2.0,
    cap=50.0,
    initial_credit=10.0,
    hedge_share=0.005,
    hedge_initial_bytes=16384.0,
    hedge_cap_bytes=33554432.0,
)

RETRY = pinned(
    retry.Tuning,
    base_transient_s=0.05,
    base_throttle_s=1.0,
    base_stray_s=1.0,
    cap_s=20.0,
    max_retry_after_s=120.0,
    min_retries_to_stop=2,
    max_in_vain=20,
    min_pay_again_s=0.05,
)

SITUATION = pinned(situation.Tuning, first_s=5.0, again=2.0, apart_s=4.0, min_refused=3)

WINDOW = pinned(
    window.Tuning,
    start=32,
    start_growth=2.0,
    start_share=0.3,
    start_round_s=0.05,
    patient_rounds=3,
    min_epoch_s=0.1,
    max_epoch_s=30.0,
    epoch_requests=3.0,
    durations_kept=33,
    gain=0.05,
    keep=0.02,
    step=8,
    timeout_cut=0.5,
    timeout_share=0.05,
    min_attempts_to_judge=20,
)

RATE = pinned(
    rate.Tuning,
    min_refusals=8,
    mostly=0.9,
    high=0.1,
    low=0.03,
    brief_s=0.03,
    short_s=0.1,
    long_s=1.0,
    told=16,
    told_refused=32,
    rising=1.2,
    falling=0.99,
    above=1.02,
    same=0.1,
    same_after_s=0.7,
    same_weight=0.1,
    return_per_s=5.0,
    min_gap_s=0.03,
    max_gap_s=0.15,
    probe_share=0.05,
    probe_decay=0.9,
    few=8,
    min_per_s=1.0,
    target=0.018,
    gain=0.005,
    quiet_s=1.2,
    max_quiet_s=5.0,
    quiet_refusals=3.7,
    growth=0.1,
    max_growth=0.2,
    most_growth=2.0,
    growth_s=0.1,
    remember_s=10.0,
    series=5,
    series_s=3.0,
    similar=0.7,
    falls=0.95,
    max_noise=0.9,
    catch_up_s=0.05,
    bin_s=0.05,
    bins=20,
)

PREFIXES = pinned(
    prefixes.Tuning,
    near_s=0.1,
    certain=10.0,
    min_refused=8,
    judge_s=0.25,
    forget_s=5.0,
    max_prefixes=256,
    rate=RATE,
)

BULK = pinned(
    big_bodies.Tuning,
    start=4,
    period_steps=3.0,
    trigger_s=0.004,
    max_empty=0.1,
    acceleration=1.25,
    start_growth=2.0,
    growth=1.5,
    pays=1.2,
    far=4,
    less=8,
    shrink_after_s=3.0,
    shrink_steps=8.0,
    back_steps=20.0,
    hold_s=4.0,
    max_hold_s=60.0,
    enough=0.95,
    best_s=10.0,
)
