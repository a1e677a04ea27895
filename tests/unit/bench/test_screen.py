"""`bench.screen`: what is read from a terminal, and how it is judged."""

from __future__ import annotations

import pytest

from bench.received import Received
from bench.screen import Frame, frames_of, judge

SHOWN = (
    "\x1b[?2026h\r\x1b[1ma → s3://b at h\x1b[0m\x1b[K\r\n"
    " 52 % \x1b[32m━━━\x1b[0m  1.04 of 2.00 GB   0:10 left\x1b[K\r\n"
    " 0 of 4 files · 99.5 MB/s · limited by the link\x1b[K\x1b[?2026l"
)


def test_a_frame_is_read_through_its_colours() -> None:
    assert frames_of([(3.0, SHOWN)]) == [Frame(3.0, 52, 1.04e9, 99.5e6, 10.0)]


def test_a_frame_without_a_time_left_is_one_too() -> None:
    [frame] = frames_of([(3.0, SHOWN.replace("   0:10 left", ""))])
    assert frame.left_s is None


@pytest.mark.parametrize(("shown", "rate"), [("0 B/s", 0.0), ("850 B/s", 850.0), ("85 kB/s", 85e3)])
def test_a_small_rate_is_one_too(shown: str, rate: float) -> None:
    [frame] = frames_of([(3.0, SHOWN.replace("99.5 MB/s", shown))])
    assert frame.rate == rate


def test_what_is_true_is_judged_to_be() -> None:
    sink = Received([float(s) for s in range(21)], [100_000_000 * s for s in range(21)])
    frames = [Frame(s, int(5 * s), 1e8 * s, 1e8, 20.0 - s) for s in range(1, 20)]
    found = judge(frames, sink, 20.0)
    assert found == {"first_s": 0.0, "rate_error": 0.0, "left_error": 0.0}


def test_what_is_off_is_judged_by_how_much() -> None:
    sink = Received([float(s) for s in range(21)], [100_000_000 * s for s in range(21)])
    frames = [Frame(s, int(5 * s), 1e8 * s, 1.1e8, 10.0) for s in range(5, 20)]
    found = judge(frames, sink, 20.0)
    assert found["first_s"] == 4.0
    assert found["rate_error"] == pytest.approx(0.1)
    assert found["left_error"] > 0.2
