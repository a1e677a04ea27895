"""`share="background"`: the link's spare capacity, and nothing that anybody else wants. Pure.

Theory of operation.  LEDBAT (RFC 6817) keeps a queue of its own standing and yields when it grows; at long
round trips that queue alone ends another flow's slow start (HyStart, RFC 9406), and a latecomer takes it
for the base.  This one keeps none: it knows how much the link carries (C) and sends a little less, so that
any queue is somebody else's, or shows that C is wrong.  With q the queueing delay, R the acknowledged rate,
and a *step* the time after which the effect of a change is seen: a round trip and REACTION_S, at least
MIN_STEP_S:

1. *Growing* from START_BYTES_PER_S, or from the floor, up to HEADROOM * C; then to 2.  Each step by
   GROWTH_NEAR (2) below C / 2, else by GROWTH (1.5).  Where a round trip is above LONG_TRIP_S, by GROWTH_FAR
   (4) below C / 4 and GROWTH above it, but by GROWTH_SHY (1.25) if any look of the last QUIET_TRIPS had a
   queue of QUIET_S (or QUIET_BYTES, if that is more) above the least since the last yield: others are about,
   and all that is sent before a queue shows would be too much.  While C is not known: by GROWTH, until q is
   above the trigger (5) in three looks, strongly in two: then C = R, and to 4.  A rate that is not used (R
   below half of the least that it may tell of) does not grow.  Where a yield came soon (SOON_S) after the
   last reclaim, others use a part: what was left of the link then, F = R, is soon met again, and what is sent
   before its queue shows would cost them packets.  So from MEDIUM_TRIP_S on, for FOUND_S, between F / 2 and
   1.5 F: by GROWTH_FOUND (1.125).
2. *Cruising* at HEADROOM * C (98 %).  After PROBE_AFTER_S to 3.  A small queue in the first OWN_STEPS steps
   (above LONG_TRIP_S in the first) is still the doing of 1 or 3, and where a round trip is below
   MEDIUM_TRIP_S there is time to make sure: to 4.  (Once: where it comes again right after the drain, it is
   not ours.)  Above LONG_TRIP_S another flow's slow start comes as
   bursts, a round trip apart and each twice the last; a queue that stands when one comes ends it for good
   (HyStart).  So already q rising by BURST_S, or BURST_JITTERS times its usual change, within BURST_LOOKS
   looks makes it *wary*: DRAIN_GAIN * C for WARY_TRIPS round trips.  If then, from AGAIN_TRIPS on, another
   burst comes, of AGAIN_S, or the queue stands, to 5, else on.  So does a queue that is above the trigger,
   but less than three times: what comes once (a pause of this machine or of one on the way) passes.
3. *Probing* at PROBE_GAIN * C (105 %; PROBE_GAIN_FAR, 103 %, above LONG_TRIP_S, for the same reason) for a
   step and as long as R takes to tell.  If R then is above C and no queue has come, C = R, and on with
   PROBE_GROWTH (1.25) times C; else to 2, or if there is a queue to 4, and PROBE_AFTER_S doubles up to
   MAX_PROBE_AFTER_S.
4. *Draining* at DRAIN_GAIN * C (80 %): as long as a queue from 1 or 3 stands, R is what the link
   carries, and the highest R is C, but not less than 0.97 of what it was.  When q is below half of the
   trigger, to 2.  If that takes longer than two steps and what the highest q needs, or R is below MINE of
   what was sent, somebody else fills the queue: to 5.
5. *Yielding*: when q is above the trigger in two looks, or three times as large in one, or MAX_LOSS of the
   packets are lost, while growing to a known C or cruising, the rate drops to the floor at once.  The
   trigger is TRIGGER_S, or JITTERS times what q changes by from look to look, at most MAX_TRIGGER_S.  When q
   has been below it for a hold, to 1.  One high look of LOOKS is none where a round trip is below
   SHORT_TRIP_S, nor is one while growing below FEW of C: there a receiver's delayed acknowledgement looks
   like a queue.  (At long round trips a slow start comes in bursts, and each counts.)  The hold is HOLD_S or
   HOLD_TRIPS round trips, in which another flow's slow start fills the link; a yield soon (SOON_S) after the
   last hold adds half as much, up to MAX_HOLD_S less two round trips.  Above LONG_TRIP_S QUIET_TRIPS round
   trips without any burst are enough.
6. What C was wrong by: a yield while cruising makes C = max(R, 0.97 * C); while growing at 0.4 * C or more
   max(R, 0.9 * C), if it is at least the PATIENT_YIELDS + 1st soon after another.  (Beside a flow that has
   the link, growing ends far below that, and C stays known: so the link is reclaimed in a few steps.)

The floor is FLOOR_SHARE of C, at least FLOOR_BYTES_PER_S, and FLOOR_CONNECTION_BYTES_PER_S for each
connection: enough to see the queue, and that neither side's timeouts end what only waits.
"""

from __future__ import annotations

import enum
import math
from collections import deque

from s3_upload.control.share.link import LOSS_S, RATE_S, REACTION_S, Look, Recent

START_BYTES_PER_S = 250_000.0
MIN_STEP_S = 0.15
GROWTH_FAR, GROWTH_NEAR, GROWTH, GROWTH_SHY, GROWTH_FOUND = 4.0, 2.0, 1.5, 1.25, 1.125
FOUND_S, FOUND_FROM, FOUND_TO = 10.0, 0.5, 1.5
QUIET_S, QUIET_BYTES, QUIET_TRIPS = 0.001, 4_500, 2.5
BURST_S, AGAIN_S, BURST_JITTERS, BURST_LOOKS = 0.002, 0.001, 4.0, 5
AGAIN_TRIPS, WARY_TRIPS = 0.85, 2.25
SHORT_TRIP_S, MEDIUM_TRIP_S, LONG_TRIP_S = 0.01, 0.05, 0.2
OWN_STEPS = 3.0
HEADROOM = 0.98
FIRST_PROBE_AFTER_S, PROBE_AFTER_S, MAX_PROBE_AFTER_S = 0.5, 2.5, 20.0
PROBE_GAIN, PROBE_GAIN_FAR, PROBE_GROWTH = 1.05, 1.03, 1.25
DRAIN_GAIN, MINE = 0.8, 0.85
TRIGGER_S, MAX_TRIGGER_S = 0.005, 0.02
JITTERS, JITTER_WEIGHT = 2.0, 1 / 32
LOOKS, FEW = 3, 0.1
MAX_LOSS = 0.02
HOLD_S, HOLD_TRIPS = 1.0, 4.0
MAX_HOLD_S = 2.0
SOON_S = 5.0
PATIENT_YIELDS = 2
FLOOR_SHARE = 0.01
FLOOR_BYTES_PER_S = 32_000.0
FLOOR_CONNECTION_BYTES_PER_S = 1_024.0


class State(enum.Enum):
    """Steps 1 to 5; the values are those of `PaceReport.state`."""

    GROWING = "growing"
    CRUISING = "cruising"
    PROBING = "probing"
    DRAINING = "draining"
    WARY = "wary"
    YIELDING = "yielding"


class Scavenger:
    """The algorithm of the module's theory. `rate`: bytes per second, what all connections may send."""

    def __init__(self) -> None:
        self.rate = START_BYTES_PER_S
        self.state = State.GROWING
        self.capacity = 0.0  # C
        self._since_s = 0.0  # in this state
        self._last_s = 0.0
        self._step_s = 0.0  # when the probe's present step began
        self._trigger_s = TRIGGER_S
        self._jitter_s = 0.0
        self._queues_s: deque[float] = deque([0.0], maxlen=LOOKS)
        self._recent_s: deque[float] = deque([0.0], maxlen=BURST_LOOKS)
        self._sent: deque[tuple[float, float]] = deque()  # when, rate: too young to be acknowledged
        self._told = Recent()  # the rates that R tells of
        self._above = 0  # looks in a row with a queue above the trigger
        self._clear_since_s = 0.0  # since when it is below
        self._least_s = 0.0  # the least queue since the last yield began
        self._noise_s = -math.inf  # when there was more than that
        self._yields = 0  # soon after one another
        self._reclaimed_s = -math.inf  # when the last hold ended
        self._made_sure = False  # a first queue of this cruising was drained as its own
        self._found = 0.0  # F
        self._found_s = -math.inf
        self._probe_after_s = PROBE_AFTER_S
        self._best = self._peak_s = 0.0  # the highest R and q while draining

    def decide(self, look: Look, *, now: float) -> float:
        """The rate from now on. `now` only grows."""
        elapsed_s, self._last_s = now - self._last_s, now
        self._sent.append((now, self.rate))
        while self._sent and self._sent[0][0] <= now - look.base_s:
            self._told.add(self._sent.popleft()[1], now=now, over_s=max(look.base_s, RATE_S) + REACTION_S)
        self._notice(look, now)
        match self.state:
            case State.GROWING:
                self._grow(look, elapsed_s, now)
            case State.CRUISING:
                self._cruise(look, now)
            case State.PROBING:
                self._probe(look, now)
            case State.DRAINING:
                self._drain(look, now)
            case State.WARY:
                self._watch(look, now)
            case State.YIELDING:
                self._hold(look, now)
        self.rate = max(self.rate, self._floor(look))
        return self.rate

    def _notice(self, look: Look, now: float) -> None:
        """Whether there is a queue."""
        if look.fresh:
            if self.state is not State.YIELDING:
                change_s = min(abs(look.queue_s - self._queues_s[-1]), MAX_TRIGGER_S)
                self._jitter_s += JITTER_WEIGHT * (change_s - self._jitter_s)
            self._queues_s.append(look.queue_s)
            self._recent_s.append(look.queue_s)
            self._least_s = min(self._least_s, look.queue_s)
            if look.queue_s > self._least_s + max(QUIET_S, QUIET_BYTES / max(self.capacity, 1.0)):
                self._noise_s = now
        self._trigger_s = min(max(TRIGGER_S, JITTERS * self._jitter_s), MAX_TRIGGER_S)
        lasting_s = min(self._queues_s) if look.base_s < SHORT_TRIP_S else look.queue_s
        if lasting_s > self._trigger_s:
            self._clear_since_s = now
        if look.queue_s <= self._trigger_s:
            self._above = 0
        elif look.fresh:
            self._above += 1

    def _congested(self, look: Look, now: float) -> bool:
        needed = 2 if self.capacity else 3
        if look.queue_s > 3.0 * self._trigger_s and self.rate > FEW * self.capacity:
            needed -= 1
        own_s = LOSS_S + self._step(look)  # what was lost before is told until then
        return self._above >= needed or (look.loss > MAX_LOSS and now - self._since_s > own_s)

    def _floor(self, look: Look) -> float:
        each = FLOOR_CONNECTION_BYTES_PER_S * look.busy
        return max(FLOOR_BYTES_PER_S, FLOOR_SHARE * self.capacity, each)

    def _step(self, look: Look) -> float:
        """How long after a change of the rate its effect is seen."""
        return max(look.base_s + look.queue_s + REACTION_S, MIN_STEP_S)

    def _enter(self, state: State, rate: float, now: float) -> None:
        self.state = state
        self.rate = rate
        self._since_s = self._step_s = now
        self._best = self._peak_s = 0.0

    @property
    def reclaims(self) -> float:
        """The rate that is soon wanted after a yield; 0.0 if there was none, or it is reached."""
        return HEADROOM * self.capacity if self.state is State.GROWING else 0.0

    # --- the steps ---------------------------------------------------------------------------------

    def _grow(self, look: Look, elapsed_s: float, now: float) -> None:
        if self._congested(look, now):
            if self.capacity:
                if self.rate >= 0.4 * self.capacity and self._yields >= PATIENT_YIELDS:
                    self.capacity = max(look.bytes_per_s, 0.9 * self.capacity)
                self._yield(look, now)
            else:
                self.capacity = look.bytes_per_s
                self._probe_after_s = FIRST_PROBE_AFTER_S
                self._enter(State.DRAINING, DRAIN_GAIN * self.capacity, now)
            return
        used = look.bytes_per_s >= 0.5 * self._told.least
        if not used and now - self._since_s > 3.0 * self._step(look):
            return
        growth = self._growth(look, now)
        if look.base_s > 0.0:
            self.rate *= growth ** (elapsed_s / self._step(look))
        if self.capacity and self.rate >= HEADROOM * self.capacity:
            self._made_sure = False
            self._enter(State.CRUISING, HEADROOM * self.capacity, now)

    def _growth(self, look: Look, now: float) -> float:
        if look.base_s > LONG_TRIP_S and self.capacity:
            if now - self._noise_s < QUIET_TRIPS * look.base_s:
                return GROWTH_SHY
            return GROWTH_FAR if self.rate < self.capacity / 4.0 else GROWTH
        if self._nears_found(look, now):
            return GROWTH_FOUND
        return GROWTH_NEAR if self.rate < self.capacity / 2.0 else GROWTH

    def _nears_found(self, look: Look, now: float) -> bool:
        near = FOUND_FROM * self._found < self.rate < FOUND_TO * self._found
        return near and now - self._found_s < FOUND_S and look.base_s >= MEDIUM_TRIP_S

    def _cruise(self, look: Look, now: float) -> None:
        far = look.base_s > LONG_TRIP_S
        elapsed_s = now - self._since_s
        congested, strongly = self._congested(look, now), look.queue_s >= 3.0 * self._trigger_s
        if elapsed_s >= (1.0 if far else OWN_STEPS) * self._step(look):
            early = self._made_sure = False
        else:
            early = not self._made_sure
        own = early or look.base_s < MEDIUM_TRIP_S
        passing = far and not strongly and look.queue_s > self._trigger_s
        if congested and own and not strongly:
            self._enter(State.DRAINING, DRAIN_GAIN * self.capacity, now)
            self._made_sure = True
        elif congested and not passing:
            self._give_way(look, now)
        elif far and (congested or (self._burst(look, BURST_S) and elapsed_s > self._step(look))):
            self._enter(State.WARY, DRAIN_GAIN * self.capacity, now)
        elif elapsed_s >= self._probe_after_s and look.queue_s <= self._trigger_s:
            gain = PROBE_GAIN_FAR if far else PROBE_GAIN
            self._enter(State.PROBING, gain * self.capacity, now)

    def _watch(self, look: Look, now: float) -> None:
        """In `State.WARY`."""
        elapsed_s = now - self._since_s
        again = self._burst(look, AGAIN_S) and elapsed_s > AGAIN_TRIPS * look.base_s
        stands = self._congested(look, now) and elapsed_s > self._step(look)
        if again or stands or look.queue_s >= 3.0 * self._trigger_s:
            self._give_way(look, now)
        elif elapsed_s > WARY_TRIPS * look.base_s:
            self._enter(State.CRUISING, HEADROOM * self.capacity, now)

    def _burst(self, look: Look, least_s: float) -> bool:
        """Whether somebody's slow start may have come by."""
        rise_s = look.queue_s - min(self._recent_s)
        return look.fresh and rise_s > max(least_s, BURST_JITTERS * self._jitter_s)

    def _give_way(self, look: Look, now: float) -> None:
        """From cruising."""
        if look.bytes_per_s < self.capacity:
            self.capacity = max(look.bytes_per_s, 0.97 * self.capacity)
        self._yield(look, now)

    def _probe(self, look: Look, now: float) -> None:
        step_s = self._step(look)
        expected_s = (self.rate / self.capacity - 1.0) * (now - self._step_s)
        if look.queue_s > 3.0 * self._trigger_s + expected_s:
            self._yield(look, now)
        elif self._congested(look, now):
            self._probe_after_s = min(max(2.0 * self._probe_after_s, PROBE_AFTER_S), MAX_PROBE_AFTER_S)
            self._enter(State.DRAINING, DRAIN_GAIN * self.capacity, now)
        elif now - self._step_s >= step_s + max(step_s, RATE_S):  # R is of this step alone
            if look.bytes_per_s < 1.01 * self.capacity:
                self._probe_after_s = min(max(2.0 * self._probe_after_s, PROBE_AFTER_S), MAX_PROBE_AFTER_S)
                self._enter(State.CRUISING, HEADROOM * self.capacity, now)
                return
            self._probe_after_s = PROBE_AFTER_S
            self.capacity = look.bytes_per_s
            self.rate = PROBE_GROWTH * self.capacity
            self._step_s = now

    def _drain(self, look: Look, now: float) -> None:
        self._best = max(self._best, look.bytes_per_s)
        self._peak_s = max(self._peak_s, look.queue_s)
        sent = min(self._told.least, self.capacity)
        if look.queue_s > self._trigger_s and look.bytes_per_s < MINE * sent:
            self._yield(look, now)
            return
        if look.queue_s <= self._trigger_s / 2.0:
            self.capacity = max(self._best, 0.97 * self.capacity)
            self._enter(State.CRUISING, HEADROOM * self.capacity, now)
            return
        self.rate = DRAIN_GAIN * min(self._best, max(self.capacity, look.bytes_per_s))
        needed_s = 2.0 * self._step(look) + self._peak_s / (1.0 - DRAIN_GAIN)
        if now - self._since_s > needed_s:
            self._yield(look, now)

    def _yield(self, look: Look, now: float) -> None:
        soon = now - self._reclaimed_s < SOON_S
        self._yields = self._yields + 1 if soon else 0
        self._found, self._found_s = (look.bytes_per_s if soon else 0.0), now
        self._probe_after_s = FIRST_PROBE_AFTER_S
        self._least_s = math.inf
        self._enter(State.YIELDING, 0.0, now)

    def _hold(self, look: Look, now: float) -> None:
        self.rate = 0.0  # the floor lifts it
        trips_s = HOLD_TRIPS * look.base_s
        hold_s = max(HOLD_S, trips_s) * (1.0 + 0.5 * self._yields)
        hold_s = min(hold_s, max(MAX_HOLD_S - 2.0 * look.base_s, trips_s))
        clear = now - max(self._clear_since_s, self._since_s) >= hold_s
        quiet = now - max(self._noise_s, self._since_s + look.base_s) >= max(
            HOLD_S / 2.0, QUIET_TRIPS * look.base_s
        )
        if clear or (quiet and look.base_s > LONG_TRIP_S):
            self._reclaimed_s = now
            self._enter(State.GROWING, self._floor(look), now)
