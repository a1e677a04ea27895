"""Values for the tuning of `control/` while tests run: sequences computed by hand then test the formulas, not
the tuning.  `test_constants.py` looks at the true ones.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from s3_upload.control.concurrency import big_bodies, fleet_rate, prefixes, rate, window
from s3_upload.control.retrying import budget, retry, situation
from s3_upload.control.share import background, cap, courtesy, division, fair, in_flight, link, others
from s3_upload.control.waiting import adaptive, rtt, verdict

MIB = 1 << 20

TuningT = TypeVar("TuningT", bound=msgspec.Struct)


def pinned(tuning: type[TuningT], **values: Any) -> TuningT:
    """A tuning of which no field is left to its default."""
    assert sorted(values) == sorted(tuning.__struct_fields__)
    return tuning(**values)


RTT = pinned(rtt.Tuning, alpha=1 / 8, beta=1 / 4, k=4.0, g_s=0.001, max_doublings=10)
SLOW_RTT = msgspec.structs.replace(RTT, alpha=1 / 64, beta=1 / 32)

VERDICT = pinned(verdict.Tuning, stall_rtos=8.0)

ADAPTIVE = pinned(
    adaptive.Tuning,
    connect_initial_s=3.0,
    syn_retry_s=1.0,
    stall_min_s=8.0,
    response_initial_s=10.0,
    response_min_s=2.0,
    response_factor=4.0,
    connect_rtt=RTT,
    response_rtt=SLOW_RTT,
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

FLEET = pinned(
    fleet_rate.Tuning,
    spare=0.25,
    near=0.05,
    most_cut=0.5,
    floor=0.9,
    gap_s=0.4,
    silent_s=2.0,
    lacking=0.5,
    more=2.0,
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
    pause_s=1.0,
)

LINK = pinned(
    link.Tuning,
    srtt_weight=0.875,
    base_minutes=10,
    base_looks=9,
    min_segments=50,
    history_s=3.0,
)

QUEUE = pinned(
    others.Tuning,
    max_trigger_s=0.02,
    jitters=2.0,
    jitter_weight=0.03125,
    looks=3,
    short_trip_s=0.01,
    quiet_s=0.001,
    quiet_bytes=4500.0,
    burst_jitters=4.0,
    burst_looks=5,
)

BACKGROUND = pinned(
    background.Tuning,
    start_bytes_per_s=250000.0,
    min_step_s=0.15,
    growth=1.5,
    growth_near=2.0,
    growth_far=4.0,
    growth_shy=1.25,
    growth_found=1.125,
    found_s=10.0,
    found_from=0.5,
    found_to=1.5,
    used=0.5,
    quiet_trips=2.5,
    headroom=0.98,
    own_steps=3.0,
    burst_s=0.002,
    again_s=0.001,
    again_trips=0.85,
    wary_trips=2.25,
    medium_trip_s=0.05,
    first_probe_after_s=0.5,
    probe_after_s=2.5,
    max_probe_after_s=20.0,
    probe_gain=1.05,
    probe_gain_far=1.03,
    probe_growth=1.25,
    gained=1.01,
    drain_gain=0.8,
    mine=0.85,
    strong=3.0,
    few=0.1,
    max_loss=0.02,
    hold_s=1.0,
    hold_trips=4.0,
    max_hold_s=2.0,
    soon_s=5.0,
    patient_yields=2,
    doubting_yields=20,
    kept=0.97,
    kept_growing=0.9,
    doubted_from=0.4,
    floor_share=0.01,
    floor_bytes_per_s=32000.0,
    doubted_floor_s=10.0,
    queue=QUEUE,
)

FAIR = pinned(
    fair.Tuning,
    start_segments=20.0,
    min_segments=4.0,
    c=0.4,
    beta=0.7,
    beta_low=0.85,
    low=0.55,
    delay_min_s=0.004,
    delay_max_s=0.016,
    delay_divisor=8.0,
    delayed=3,
    deaf_trips=1.25,
    growth=1.5,
    giving_s=60.0,
    queue_s=0.005,
    smooth_s=1.0,
    own=0.95,
    give=0.2,
    row=4,
    flows=50,
    heavy=0.005,
    heedless_growth=1.1,
    push=1.25,
    push_trips=10.0,
    used=0.6,
    min_rtt_s=0.001,
)

CAP = pinned(
    cap.Tuning,
    settle_s=1.0,
    credit_s=0.25,
    least=0.1,
    measure_s=3.0,
    measure_every_s=120.0,
    standing=0.5,
)

IN_FLIGHT = pinned(
    in_flight.Tuning,
    start=4,
    growth=1.5,
    used=0.9,
    slow_steps=3,
    sending=0.7,
    sending_looks=8.0,
    max_waiting=8,
    spare_windows=1.25,
    fresh_from=0.25,
    steady=1.1,
    beyond=2.0,
)

DIVISION = pinned(
    division.Tuning,
    expected=4,
    window_gain=1.05,
    small_window_gain=2.0,
    sending_looks=16.0,
    stagger=0.25,
    max_boost=1.25,
    boost_gain=0.02,
)

COURTESY = pinned(
    courtesy.Tuning,
    slowest_s=60.0,
    blind_rate_s=3.0,
    link=LINK,
    background=BACKGROUND,
    fair=FAIR,
    cap=CAP,
    in_flight=IN_FLIGHT,
    division=DIVISION,
)
