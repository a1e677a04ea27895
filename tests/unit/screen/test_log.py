"""`screen.log`: the lines for those who do not watch."""

from __future__ import annotations

from s3_upload.observe.limits import AWAY, LINK
from s3_upload.observe.status import Comparing, Total
from s3_upload.screen.log import Schedule, log_line
from tests.unit.screen.statuses import status

MB = 10**6


def test_lines_come_after_10_s_then_30_then_every_60() -> None:
    schedule, told = Schedule(), []
    for tenth in range(3_000):
        if tenth / 10 >= schedule.due_s:
            schedule.told(tenth / 10)
            told.append(tenth / 10)
    assert told == [10.0, 40.0, 100.0, 160.0, 220.0, 280.0]


def test_a_machine_that_slept_tells_one_line_and_not_all_that_it_missed() -> None:
    schedule = Schedule()
    schedule.told(10.0)
    schedule.told(5_000.0)
    assert schedule.due_s == 5_060.0


def test_a_line_says_how_far_how_fast_and_what_is_wrong() -> None:
    total = Total(files=30_005, bytes=573 * MB, complete=True)
    stands = status(
        elapsed_s=30.0, files=11_375, done=11_378, bytes=217 * MB, failed=3, total=total,
        rate_bytes_per_s=19.5e6, left_s=18.0, limited_by=LINK,
    )  # fmt: skip
    assert log_line(stands) == (
        "0:30  37 %  217 of 573 MB  11,378 of 30,005 files  19.5 MB/s  0:18 left  3 failed"
        "  limited by the link"
    )


def test_a_line_has_no_room_for_what_is_not_known() -> None:
    assert log_line(status(bytes=210 * MB, rate_bytes_per_s=19.5e6)) == "0:10  210 MB  19.5 MB/s"
    away = status(elapsed_s=90.0, files=1, limited_by=AWAY, away_s=12.0, next_try_s=3.0, away_cause="refused")
    assert log_line(away) == "1:30  0 B  1 file  0 B/s  no answer for 12 s, next try in 3 s (refused)"


def test_a_line_says_how_far_a_comparison_is() -> None:
    compared = Comparing(objects=12_400, bytes=5_200 * MB)
    assert log_line(status(compared=compared)) == "0:10  0 B  12,400 compared, 5.20 GB read  0 B/s"
    assert "  1 compared  " in log_line(status(compared=Comparing(objects=1)))
