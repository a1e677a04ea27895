"""Values for the tuning of `control/` while tests run: sequences computed by hand then test the formulas, not
the tuning.  `test_constants.py` looks at the true ones.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import pytest

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

PINNED: dict[str, dict[str, float]] = {
    "concurrency.window": {
        "START_GROWTH": 2,
        "START_SHARE": 0.3,
        "MIN_EPOCH_S": 0.1,
        "START_ROUND_S": 0.05,
        "PATIENT_ROUNDS": 3,
        "MAX_EPOCH_S": 30.0,
        "EPOCH_REQUESTS": 3.0,
        "GAIN": 0.05,
        "KEEP": 0.02,
        "STEP": 8,
        "TIMEOUT_CUT": 0.5,
        "TIMEOUT_SHARE": 0.05,
        "MIN_ATTEMPTS_TO_JUDGE": 20,
    },
    "concurrency.big_bodies": {
        "START": 4,
        "REACTION_S": 0.05,
        "STEPS": 3.0,
        "TRIGGER_S": 0.004,
        "EMPTY": 0.1,
        "ACCELERATION": 1.25,
        "START_GROWTH": 2.0,
        "GROWTH": 1.5,
        "PAYS": 1.2,
        "FAR": 4,
        "LESS": 8,
        "SHRINK_AFTER_S": 3.0,
        "SHRINK_STEPS": 8.0,
        "BACK_STEPS": 20.0,
        "HOLD_S": 4.0,
        "MAX_HOLD_S": 60.0,
    },
}


def pin(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, constants in PINNED.items():
        for name, value in constants.items():
            monkeypatch.setattr(f"s3_upload.control.{module}.{name}", value)
