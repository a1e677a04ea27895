"""When a job takes one more process: `processes="auto"`. Pure.

Theory of operation.  One process drives one core.  Another one pays where this one's loop is what holds the
rest up, for `busy_s` in a row, and a processor is there that nobody uses (`free`).  So it is where
`limited_by` says CPU; and where the loop is busy for `busy_share` of the time while files are read or answers
are waited for, and that for `mixed_s`.  With big bodies it never comes to more: who hashes and who sends wait
for each other.  There one process more brings less, and a short run less than it costs to begin it.  Where
the link limits, or the store refuses, or other programs use the processors, there is nothing to gain.  After
each step the next is `wait_s` away: it takes a moment until a new process takes its part.
"""

from __future__ import annotations

import msgspec

from s3_upload.observe.limits import ANSWERS, CPU, READING


class Tuning(msgspec.Struct, frozen=True):
    busy_s: float = 0.5
    """The loop has to be what holds the rest up for so many seconds in a row."""
    mixed_s: float = 1.0
    """The same, where it is now the processor and now something beside a busy loop."""
    busy_share: float = 0.65
    """From this share of the time on it may be."""
    free: float = 0.3
    """So much of a processor has to be free.  With 0.5, and without `busy_share`, a mix of sizes on two cores
    with the store on them never got a second process (make bench-processes)."""
    wait_s: float = 2.0
    """From one new process to the next, in seconds."""


DEFAULT = Tuning()


class Growth:
    """Fed with what limits; says when one more process is to be begun."""

    def __init__(self, most: int, tuning: Tuning = DEFAULT) -> None:
        self._most = most
        self._tuning = tuning
        self._busy_since_s: float | None = None
        self._cpu_since_s: float | None = None
        """Since when it has been the processor alone."""
        self._not_before_s = 0.0

    def grows(self, limited_by: str, busy: float, free: float, count: int, *, now: float) -> bool:
        """`busy`: the share of the time of late in which the loop's thread was on a processor or waited for
        one; `free`: processors that nobody used; `count`: the processes that there are."""
        is_busy = busy >= self._tuning.busy_share and limited_by in {READING, ANSWERS}
        if limited_by != CPU and not is_busy:
            self._busy_since_s = self._cpu_since_s = None
            return False
        if self._busy_since_s is None:
            self._busy_since_s = now
        if limited_by != CPU:
            self._cpu_since_s = None
        elif self._cpu_since_s is None:
            self._cpu_since_s = now
        if count >= self._most or now < self._not_before_s or free < self._tuning.free:
            return False
        alone_s = now - self._cpu_since_s if self._cpu_since_s is not None else 0.0
        if alone_s < self._tuning.busy_s and now - self._busy_since_s < self._tuning.mixed_s:
            return False
        self._not_before_s = now + self._tuning.wait_s
        self._busy_since_s = self._cpu_since_s = None
        return True
