"""The true tuning goes together, whatever its values."""

from __future__ import annotations

from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.big_bodies import Tuning as BulkTuning
from s3_upload.control.concurrency.rate import Tuning as RateTuning
from s3_upload.control.concurrency.window import Tuning as WindowTuning
from s3_upload.control.retrying.budget import RetryTuning, SpeculationTuning
from s3_upload.control.share.background import Tuning as BackgroundTuning
from s3_upload.control.share.fair import Tuning as FairTuning
from s3_upload.control.share.in_flight import Tuning as InFlightTuning
from s3_upload.control.share.link import LONG_TRIP_S, LOSS_S, RATE_S, TRIGGER_S
from s3_upload.control.share.link import Tuning as LinkTuning
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


def test_link() -> None:
    assert max(RATE_S, LOSS_S) <= LinkTuning().history_s, "it is forgotten before it counts"


def test_background() -> None:
    true = BackgroundTuning()
    assert true.queue.short_trip_s < true.medium_trip_s < LONG_TRIP_S
    assert 1.0 < true.growth_found < true.growth_shy < true.growth < true.growth_near < true.growth_far
    assert true.mine < true.headroom < 1.0 < true.gained < true.probe_gain_far < true.probe_gain
    assert true.drain_gain < 1.0 < true.probe_gain < true.probe_growth
    assert true.first_probe_after_s < true.probe_after_s < true.max_probe_after_s
    assert true.queue.max_trigger_s > TRIGGER_S
    assert true.hold_s <= true.max_hold_s < true.soon_s
    assert true.floor_share < true.few < 1.0
    assert true.patient_yields < true.doubting_yields
    assert true.doubted_floor_s > true.soon_s, "any yield would"


def test_fair() -> None:
    true = FairTuning()
    assert 0.0 < true.beta < true.beta_low < 1.0
    assert 0.5 < true.low < true.own < 1.0, "half of the link would be too little"
    assert true.delay_min_s < true.delay_max_s
    assert true.min_segments < true.start_segments


def test_requests_in_flight() -> None:
    true = InFlightTuning()
    assert 0.0 < true.used < 1.0 < true.spare_windows
    assert true.start <= true.max_waiting
