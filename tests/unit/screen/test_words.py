"""`screen.words`: what is said, to the letter."""

from __future__ import annotations

import pytest

from s3_upload.observe.limits import ANSWERS, AWAY, LINK, NAMES, THROTTLED
from s3_upload.observe.status import Moving, Total
from s3_upload.screen import words
from tests.unit.screen.statuses import status

MB = 10**6


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (1, "1 B"), (999, "999 B"), (999.4, "999 B"), (1000, "1.00 kB"), (1234, "1.23 kB"),
        (9_994, "9.99 kB"), (9_996, "10.0 kB"), (99_940, "99.9 kB"), (99_960, "100 kB"), (541_000, "541 kB"),
        (999_400, "999 kB"), (999_500, "1.00 MB"), (1_000_000, "1.00 MB"), (1_120_000_000, "1.12 GB"),
        (999_499_999, "999 MB"), (999_500_000, "1.00 GB"), (1e12, "1.00 TB"), (5.5e15, "5,500 TB"),
    ],
)  # fmt: skip
def test_a_size_has_three_digits(count: float, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("count", "whole", "text"),
    [
        (1.12e9, 2.15e9, "1.12 of 2.15 GB"), (0, 2.15e9, "0 B of 2.15 GB"),
        (5e6, 2.15e9, "5.00 MB of 2.15 GB"),
        (5e7, 2.15e9, "0.05 of 2.15 GB"), (0, 0, "0 B of 0 B"), (5, 12, "5 B of 12 B"),
        (999_500, 999_500, "1.00 of 1.00 MB"), (300, 5_000, "0.30 of 5.00 kB"),
        (1e12, 1e12, "1.00 of 1.00 TB"),
        (217e6, 573e6, "217 of 573 MB"),
    ],
)  # fmt: skip
def test_a_part_has_the_unit_of_the_whole_unless_it_is_too_small(
    count: float, whole: float, text: str
) -> None:
    assert words.size_of(count, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (0.4, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (61, "1:01"), (3599.4, "59:59"),
     (3599.6, "1:00:00"), (11_220, "3:07:00"), (360_000, "100:00:00")],
)  # fmt: skip
def test_a_clock(seconds: float, text: str) -> None:
    assert words.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (12, "12 s"), (119.4, "119 s"), (119.6, "2:00"), (7200, "2:00:00")]
)
def test_a_duration_is_in_seconds_while_they_are_few(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(("share", "text"), [(0.0, "0 %"), (0.529, "52 %"), (0.9999, "99 %"), (1.0, "100 %")])
def test_a_hundred_percent_is_said_when_all_is_done(share: float, text: str) -> None:
    assert words.percent(share) == text


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (0, None, ""), (1, None, "1 file"), (1240, None, "1,240 files"),
        (0, Total(), "counting files"), (1, Total(), "1 file"), (7, Total(files=5), "7 files"),
        (1240, Total(files=1240), "1,240 files"),
        (1240, Total(files=3801), "1,240 of at least 3,801 files"),
        (1240, Total(files=3801, complete=True), "1,240 of 3,801 files"),
        (0, Total(files=1, complete=True), "0 of 1 file"), (0, Total(complete=True), "0 of 0 files"),
    ],
)  # fmt: skip
def test_files_are_counted_as_far_as_they_are_known(done: int, total: Total | None, text: str) -> None:
    assert words.files_phrase(status(done=done, total=total)) == text


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [
        (210 * MB, None, "210 MB"), (0, Total(), "0 B"), (0, Total(complete=True), "0 B"),
        (217 * MB, Total(bytes=412 * MB), "217 of at least 412 MB"),
        (412 * MB, Total(bytes=412 * MB), "412 MB"),
        (217 * MB, Total(bytes=412 * MB, complete=True), "217 of 412 MB"),
        (217 * MB, Total(bytes=412 * MB, complete=True, estimated=True), "217 of ~412 MB"),
        (217 * MB, Total(bytes=412 * MB, estimated=True), "217 of at least 412 MB"),
        (412 * MB, Total(bytes=412 * MB, complete=True), "412 of 412 MB"),
    ],
)  # fmt: skip
def test_bytes_are_of_what_there_is_as_far_as_that_is_known(
    count: int, total: Total | None, text: str
) -> None:
    assert words.bytes_phrase(status(bytes=count, total=total)) == text


@pytest.mark.parametrize("name", NAMES)
def test_whatever_limits_has_words(name: str) -> None:
    assert words.limit_phrase(status(limited_by=name)) == words.LIMITED_BY[name] != ""
    assert words.limit_phrase(status(limited_by=name, away_s=1.0)) == words.LIMITED_BY[AWAY]


def test_a_store_that_is_away_is_tried_again_and_why() -> None:
    away = {"limited_by": AWAY, "away_s": 12.2}
    assert words.trouble_phrase(status(**away, next_try_s=3.2, away_cause="refused")) == (
        "no answer for 12 s, next try in 3 s (refused)"
    )
    assert words.trouble_phrase(status(**away, next_try_s=0.2)) == "no answer for 12 s, trying again"
    assert words.trouble_phrase(status(limited_by=AWAY, away_s=130.0, next_try_s=240.0)) == (
        "no answer for 2:10, next try in 4:00"
    )


def test_a_store_that_is_silent_has_not_answered_for_so_long() -> None:
    assert words.limit_phrase(status(limited_by=AWAY, silent_s=4.0)) == "the store is silent"
    assert words.limit_phrase(status(limited_by=ANSWERS, silent_s=4.0)) == words.LIMITED_BY[ANSWERS]
    for name in (AWAY, ANSWERS):
        assert words.trouble_phrase(status(limited_by=name, silent_s=4.4)) == "no answer for 4 s"


def test_a_store_that_refuses_takes_so_many_requests() -> None:
    assert words.trouble_phrase(status(limited_by=THROTTLED, accepted_per_s=1312.4)) == (
        "the store asks to slow down, it takes 1,312 requests a second"
    )
    assert words.trouble_phrase(status(limited_by=THROTTLED)) == ""
    assert words.trouble_phrase(status(limited_by=LINK, accepted_per_s=50.0)) == ""


def test_an_interrupted_run_says_what_is_done_and_what_is_left() -> None:
    total = Total(files=5, bytes=1260 * MB, complete=True)
    assert words.interrupted(status(elapsed_s=27.2, files=2, bytes=541 * MB, total=total)) == (
        "interrupted after 0:27: 2 of 5 files uploaded, 0.54 of 1.26 GB sent"
    )
    assert words.interrupted(status(files=1, failed=2)) == (
        "interrupted after 0:10: 1 file uploaded, 0 B sent, 2 failed"
    )


def test_an_interrupted_run_says_what_is_dropped_of_what_was_sent() -> None:
    total = Total(files=5, bytes=1260 * MB, complete=True)
    moving = tuple(Moving(seq, f"{seq}", seq * 20 * MB, 300 * MB, 0.0) for seq in (0, 1, 2))
    assert words.interrupted(status(elapsed_s=27.2, files=2, bytes=541 * MB, total=total, moving=moving)) == (
        "interrupted after 0:27: 2 of 5 files uploaded, 0.54 of 1.26 GB sent"
        ", 60.0 MB of it dropped with unfinished files"
    )
