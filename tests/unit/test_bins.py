"""Amounts over time and points by decade: bounded, and nothing dropped."""

from __future__ import annotations

import math

import pytest

from s3_upload.observe import bins
from s3_upload.observe.bins import Course, Quantiles, Scatter, Timeline


def test_an_amount_is_spread_evenly_over_its_time() -> None:
    line = Timeline("bytes")
    line.add("bytes", 100.0, 0.005, 0.025)
    assert line.rows["bytes"] == pytest.approx([25.0, 50.0, 25.0])


def test_a_moment_is_in_one_bin() -> None:
    line = Timeline("failed", "bytes")
    line.add("failed", 1.0, 0.03, 0.03)
    assert line.rows == {"failed": [0.0, 0.0, 0.0, 1.0], "bytes": []}


def test_however_long_it_takes_the_bins_are_bounded_and_nothing_is_dropped() -> None:
    line = Timeline("bytes", "failed")
    for number in range(5_000):
        line.add("bytes", 10.0, number * 1.7, number * 1.7 + 30.0)
        line.add("failed", 1.0, number * 1.7, number * 1.7)
    assert bins.MAX_BINS / 2 <= len(line) <= bins.MAX_BINS
    assert sum(line.rows["bytes"]) == pytest.approx(50_000.0)
    assert sum(line.rows["failed"]) == 5_000.0
    assert line.width_s == bins.FIRST_WIDTH_S * 2 ** math.ceil(
        math.log2(8_530 / bins.FIRST_WIDTH_S / bins.MAX_BINS)
    )


def test_dots_near_each_other_are_one_that_counts() -> None:
    scatter = Scatter()
    for x in (1000.0, 1001.0, 5000.0):
        scatter.add(x, 0.25)
    assert [(dot.x, dot.y, dot.count) for dot in scatter.dots] == [(1000.0, 0.25, 2), (5000.0, 0.25, 1)]


def test_however_many_points_come_the_dots_are_bounded_and_all_counted() -> None:
    scatter = Scatter()
    for number in range(40_000):
        scatter.add(10.0 ** (number % 211 / 23), 10.0 ** (number % 197 / 29 - 4))
    assert bins.MAX_CELLS / 8 < len(scatter.dots) <= bins.MAX_CELLS
    assert sum(dot.count for dot in scatter.dots) == 40_000


def test_quantiles_are_right_within_a_bucket() -> None:
    times = Quantiles()
    assert not times
    assert times.at(0.5) == 0.0
    for number in range(1, 1001):
        times.add(number / 1000)
    assert times.at(0.5) == pytest.approx(0.5, rel=0.025)
    assert times.at(0.99) == pytest.approx(0.99, rel=0.025)
    assert times.at(1.0) == pytest.approx(1.0, rel=0.025)


def test_a_course_keeps_its_first_and_thins_the_rest() -> None:
    course: Course[int] = Course(8)
    for number in range(100):
        course.add(number)
    assert course.entries == [0, 16, 32, 48, 64, 80, 96]
