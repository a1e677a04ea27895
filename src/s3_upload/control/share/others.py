"""The queue as share "background" sees it: how much of it counts, and since when. Pure.

A fold over looks; the theory is in `background.py`, whose steps the fields of `Tuning` name.  It decides
nothing: it only remembers.
"""

from __future__ import annotations

import math
from collections import deque

import msgspec

from s3_upload.control.share.link import TRIGGER_S, Look


class Tuning(msgspec.Struct, frozen=True):
    """What of a queue counts."""

    max_trigger_s: float = 0.02
    """The largest trigger, in seconds (step 5)."""
    jitters: float = 2.0
    """The trigger is this many times the usual change of the queue (step 5)."""
    jitter_weight: float = 1 / 32
    """The weight of one look in the usual change (step 5)."""
    looks: int = 3
    """On a path with short round trips a queue is the minimum of this many looks (step 5)."""
    short_trip_s: float = 0.01
    """Round trips below this many seconds are short: a delayed acknowledgement is as long (step 5)."""
    quiet_s: float = 0.001
    """A queue of this many seconds above the least one shows other traffic (step 1)."""
    quiet_bytes: float = 4_500.0
    """The same in bytes, where that takes longer: three packets (step 1)."""
    burst_jitters: float = 4.0
    """A burst is at least this many times the usual change of the queue (step 2)."""
    burst_looks: int = 5
    """A burst rises within this many looks (step 2)."""


DEFAULT = Tuning()


class Queue:
    """See the module's text.

    `trigger_s`: above it a queue counts; `above`: for how many looks in a row it was; `clear_since_s`: since
    when it is not; `noise_s`: when it was last above the least since the last yield.
    """

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._jitter_s = 0.0
        self._lasting_s: deque[float] = deque([0.0], maxlen=tuning.looks)
        self._recent_s: deque[float] = deque([0.0], maxlen=tuning.burst_looks)
        self._least_s = 0.0  # since the last yield began
        self.trigger_s = TRIGGER_S
        self.above = 0
        self.clear_since_s = 0.0
        self.noise_s = -math.inf

    def add(self, look: Look, capacity: float, *, yields: bool, now: float) -> None:
        """`capacity`: C, 0.0 while it is not known; `yields`: whether the link is left to others."""
        tuning = self._tuning
        if look.fresh:
            # During a yield the queue belongs to other traffic, and its changes are no jitter of this path.
            if not yields:
                change_s = min(abs(look.queue_s - self._lasting_s[-1]), tuning.max_trigger_s)
                self._jitter_s += tuning.jitter_weight * (change_s - self._jitter_s)
            self._lasting_s.append(look.queue_s)
            self._recent_s.append(look.queue_s)
            self._least_s = min(self._least_s, look.queue_s)
            if look.queue_s > self._least_s + max(tuning.quiet_s, tuning.quiet_bytes / max(capacity, 1.0)):
                self.noise_s = now
        self.trigger_s = min(max(TRIGGER_S, tuning.jitters * self._jitter_s), tuning.max_trigger_s)
        # On a short path one high look may be a delayed acknowledgement; the minimum of some looks is not.
        lasting_s = min(self._lasting_s) if look.base_s < tuning.short_trip_s else look.queue_s
        if lasting_s > self.trigger_s:
            self.clear_since_s = now
        if look.queue_s <= self.trigger_s:
            self.above = 0
        elif look.fresh:
            self.above += 1

    def bursts(self, look: Look, least_s: float) -> bool:
        """Whether it rose so much that another flow's slow start may have passed."""
        rise_s = look.queue_s - min(self._recent_s)
        return look.fresh and rise_s > max(least_s, self._tuning.burst_jitters * self._jitter_s)

    def forget_least(self) -> None:
        """A yield begins: with what this flow sends less, the queue may become shorter."""
        self._least_s = math.inf
