"""How many requests at a time while the rate is bounded: as few as keep it busy. Pure.

With a bound on the rate, more requests at a time than keep it busy only wait.

Theory of operation.  A *step* is a round trip and REACTION_S.

1. From `start`, times `growth` each step in which all were in use and less than `used` of the
   rate was acknowledged, though no queue stands in the way and none had bytes that wait (all wait for
   answers); where some had (TCP holds them back), each `slow_steps`.
2. In the share "fair" also while a queue stands, if less than `sending` of them have (mean of
   `sending_looks`): where bodies are small many wait for answers, and its part is due whatever their size.
3. One less when more than `max_waiting` have bytes that wait, their windows suffice (`spare_windows` times
   what is wanted: each waits a round trip between two bodies), `used` of the rate is acknowledged, and the
   last one less has told.
4. While a rate is taken back after a yield, step 1 waits, unless less than `sending` of them have bytes that
   wait.  The windows of old connections are small then (what little they sent has met losses), and open
   slowly: where they do not suffice, so many are added within a step as let the rest through soon (step 6
   of `link`); not before `fresh_from` of it is reached, since in a try that fails they would fare like the
   others.
"""

from __future__ import annotations

import msgspec

from s3_upload.control.share.cap import UNBOUNDED
from s3_upload.control.share.link import (
    RATE_S,
    REACTION_S,
    TRIGGER_S,
    Look,
    Recent,
    fresh_connections,
)


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory."""

    start: int = 4
    """The bound at first."""
    growth: float = 1.5
    """A bound that is too low is multiplied by this (step 1)."""
    used: float = 0.9
    """The rate counts as used when this share of it is acknowledged (step 1)."""
    slow_steps: int = 3
    """Where TCP holds requests back, growth waits for this many steps (step 1)."""
    sending: float = 0.7
    """Bodies count as small when less than this share of the requests has bytes to send (step 2)."""
    sending_looks: float = 8.0
    """That share is smoothed over this many looks (step 2)."""
    max_waiting: int = 8
    """With more requests than this waiting to send there are too many (step 3)."""
    spare_windows: float = 1.25
    """Congestion windows suffice if they let this many times the rate through (steps 3 and 4)."""
    fresh_from: float = 0.25
    """After a yield, connections are added once this share of the wanted rate is reached (step 4)."""
    steady: float = 1.1
    """A rate is steady while its extremes differ by less than this factor."""
    beyond: float = 2.0
    """The bound is at most this many times the window's limit."""


DEFAULT = Tuning()


class Fresh(msgspec.Struct, frozen=True):
    """What one reclaim adds since `since_s`: `count` connections to the `old` ones."""

    count: int
    old: int
    since_s: float


class Requests:
    """The algorithm of the module's theory."""

    def __init__(self, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self.bound = tuning.start
        self._rates = Recent()
        self._changed_s = 0.0
        self._used_s = 0.0  # when they last were enough
        self._sending = 1.0  # the share of those busy that have bytes to send, smoothed
        self._fresh: Fresh | None = None  # in this reclaim
        self.steady = False
        """The rate has been about the same for as long as its effect takes to be seen."""

    def decide(
        self,
        look: Look,
        rate: float,
        limit: int,
        *,
        now: float,
        reclaims: float = 0.0,
        due: float = 0.0,
    ) -> int | None:
        """How many requests may be in flight; None leaves it to the window.

        `limit`: the window's limit.  `reclaims`: the rate wanted soon, after a yield.  `due`: the rate wanted
        even while other traffic keeps a queue.
        """
        tuning = self._tuning
        step_s = look.base_s + look.queue_s + REACTION_S
        self._rates.add(rate, now=now, over_s=step_s + RATE_S)
        if rate == UNBOUNDED:
            return None
        least = self._rates.least
        self.steady = self._rates.most < tuning.steady * least
        full = look.busy >= min(self.bound, limit)
        self._sending += (look.waiting / max(look.busy, 1) - self._sending) / tuning.sending_looks
        # Requests with small bodies wait for answers, not for the queue: it must not stop growth (step 2).
        answers = look.bytes_per_s < tuning.used * due and self._sending < tuning.sending
        crowded = look.queue_s > TRIGGER_S and not answers
        if not full or look.bytes_per_s >= tuning.used * least or crowded:
            self._used_s = now
        held_back = now - self._used_s >= step_s * (tuning.slow_steps if look.waiting else 1)
        if reclaims:
            # Paces rise only with acknowledgements, and after a yield few come yet: more requests would not
            # help those that have bytes to send.
            if self._sending >= tuning.sending:
                self._used_s = now
            self._freshen(look, rate, now, reclaims)
            self._add_fresh(limit, step_s, now)
        else:
            self._fresh = None
        # The effect of the last change is not visible yet.
        if now - self._changed_s < step_s:
            return self.bound
        if held_back:
            self.bound = min(int(self.bound * tuning.growth), self._most(limit))
            self._changed_s = self._used_s = now
        elif look.bytes_per_s >= tuning.used * least and self._too_many(look, rate):
            self.bound -= 1
            self._changed_s = now
        return self.bound

    def _most(self, limit: int) -> int:
        return int(self._tuning.beyond * max(limit, self._tuning.start))

    def _too_many(self, look: Look, rate: float) -> bool:
        """Whether one request less would do: many wait to send, held back by their pace and not by TCP."""
        tuning = self._tuning
        paced = look.waiting > tuning.max_waiting and look.window_bytes_per_s > tuning.spare_windows * rate
        return paced and tuning.start < self.bound >= look.busy

    def _freshen(self, look: Look, rate: float, now: float, reclaims: float) -> None:
        """Plans new connections, once in each reclaim, where the windows of the old ones are too small."""
        missing = self._tuning.spare_windows * reclaims - look.window_bytes_per_s
        if self._fresh is not None or missing <= 0.0 or rate < self._tuning.fresh_from * reclaims:
            return
        self._fresh = Fresh(fresh_connections(missing, look.base_s), self.bound, now)

    def _add_fresh(self, limit: int, step_s: float, now: float) -> None:
        """Adds the planned connections one by one, within a step."""
        fresh = self._fresh
        if fresh is None:
            return
        # Each new connection sends ten segments at once; spread out, they make no burst.
        due = min(fresh.count, 1 + int(fresh.count * (now - fresh.since_s) / step_s))
        bound = min(fresh.old + due, self._most(limit))
        if bound > self.bound:
            self.bound = bound
            self._changed_s = now

    def rest(self, now: float) -> int:
        """Called instead of `decide` while the bound must not change."""
        self.steady, self._fresh = False, None
        self._used_s = now
        return self.bound
