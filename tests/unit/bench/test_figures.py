"""What the measurements of a row say: medians, ratios within rounds, verdicts in words."""

from __future__ import annotations

from typing import Any

import pytest

from bench.figures import (
    MISSED,
    REACHED,
    cpu_text,
    lines,
    peers,
    rate_text,
    seconds,
    standing,
    target_text,
    verdict,
)
from tests.unit.bench.made_up import contender, row

OURS = contender("s3-upload", 1.0, 2.0, 4.0)


def test_a_ratio_is_the_median_of_those_within_the_rounds() -> None:
    (peer,) = peers(row(OURS, contender("s5cmd", 3.0, 3.0, 4.0)))
    assert peer.ratios == (3.0, 1.5, 1.0)
    assert peer.ratio == 1.5
    assert peer.wall_s == 3.0


def test_who_took_part_in_fewer_rounds_is_compared_in_those() -> None:
    (peer,) = peers(row(OURS, contender("boto3", 10.0, 40.0)))
    assert peer.ratios == (10.0, 20.0)


def test_ours_has_no_ratio_and_where_it_failed_nobody_has() -> None:
    assert lines(row(OURS))[0].ratios == ()
    failed = contender("s3-upload", 1.0, failed="ended with 1: refused")
    assert peers(row(failed, contender("s5cmd", 3.0))) == []
    assert verdict(row(failed, contender("s5cmd", 3.0))) == "s3-upload failed: ended with 1: refused."


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([], "There is nobody to compare with."),
        ([contender("s5cmd", failed="not done after 9 s")], "There is nobody to compare with."),
        (
            [contender("s5cmd", 2.0, 4.0, 8.0), contender("obstore", 1.5, 3.0, 6.0)],
            "s3-upload is the fastest: the next, obstore, takes 1.50 x as long.",
        ),
        (
            [contender("s5cmd", 2.0, 4.0, 8.0), contender("obstore", 0.5, 1.0, 2.0)],
            "**obstore wins**: s3-upload takes 2.00 x as long. "
            "Of the others, the next, s5cmd, takes 2.00 x as long.",
        ),
        (
            [contender("s5cmd", 0.8, 1.6, 3.2), contender("obstore", 0.5, 1.0, 2.0), contender("x", 1, 2, 4)],
            "**obstore and s5cmd win**: s3-upload takes 2.00 and 1.25 x as long. "
            "Even with x (1.00 x): the rounds do not agree on who is faster.",
        ),
        (
            [contender("s5cmd", 0.9, 2.2, 4.4)],
            "Even with s5cmd (1.10 x): the rounds do not agree on who is faster.",
        ),
    ],
)
def test_the_verdict_names_who_wins(others: list[dict[str, object]], said: str) -> None:
    assert verdict(row(OURS, *others)) == said


@pytest.mark.parametrize(
    ("at_least", "theirs", "said"),
    [
        (None, 2.0, ("", "")),
        (1.0, 1.5, (REACHED, "Target: at least 1.0 x as fast as s5cmd. It is 1.50 x: reached.")),
        (1.0, 0.5, (MISSED, "Target: at least 1.0 x as fast as s5cmd. It is 0.50 x: missed.")),
        (1 / 1.6, 0.8, (REACHED, "Target: at most 1.6 x the time of s5cmd. It takes 1.25 x: reached.")),
        (1 / 1.6, 0.5, (MISSED, "Target: at most 1.6 x the time of s5cmd. It takes 2.00 x: missed.")),
    ],
)
def test_a_target_is_reached_or_missed(at_least: float | None, theirs: float, said: tuple[str, str]) -> None:
    found = row(contender("s3-upload", 1.0), contender("s5cmd", theirs), at_least=at_least)
    assert (standing(found), target_text(found)) == said


@pytest.mark.parametrize("at_least", [None, 1.0])
def test_ours_that_failed_misses_every_target(at_least: float | None) -> None:
    failed = contender("s3-upload", 1.0, failed="1 object(s) missing")
    found = row(failed, contender("s5cmd", 3.0), at_least=at_least)
    assert standing(found) == MISSED
    said = "Target: at least 1.0 x as fast as s5cmd: missed, s3-upload failed." if at_least else ""
    assert target_text(found) == said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (row(OURS, contender("s5cmd", failed="killed"), at_least=1.0), "missed, s5cmd failed: killed."),
        (
            row(OURS, left_out={"s5cmd": "is not there"}, at_least=1.0),
            "missed, s5cmd took no part: is not there.",
        ),
        (row(OURS, at_least=1.0), "not judged, s5cmd took no part: not measured this time."),
    ],
)
def test_a_target_without_s5cmd_is_missed_unless_nobody_asked_for_it(
    found: dict[str, Any], said: str
) -> None:
    assert target_text(found) == f"Target: at least 1.0 x as fast as s5cmd: {said}"
    assert said.startswith(standing(found))


def test_small_files_cost_by_the_object_and_large_ones_by_the_byte() -> None:
    small, large = row(OURS), row(OURS, files=4, bytes=4 << 30)
    (line,) = lines(small)
    assert (rate_text(small, line), cpu_text(small, line)) == ("500 objects/s", "4,000 µs/object")
    assert (rate_text(large, line), cpu_text(large, line)) == ("2,048 MiB/s", "1.00 s/GiB")
    one = row(OURS, files=1, bytes=4096)
    assert cpu_text(one, line) == "4,000 ms/object"


@pytest.mark.parametrize(("value", "said"), [(0.0284, "0.028"), (1.234, "1.23"), (12.34, "12.3")])
def test_times_have_three_digits(value: float, said: str) -> None:
    assert seconds(value) == said
