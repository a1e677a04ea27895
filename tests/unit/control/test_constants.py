"""The true tuning goes together, whatever its values."""

from __future__ import annotations

from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.big_bodies import Tuning as BulkTuning
from s3_upload.control.concurrency.rate import Tuning as RateTuning
from s3_upload.control.concurrency.window import Tuning as WindowTuning
from s3_upload.control.retrying.budget import RetryTuning, SpeculationTuning
from s3_upload.control.waiting.adaptive import PATIENCE_S, SMALL_BYTES
from s3_upload.control.waiting.adaptive import Tuning as AdaptiveTuning


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
    true = WindowTuning()
    assert 1 <= true.start <= UploadConfig().max_in_flight
    assert true.start_growth > 1.0
    assert 0.0 < true.start_share < 1.0
    assert 0.0 < true.keep < true.gain < true.start_share * (true.start_growth - 1.0)
    assert 0.0 < true.start_round_s <= true.min_epoch_s < true.max_epoch_s
    assert true.patient_rounds >= 2, "one round is noise"
    assert 0.0 < true.timeout_cut < 1.0
    assert true.timeout_share * true.min_attempts_to_judge >= 1.0


def test_rate() -> None:
    true = RateTuning()
    assert 0.0 < true.target < true.low < true.high < true.mostly < 1.0, "what is settled at would be cut"
    assert true.brief_s < true.short_s < true.long_s
    assert true.falling < 1.0 < true.above < true.rising
    assert true.bin_s * true.bins == 1.0, "they are a second"
    assert true.growth <= true.max_growth < true.most_growth
    assert true.min_gap_s < true.max_gap_s


def test_bulk() -> None:
    true = BulkTuning()
    assert 1 <= true.start < WindowTuning().start, "big bodies fill a link with fewer"
    assert 0.0 < true.max_empty < 1.0 < true.pays < true.growth <= true.start_growth < true.far
    assert 0.0 < true.shrink_after_s <= true.max_hold_s
    assert 0.0 < true.hold_s <= true.max_hold_s
