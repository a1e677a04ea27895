"""A window, and what ends in it, on a clock that the test moves. Constants are those of `constants.py`."""

from __future__ import annotations

from typing import Any

from s3_upload.control.window import AdaptiveWindow
from s3_upload.report import SUCCESS
from tests.unit.control.reports import THROTTLE, TIMEOUT, attempt

EPOCH_S = 0.1
"""The length of an epoch while requests are fast."""
START_EPOCH_S = 0.05
"""The same, at the start."""
AFTER_CUT_S = 2.0


class Run:
    """Feeds a window with what ends, on a clock of its own."""

    def __init__(self, window: AdaptiveWindow) -> None:
        self.window = window
        self.now = 0.0

    def end(
        self,
        outcome: str = SUCCESS,
        *,
        age_s: float = 0.001,
        handshake_s: float = 0.0,
        filled: bool = True,
        **rest: Any,
    ) -> None:
        """One attempt ends whose request began `age_s` ago; `filled`: the window was full while it ran."""
        request_s = self.now - age_s
        started_s = request_s - handshake_s
        report = attempt(started_s=started_s, request_s=request_s, ended_s=self.now, outcome=outcome, **rest)
        self.window.observe(report, now=self.now, in_flight=self.window.limit if filled else 1)

    def succeed(self, times: int, *, within_s: float = EPOCH_S, **rest: Any) -> int:
        """`times` successes, evenly over `within_s`, the last at its end; returns the limit then."""
        begin_s = self.now
        for position in range(1, times + 1):
            self.now = begin_s + within_s * position / times
            self.end(**rest)
        return self.window.limit

    def start(self, times: int, **rest: Any) -> int:
        """`succeed` for an epoch of the start."""
        return self.succeed(times, within_s=START_EPOCH_S, **rest)


def probing(limit: int, *, max_limit: int = 10_000) -> Run:
    """A window that is through with its start, nothing learned yet, at the begin of an epoch."""
    run = Run(AdaptiveWindow(max_limit, start=2 * limit))
    run.now = EPOCH_S
    for _ in range(20):
        run.end(TIMEOUT)  # step 7: half of it
    assert run.window.limit == limit
    return run


def throttled(limit: int, *, max_limit: int = 10_000) -> Run:
    """A window of `limit` in which one request has just been refused."""
    run = Run(AdaptiveWindow(max_limit, start=limit))
    run.now = 1.0
    run.end(THROTTLE)
    return run
