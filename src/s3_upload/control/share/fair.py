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

4. *Half*: which of two flows loses packets in an overflow is chance, and where a round trip is long a
   newcomer would wait long for its share.  So there is a bound as well.  With R smoothed over SMOOTH_S,
   the highest so far is what the link carries (L).  While a queue stands (above QUEUE_S) and R is below
   OWN * L, somebody else wants more: the bound falls from R to L / 2, by GIVE in SMOOTH_S and a round trip;
   else it rises as fast.  While it holds, W does not grow.  More than half is not given either, so a loss at
   a rate below LOW * L costs 1 - BETA_LOW; but only for GIVING_S after R was last above OWN * L: of many
   flows each has less than half.
5. *Heedless traffic*: CUBIC flows that lost packets take a while to fill the queue again.  Where it
   overflows ROW times (a loss while a queue stands: there is none at a policer), each sooner after the one
   before than if FLOWS of them shared the link, and HEAVY of the segments are lost meanwhile (a CUBIC flow
   that loses so many has sqrt(1.5 / HEAVY) = 17 under way, RFC 9438, section 5.1), somebody does not mind
   losses (BBR looks for more every eight round trips: draft-cardwell-iccrg-bbr-congestion-control), and
   would be left with more and more.  So losses at a rate below LOW * L cost nothing then; W goes to L / 2,
   but to no more than PUSH times what was acknowledged in the last PUSH_TRIPS, by HEEDLESS_GROWTH a round
   trip; and the connections' own TCP is told (`heedless`).  This is over when no overflow has come for twice
   that time.
6. A window that is not used (R below USED of the rate that it tells of) does not grow.
"""

from __future__ import annotations

import math

from s3_upload.control.share.background import FLOOR_CONNECTION_BYTES_PER_S
from s3_upload.control.share.link import RATE_S, REACTION_S, Look, Recent

SEGMENT_BYTES = 1448
START_SEGMENTS = 20.0
MIN_SEGMENTS = 4.0
C = 0.4
BETA, BETA_LOW, LOW = 0.7, 0.85, 0.55
DELAY_MIN_S, DELAY_MAX_S, DELAYED = 0.004, 0.016, 3
GIVING_S, QUEUE_S, SMOOTH_S, OWN, GIVE = 60.0, 0.005, 1.0, 0.95, 0.2
DEAF_TRIPS = 1.25
ROW, FLOWS, HEAVY = 4, 50, 0.005
HEEDLESS_GROWTH, PUSH, PUSH_TRIPS = 1.1, 1.25, 10.0
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
        self._acked = Recent()  # R
        self._smooth = 0.0
        self.carries = 0.0  # L
        self._alone_s = 0.0
        self._bound = math.inf
        self._delayed = 0
        self.heedless = False
        """See step 5."""
        self._row = 0  # overflows, each soon after the one before
        self._row_acked_bytes = self._row_lost = 0  # acknowledged before it, and segments lost since
        self._overflow_s = -math.inf

    def decide(self, look: Look, *, now: float) -> float:
        """Bytes per second for all connections from now on."""
        elapsed_s, self._last_s = now - self._last_s, now
        rtt_s = max(look.base_s + look.queue_s, MIN_RTT_S)
        self._rates.add(self._rate, now=now, over_s=2.0 * rtt_s + RATE_S)
        self._smooth += (look.bytes_per_s - self._smooth) * min(1.0, elapsed_s / SMOOTH_S)
        self._row_lost += look.retransmits
        self._acked.add(look.bytes_per_s, now=now, over_s=PUSH_TRIPS * rtt_s)
        self.carries = max(self.carries, self._smooth)
        if self._smooth >= OWN * self.carries:
            self._alone_s = now
        used = look.bytes_per_s >= USED * self._rates.least
        if look.base_s == 0.0:
            pass  # no connection yet
        elif look.retransmits and now > self._deaf_until_s:
            self._lose(look, now, rtt_s)
        elif self._slow_start:
            delayed = look.queue_s > min(max(look.base_s / 8.0, DELAY_MIN_S), DELAY_MAX_S)
            self._delayed = self._delayed + look.fresh if delayed else 0
            if self._delayed >= DELAYED:
                self._slow_start = False
                self.state = "cruising"
                self._w_max, self._cut_s = self.window, now
            elif used:
                self.window *= 2.0 ** (elapsed_s / rtt_s) if elapsed_s < rtt_s else 2.0
        elif used and self.window * SEGMENT_BYTES < self._bound * rtt_s:
            self._grow(now, rtt_s, elapsed_s)
        if self.heedless:
            self._insist(now, rtt_s, elapsed_s)
        if not self._slow_start:
            self._share(look, elapsed_s / (rtt_s + SMOOTH_S))
        floor = FLOOR_CONNECTION_BYTES_PER_S * max(look.busy, 1)
        self._rate = max(min(self.window * SEGMENT_BYTES / rtt_s, self._bound), floor)
        return self._rate

    def _share(self, look: Look, steps: float) -> None:
        """Step 4, a look later."""
        carries = self.carries
        if look.queue_s > QUEUE_S and self._smooth < OWN * carries:
            bound = min(self._bound, self._smooth / OWN)
            self._bound = max(carries / 2.0, bound * (1.0 - GIVE) ** steps)
        else:
            self._bound /= (1.0 - GIVE) ** steps
            if self._bound > 2.0 * carries:
                self._bound = math.inf

    def _lose(self, look: Look, now: float, rtt_s: float) -> None:
        """Step 2, but for what step 5 says."""
        if look.queue_s > QUEUE_S:
            self._overflow(look, now, rtt_s)
        self._deaf_until_s = now + DEAF_TRIPS * rtt_s + REACTION_S
        low = self._rate < LOW * self.carries
        if not (low and self.heedless):
            self._cut(now, BETA_LOW if low and now < self._alone_s + GIVING_S else BETA)

    def _overflow(self, look: Look, now: float, rtt_s: float) -> None:
        """Whether it shows heedless traffic."""
        if now - self._overflow_s > self._recovery_s(rtt_s):
            self._row, self._row_acked_bytes, self._row_lost = 0, look.acked_bytes, look.retransmits
        self._row += 1
        self._overflow_s = now
        sent = (look.acked_bytes - self._row_acked_bytes) / SEGMENT_BYTES
        if self._row >= ROW and self._row_lost > HEAVY * sent:
            self.heedless = True

    def _insist(self, now: float, rtt_s: float, elapsed_s: float) -> None:
        """Step 5, a look later."""
        if self._rate < LOW * self.carries:
            wanted = min(self.carries / 2.0, PUSH * self._acked.most) * rtt_s / SEGMENT_BYTES
            step = HEEDLESS_GROWTH ** min(1.0, elapsed_s / rtt_s)
            self.window = min(max(wanted, self.window / step), self.window * step)
            self._w_max, self._cut_s = self.window, now
        if now - self._overflow_s > 2.0 * self._recovery_s(rtt_s):
            self.heedless = False

    def _recovery_s(self, rtt_s: float) -> float:
        """How long one of FLOWS flows needs to be back where it was: as CUBIC (K), or as Reno."""
        window = self.carries * rtt_s / SEGMENT_BYTES / FLOWS
        return float(min((window * (1.0 - BETA) / C) ** (1 / 3), window * (1.0 + BETA) / 3.0 * rtt_s))

    def _cut(self, now: float, beta: float) -> None:
        converging = self.window < self._w_max
        self._w_max = self.window * (1.0 + BETA) / 2.0 if converging else self.window
        self.window = max(MIN_SEGMENTS, beta * self.window)
        self._slow_start = False
        self.state = "cruising"
        self._cut_s = now

    def _grow(self, now: float, rtt_s: float, elapsed_s: float) -> None:
        t = now - self._cut_s
        k_s = (self._w_max * (1.0 - BETA) / C) ** (1 / 3)
        w_cubic = C * (t - k_s) ** 3 + self._w_max
        w_est = BETA * self._w_max + 3.0 * (1.0 - BETA) / (1.0 + BETA) * t / rtt_s
        wanted = max(w_cubic, w_est)
        if wanted > self.window:
            self.window = min(wanted, self.window * 1.5 ** min(1.0, elapsed_s / rtt_s))
