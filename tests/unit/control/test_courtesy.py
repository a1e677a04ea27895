"""What joins the shares: the bound on the window, the paces of single connections, and the timeouts."""

from __future__ import annotations

import math

import pytest

from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.window import FixedWindow
from s3_upload.control.share.cap import UNBOUNDED
from s3_upload.control.share.courtesy import Courtesy
from s3_upload.control.share.link import FLOOR_CONNECTION_BYTES_PER_S
from s3_upload.control.waiting.adaptive import AdaptiveTimeout
from s3_upload.control.waiting.timeouts import OriginTimeout
from s3_upload.report import Paces
from s3_upload.units import Bandwidth
from tests.unit.control.constants import ADAPTIVE, COURTESY
from tests.unit.control.test_link import sample

MB = 1e6
ONE_MBPS = Bandwidth(bytes_per_s=MB)


# --- 3: the pace of one connection -------------------------------------------------------------------


def test_step_3_it_is_divided_anew_between_the_looks() -> None:
    courtesy = Courtesy("full", FixedWindow(10), tuning=COURTESY)
    assert courtesy.decide([sample(1, waiting=True)], ONE_MBPS, now=0.0).paces.apart == {1: pytest.approx(MB)}
    paces = courtesy.divide([sample(1, waiting=True), sample(2, waiting=True)])
    assert paces.apart == {1: pytest.approx(0.375 * MB), 2: pytest.approx(0.625 * MB)}


def test_a_run_that_nothing_bounds_is_not_paced() -> None:
    courtesy = Courtesy("full", FixedWindow(10), tuning=COURTESY)
    decision = courtesy.decide([sample(1)], None, now=0.0)
    assert (decision.bytes_per_s, decision.paces) == (UNBOUNDED, Paces())
    assert decision.requests == math.inf
    assert (decision.report.state, decision.report.pace_bytes_per_s) == ("full", 0.0)


@pytest.mark.parametrize(
    ("share", "state"), [("background", "growing"), ("fair", "growing"), ("full", "full")]
)
def test_the_report_says_what_bounds_the_run(share: str, state: str) -> None:
    assert Courtesy(share, FixedWindow(10), tuning=COURTESY).decide([], None, now=0.0).report.state == state
    capped = Courtesy(share, FixedWindow(10), tuning=COURTESY).decide([], Bandwidth(bytes_per_s=1e4), now=0.0)
    assert capped.report.state == "capped"


# --- 4: timeouts -------------------------------------------------------------------------------------


def test_step_4_the_slowest_is_remembered_for_a_minute() -> None:
    courtesy = Courtesy("full", FixedWindow(10), tuning=COURTESY)
    assert courtesy.slowed_s(1000) == 0.0
    for at_s, rate in ((0.0, 5e5), (10.0, 1e5), (59.0, 5e5)):
        courtesy.decide([sample(1, waiting=True)], Bandwidth(bytes_per_s=rate), now=at_s)
    slowest = courtesy.slowed_s(1000)
    assert slowest > 1000 / 2e5
    courtesy.decide([sample(1, waiting=True)], Bandwidth(bytes_per_s=5e5), now=70.5)
    assert courtesy.slowed_s(1000) < slowest / 2.0


def test_step_4_a_pace_that_is_lifted_is_forgotten_after_a_minute() -> None:
    courtesy = Courtesy("full", FixedWindow(10), tuning=COURTESY)
    courtesy.decide([sample(1, waiting=True)], Bandwidth(bytes_per_s=1e5), now=0.0)
    assert courtesy.slowed_s(1000) > 0.0
    for at_s in range(1, 75):
        courtesy.decide([sample(1, waiting=True)], None, now=float(at_s))
    assert courtesy.slowed_s(1000) == 0.0


def test_step_4_a_small_body_may_take_its_pace_longer_to_be_answered() -> None:
    courtesy = Courtesy("full", FixedWindow(1000), tuning=COURTESY)
    courtesy.decide([sample(n) for n in range(500)], Bandwidth(bytes_per_s=16_000.0), now=0.0)
    plain = AdaptiveTimeout(UploadConfig(), ADAPTIVE)
    before = plain.timeouts(operation="PutObject", body_bytes=51_200, retries=0)
    after = courtesy.allow(before, 51_200)
    slowed_s = 51_200 / FLOOR_CONNECTION_BYTES_PER_S
    assert after.response_s == pytest.approx(before.response_s + slowed_s)
    assert after.total_s == pytest.approx(before.total_s + 50.0)
    assert after.stall_s == before.stall_s
    big = courtesy.allow(before, 1 << 20)
    assert big.response_s == before.response_s


def test_step_4_the_origins_timeout_leaves_time_for_the_floor() -> None:
    courtesy = Courtesy("background", FixedWindow(4), tuning=COURTESY)
    limits = OriginTimeout(UploadConfig()).timeouts(operation="UploadPart", body_bytes=8 << 20, retries=0)
    assert courtesy.allow(limits, 8 << 20).total_s > 8192.0


# --- 5: blind ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "bound"), [("background", 1), ("fair", 1), ("full", math.inf)])
def test_step_5_blind_a_share_is_one_request_at_a_time(share: str, bound: float) -> None:
    decision = Courtesy(share, FixedWindow(10), blind=True, tuning=COURTESY).decide([], None, now=1.0)
    assert decision.bytes_per_s == UNBOUNDED
    assert decision.requests == bound


def test_step_5_blind_the_rate_is_the_bound_itself() -> None:
    courtesy = Courtesy("full", FixedWindow(10), blind=True, tuning=COURTESY)
    assert [courtesy.decide([], ONE_MBPS, now=n * 1.0).bytes_per_s for n in range(3)] == [MB] * 3
