"""When a job takes one more process: `processes="auto"`. Pure.

Theory of operation.  One process drives one core.  Another one pays where this one's loop has had no
processor left for `busy_s` in a row, which `limited_by` says as CPU, and there is one that nobody uses
(`free`).  Where link, store or disk limit, or other programs use the processors, there is nothing to gain.
After each step the next is `wait_s` away: it takes a moment until a new process takes its part.
"""

from __future__ import annotations

import msgspec

from s3_upload.observe.limits import CPU


class Tuning(msgspec.Struct, frozen=True):
    busy_s: float = 0.5
    """The processor has to be what limits for so many seconds in a row."""
    free: float = 0.5
    """So much of a processor has to be free.  With 0.8, and a second of being busy, a run of 20,000 small
    files on two cores, with the store on them, never got a second process, though two are 1.2 times as fast:
    it took 1.30 times as long as with two, and takes 1.18 times (make bench-processes)."""
    wait_s: float = 2.0
    """From one new process to the next, in seconds."""


DEFAULT = Tuning()


class Growth:
    """Fed with what limits; says when one more process is to be begun."""

    def __init__(self, most: int, tuning: Tuning = DEFAULT) -> None:
        self._most = most
        self._tuning = tuning
        self._busy_since_s: float | None = None
        self._not_before_s = 0.0

    def grows(self, limited_by: str, free: float, count: int, *, now: float) -> bool:
        """`free`: processors that nobody used of late; `count`: the processes that there are."""
        if limited_by != CPU:
            self._busy_since_s = None
            return False
        if self._busy_since_s is None:
            self._busy_since_s = now
        if count >= self._most or now < self._not_before_s or free < self._tuning.free:
            return False
        if now - self._busy_since_s < self._tuning.busy_s:
            return False
        self._not_before_s = now + self._tuning.wait_s
        self._busy_since_s = None
        return True
