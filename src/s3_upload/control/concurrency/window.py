"""How many requests at once. Rules: no clock, no I/O; fed with `AttemptReport`s alone.

Theory of operation of `AdaptiveWindow`: hill-climbing on goodput.

1. *Epoch*: what is compared. It ends when it is at least MIN_EPOCH_S and EPOCH_REQUESTS times the
   median request old and has seen as many successes as the window is wide.  (Requests that end in an
   epoch carry their bytes into it; with a window's worth of them that is close to what moved.)
2. *Goodput* of an epoch: bytes and objects acknowledged per second.  It *rises* when either is
   GAIN (5 %) above the epoch it is compared with.
3. *Start*: slow start, as TCP has it (RFC 5681): one more with every success, so that the window doubles in
   each *round*.  A round is over when a request that was sent in it has succeeded, and as many as the window
   had at its begin, but not before START_ROUND_S; it lets the window double at most.  The goodput of a
   round is compared with the best before it.  It should have risen by START_SHARE of what the window has
   grown (doubled: by 30 %; limited by latency alone it would be 100 %).
   Where it has not, the window stays for another round; after PATIENT_ROUNDS in a row the start is over, at
   the window of the best.  One alone is noise: a busy machine, a lost packet.
4. *Probe*: an epoch at the window, then one at a neighbour, up or down by 1/STEP in turn.  Up
   stays if goodput rises; down stays if neither its bytes nor its objects fall by KEEP (2 %): of
   windows with the same goodput the smallest is best for everybody else.  A step up that paid doubles the
   next one, up to the window itself: a start that ended too soon is made up for in some epochs.
5. *App-limited*: a window that was not filled for half of an epoch's observations (the disk is slow, the work
   runs out, the store's rate is what limits) tells nothing; it neither grows nor is compared.
6. *Timeouts*: TIMEOUT_SHARE (5 %) of an epoch's attempts, of at least MIN_ATTEMPTS_TO_JUDGE, and sent
   after the last cut: times TIMEOUT_CUT.

What the store refuses (503, 429) says that a rate was too high (`rate`), and nothing of the window.
Whole-request latency is no signal here: sizes differ, and our own concurrency slows each request.
`limit` never leaves [1, max_limit].
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import msgspec

from s3_upload.errors import FailureKind
from s3_upload.report import AttemptReport

START = 32
START_GROWTH = 2
START_SHARE = 0.3
MIN_EPOCH_S = 0.1
START_ROUND_S = 0.03
PATIENT_ROUNDS = 3
MAX_EPOCH_S = 30.0
EPOCH_REQUESTS = 3.0
GAIN = 0.05
KEEP = 0.02
STEP = 8
"""A probe goes 1/STEP of the window up or down, at least one."""
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
        self._round = self.limit  # the window when this round of the start began
        self._flat_rounds = 0
        self._best: tuple[int, Goodput] | None = None  # the epoch to compare with, and its window
        self._probing = 0  # the change under trial, 0 while at the window itself
        self._next_probe_up = True
        self._parts = STEP  # of how many of the window the next step up is one
        self._last_cut_s = float("-inf")
        self._durations: deque[float] = deque(maxlen=DURATIONS_KEPT)
        self._median_s = 0.0
        self._begin_epoch(0.0)

    def observe(self, report: AttemptReport, *, now: float, in_flight: int) -> None:
        """See the module's theory."""
        self._attempts += 1
        # In the start the limit runs ahead of the requests that fill it.
        if in_flight >= (self._round if self._starting else self.limit):
            self._filled += 1
        if report.succeeded:
            self._successes += 1
            self._bytes += report.body_bytes
            if self._successes & 7 == 1:  # a sample is enough for a median
                self._durations.append(report.ended_s - report.request_s)
            if self._starting:
                self._advance_start(report, now, in_flight)
        elif report.outcome == FailureKind.TIMEOUT.value and report.started_s > self._last_cut_s:
            self._timeouts += 1
        if now >= self._epoch_until_s:
            self._end_epoch(now)

    def _begin_epoch(self, now: float) -> None:
        self._epoch_s = now
        ordered = sorted(self._durations)
        self._median_s = ordered[len(ordered) // 2] if ordered else 0.0
        shortest_s = START_ROUND_S if self._starting else MIN_EPOCH_S
        self._epoch_until_s = now + max(shortest_s, min(EPOCH_REQUESTS * self._median_s, MAX_EPOCH_S))
        self._attempts = self._successes = self._timeouts = self._filled = self._bytes = 0

    def _goodput(self, now: float) -> Goodput:
        elapsed_s = max(now - self._epoch_s, 1e-9)
        return Goodput(self._bytes / elapsed_s, self._successes / elapsed_s)

    def _end_epoch(self, now: float) -> None:
        if self._cut_by_timeouts(now):
            return
        if self._starting or (self._successes < self.limit and now < self._epoch_s + MAX_EPOCH_S):
            return  # too few to tell
        if 2 * self._filled < self._attempts:
            self._set(self.limit - self._probing)
            self._probing = 0
            self._best = None
        else:
            self._judge_probe(self._goodput(now))
        self._begin_epoch(now)

    # --- the start: step 3 ----------------------------------------------------------------------------

    def _advance_start(self, report: AttemptReport, now: float, in_flight: int) -> None:
        grows = in_flight >= self._round and not self._flat_rounds
        if grows and self.limit < START_GROWTH * self._round:
            self._set(self.limit + 1)
        due = report.started_s >= self._epoch_s and now >= self._epoch_s + START_ROUND_S
        if due and self._successes >= self._round:
            self._end_round(now)

    def _end_round(self, now: float) -> None:
        if self._cut_by_timeouts(now):
            return
        if 2 * self._filled >= self._attempts:
            self._judge_round(self._goodput(now))
        self._round = self.limit
        self._begin_epoch(now)

    def _judge_round(self, goodput: Goodput) -> None:
        if self._best is not None:
            before, base = self._best
            rises = goodput.at_least(1.0 + START_SHARE * (self._round / before - 1.0), base)
            if not rises or self._round == before:
                self._flat_rounds += not rises
                if self._flat_rounds >= PATIENT_ROUNDS:
                    self._starting = False
                    self._best = None
                    self._set(before)
                return
        self._flat_rounds = 0
        self._best = self._round, goodput

    # --- probes: step 4 -------------------------------------------------------------------------------

    def _judge_probe(self, goodput: Goodput) -> None:
        if self._probing == 0 or self._best is None:
            self._best = self.limit, goodput
            if self._next_probe_up:
                self._start_probe(max(1, self.limit // self._parts))
            else:
                self._start_probe(-max(1, self.limit // STEP))
            self._next_probe_up = not self._next_probe_up
            return
        base = self._best[1]
        up = self._probing > 0
        keeps = goodput.at_least(1.0 + GAIN, base) if up else not goodput.falls(1.0 - KEEP, base)
        if not keeps:
            self._set(self._best[0])
        if up:
            self._next_probe_up = keeps  # what has just paid may pay again
            self._parts = max(self._parts // 2, 1) if keeps else STEP
        self._probing = 0
        self._best = None

    def _start_probe(self, change: int) -> None:
        before = self.limit
        self._set(before + change)
        self._probing = self.limit - before

    def _cut_by_timeouts(self, now: float) -> bool:
        """Step 6."""
        if self._attempts < MIN_ATTEMPTS_TO_JUDGE or self._timeouts < TIMEOUT_SHARE * self._attempts:
            return False
        self._last_cut_s = now
        self._starting = False
        self._probing = 0
        self._best = None
        self._parts = STEP
        self._set(int(self.limit * TIMEOUT_CUT))
        self._begin_epoch(now)
        return True

    def _set(self, limit: int) -> None:
        self.limit = min(max(limit, 1), self._max_limit)
