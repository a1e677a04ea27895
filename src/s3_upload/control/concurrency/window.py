"""How many requests at once. Rules: no clock, no I/O; fed with `AttemptReport`s alone.

Theory of operation of `AdaptiveWindow`: hill-climbing on goodput.

1. *Epoch*: the period whose goodput is compared.  It ends when it is as old as `min_epoch_s` and
   `epoch_requests` times the median request, and has seen as many successes as the window is wide.
   (Requests that end in an epoch carry their bytes into it.  With a window's worth of them that is close to
   what moved.)
2. *Goodput* of an epoch: bytes and objects acknowledged per second.  It *rises* when either is `gain` (5 %)
   above the epoch it is compared with.
3. *Start*: slow start, as TCP has it (RFC 5681, section 3.1).  Each success adds one, so the window doubles
   in each *round*, and grows by `start_growth` at most.  A round is over when a request that was sent in it
   has succeeded, and as many as the window had at its begin, but not before `start_round_s`.  The goodput of
   a round is compared with the best before it.  It should have risen by `start_share` of the window's growth
   (doubled: by 30 %; limited by latency alone it would be 100 %).  If it has not, the window stays for
   another round.  After `patient_rounds` such rounds in a row the start is over, at the window of the best.
   One alone is noise: a busy machine, a lost packet.
4. *Probe*: an epoch at the window, then one at a neighbour, up or down by 1/`step` in turn.  Up stays if
   goodput rises.  Down stays if neither its bytes nor its objects fall by `keep` (2 %): of windows with the
   same goodput the smallest is best for everybody else.  A step up that paid doubles the next one, up to the
   window itself.  So a start that ended too soon is made up for in some epochs.
5. *App-limited*: a window that was not filled for half of an epoch's observations (the disk is slow, the work
   runs out, the store's rate limits) tells nothing.  It neither grows nor is compared.
6. *Timeouts*: when they are `timeout_share` (5 %) of an epoch's attempts, of at least
   `min_attempts_to_judge`, the window is multiplied by `timeout_cut`.  Only attempts sent after the last cut
   count.  The store's own count as ours do (400 RequestTimeout, 408): on a slow uplink many small bodies
   starve each other, and S3 gives up on a silent one after 20 s, before our timer does.

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

STARVED = frozenset({FailureKind.TIMEOUT, FailureKind.REQUEST_TIMEOUT})
"""Outcomes of attempts that a timer ended, ours or the store's (step 6)."""


class Tuning(msgspec.Struct, frozen=True):
    start: int = 32
    """The window at first."""
    start_growth: float = 2.0
    """A round of the start multiplies the window by this at the most (step 3)."""
    start_share: float = 0.3
    """In the start goodput has to rise by this share of the window's growth (step 3)."""
    start_round_s: float = 0.03
    """The shortest round of the start, in seconds (step 3)."""
    patient_rounds: int = 3
    """The start ends after this many rounds in a row without a rise (step 3): one alone is noise."""
    min_epoch_s: float = 0.1
    """The shortest epoch, in seconds (step 1)."""
    max_epoch_s: float = 30.0
    """The longest epoch, in seconds, however long requests take (step 1)."""
    epoch_requests: float = 3.0
    """An epoch takes this many times the median request (step 1)."""
    durations_kept: int = 33
    """The median is that of this many requests."""
    gain: float = 0.05
    """A step up stays if goodput rises by this share (step 4)."""
    keep: float = 0.02
    """A step down stays unless goodput falls by this share (step 4)."""
    step: int = 8
    """A probe changes the window by one in this many, at least by one (step 4)."""
    timeout_cut: float = 0.5
    """Many timeouts multiply the window by this (step 6)."""
    timeout_share: float = 0.05
    """Timeouts are many from this share of an epoch's attempts on (step 6)."""
    min_attempts_to_judge: int = 20
    """Below this many attempts a share of timeouts is noise (step 6)."""


DEFAULT = Tuning()


class Window(Protocol):
    """What `transfer/` needs of a window algorithm."""

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, at least 1."""

    def observe(self, report: AttemptReport, *, now: float, in_flight: int) -> None:
        """Learns from an attempt that has ended; `in_flight` still counts it."""


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


class Epoch:
    """What has ended since `since_s`; it is over from `until_s` on. `filled`: in how many observations the
    window was."""

    def __init__(self, since_s: float, until_s: float) -> None:
        self.since_s = since_s
        self.until_s = until_s
        self.attempts = self.successes = self.timeouts = self.filled = self.bytes = 0

    @property
    def is_app_limited(self) -> bool:
        """Step 5."""
        return 2 * self.filled < self.attempts

    def goodput(self, now: float) -> Goodput:
        elapsed_s = max(now - self.since_s, 1e-9)
        return Goodput(self.bytes / elapsed_s, self.successes / elapsed_s)


class Start(msgspec.Struct):
    """Step 3. `window`: that with which this round began; `flat_rounds`: those in a row without a rise."""

    window: int
    flat_rounds: int = 0


class Probing(msgspec.Struct):
    """Step 4. `change`: what is under trial, 0 while at the window itself; `parts`: of how many of the window
    the next step up is one."""

    parts: int
    change: int = 0
    next_up: bool = True


class AdaptiveWindow:
    def __init__(self, max_limit: int, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._max_limit = max_limit
        self.limit = min(tuning.start, max_limit)
        self._start: Start | None = Start(self.limit)  # None: it is over
        self._best: tuple[int, Goodput] | None = None  # the epoch to compare with, and its window
        self._probe = Probing(tuning.step)
        self._last_cut_s = float("-inf")
        self._durations: deque[float] = deque(maxlen=tuning.durations_kept)
        self._epoch = self._next_epoch(0.0)

    def observe(self, report: AttemptReport, *, now: float, in_flight: int) -> None:
        epoch, start = self._epoch, self._start
        epoch.attempts += 1
        # In the start the limit runs ahead of the requests that fill it.
        if in_flight >= (self.limit if start is None else start.window):
            epoch.filled += 1
        if report.succeeded:
            epoch.successes += 1
            epoch.bytes += report.body_bytes
            # A sample of one in eight is enough for the median, and cheap.
            if epoch.successes & 7 == 1:
                self._durations.append(report.ended_s - report.request_s)
            if start is not None:
                self._advance_start(start, report, now, in_flight)
        # An attempt from before the last cut timed out under the larger window: that was cut for already.
        elif report.outcome in STARVED and report.started_s > self._last_cut_s:
            epoch.timeouts += 1
        if now >= self._epoch.until_s:
            self._end_epoch(now)

    def _next_epoch(self, now: float) -> Epoch:
        tuning = self._tuning
        ordered = sorted(self._durations)
        median_s = ordered[len(ordered) // 2] if ordered else 0.0
        shortest_s = tuning.min_epoch_s if self._start is None else tuning.start_round_s
        epoch_s = min(tuning.epoch_requests * median_s, tuning.max_epoch_s)
        return Epoch(now, now + max(shortest_s, epoch_s))

    def _end_epoch(self, now: float) -> None:
        if self._cut_by_timeouts(now):
            return
        # Too few successes: the goodput of this window is not known yet.
        too_few = self._epoch.successes < self.limit and now < self._epoch.since_s + self._tuning.max_epoch_s
        if self._start is not None or too_few:
            return
        # The window was not filled, so something else limits and the probe has tested nothing (step 5).
        if self._epoch.is_app_limited:
            self._set(self.limit - self._probe.change)
            self._probe.change = 0
            self._best = None
        else:
            self._judge_probe(self._epoch.goodput(now))
        self._epoch = self._next_epoch(now)

    # --- the start: step 3 ----------------------------------------------------------------------------

    def _advance_start(self, start: Start, report: AttemptReport, now: float, in_flight: int) -> None:
        grows = in_flight >= start.window and not start.flat_rounds
        if grows and self.limit < self._tuning.start_growth * start.window:
            self._set(self.limit + 1)
        # A request that was sent in this round has come back, so its goodput is that of this window.
        began_s = self._epoch.since_s
        due = report.started_s >= began_s and now >= began_s + self._tuning.start_round_s
        if due and self._epoch.successes >= start.window:
            self._end_round(start, now)

    def _end_round(self, start: Start, now: float) -> None:
        if self._cut_by_timeouts(now):
            return
        if not self._epoch.is_app_limited:
            self._judge_round(start, self._epoch.goodput(now))
        start.window = self.limit
        self._epoch = self._next_epoch(now)

    def _judge_round(self, start: Start, goodput: Goodput) -> None:
        if self._best is not None:
            before, base = self._best
            rises = goodput.at_least(1.0 + self._tuning.start_share * (start.window / before - 1.0), base)
            # Measure this window again: a busy machine or a lost packet may have slowed one round.
            if not rises or start.window == before:
                start.flat_rounds += not rises
                if start.flat_rounds >= self._tuning.patient_rounds:
                    self._start = None
                    self._best = None
                    self._set(before)
                return
        start.flat_rounds = 0
        self._best = start.window, goodput

    # --- probes: step 4 -------------------------------------------------------------------------------

    def _judge_probe(self, goodput: Goodput) -> None:
        tuning, probe = self._tuning, self._probe
        if probe.change == 0 or self._best is None:
            self._best = self.limit, goodput
            if probe.next_up:
                self._start_probe(max(1, self.limit // probe.parts))
            else:
                self._start_probe(-max(1, self.limit // tuning.step))
            probe.next_up = not probe.next_up
            return
        base = self._best[1]
        up = probe.change > 0
        rises, falls = goodput.at_least(1.0 + tuning.gain, base), goodput.falls(1.0 - tuning.keep, base)
        keeps = rises if up else not falls
        if not keeps:
            self._set(self._best[0])
        # A step that paid is repeated, twice as large.
        if up:
            probe.next_up = keeps
            probe.parts = max(probe.parts // 2, 1) if keeps else tuning.step
        probe.change = 0
        self._best = None

    def _start_probe(self, change: int) -> None:
        before = self.limit
        self._set(before + change)
        self._probe.change = self.limit - before

    def _cut_by_timeouts(self, now: float) -> bool:
        """Step 6."""
        tuning = self._tuning
        attempts = self._epoch.attempts
        many = self._epoch.timeouts >= tuning.timeout_share * attempts
        if attempts < tuning.min_attempts_to_judge or not many:
            return False
        self._last_cut_s = now
        self._start = None
        self._probe.change = 0
        self._probe.parts = tuning.step
        self._best = None
        self._set(int(self.limit * tuning.timeout_cut))
        self._epoch = self._next_epoch(now)
        return True

    def _set(self, limit: int) -> None:
        self.limit = min(max(limit, 1), self._max_limit)
