"""The true tuning constants go together, whatever their values."""

from __future__ import annotations

from typing import Any

from s3_upload.config import UploadConfig
from s3_upload.control.concurrency import big_bodies as bulk
from s3_upload.control.concurrency import window
from s3_upload.control.retrying.budget import RetryTuning, SpeculationTuning
from s3_upload.control.waiting.adaptive import PATIENCE_S, SMALL_BYTES
from s3_upload.control.waiting.adaptive import Tuning as AdaptiveTuning
from tests.unit.control.constants import PINNED

MODULES = {
    "concurrency.big_bodies": bulk,
    "concurrency.window": window,
}
# Taken when this is imported, before any test pins them.
TRUE: dict[str, dict[str, Any]] = {name: dict(vars(module)) for name, module in MODULES.items()}


def test_what_is_pinned_is_there() -> None:
    for module, constants in PINNED.items():
        for name in constants:
            assert isinstance(TRUE[module][name], int | float), name
            assert getattr(MODULES[module], name) == constants[name], "not pinned"


def test_budgets() -> None:
    true = RetryTuning()
    assert 0.0 < true.cost_throttle <= true.capacity
    assert 0.0 < true.refund_per_success <= true.cost_transient <= true.capacity
    assert true.refill_per_s >= true.cost_transient, "less than a retry a second"


def test_speculation() -> None:
    true = SpeculationTuning()
    assert 0.0 < true.income < 1.0 <= true.initial_credit <= true.cap
    assert 0.0 < true.hedge_share < 0.01, "copies take more of a link than is promised"
    assert true.hedge_initial_bytes <= true.hedge_cap_bytes
    assert true.income_per_s > 0.0, "what is lost at the end of a run waits for patience"


def test_timers() -> None:
    true = AdaptiveTuning()
    config = UploadConfig()
    assert 0.0 < true.syn_retry_s < config.connect_timeout_s
    assert true.stall_min_s < PATIENCE_S
    assert 0.0 < true.response_min_s < true.response_initial_s < PATIENCE_S
    assert true.response_factor > 1.0, "the cut would come before the hedge"
    assert true.late_factor > 1.0 > true.late_kept > 0.0
    assert 0.0 < true.hedge_margin_s < true.response_min_s / true.response_factor
    assert 0.0 < true.m_min <= true.m_initial <= true.m_max
    assert 0.0 < true.m_decay < 1.0 < true.m_raise
    assert true.outer_min_s > PATIENCE_S
    assert true.hedge_max_bytes >= SMALL_BYTES
    assert true.hedge_max_bytes <= SpeculationTuning().hedge_cap_bytes, "never paid"
    assert true.learn_look_s <= true.hedge_margin_s


def test_window() -> None:
    true = TRUE["concurrency.window"]
    assert 1 <= true["START"] <= UploadConfig().max_in_flight
    assert true["START_GROWTH"] > 1
    assert 0.0 < true["START_SHARE"] < 1.0
    assert 0.0 < true["KEEP"] < true["GAIN"] < true["START_SHARE"] * (true["START_GROWTH"] - 1)
    assert 0.0 < true["START_ROUND_S"] <= true["MIN_EPOCH_S"] < true["MAX_EPOCH_S"]
    assert true["PATIENT_ROUNDS"] >= 2, "one round is noise"
    assert 0.0 < true["TIMEOUT_CUT"] < 1.0
    assert true["TIMEOUT_SHARE"] * true["MIN_ATTEMPTS_TO_JUDGE"] >= 1.0


def test_bulk() -> None:
    true = TRUE["concurrency.big_bodies"]
    assert 1 <= true["START"] < window.START, "big bodies fill a link with fewer"
    assert 0.0 < true["EMPTY"] < 1.0 < true["PAYS"] < true["GROWTH"] <= true["START_GROWTH"] < true["FAR"]
    assert 0.0 < true["SHRINK_AFTER_S"] <= true["MAX_HOLD_S"]
    assert 0.0 < true["HOLD_S"] <= true["MAX_HOLD_S"]
