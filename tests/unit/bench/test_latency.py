"""The verdict on runs that should all take the same time, and half of another's."""

from __future__ import annotations

import pytest

from bench.latency import Series, ratio, shortfalls


def series(name: str, *walls_s: float) -> Series:
    return Series(name, list(walls_s), [1.0] * len(walls_s), [256] * len(walls_s))


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ((4.0, 4.0, 4.2, 3.9, 4.1), []),
        ((4.0, 4.0, 4.5, 3.9, 4.1), ["the runs are 15% apart"]),
        ((4.6, 4.5, 4.6, 4.6, 4.6), ["1.96 x s5cmd"]),
        ((9.0, 9.0, 4.0, 9.0, 9.0), ["the runs are 56% apart", "1.00 x s5cmd"]),
    ],
)
def test_a_target_that_is_missed_is_named(ours: tuple[float, ...], said: list[str]) -> None:
    assert shortfalls(series("s3-upload", *ours), series("s5cmd", 9.0, 9.0, 9.0, 9.0, 9.0)) == said


def test_a_ratio_is_taken_within_each_round() -> None:
    """A busy spell that hits a whole round changes no ratio."""
    assert ratio(series("a", 4.0, 40.0, 4.0), series("b", 8.0, 80.0, 8.0)) == pytest.approx(2.0)


def test_a_line_shows_every_run() -> None:
    line = series("s3-upload", 4.0, 4.2, 4.4).line()
    assert line.split() == ["s3-upload", "4.20", "4.00..4.40", "9.5", "256", "1.0", "4.00", "4.20", "4.40"]
