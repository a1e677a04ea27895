"""A line about the run now and then, for logs: what runs where nobody watches (CI, nohup) is not silent.

Pure. The first comes after FIRST_S, so that short runs say nothing; the next after SECOND_S, then one every
LATER_S.
"""

from __future__ import annotations

from collections.abc import Callable

from s3_upload.observe.status import Status
from s3_upload.screen import words
from s3_upload.text import printable
from s3_upload.units import show_rate

FIRST_S, SECOND_S, LATER_S = 10.0, 30.0, 60.0


class Schedule:
    """When the next line is due."""

    def __init__(self) -> None:
        self.due_s = FIRST_S
        self._told = 0

    def told(self, now: float) -> None:
        """A line was written `now`. What became due while nothing ran (a suspended machine) is left out."""
        self._told += 1
        self.due_s += SECOND_S if self._told == 1 else LATER_S
        if self.due_s <= now:
            self.due_s = now + LATER_S


class Log:
    """Has `write` take a line whenever one is due."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._schedule = Schedule()

    def show(self, status: Status) -> None:
        if status.elapsed_s >= self._schedule.due_s:
            self._schedule.told(status.elapsed_s)
            self._write(printable(f"s3-upload: {log_line(status)}"))


def log_line(status: Status) -> str:
    """ "0:30  38 %  217 of 573 MB  11,375 of 30,005 files  19.5 MB/s  0:18 left  3 failed"."""
    share = status.share
    parts = [
        words.clock(status.elapsed_s),
        words.percent(share) if share is not None else "",
        words.bytes_phrase(status),
        words.files_phrase(status),
        words.compared_phrase(status),
        show_rate(status.rate_bytes_per_s),
        f"{words.clock(status.left_s)} left" if status.left_s is not None else "",
        f"{status.failed:,} failed" if status.failed else "",
        words.trouble_phrase(status) or words.limit_phrase(status),
    ]
    return "  ".join(part for part in parts if part)
