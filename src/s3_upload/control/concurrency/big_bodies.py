"""How many bulk requests at once where nothing but the link and TCP hold them back: as few as fill it. Pure.

A bulk request (a body of at least BULK_BYTES) sends for many round trips.  One or two such fill a short
link, a few dozen a long or a lossy one; more of them make the queue longer for everybody and nothing
faster.  Requests that end are too rare to learn from (64 parts of 5 MiB take 27 s on 100 Mbit/s); so this
looks at the connections.

Theory of operation.  Where the bottleneck's queue never runs empty, the link is full, whoever fills it;
where it does, it idles.  Looks are judged in periods of STEPS steps (a step: a round trip and REACTION_S) in
which as many requests as allowed were in flight; `empty` is the share of looks with a queue of at most
TRIGGER_S, or with nothing of ours that waits to be sent.

1. *Starting*, from START, until a queue is seen: times START_GROWTH each period.
2. *Short*: `empty` is above EMPTY.  Times GROWTH, at least one more.  Not while the rate is ACCELERATION
   times that of the period before: what is there is still opening its congestion windows.
3. *No gain*: growth to FAR times the number for which the rate last rose by PAYS, and no queue, shows that
   the limit lies elsewhere (the store, the disk, this machine): back to that number, and no growth for
   HOLD_S, doubled each time up to MAX_HOLD_S.
4. *Windows cut*: a queue that overflows leaves congestion windows that together let less than ENOUGH of the
   highest rate of late (BEST_S) through, and open slowly: as many as make up for it (`link`, step 6), at
   most twice as many as there are, at once; again when those have had their time.
5. *Full*: no look was empty.  When that has lasted SHRINK_AFTER_S and SHRINK_STEPS steps, 1/LESS less, at
   least one.  If the link runs short within BACK_STEPS steps of that, the next time is doubled, up to
   MAX_HOLD_S.

`bound` never leaves [1, max_bound].
"""

from __future__ import annotations

import math

from s3_upload.control.share.link import FRESH_TRIPS, REACTION_S, Look, Recent, fresh_connections

BULK_BYTES = 1 << 20
START = 4
STEPS = 3.0
TRIGGER_S = 0.004
EMPTY = 0.1
ACCELERATION = 1.25
START_GROWTH, GROWTH = 2.0, 1.5
PAYS, FAR = 1.2, 4
LESS = 8
SHRINK_AFTER_S, SHRINK_STEPS, BACK_STEPS = 3.0, 8.0, 20.0
HOLD_S, MAX_HOLD_S = 4.0, 60.0
ENOUGH, BEST_S = 0.95, 10.0


class BulkBound:
    """The algorithm of the module's theory. `bound`: bulk requests that may be in flight."""

    def __init__(self, max_bound: int) -> None:
        self._max_bound = max_bound
        self.bound = min(START, max_bound)
        self._starting = True
        self._since_s = 0.0  # begin of the period, and what was acknowledged before it
        self._acked_bytes = 0
        self._looks = self._empty = self._filled = 0
        self._rate = 0.0  # of the period before
        self._paid = self.bound, 0.0  # the number for which the rate last rose by PAYS, and that rate
        self._hold_s = HOLD_S
        self._grow_from_s = 0.0
        self._full_since_s = 0.0
        self._shrunk_s = -math.inf
        self._shrink_after_s = SHRINK_AFTER_S
        self._rates = Recent()
        self._mended_s = -math.inf

    def decide(self, look: Look, in_flight: int, *, now: float) -> int:
        """The bound from now on; `in_flight`: bulk requests there are. `now` only grows."""
        step_s = look.base_s + look.queue_s + REACTION_S
        self._looks += 1
        self._empty += look.queue_s <= TRIGGER_S or not look.waiting
        self._filled += in_flight >= self.bound
        self._rates.add(look.bytes_per_s, now=now, over_s=BEST_S)
        if in_flight >= self.bound and not self._starting:
            self._mend(look, step_s, now)
        elapsed_s = now - self._since_s
        if elapsed_s < STEPS * step_s:
            return self.bound
        rate = (look.acked_bytes - self._acked_bytes) / elapsed_s
        if self._filled == self._looks:
            self._judge(rate, self._empty / self._looks, step_s, now)
        self._since_s, self._acked_bytes, self._rate = now, look.acked_bytes, rate
        self._looks = self._empty = self._filled = 0
        return self.bound

    def _mend(self, look: Look, step_s: float, now: float) -> None:
        """Step 4."""
        if look.queue_s > TRIGGER_S or now - self._mended_s <= (FRESH_TRIPS + 1.0) * step_s:
            return
        missing = ENOUGH * self._rates.most - look.window_bytes_per_s
        if missing > 0.0:
            self._set(self.bound + min(self.bound, fresh_connections(missing, look.base_s)))
            self._mended_s = now

    def _judge(self, rate: float, empty: float, step_s: float, now: float) -> None:
        if empty < 1.0:
            self._starting = False
        if empty == 0.0:
            self._paid = self.bound, rate
            if now - self._full_since_s >= max(self._shrink_after_s, SHRINK_STEPS * step_s):
                self._set(self.bound - max(1, self.bound // LESS))
                self._full_since_s = self._shrunk_s = now
            return
        self._full_since_s = now
        if empty <= EMPTY:
            return
        if now - self._shrunk_s < BACK_STEPS * step_s:
            self._shrink_after_s = min(2.0 * self._shrink_after_s, MAX_HOLD_S)
            self._shrunk_s = -math.inf
        self._grow(rate, now)

    def _grow(self, rate: float, now: float) -> None:
        """Steps 1 to 3."""
        paid, paid_rate = self._paid
        if rate >= PAYS * paid_rate:
            self._paid = self.bound, rate
            self._hold_s = HOLD_S
        elif self.bound >= FAR * paid:
            self._set(paid)
            self._starting = False
            self._grow_from_s = now + self._hold_s
            self._hold_s = min(2.0 * self._hold_s, MAX_HOLD_S)
            return
        accelerating = rate >= ACCELERATION * self._rate
        if now >= self._grow_from_s and (self._starting or not accelerating):
            growth = START_GROWTH if self._starting else GROWTH
            self._set(max(self.bound + 1, int(self.bound * growth)))

    def _set(self, bound: int) -> None:
        self.bound = min(max(bound, 1), self._max_bound)
