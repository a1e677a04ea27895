"""A window, with the tuning of `constants.py`, and what ends in it, on a clock that the test moves."""

from __future__ import annotations

import heapq
import random
from typing import Any

import msgspec

from s3_upload.control.concurrency.window import AdaptiveWindow
from s3_upload.report import SUCCESS
from tests.unit.control.constants import WINDOW
from tests.unit.control.reports import TIMEOUT, attempt

EPOCH_S = 0.1
"""The length of an epoch while requests are fast."""
START_ROUND_S = 0.05
"""The length of a round of the start while requests are fast."""
PAUSE_S, PAUSES = 0.05, 0.15


def adaptive_window(max_limit: int, start: int = 32) -> AdaptiveWindow:
    return AdaptiveWindow(max_limit, msgspec.structs.replace(WINDOW, start=start))


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

    def round(self, times: int, **rest: Any) -> int:
        """`succeed` for a round of the start."""
        return self.succeed(times, within_s=START_ROUND_S, **rest)


def probing(limit: int, *, max_limit: int = 10_000) -> Run:
    """A window that is through with its start, nothing learned yet, at the begin of an epoch."""
    run = Run(adaptive_window(max_limit, start=2 * limit))
    run.now = EPOCH_S
    for _ in range(20):
        run.end(TIMEOUT)  # step 6: half of it
    assert run.window.limit == limit
    return run


def run_model(
    adaptive: AdaptiveWindow, *, until_s: float, response_s: float, per_s: float, seed: int
) -> None:
    """Requests without end, as many at a time as the window lets, to a store that answers after
    `response_s`, and at most `per_s` a second; with a probability of PAUSES the machine stands still for
    PAUSE_S in each PAUSE_S."""
    rng = random.Random(seed)
    now, served_s, in_flight, due_s = 0.0, 0.0, 0, PAUSE_S
    answers: list[tuple[float, float]] = []
    while now < until_s:
        while in_flight < adaptive.limit:
            served_s = max(served_s + 1.0 / per_s, now)
            heapq.heappush(answers, (served_s + response_s, now))
            in_flight += 1
        answered_s, started_s = heapq.heappop(answers)
        now = max(now, answered_s)
        while now >= due_s:
            due_s += PAUSE_S
            if rng.random() < PAUSES:
                now, due_s = now + PAUSE_S, due_s + PAUSE_S
        report = attempt(started_s=started_s, request_s=started_s, ended_s=now, outcome=SUCCESS)
        adaptive.observe(report, now=now, in_flight=in_flight)
        in_flight -= 1
