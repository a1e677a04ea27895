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
