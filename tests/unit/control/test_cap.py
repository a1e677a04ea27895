"""`max_bandwidth`: what is allowed now, by what was acknowledged so far."""

from __future__ import annotations

import pytest

from s3_upload.control.share.cap import UNBOUNDED, Cap
from s3_upload.control.share.link import Look
from s3_upload.units import Bandwidth
from tests.unit.control.constants import CAP

MB = 1_000_000
FIVE = Bandwidth(bytes_per_s=5.0 * MB)


def look(acked_bytes: float = 0.0, rate: float = 0.0) -> Look:
    return Look(acked_bytes=int(acked_bytes), bytes_per_s=rate)


def test_without_a_bound_there_is_none() -> None:
    assert Cap(tuning=CAP).rate(None, look(), now=1.0) == UNBOUNDED


def test_what_was_missing_is_made_up_for_within_a_second() -> None:
    cap = Cap(tuning=CAP)
    cap.rate(FIVE, look(), now=0.0)
    # 0.1 s at 5 MB/s allow 500 kB; 400 kB came: 100 kB more in the next second
    assert cap.rate(FIVE, look(0.4 * MB), now=0.1) == pytest.approx(5.1 * MB)
    assert cap.rate(FIVE, look(1.0 * MB), now=0.2) == pytest.approx(5.0 * MB)
    assert cap.rate(FIVE, look(1.7 * MB), now=0.3) == pytest.approx(4.8 * MB)


def test_what_was_not_used_is_not_saved_up() -> None:
    cap = Cap(tuning=CAP)
    cap.rate(FIVE, look(), now=0.0)
    assert cap.rate(FIVE, look(), now=60.0) == pytest.approx(6.25 * MB)
    assert cap.rate(FIVE, look(100 * MB), now=60.1) == pytest.approx(3.75 * MB)


def test_it_changes_at_once() -> None:
    cap = Cap(tuning=CAP)
    cap.rate(FIVE, look(), now=0.0)
    cap.rate(FIVE, look(), now=10.0)
    assert cap.rate(Bandwidth(bytes_per_s=1.0 * MB), look(0.1 * MB), now=10.1) == pytest.approx(1.0 * MB)
    assert cap.rate(None, look(0.2 * MB), now=10.2) == UNBOUNDED


def test_a_share_is_of_the_highest_rate_that_was_measured() -> None:
    cap = Cap(tuning=CAP)
    share = Bandwidth(share=0.8)
    acked = 0.0
    assert cap.rate(share, look(), now=0.0) == UNBOUNDED
    for rate in (4.0, 10.0, 7.0):
        acked += MB
        assert cap.rate(share, look(acked, rate * MB), now=CAP.measure_s - 0.5) == UNBOUNDED
    assert cap.rate(share, look(acked, 3.0 * MB), now=CAP.measure_s) == pytest.approx(10.0 * MB), (
        "8 and what is due"
    )
    acked += 1.6 * MB
    assert cap.rate(share, look(acked), now=CAP.measure_s + 0.1) == pytest.approx(9.2 * MB)
    assert cap.rate(share, look(acked), now=CAP.measure_s + CAP.measure_every_s) == UNBOUNDED, (
        "it measures anew"
    )


def test_a_first_measurement_in_which_nothing_was_sent_goes_on() -> None:
    """While all is compared or read, say: else there would be no bound for two minutes."""
    cap, share = Cap(tuning=CAP), Bandwidth(share=0.5)
    for now in range(10):
        assert cap.rate(share, look(), now=float(now)) == UNBOUNDED
    assert cap.rate(share, look(MB, 10.0 * MB), now=10.0) == UNBOUNDED
    later_s = 10.0 + CAP.measure_s
    assert cap.rate(share, look(MB, 10.0 * MB), now=later_s) <= 6.25 * MB


def measured(
    cap: Cap, begin_s: float, rate: float, *, waiting: int = 0, busy: int = 10, held: bool = False
) -> float:
    """What a share allows after a measurement of which each look was that."""
    share, found = Bandwidth(share=0.5), Look(bytes_per_s=rate * MB, busy=busy, waiting=waiting)
    for tick in range(60):
        assert cap.rate(share, found, now=begin_s + tick * CAP.measure_s / 60, held=held) == UNBOUNDED
    return cap.rate(share, found, now=begin_s + CAP.measure_s, held=held)


NEXT_S = CAP.measure_s + CAP.measure_every_s


@pytest.mark.parametrize(
    ("busy", "waiting", "held"),
    [(0, 0, False), (10, 0, False), (10, 4, False), (10, 10, True)],
    ids=["nothing to send", "all wait for answers", "most wait for answers", "the share holds them back"],
)
def test_a_measurement_in_which_the_link_had_little_to_do_does_not_lower_a_share(
    busy: int, waiting: int, held: bool
) -> None:
    cap = Cap(tuning=CAP)
    first = measured(cap, 0.0, 10.0)
    later = measured(cap, NEXT_S, 0.01, busy=busy, waiting=waiting, held=held)
    assert later == pytest.approx(first)


def test_bodies_that_come_now_and_then_are_little_to_do() -> None:
    """Though each is sent as fast as the link goes: a part of a slow stream, say."""
    cap, share = Cap(tuning=CAP), Bandwidth(share=0.5)
    first = measured(cap, 0.0, 10.0)
    for tick in range(60):
        busy = tick % 4 == 0
        found = Look(bytes_per_s=0.5 * MB, busy=busy, waiting=busy)
        cap.rate(share, found, now=NEXT_S + tick * CAP.measure_s / 60)
    assert cap.rate(share, look(), now=NEXT_S + CAP.measure_s) == pytest.approx(first)


def test_a_link_that_is_slower_now_lowers_a_share_and_one_that_is_faster_raises_it() -> None:
    cap = Cap(tuning=CAP)
    first = measured(cap, 0.0, 10.0)
    assert measured(cap, NEXT_S, 2.0, waiting=5) == pytest.approx(first / 5)
    assert measured(cap, 2 * NEXT_S, 20.0) == pytest.approx(2 * first)


def test_without_samples_the_higher_one_of_two_measurements_counts() -> None:
    cap, share = Cap(blind=True, tuning=CAP), Bandwidth(share=0.5)
    found = []
    for number, rate in enumerate((10.0, 0.01, 2.0, 1.0)):
        begin_s = number * NEXT_S
        assert cap.rate(share, look(rate=rate * MB), now=begin_s) == UNBOUNDED
        found.append(cap.rate(share, look(), now=begin_s + CAP.measure_s) / MB)
    assert found == pytest.approx([5.0, 5.0, 1.0, 1.0])
