"""How many requests with big bodies at once: as few as fill the link. Pure.

A big body (more than BULK_BYTES; its request is called bulk) is sent for many round trips.  One or two such
requests fill a short link, a few dozen a long or a lossy one.  More of them make the queue longer for
everybody, and nothing faster.  The ends of such requests are too rare to learn from (64 parts of 5 MiB take
27 s on 100 Mbit/s).  So this looks at the connections.  It applies where only the link and TCP hold requests
back.

Theory of operation (names in backticks are fields of `Tuning`).  If the queue of the bottleneck never runs
empty, the link is full, whoever fills it; if it does, the link idles.  A *step* is a round trip and
REACTION_S.  Looks are judged in periods of `period_steps` steps in which as many requests as allowed were in
flight.  `empty` is the share of looks with a queue of at most `trigger_s`, or with no bytes of ours that wait
to be sent.  What passes in a `pause_s` without a look tells nothing: the next look begins a period.

1. *Starting*, from `start` until a queue is seen: each period multiplies the bound by `start_growth`.
2. *Short*: `empty` is above `max_empty`.  The bound grows by the factor `growth`, by one at least.  It does
   not while the rate is `acceleration` times that of the period before: then the requests that are there are
   still opening their congestion windows.
3. *No gain*: the bound has reached `far` times the one for which the rate last rose by `pays`, and there is
   still no queue.  So the limit lies elsewhere (the store, the disk, this machine).  The bound returns to
   that one, and does not grow for `hold_s`, doubled each time up to `max_hold_s`.  Where the highest
   rate of late (`best_s`) at that one has fallen by `pays`, the rate is compared with what it is now: what a
   faster time brought comes no more.
4. *Windows cut*: after an overflow the congestion windows together let less than `enough` of the highest
   rate of late (`best_s`) through, and open slowly.  As many requests are added at once as make up for it
   (`link`, step 6), but the bound at most doubles.  That is repeated when they have had their time.
5. *Full*: no look was empty.  When that has lasted `shrink_after_s` and `shrink_steps` steps, the bound falls
   by 1/`less`, by one at least.  If the link idles within `back_steps` steps after that, the next time is
   doubled, up to `max_hold_s`.

`bound` never leaves [1, max_bound].
"""

from __future__ import annotations

import math

import msgspec

from s3_upload.control.share.link import FRESH_TRIPS, REACTION_S, Look, Recent, fresh_connections

BULK_BYTES = 1 << 20
"""A body of more than this is bulk."""


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory."""

    start: int = 4
    """The bound at first."""
    period_steps: float = 3.0
    """A period takes this many steps."""
    trigger_s: float = 0.004
    """A queue of more than this many seconds keeps the link busy."""
    max_empty: float = 0.1
    """The link idles when more than this share of the looks shows no queue (step 2)."""
    acceleration: float = 1.25
    """A rate that rose by this factor since the last period still grows by itself (step 2)."""
    start_growth: float = 2.0
    """In the start a period multiplies the bound by this (step 1)."""
    growth: float = 1.5
    """Later a period multiplies the bound by this (step 2)."""
    pays: float = 1.2
    """Growth paid if the rate rose by this factor (step 3)."""
    far: int = 4
    """Growth to this many times the bound that last paid was in vain (step 3)."""
    less: int = 8
    """The bound of a full link is lowered by one request in this many (step 5)."""
    shrink_after_s: float = 3.0
    """A link has to be full for this many seconds first (step 5)."""
    shrink_steps: float = 8.0
    """It has to be full for at least this many steps (step 5)."""
    back_steps: float = 20.0
    """If the link idles within this many steps after that, shrink_after_s doubles (step 5)."""
    hold_s: float = 4.0
    """After growth in vain nothing grows for this many seconds at first (step 3)."""
    max_hold_s: float = 60.0
    """hold_s and shrink_after_s double up to this many seconds (steps 3 and 5)."""
    enough: float = 0.95
    """Congestion windows were cut if they let less than this share of the highest rate through (step 4)."""
    best_s: float = 10.0
    """The highest rate is that of the last seconds, this many (step 4)."""
    pause_s: float = 1.0
    """After so many seconds without a look a period begins anew."""


DEFAULT = Tuning()


class Period:
    """Looks since `since_s`, when so much was acknowledged: all, those of an empty link, those of a bound in
    use."""

    def __init__(self, since_s: float = 0.0, acked_bytes: int = 0) -> None:
        self.since_s = since_s
        self._acked_bytes = acked_bytes
        self._looks = self._empty = self._filled = 0

    def add(self, *, empty: bool, filled: bool) -> None:
        self._looks += 1
        self._empty += empty
        self._filled += filled

    def rate(self, look: Look, elapsed_s: float) -> float:
        return (look.acked_bytes - self._acked_bytes) / elapsed_s

    @property
    def judged(self) -> bool:
        """A period is judged only if the bound was in use all the time."""
        return self._filled == self._looks

    @property
    def empty(self) -> float:
        return self._empty / self._looks


class Growth(msgspec.Struct):
    """`paid`: the number for which the rate last rose by `pays`, and that rate. After growth in vain it waits
    for `hold_s`, until `from_s`."""

    paid: tuple[int, float]
    hold_s: float
    from_s: float = 0.0


class Shrinking(msgspec.Struct):
    """It comes after a link was full, since `full_since_s`, for `after_s`; `last_s`: the last one, if it is
    not settled yet whether it went too far."""

    after_s: float
    full_since_s: float = 0.0
    last_s: float = -math.inf


class BulkBound:
    """The algorithm of the module's theory. `bound`: bulk requests that may be in flight."""

    def __init__(self, max_bound: int, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._max_bound = max_bound
        self.bound = min(tuning.start, max_bound)
        self._starting = True
        self._period = Period()
        self._rate = 0.0  # of the period before
        self._growth = Growth((self.bound, 0.0), tuning.hold_s)
        self._shrinking = Shrinking(tuning.shrink_after_s)
        self._rates = Recent()
        self._mended_s = -math.inf
        self._looked_s = 0.0

    def decide(self, look: Look, in_flight: int, *, now: float) -> int:
        """The bound from now on; `in_flight`: bulk requests there are. `now` only grows."""
        tuning = self._tuning
        step_s = look.base_s + look.queue_s + REACTION_S
        if now - self._looked_s > tuning.pause_s:
            self._period, self._shrinking.full_since_s = Period(now, look.acked_bytes), now
        self._looked_s = now
        idles = look.queue_s <= tuning.trigger_s or not look.waiting
        self._period.add(empty=idles, filled=in_flight >= self.bound)
        self._rates.add(look.bytes_per_s, now=now, over_s=tuning.best_s)
        if in_flight >= self.bound and not self._starting:
            self._mend(look, step_s, now)
        elapsed_s = now - self._period.since_s
        if elapsed_s < tuning.period_steps * step_s:
            return self.bound
        rate = self._period.rate(look, elapsed_s)
        if self._period.judged:
            self._judge(rate, self._period.empty, step_s, now)
        self._period, self._rate = Period(now, look.acked_bytes), rate
        return self.bound

    def _mend(self, look: Look, step_s: float, now: float) -> None:
        """Step 4."""
        if look.queue_s > self._tuning.trigger_s or now - self._mended_s <= (FRESH_TRIPS + 1.0) * step_s:
            return
        missing = self._tuning.enough * self._rates.most - look.window_bytes_per_s
        if missing > 0.0:
            self._set(self.bound + min(self.bound, fresh_connections(missing, look.base_s)))
            self._mended_s = now

    def _judge(self, rate: float, empty: float, step_s: float, now: float) -> None:
        tuning, shrinking = self._tuning, self._shrinking
        if empty < 1.0:
            self._starting = False
        if empty == 0.0:
            self._growth.paid = self.bound, rate
            # Fewer requests may fill the link too, with a shorter queue. That is tried from time to time.
            if now - shrinking.full_since_s >= max(shrinking.after_s, tuning.shrink_steps * step_s):
                self._set(self.bound - max(1, self.bound // tuning.less))
                shrinking.full_since_s = shrinking.last_s = now
            return
        shrinking.full_since_s = now
        if empty <= tuning.max_empty:
            return
        if now - shrinking.last_s < tuning.back_steps * step_s:
            # The last reduction went too far: try the next one later.
            shrinking.after_s = min(2.0 * shrinking.after_s, tuning.max_hold_s)
            shrinking.last_s = -math.inf
        self._grow(rate, now)

    def _grow(self, rate: float, now: float) -> None:
        """Steps 1 to 3."""
        tuning, growth = self._tuning, self._growth
        paid, paid_rate = growth.paid
        if rate >= tuning.pays * paid_rate:
            growth.paid = self.bound, rate
            growth.hold_s = tuning.hold_s
        # The link or the store has become slower: more requests need not bring what fewer did then.  One slow
        # period is chance, and would pass for growth when it is over.
        elif self.bound <= paid and tuning.pays * self._rates.most <= paid_rate:
            growth.paid = self.bound, rate
        # So many more requests brought nothing: the limit lies elsewhere.
        elif self.bound >= tuning.far * paid:
            self._set(paid)
            self._starting = False
            growth.from_s = now + growth.hold_s
            growth.hold_s = min(2.0 * growth.hold_s, tuning.max_hold_s)
            return
        accelerating = rate >= tuning.acceleration * self._rate
        if now >= growth.from_s and (self._starting or not accelerating):
            factor = tuning.start_growth if self._starting else tuning.growth
            self._set(max(self.bound + 1, int(self.bound * factor)))

    def _set(self, bound: int) -> None:
        self.bound = min(max(bound, 1), self._max_bound)
