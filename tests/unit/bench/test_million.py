"""The verdict on runs with more and more files, and whose memory it is that counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.million import Series, peak_in, shortfalls
from tests.platforms import needs_proc

FEWEST = Series(10_000, 2, [2.5, 2.4, 2.6], [3.0] * 3, [45_000_000] * 3)


@pytest.mark.parametrize(
    ("series", "said"),
    [
        (FEWEST, []),
        (Series(1_000_000, 2, [275.0], [300.0], [150_000_000]), []),
        (Series(1_000_000, 2, [276.0], [300.0], [60_000_000]), ["1.10 x the time"]),
        (Series(100_000, 2, [25.0, 99.0, 24.0], [30.0] * 3, [10, 151_000_000, 10]), ["151 MB"]),
    ],
)
def test_a_target_that_is_missed_is_named(series: Series, said: list[str]) -> None:
    assert shortfalls(series, FEWEST) == said


def test_the_start_up_of_a_run_hides_nothing_of_what_its_files_take() -> None:
    """By the whole time these are 250 and 225 µs a file, and by what the files took 200 and 224."""
    fewest = Series(10_000, 1, [2.5], [2.5], [10], start_up_s=0.5)
    most = Series(1_000_000, 1, [225.0], [225.0], [10], start_up_s=0.5)
    assert shortfalls(most, fewest) == ["1.12 x the time"]
    assert shortfalls(Series(1_000_000, 1, [219.0], [219.0], [10], start_up_s=0.5), fewest) == []


def test_a_line_shows_the_time_of_one_file() -> None:
    cells = Series(1_000_000, 2, [260.0], [300.0], [60_000_000]).line(FEWEST).split()
    assert cells == ["1,000,000", "2", "260.0", "260", "260..260", "1.04", "300", "60", "reached"]


def test_one_that_has_ended_has_no_peak() -> None:
    assert peak_in("Name:\ts3-upload\nState:\tZ (zombie)\n") == 0
    assert peak_in("VmPeak:\t  99 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 7 kB\n") == 2 << 20


@needs_proc
def test_this_process_has_one() -> None:
    assert peak_in(Path("/proc/self/status").read_text(encoding="utf-8")) > 1 << 20
