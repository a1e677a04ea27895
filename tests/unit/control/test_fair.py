"""The virtual CUBIC flow, step by step of the module's theory. A round trip is 100 ms without a queue."""

from __future__ import annotations

import pytest

from s3_upload.control.fair import SEGMENT_BYTES, START_SEGMENTS, FairFlow
from s3_upload.control.link import Look


class Rig:
    def __init__(self) -> None:
        self.flow = FairFlow()
        self.now = 0.0
        self.rate = 0.0

    def look(self, *, queue_ms: float = 0.0, lost: int = 0, used: float = 1.0) -> None:
        self.now += 0.05
        look = Look(
            at_s=self.now, queue_s=queue_ms / 1e3, base_s=0.1, bytes_per_s=used * self.rate, retransmits=lost
        )
        self.rate = self.flow.decide(look, now=self.now)

    def looks(self, seconds: float, queue_ms: float = 0.0, used: float = 1.0) -> float:
        for _ in range(round(seconds / 0.05)):
            self.look(queue_ms=queue_ms, used=used)
        return self.flow.window


def cut_at(window: float) -> Rig:
    rig = Rig()
    rig.looks(0.2)
    rig.flow.window = window
    rig.look(lost=3)
    return rig


def test_step_1_the_window_doubles_each_round_trip() -> None:
    assert Rig().looks(0.3) == pytest.approx(START_SEGMENTS * 8.0)


def test_the_rate_is_the_window_a_round_trip_with_its_queue() -> None:
    rig = cut_at(1000.0)
    rig.look(queue_ms=100.0)
    assert rig.rate == pytest.approx(rig.flow.window * SEGMENT_BYTES / 0.2)


@pytest.mark.parametrize(("queue_ms", "ends"), [(12.0, False), (13.0, True)])
def test_step_1_a_growing_delay_ends_it(queue_ms: float, ends: bool) -> None:
    rig = Rig()
    rig.look(queue_ms=queue_ms)
    assert (rig.flow.state == "cruising") is ends


def test_step_2_one_cut_each_round_trip() -> None:
    rig = cut_at(1000.0)
    assert rig.flow.window == pytest.approx(700.0)
    rig.look(lost=5)
    assert rig.flow.window > 690.0
    rig.looks(0.1)
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


def test_step_4_a_window_that_is_not_used_does_not_grow() -> None:
    assert cut_at(1000.0).looks(5.0, used=0.59) == pytest.approx(700.0)
