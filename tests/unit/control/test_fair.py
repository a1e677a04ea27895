"""The virtual CUBIC flow, step by step of the module's theory. A round trip is 100 ms without a queue."""

from __future__ import annotations

import pytest

from s3_upload.control.share.fair import SEGMENT_BYTES, FairShare
from s3_upload.control.share.link import Look
from tests.unit.control.constants import FAIR


class Rig:
    def __init__(self, base_s: float = 0.1) -> None:
        self.base_s = base_s
        self.flow = FairShare(FAIR)
        self.now = 0.0
        self.rate = 0.0
        self.acked_bytes = 0

    def look(
        self, *, queue_ms: float = 0.0, lost: int = 0, used: float = 1.0, acked: float | None = None
    ) -> None:
        self.now += 0.05
        rate = used * self.rate if acked is None else acked
        self.acked_bytes += int(0.05 * rate)
        look = Look(
            at_s=self.now,
            queue_s=queue_ms / 1e3,
            base_s=self.base_s,
            bytes_per_s=rate,
            acked_bytes=self.acked_bytes,
            retransmits=lost,
            fresh=True,
        )
        self.rate = self.flow.decide(look, now=self.now)

    def looks(self, seconds: float, queue_ms: float = 0.0, used: float = 1.0) -> float:
        for _ in range(round(seconds / 0.05)):
            self.look(queue_ms=queue_ms, used=used)
        return self.flow.window


def cut_at(window: float, base_s: float = 0.1) -> Rig:
    rig = Rig(base_s)
    rig.looks(0.2)
    rig.flow._flow.window = window
    rig.look(lost=3)
    return rig


def test_step_1_the_window_doubles_each_round_trip() -> None:
    assert Rig().looks(0.3) == pytest.approx(FAIR.start_segments * 8.0)


def test_the_rate_is_the_window_a_round_trip_with_its_queue() -> None:
    rig = cut_at(1000.0)
    rig.look(queue_ms=100.0)
    assert rig.rate == pytest.approx(rig.flow.window * SEGMENT_BYTES / 0.2)


@pytest.mark.parametrize(("queue_ms", "ends"), [(12.0, False), (13.0, True)])
def test_step_1_a_growing_delay_ends_it(queue_ms: float, ends: bool) -> None:
    rig = Rig()
    rig.looks(0.1, queue_ms)
    assert rig.flow.state == "growing", "two may be a receiver that waits"
    rig.look(queue_ms=queue_ms)
    assert (rig.flow.state == "cruising") is ends


# 1.25 * 0.1 + 0.05 = 0.175 s, 1.25 * 0.18 + 0.05 = 0.275 s
@pytest.mark.parametrize(("queue_ms", "deaf_looks"), [(0.0, 3), (80.0, 5)])
def test_step_2_what_is_told_late_is_no_other_event(queue_ms: float, deaf_looks: int) -> None:
    rig = Rig()
    rig.looks(0.2)
    rig.flow._flow.window = 1000.0
    rig.look(lost=3, queue_ms=queue_ms)
    assert rig.flow.window == pytest.approx(700.0)
    for _ in range(deaf_looks):
        rig.look(lost=5)
    assert rig.flow.window > 690.0
    rig.look(lost=1)
    assert rig.flow.window < 510.0


def test_step_3_it_is_back_where_it_was_after_k() -> None:
    rig = cut_at(1000.0)
    # K = cbrt(1000 * 0.3 / 0.4) = 9.086 s; halfway there 0.4 * (-4.543) ** 3 + 1000 = 962.5
    assert rig.looks(4.55) == pytest.approx(962.5, abs=1.0)
    assert rig.looks(4.55) == pytest.approx(1000.0, abs=1.0)
    assert rig.looks(4.55) == pytest.approx(1037.9, abs=1.5)


def test_step_3_a_small_window_grows_as_renos() -> None:
    # 0.7 * 10 + 3 * 0.3 / 1.7 * 1.0 / 0.1 = 12.29, where CUBIC's would be 9.4
    assert cut_at(10.0).looks(1.0) == pytest.approx(12.29, abs=0.05)


def alone_for(seconds: float) -> Rig:
    """It has 10 MB/s, and its window lets 12 MB/s through."""
    rig = cut_at(1000.0)
    for _ in range(round(seconds / 0.05)):
        rig.look(queue_ms=20.0, acked=10e6)
    rig.flow._flow.window = 12e6 * 0.12 / SEGMENT_BYTES
    return rig


@pytest.mark.parametrize(
    ("acked", "queue_ms", "held"), [(9.0e6, 20.0, True), (9.6e6, 20.0, False), (9.0e6, 4.0, False)]
)
def test_step_4_while_others_want_more_the_rate_falls(acked: float, queue_ms: float, held: bool) -> None:
    rig = alone_for(10.0)
    for _ in range(40):
        rig.look(queue_ms=queue_ms, acked=acked)
    assert (rig.rate < 9.0e6) is held


def test_step_4_to_one_half_and_no_further() -> None:
    rig = alone_for(10.0)
    for _ in range(400):
        rig.look(queue_ms=20.0, acked=min(rig.rate, 9e6))
        rig.flow._flow.window = 1000.0  # it would do
    assert rig.rate == pytest.approx(5e6, rel=0.01)


def test_step_4_it_rises_again_when_nobody_does() -> None:
    rig = alone_for(10.0)
    for _ in range(400):
        rig.look(queue_ms=20.0, acked=min(rig.rate, 9.4e6))
    before = rig.rate
    rig.look(acked=before)
    for _ in range(20):  # 1 / (1 - 0.2) a second and a round trip: 1 / 0.8 ** (1 / 1.1)
        rig.look(acked=before)
    assert rig.rate == pytest.approx(before * 0.8 ** (-1.05 / 1.1), rel=0.01)


@pytest.mark.parametrize(("acked", "cut"), [(5.4e6, 0.85), (5.6e6, 0.7)])
def test_step_4_a_loss_costs_less_than_half(acked: float, cut: float) -> None:
    rig = alone_for(10.0)
    rig.flow._flow.window = acked * 0.1 / SEGMENT_BYTES
    rig.look(acked=acked)
    before = rig.flow.window
    rig.look(acked=acked, lost=1)
    assert rig.flow.window == pytest.approx(cut * before, rel=0.01)


def test_step_4_only_for_a_while() -> None:
    rig = alone_for(10.0)
    rig.flow._flow.window = 5.4e6 * 0.1 / SEGMENT_BYTES
    for _ in range(round(FAIR.giving_s / 0.05) + 1):
        rig.look(acked=5.4e6)
        rig.flow._flow.window = 5.4e6 * 0.1 / SEGMENT_BYTES
    rig.look(acked=5.4e6, lost=1)
    assert rig.flow.window == pytest.approx(0.7 * 5.4e6 * 0.1 / SEGMENT_BYTES, rel=0.01)


def overflowing(
    rig: Rig, times: int, every_s: float, *, queue_ms: float = 20.0, lost: int = 50
) -> list[float]:
    """What the window is after each overflow, as a share of what it was before."""
    left = []
    for _ in range(times):
        for _ in range(round(every_s / 0.05) - 1):
            rig.look(queue_ms=20.0, acked=4e6)
        before = rig.flow.window
        rig.look(queue_ms=queue_ms, acked=4e6, lost=lost)
        left.append(rig.flow.window / before)
    return left


def low(acked: float = 4e6) -> Rig:
    """Less than half of the link is its own."""
    rig = alone_for(10.0)
    rig.flow._flow.window = acked * 0.12 / SEGMENT_BYTES
    rig.look(queue_ms=20.0, acked=acked)
    return rig


# One of 50 flows has 16.6 segments of the 828 that are under way, and needs
# min(cbrt(16.6 * 0.3 / 0.4), 16.6 * 1.7 / 3 * 0.12) = 1.13 s to be back where it was.
@pytest.mark.parametrize(("every_s", "heedless"), [(1.1, True), (1.2, False)])
def test_step_5_who_does_not_mind_losses_overflows_the_queue_soon_again(
    every_s: float, heedless: bool
) -> None:
    rig = low()
    overflowing(rig, 3, every_s)
    assert not rig.flow.heedless
    overflowing(rig, 1, every_s)
    assert rig.flow.heedless is heedless


# From the first overflow to the fifth are 2 s, in which 5,500 segments come through.
@pytest.mark.parametrize(("lost", "heedless"), [(5, False), (7, True)])
def test_step_5_and_much_is_lost(lost: int, heedless: bool) -> None:
    rig = low()
    overflowing(rig, 5, 0.5, lost=lost)
    assert rig.flow.heedless is heedless


def test_step_5_what_is_lost_without_a_queue_is_no_overflow() -> None:
    rig = low()
    overflowing(rig, 6, 0.5, queue_ms=4.0)
    assert not rig.flow.heedless


def test_step_5_then_losses_cost_nothing_and_half_is_taken() -> None:
    rig = low()
    left = overflowing(rig, 5, 0.5)
    assert max(left[:3]) < 0.86
    assert min(left[3:]) >= 1.0
    for _ in range(100):
        rig.look(queue_ms=20.0, acked=0.85 * rig.rate, lost=1)
    assert rig.rate == pytest.approx(5e6, rel=0.01)


def test_step_5_but_no_more_than_what_comes_through() -> None:
    rig = low()
    overflowing(rig, 5, 0.5)
    for _ in range(100):
        rig.look(queue_ms=20.0, acked=2e6, lost=1)
    assert rig.rate == pytest.approx(1.25 * 2e6, rel=0.01)


def test_step_5_above_half_losses_count() -> None:
    rig = low()
    overflowing(rig, 5, 0.5)
    for _ in range(20):  # without a queue its bound rises
        rig.flow._flow.window = 6e6 * 0.1 / SEGMENT_BYTES
        rig.look(acked=6e6)
    before = rig.flow.window
    rig.look(acked=6e6, lost=1)
    assert rig.flow.window == pytest.approx(0.7 * before, rel=0.02)


def test_step_5_it_is_over_when_nothing_overflows() -> None:
    rig = low()
    overflowing(rig, 5, 0.5)
    rig.looks(1.8)  # without the queue 50 flows need 0.78 s
    assert not rig.flow.heedless


def test_step_6_a_window_that_is_not_used_does_not_grow() -> None:
    rig = cut_at(1000.0)
    rig.looks(0.5, used=0.5)
    before = rig.flow.window
    assert rig.looks(5.0, used=0.5) == pytest.approx(before)
