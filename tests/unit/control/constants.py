"""Values for the tuning constants of `control/` while tests run: sequences computed by hand then test the
formulas, not the tuning.  `test_constants.py` looks at the true ones.
"""

from __future__ import annotations

import pytest

MIB = 1 << 20

PINNED: dict[str, dict[str, float]] = {
    "retrying.budget": {
        "RETRY_CAPACITY": 500.0,
        "COST_TRANSIENT": 14.0,
        "COST_THROTTLE": 5.0,
        "REFUND_PER_SUCCESS": 1.0,
        "REFILL_PER_S": 14.0,
        "INCOME": 0.05,
        "INCOME_PER_S": 2.0,
        "CAP": 50.0,
        "INITIAL_CREDIT": 10.0,
        "HEDGE_SHARE": 0.005,
        "HEDGE_INITIAL_BYTES": 16384.0,
        "HEDGE_CAP_BYTES": 33554432.0,
    },
    "retrying.retry": {
        "COST_TRANSIENT": 14.0,
        "COST_THROTTLE": 5.0,
        "REFUND_PER_SUCCESS": 1.0,
        "BASE_TRANSIENT_S": 0.05,
        "BASE_THROTTLE_S": 1.0,
        "CAP_S": 20.0,
        "MAX_RETRY_AFTER_S": 120.0,
        "MIN_RETRIES_TO_STOP": 2,
        "MIN_PAY_AGAIN_S": 0.05,
        "ASK_RETRIES": 3,
    },
    "waiting.verdict": {"PATIENCE_S": 60.0, "RECHECK_S": 0.25},
    "waiting.adaptive": {
        "CONNECT_INITIAL_S": 3.0,
        "SYN_RETRY_S": 1.0,
        "STALL_MIN_S": 8.0,
        "STALL_RTOS": 8,
        "RESPONSE_INITIAL_S": 10.0,
        "RESPONSE_MIN_S": 2.0,
        "RESPONSE_FACTOR": 4.0,
        "LATE_FACTOR": 1.5,
        "LATE_KEPT": 63 / 64,
        "RESPONSE_ALPHA": 1 / 64,
        "RESPONSE_BETA": 1 / 32,
        "MAX_DOUBLINGS": 5,
        "PATIENCE_S": 60.0,
        "HEDGE_MARGIN_S": 0.03,
        "HEDGE_SPREAD_S": 1000.0,
        "HEDGE_MAX_BYTES": MIB,
        "HEDGE_MIN_SAMPLES": 20,
        "LEARN_LOOK_S": 0.03,
        "M_INITIAL": 6.0,
        "M_MIN": 4.0,
        "M_MAX": 200.0,
        "M_RAISE": 1.5,
        "M_DECAY": 0.999,
        "SMALL_BYTES": 64 << 10,
        "LIMITS_KEPT": 1,
        "OUTER_FACTOR": 10.0,
        "OUTER_MIN_S": 300.0,
        "OUTER_MIN_BYTES_PER_S": 1000.0,
    },
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
