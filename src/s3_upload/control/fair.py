"""`share="fair"`: all connections together take what one flow of bulk data would. Pure.

Theory of operation.  One virtual CUBIC flow (RFC 9438) over the aggregate, as a congestion manager has it
(RFC 3124): the kernel's own windows serve it, and it hands out the pace.  W is its window, in segments of
SEGMENT_BYTES; the rate is W / (base + queue), so that a queue slows it as it slows a flow that waits for
its acknowledgements.

1. *Slow start*: W doubles each round trip, until a loss, or until the queue is above base / 8, at least
   DELAY_MIN_S and at most DELAY_MAX_S (HyStart, RFC 9406), in DELAYED looks in a row: one may be a
   receiver that waits with its acknowledgement.
2. *Loss*: a retransmission on any connection is one congestion event, but not in the time after another in
   which connection after connection still tells of the same: DEAF_TRIPS of the event's round trip, its queue
   included (RACK waits for a quarter of one, RFC 8985), and REACTION_S:
   W_max = W (W * (1 + BETA) / 2 if below the last W_max: fast convergence), W = BETA * W.
3. *Between*: with t since then and K = cbrt(W_max * (1 - BETA) / C)

       W_cubic = C * (t - K) ** 3 + W_max
       W_est   = BETA * W_max + 3 * (1 - BETA) / (1 + BETA) * t / rtt
       W       = max(W_cubic, W_est), at most 1.5 times as much in a round trip

4. *A newcomer* beside whom W is large would have its half only after a minute where a round trip is 100 ms,
   and later where it is longer.  So, from MEDIUM_TRIP_S on: the highest R of the last CAPACITY_S is what the link carries (L).  If R was at least OWN * L for ALONE_S,
   and is less now although a queue stands (above QUEUE_S), somebody else has come: that is an event, too.
5. A window that is not used (R below USED of the rate that it tells of) does not grow.
"""

from __future__ import annotations

from s3_upload.control.link import RATE_S, Look, Recent
from s3_upload.control.scavenger import FLOOR_CONNECTION_BYTES_PER_S, MEDIUM_TRIP_S, REACTION_S

SEGMENT_BYTES = 1448
START_SEGMENTS = 20.0
MIN_SEGMENTS = 4.0
C = 0.4
BETA = 0.7
DELAY_MIN_S, DELAY_MAX_S, DELAYED = 0.004, 0.016, 3
CAPACITY_S, QUEUE_S, OWN, ALONE_S = 60.0, 0.005, 0.97, 3.0
DEAF_TRIPS = 1.25
USED = 0.6
MIN_RTT_S = 0.001


class FairFlow:
    """The algorithm of the module's theory."""

    def __init__(self) -> None:
        self.state = "growing"
        self.window = START_SEGMENTS  # W
        self._slow_start = True
        self._w_max = 0.0
        self._cut_s = self._deaf_until_s = 0.0
        self._last_s = 0.0
        self._rate = 0.0
        self._rates = Recent()
        self._acked = Recent()
        self._shared_s = 0.0  # when R was last less than what the link carries
        self._delayed = 0

    def decide(self, look: Look, *, now: float) -> float:
        """Bytes per second for all connections from now on."""
        elapsed_s, self._last_s = now - self._last_s, now
        rtt_s = max(look.base_s + look.queue_s, MIN_RTT_S)
        self._rates.add(self._rate, now=now, over_s=2.0 * rtt_s + RATE_S)
        self._acked.add(look.bytes_per_s, now=now, over_s=CAPACITY_S)
        used = look.bytes_per_s >= USED * self._rates.least
        if look.base_s == 0.0:
            pass  # no connection yet
        elif look.retransmits and now > self._deaf_until_s:
            self._cut(now, rtt_s)
        elif self._slow_start:
            delayed = look.queue_s > min(max(look.base_s / 8.0, DELAY_MIN_S), DELAY_MAX_S)
            self._delayed = self._delayed + look.fresh if delayed else 0
            if self._delayed >= DELAYED:
                self._slow_start = False
                self.state = "cruising"
                self._w_max, self._cut_s = self.window, now
            elif used:
                self.window *= 2.0 ** (elapsed_s / rtt_s) if elapsed_s < rtt_s else 2.0
        elif self._newcomer(look, now):
            self._cut(now, rtt_s)
        elif used:
            self._grow(now, rtt_s, elapsed_s)
        floor = FLOOR_CONNECTION_BYTES_PER_S * max(look.busy, 1)
        self._rate = max(self.window * SEGMENT_BYTES / rtt_s, floor)
        return self._rate

    def _newcomer(self, look: Look, now: float) -> bool:
        """Step 4."""
        if look.bytes_per_s >= OWN * self._acked.most:
            return False
        alone_s, self._shared_s = now - self._shared_s, now
        return alone_s >= ALONE_S and look.queue_s > QUEUE_S and look.base_s >= MEDIUM_TRIP_S

    def _cut(self, now: float, rtt_s: float) -> None:
        converging = self.window < self._w_max
        self._w_max = self.window * (1.0 + BETA) / 2.0 if converging else self.window
        self.window = max(MIN_SEGMENTS, BETA * self.window)
        self._slow_start = False
        self.state = "cruising"
        self._cut_s = now
        self._deaf_until_s = now + DEAF_TRIPS * rtt_s + REACTION_S

    def _grow(self, now: float, rtt_s: float, elapsed_s: float) -> None:
        t = now - self._cut_s
        k_s = (self._w_max * (1.0 - BETA) / C) ** (1 / 3)
        w_cubic = C * (t - k_s) ** 3 + self._w_max
        w_est = BETA * self._w_max + 3.0 * (1.0 - BETA) / (1.0 + BETA) * t / rtt_s
        wanted = max(w_cubic, w_est)
        if wanted > self.window:
            self.window = min(wanted, self.window * 1.5 ** min(1.0, elapsed_s / rtt_s))
