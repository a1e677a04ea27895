"""Share "fair": all connections together take as much as one flow of bulk data would. Pure.

Theory of operation (`delay_min_s` and the like are fields of `Tuning`).  There is one virtual CUBIC flow
(RFC 9438) over all connections, as in a congestion manager (RFC 3124).  The kernel's own windows serve it,
and it hands out the pace.  W is its window, in segments of SEGMENT_BYTES.  The rate is W / (base + queue),
so that a queue slows it down like a flow that waits for its acknowledgements.

1. *Slow start*: W doubles each round trip.  It ends with a loss, or when the queue is above base / 8, within
   [`delay_min_s`, `delay_max_s`] (HyStart++, RFC 9406), in `delayed` looks in a row: one may be a delayed
   acknowledgement.
2. *Loss*: a retransmission on any connection is a congestion event.  For a while after an event, connection
   after connection still reports the same one: `deaf_trips` of the event's round trip, its queue included
   (RACK waits for a quarter of one, RFC 8985), and REACTION_S.  Such retransmissions do not count.  After an
   event W_max = W (W * (1 + BETA) / 2 if W is below the last W_max: fast convergence), and W = BETA * W.
3. *Between two events*: with t since the last one and K = cbrt(W_max * (1 - BETA) / C)

       W_cubic = C * (t - K) ** 3 + W_max
       W_est   = BETA * W_max + 3 * (1 - BETA) / (1 + BETA) * t / rtt
       W       = max(W_cubic, W_est), at most growth, 1.5, times as much in a round trip

4. *Half*: chance decides which of two flows loses packets in an overflow, and on a path with long round
   trips a newcomer would wait long for its share.  So there is a bound as well.  R is smoothed over
   `smooth_s`; its highest value so far is what the link carries (L).  While a queue stands (above `queue_s`)
   and R is below `own` * L, other traffic wants more.  Then the bound falls from R to L / 2, by `give` in
   `smooth_s` and a round trip; otherwise it rises as fast.  While it holds, W does not grow.  The flow need
   not give more than half either, so a loss at a rate below `low` * L costs only 1 - `beta_low`.  That
   applies for `giving_s` after R was last above `own` * L, since of many flows each has less than half.
5. *Heedless traffic* does not slow down for losses (BBR looks for more every eight round trips,
   draft-cardwell-iccrg-bbr-congestion-control), and would end up with more and more.  CUBIC flows that lost
   packets take a while to fill the queue again.  So heedless traffic shows when three things meet: `row`
   overflows in a row (losses while a queue stands; at a policer there is none), each sooner after the last
   than if `flows` of them shared the link, and a loss of `heavy` of the segments meanwhile (a CUBIC flow
   that loses so many has sqrt(1.5 / `heavy`) = 17 under way, RFC 9438, section 5.1).  From then on losses at
   a rate below `low` * L cost nothing.  W moves to L / 2, but to at most `push` times the rate acknowledged
   in the last `push_trips`, by `heedless_growth` a round trip.  The connections' own TCP is told
   (`heedless`).  This ends when no overflow has come for twice the time in which one of
   `flows` flows recovers.
6. A window that is not used (R below `used` of its rate) does not grow.
"""

from __future__ import annotations

import math

import msgspec

from s3_upload.control.share.link import FLOOR_CONNECTION_BYTES_PER_S, RATE_S, REACTION_S, Look, Recent

SEGMENT_BYTES = 1448
"""The payload of a full segment on Ethernet, with timestamps."""
MAX_STEPS = 100.0
"""After a long pause of this process a look covers thousands of steps, of which the power would be 0."""


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory. Windows are in segments."""

    start_segments: float = 20.0
    """The window at first."""
    min_segments: float = 4.0
    """The window at the least."""
    c: float = 0.4
    """C: how fast the window grows (RFC 9438, section 5)."""
    beta: float = 0.7
    """BETA: a loss multiplies the window by this (RFC 9438, section 4.6)."""
    beta_low: float = 0.85
    """The same where the flow has less than its share (step 4)."""
    low: float = 0.55
    """The flow has less than its share below this share of L (steps 4 and 5)."""
    delay_min_s: float = 0.004
    """The least queue that ends slow start, in seconds: MIN_RTT_THRESH (RFC 9406, section 4.3)."""
    delay_max_s: float = 0.016
    """The queue that ends it whatever the base, in seconds: MAX_RTT_THRESH."""
    delay_divisor: float = 8.0
    """Between the two it is the base divided by this: MIN_RTT_DIVISOR."""
    delayed: int = 3
    """This many looks in a row have to show it (step 1): one may be a delayed acknowledgement."""
    deaf_trips: float = 1.25
    """Losses within this many round trips belong to one congestion event (step 2)."""
    growth: float = 1.5
    """A round trip multiplies the window by this at the most (RFC 9438, section 4.2)."""
    giving_s: float = 60.0
    """beta_low applies for this many seconds after the flow last had the link alone (step 4)."""
    queue_s: float = 0.005
    """A queue of more than this many seconds stands (step 4)."""
    smooth_s: float = 1.0
    """The rate is smoothed over this many seconds (step 4)."""
    own: float = 0.95
    """Below this share of L other traffic has a part of the link (step 4)."""
    give: float = 0.2
    """The bound falls by this share in smooth_s and a round trip (step 4)."""
    row: int = 4
    """This many overflows in a row show heedless traffic (step 5)."""
    flows: int = 50
    """Overflows more frequent than those of this many CUBIC flows show heedless traffic (step 5)."""
    heavy: float = 0.005
    """A loss of this share of the segments is heavy (step 5)."""
    heedless_growth: float = 1.1
    """A round trip changes the window by at most this factor beside heedless traffic (step 5)."""
    push: float = 1.25
    """The window goes to at most this many times the rate acknowledged of late (step 5)."""
    push_trips: float = 10.0
    """Of late means in this many round trips (step 5)."""
    used: float = 0.6
    """A window is used if this share of its rate is acknowledged (step 6)."""
    min_rtt_s: float = 0.001
    """The shortest round trip assumed, in seconds."""


DEFAULT = Tuning()


def cubic_k(w_max: float, tuning: Tuning) -> float:
    """RFC 9438, section 4.2: K, the seconds from a cut until the window is W_max again."""
    return float((w_max * (1.0 - tuning.beta) / tuning.c) ** (1 / 3))


def w_cubic(t: float, w_max: float, tuning: Tuning) -> float:
    """RFC 9438, section 4.2: the window `t` seconds after a cut."""
    return float(tuning.c * (t - cubic_k(w_max, tuning)) ** 3 + w_max)


def w_est(t: float, w_max: float, rtt_s: float, tuning: Tuning) -> float:
    """RFC 9438, section 4.3: the window of an AIMD flow that is as fast as Reno, in the closed form of RFC
    8312, section 4.2."""
    alpha = 3.0 * (1.0 - tuning.beta) / (1.0 + tuning.beta)
    return tuning.beta * w_max + alpha * t / rtt_s


class Flow:
    """The virtual flow. `window`: W; `slow_start`: it is in step 1."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self.window = tuning.start_segments
        self.slow_start = True
        self._delayed = 0
        self._w_max = 0.0
        self._cut_s = 0.0

    def start(self, look: Look, now: float, *, used: bool, trips: float) -> None:
        """Step 1, for one look. `trips`: the round trips since the last one."""
        # This delay means that slow start has filled the link: RTT_THRESH (RFC 9406, section 4.2).
        tuning = self._tuning
        thresh_s = min(max(look.base_s / tuning.delay_divisor, tuning.delay_min_s), tuning.delay_max_s)
        delayed = look.queue_s > thresh_s
        self._delayed = self._delayed + look.fresh if delayed else 0
        if self._delayed >= tuning.delayed:
            self.slow_start = False
            self._anchor(now)
        elif used:
            self.window *= 2.0 ** min(1.0, trips)

    def cut(self, now: float, beta: float) -> None:
        """Step 2."""
        tuning, window = self._tuning, self.window
        # Fast convergence (RFC 9438, section 4.7), where the flow has not come back to the last W_max.
        self._w_max = window * (1.0 + tuning.beta) / 2.0 if window < self._w_max else window
        self.window = max(tuning.min_segments, beta * window)
        self.slow_start = False
        self._cut_s = now

    def grow(self, now: float, rtt_s: float, trips: float) -> None:
        """Step 3."""
        tuning, t = self._tuning, now - self._cut_s
        wanted = max(w_cubic(t, self._w_max, tuning), w_est(t, self._w_max, rtt_s, tuning))
        if wanted > self.window:
            self.window = min(wanted, self.window * tuning.growth ** min(1.0, trips))

    def move(self, wanted: float, now: float, trips: float) -> None:
        """Step 5: towards `wanted`."""
        step = self._tuning.heedless_growth ** min(1.0, trips)
        self.window = min(max(wanted, self.window / step), self.window * step)
        self._anchor(now)

    def _anchor(self, now: float) -> None:
        self._w_max, self._cut_s = self.window, now


class Carried:
    """What was acknowledged. `recent`: R; `smooth`: the same, smoothed; `due`: L;
    `alone_s`: when R was last near it."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self.recent = Recent()
        self.smooth = 0.0
        self.due = 0.0
        self.alone_s = 0.0

    def add(self, look: Look, elapsed_s: float, rtt_s: float, now: float) -> None:
        tuning = self._tuning
        self.smooth += (look.bytes_per_s - self.smooth) * min(1.0, elapsed_s / tuning.smooth_s)
        self.recent.add(look.bytes_per_s, now=now, over_s=tuning.push_trips * rtt_s)
        self.due = max(self.due, self.smooth)
        if self.smooth >= tuning.own * self.due:
            self.alone_s = now


class Overflows:
    """A row of them, each soon after the one before. `lost`: segments since it began; `last_s`: the last."""

    def __init__(self) -> None:
        self.lost = 0
        self.last_s = -math.inf
        self._count = 0
        self._acked_bytes = 0  # acknowledged before it

    def add(self, look: Look, recovery_s: float, now: float) -> None:
        """`recovery_s`: what comes later than that begins another row."""
        if now - self.last_s > recovery_s:
            self._count, self._acked_bytes, self.lost = 0, look.acked_bytes, look.retransmits
        self._count += 1
        self.last_s = now

    def show_heedless(self, look: Look, tuning: Tuning) -> bool:
        """Step 5."""
        sent = (look.acked_bytes - self._acked_bytes) / SEGMENT_BYTES
        return self._count >= tuning.row and self.lost > tuning.heavy * sent


class FairShare:
    yields = False
    reclaims = 0.0

    def __init__(self, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._flow = Flow(tuning)
        self._carried = Carried(tuning)
        self._overflows = Overflows()
        self._deaf_until_s = 0.0
        self._last_s = 0.0
        self._rate = 0.0
        self._rates = Recent()
        self._bound = math.inf
        self.heedless = False
        """See step 5."""

    @property
    def state(self) -> str:
        return "growing" if self._flow.slow_start else "cruising"

    @property
    def window(self) -> float:
        """W, in segments."""
        return self._flow.window

    @property
    def due(self) -> float:
        """L, what the link carries: a part of it is the flow's even while others' queue stands."""
        return self._carried.due

    def decide(self, look: Look, *, now: float) -> float:
        """The bytes per second of all connections from now on."""
        tuning, flow = self._tuning, self._flow
        elapsed_s, self._last_s = now - self._last_s, now
        rtt_s = max(look.base_s + look.queue_s, tuning.min_rtt_s)
        trips = elapsed_s / rtt_s
        self._rates.add(self._rate, now=now, over_s=2.0 * rtt_s + RATE_S)
        self._overflows.lost += look.retransmits
        self._carried.add(look, elapsed_s, rtt_s, now)
        used = look.bytes_per_s >= tuning.used * self._rates.least
        if look.base_s == 0.0:
            pass  # no connection yet
        # Within deaf_trips, losses still belong to the last congestion event.
        elif look.retransmits and now > self._deaf_until_s:
            self._lose(look, now, rtt_s)
        elif flow.slow_start:
            flow.start(look, now, used=used, trips=trips)
        elif used and flow.window * SEGMENT_BYTES < self._bound * rtt_s:
            flow.grow(now, rtt_s, trips)
        if self.heedless:
            self._insist(now, rtt_s, trips)
        # During slow start L is not known yet.
        if not flow.slow_start:
            self._share(look, elapsed_s / (rtt_s + tuning.smooth_s))
        floor = FLOOR_CONNECTION_BYTES_PER_S * max(look.busy, 1)
        self._rate = max(min(flow.window * SEGMENT_BYTES / rtt_s, self._bound), floor)
        return self._rate

    def _share(self, look: Look, steps: float) -> None:
        """Moves the bound of step 4 by one look."""
        tuning, carries, rate = self._tuning, self._carried.due, self._carried.smooth
        if look.queue_s > tuning.queue_s and rate < tuning.own * carries:
            bound = min(self._bound, rate / tuning.own)
            self._bound = max(carries / 2.0, bound * (1.0 - tuning.give) ** steps)
        else:
            self._bound /= (1.0 - tuning.give) ** min(steps, MAX_STEPS)
            # A bound so far above L has no effect; without it the next one starts from the rate again.
            if self._bound > 2.0 * carries:
                self._bound = math.inf

    def _lose(self, look: Look, now: float, rtt_s: float) -> None:
        """A loss: step 2, unless step 5 makes it cost nothing."""
        tuning = self._tuning
        # A policer drops packets without a queue, which says nothing about other flows.
        if look.queue_s > tuning.queue_s:
            self._overflows.add(look, self._recovery_s(rtt_s), now)
            if self._overflows.show_heedless(look, tuning):
                self.heedless = True
        self._deaf_until_s = now + tuning.deaf_trips * rtt_s + REACTION_S
        low = self._rate < tuning.low * self.due
        # Heedless traffic would take whatever a cut leaves.
        if not (low and self.heedless):
            gives = low and now < self._carried.alone_s + tuning.giving_s
            self._flow.cut(now, tuning.beta_low if gives else tuning.beta)

    def _insist(self, now: float, rtt_s: float, trips: float) -> None:
        """Moves the window by one look beside heedless traffic (step 5)."""
        tuning = self._tuning
        if self._rate < tuning.low * self.due:
            wanted = min(self.due / 2.0, tuning.push * self._carried.recent.most) * rtt_s / SEGMENT_BYTES
            self._flow.move(wanted, now, trips)
        if now - self._overflows.last_s > 2.0 * self._recovery_s(rtt_s):
            self.heedless = False

    def _recovery_s(self, rtt_s: float) -> float:
        """How long one of so many flows needs to be back where it was: as CUBIC (K), or as Reno."""
        window = self.due * rtt_s / SEGMENT_BYTES / self._tuning.flows
        as_reno_s = window * (1.0 + self._tuning.beta) / 3.0 * rtt_s
        return min(cubic_k(window, self._tuning), as_reno_s)
