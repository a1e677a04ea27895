"""How many requests at once. Rules: no clock, no I/O; fed with `AttemptReport`s alone.

Theory of operation of `AdaptiveWindow`: hill-climbing on goodput, with AIMD on what the store refuses.

1. *Epoch*: what is compared. It ends when it is at least MIN_EPOCH_S and EPOCH_REQUESTS times the
   median request old (at the start START_MIN_EPOCH_S and START_EPOCH_REQUESTS) and has seen as many
   successes as the window is wide.  (Requests that end in an epoch carry their bytes into it; with a
   window's worth of them that is close to what moved.)
2. *Goodput* of an epoch: bytes and objects acknowledged per second.  It *rises* when either is
   GAIN (5 %) above the epoch it is compared with.
3. *Start*: from START, times START_GROWTH at the end of every epoch whose goodput rose by START_SHARE
   of what the window had grown since the last (doubled: by 30 %; limited by latency alone it would be
   100 %).  At the first that did not, the start is over: at this window if goodput rose all the same,
   else at the one before, and on with probes.
4. *Probe*: an epoch at the window, then one at a neighbour, up by STEP or down by STEP in turn.  Up
   stays if goodput rises; down stays if neither its bytes nor its objects fall by KEEP (2 %): of
   windows with the same goodput the smallest is best for everybody else.
5. *App-limited*: a window that was not filled for half of an epoch's observations (the disk is slow,
   the work runs out) tells nothing; it neither grows nor is compared.
6. *Throttle* (503, 429): times THROTTLE_CUT, once per congestion episode: only when the refused
   request was sent after the last cut.  Then the window grows, in every epoch of at least
   AFTER_CUT_EPOCH_S, by 1/RECOVERY of where it was refused (at least by one) until it is back there,
   and from there by probes.
7. *Timeouts*: TIMEOUT_SHARE (5 %) of an epoch's attempts, of at least MIN_ATTEMPTS_TO_JUDGE, and sent
   after the last cut: times TIMEOUT_CUT.

Whole-request latency is no signal here: sizes differ, and our own concurrency slows each request.
`limit` never leaves [1, max_limit].
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Protocol

import msgspec

from s3_upload.errors import FailureKind
from s3_upload.report import AttemptReport

START = 32
START_GROWTH = 2
START_SHARE = 0.3
MIN_EPOCH_S = 0.1
START_MIN_EPOCH_S = 0.03
MAX_EPOCH_S = 30.0
AFTER_CUT_EPOCH_S = 2.0
EPOCH_REQUESTS = 3.0
START_EPOCH_REQUESTS = 1.0
GAIN = 0.05
KEEP = 0.02
STEP = 8
"""A probe goes 1/STEP of the window up or down, at least one."""
THROTTLE_CUT = 0.7
RECOVERY = 16
"""After a throttle the window grows by 1/RECOVERY of where it was refused per epoch, at least by one."""
TIMEOUT_CUT = 0.5
TIMEOUT_SHARE = 0.05
MIN_ATTEMPTS_TO_JUDGE = 20
DURATIONS_KEPT = 33


class Window(Protocol):
    """What the engine needs of a window algorithm."""

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, at least 1."""
        ...

    def observe(self, report: AttemptReport, *, now: float, in_flight: int) -> None:
        """Learns from an attempt that has ended; `in_flight` still counts it."""
        ...


class FixedWindow:
    """Always the same number."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def observe(self, report: AttemptReport, *, now: float, in_flight: int) -> None:
        """A fixed window learns nothing."""


class Goodput(msgspec.Struct, frozen=True, gc=False):
    """Bytes and objects acknowledged per second."""

    bytes_per_s: float
    objects_per_s: float

    def at_least(self, factor: float, other: Goodput) -> bool:
        """Whether either is at least `factor` times the other's."""
        return (
            0.0 < self.bytes_per_s >= factor * other.bytes_per_s
            or 0.0 < self.objects_per_s >= factor * other.objects_per_s
        )

    def falls(self, factor: float, other: Goodput) -> bool:
        """Whether either is below `factor` times the other's."""
        return (
            self.bytes_per_s < factor * other.bytes_per_s or self.objects_per_s < factor * other.objects_per_s
        )


class AdaptiveWindow:
    """The algorithm of the module's theory."""

    def __init__(self, max_limit: int, start: int = START) -> None:
        self._max_limit = max_limit
        self.limit = min(start, max_limit)
        self._starting = True
        self._best: tuple[int, Goodput] | None = None  # the epoch to compare with, and its window
        self._probing = 0  # the change under trial, 0 while at the window itself
        self._next_probe_up = True
        self._refused_at = 0  # the window at the last throttle; 0: none to be careful about
        self._last_cut_s = float("-inf")
        self._durations: deque[float] = deque(maxlen=DURATIONS_KEPT)
        self._median_s = 0.0
        self._begin_epoch(0.0)

    def observe(self, report: AttemptReport, *, now: float, in_flight: int) -> None:
        """See the module's theory."""
        self._attempts += 1
        if in_flight >= self.limit:
            self._filled += 1
        if report.succeeded:
            self._successes += 1
            self._bytes += report.body_bytes
            if self._successes & 7 == 1:  # a sample is enough for a median
                self._durations.append(report.ended_s - report.request_s)
        elif report.outcome == FailureKind.THROTTLE.value:
            self._throttled(report, now)
        elif report.outcome == FailureKind.TIMEOUT.value and report.started_s > self._last_cut_s:
            self._timeouts += 1
        if now >= self._epoch_until_s:
            self._end_epoch(now)

    def _begin_epoch(self, now: float) -> None:
        self._epoch_s = now
        self._median_s = median(self._durations) if self._durations else 0.0
        shortest_s = START_MIN_EPOCH_S if self._starting else MIN_EPOCH_S
        if self._refused_at:
            shortest_s = AFTER_CUT_EPOCH_S
        requests = START_EPOCH_REQUESTS if self._starting else EPOCH_REQUESTS
        self._epoch_until_s = now + max(shortest_s, min(requests * self._median_s, MAX_EPOCH_S))
        self._attempts = self._successes = self._timeouts = self._filled = self._bytes = 0

    def _end_epoch(self, now: float) -> None:
        if self._attempts >= MIN_ATTEMPTS_TO_JUDGE and self._timeouts >= TIMEOUT_SHARE * self._attempts:
            self._cut(TIMEOUT_CUT, now)
            return
        if self._successes < self.limit and now < self._epoch_s + MAX_EPOCH_S:
            return  # too few to tell
        elapsed_s = max(now - self._epoch_s, 1e-9)
        goodput = Goodput(self._bytes / elapsed_s, self._successes / elapsed_s)
        if 2 * self._filled < self._attempts:
            self._set(self.limit - self._probing)
            self._probing = 0
            self._best = None
        elif self._starting:
            self._judge_start(goodput)
        elif self._refused_at and self.limit < self._refused_at:
            self._set(self.limit + max(1, self._refused_at // RECOVERY))
            self._best = None
        else:
            self._refused_at = 0
            self._judge_probe(goodput)
        self._begin_epoch(now)

    def _judge_start(self, goodput: Goodput) -> None:
        """Step 3."""
        if self._best is not None:
            before, base = self._best
            if not goodput.at_least(1.0 + START_SHARE * (self.limit / before - 1.0), base):
                self._starting = False
                if not goodput.at_least(1.0 + GAIN, base):
                    self._set(before)
                self._best = None
                return
        self._best = self.limit, goodput
        self._set(self.limit * START_GROWTH)
        self._starting = self.limit > self._best[0]

    def _judge_probe(self, goodput: Goodput) -> None:
        """Step 4."""
        if self._probing == 0 or self._best is None:
            self._best = self.limit, goodput
            step = max(1, self.limit // STEP)
            self._start_probe(step if self._next_probe_up else -step)
            self._next_probe_up = not self._next_probe_up
            return
        base = self._best[1]
        up = self._probing > 0
        keeps = goodput.at_least(1.0 + GAIN, base) if up else not goodput.falls(1.0 - KEEP, base)
        if not keeps:
            self._set(self._best[0])
        elif up:
            self._next_probe_up = True  # what has just paid may pay again
        self._probing = 0
        self._best = None

    def _start_probe(self, change: int) -> None:
        before = self.limit
        self._set(before + change)
        self._probing = self.limit - before

    def _throttled(self, report: AttemptReport, now: float) -> None:
        """Step 6."""
        if report.started_s > self._last_cut_s:
            self._refused_at = self.limit
            self._cut(THROTTLE_CUT, now)

    def _cut(self, factor: float, now: float) -> None:
        self._last_cut_s = now
        self._starting = False
        self._probing = 0
        self._best = None
        self._set(int(self.limit * factor))
        self._begin_epoch(now)

    def _set(self, limit: int) -> None:
        self.limit = min(max(limit, 1), self._max_limit)
