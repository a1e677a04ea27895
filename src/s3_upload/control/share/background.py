"""Share "background": the link's spare capacity, and nothing that anybody else wants. Pure.

Theory of operation (`min_step_s` and the like are fields of `Tuning`).  LEDBAT (RFC 6817) keeps a queue of
its own and yields when it grows.  On paths with long round trips that queue alone ends another flow's slow
start (HyStart, RFC 9406), and a latecomer takes it for the base.  This algorithm keeps no queue.  It knows
how much the link carries (C) and sends a little less.  So any queue is other traffic's, or shows that C is
wrong.  q is the queueing delay and R the acknowledged rate.  A *step* is the time after which the effect of
a change is visible: a round trip and REACTION_S, at least `min_step_s`.

1. *Growing* from `start_bytes_per_s`, or from the floor, up to `headroom` * C; then 2.

   - The factor for each step is `growth_near` (2) below C / 2, else `growth` (1.5).
   - Above LONG_TRIP_S it is `growth_far` (4) below C / 4, else `growth`.  It is `growth_shy` (1.25) if any
     look of the last `quiet_trips` had a queue of `quiet_s` (or `quiet_bytes`, if that is more) above the
     least since the last yield: that is other traffic, and all that is sent before a queue shows would be
     too much.
   - A yield soon (`soon_s`) after the last reclaim shows that other traffic uses a part of the link.  The
     rest was F = R, and is soon reached again; what is sent before the queue shows would cost the others
     packets.  So from `medium_trip_s` on, for `found_s`, the factor is `growth_found` (1.125) between F / 2
     and 1.5 F.
   - While C is not known, the factor is `growth`, until q is above the trigger (5) in three looks, or
     strongly in two.  Then C = R, and 4.
   - A rate that is not used (R below `used` of the least rate that R may measure) does not grow.

2. *Cruising* at `headroom` * C (98 %); after `probe_after_s` 3.

   - A small queue in the first `own_steps` steps (above LONG_TRIP_S: in the first) still comes from 1 or 3,
     and leads to 4, once: a queue that comes again right after the drain is not ours.  Below `medium_trip_s`
     any small queue leads to 4, since there is time to find out whose it is.
   - Above LONG_TRIP_S another flow's slow start comes as bursts, a round trip apart and each twice the last.
     A queue that stands when one comes ends it for good (HyStart).  So a rise of q by `burst_s`, or by
     `burst_jitters` times its usual change, within `burst_looks` looks, makes this flow *wary*: it sends
     `drain_gain` * C for `wary_trips` round trips.  If another burst comes from `again_trips` on, of
     `again_s`, or the queue stands, 5 follows, else 2.  A queue of one to three triggers makes it wary as
     well: a single event (a pause of some machine on the path) passes.

3. *Probing* at `probe_gain` * C (105 %; above LONG_TRIP_S `probe_gain_far`, 103 %, for the same reason), for
   a step and as long as R takes to measure it.  If R is above C and no queue has come, C = R, and the next
   probe is at `probe_growth` (1.25) times C.  Otherwise 2 follows, or 4 if there is a queue, and
   `probe_after_s` doubles up to `max_probe_after_s`.
4. *Draining* at `drain_gain` * C (80 %).  While a queue from 1 or 3 stands, R is what the link carries.  So
   the highest R becomes C, but not less than `kept` (0.97) of the old C.  When q is below half of the
   trigger, 2 follows.  If that takes longer than two steps and the time for the highest q, or if R is below
   `mine` of what was sent, other traffic fills the queue, and 5 follows.
5. *Yielding*: the rate drops to the floor at once.

   - This happens while growing to a known C or cruising, when q is above the trigger in two looks, or
     `strong` times as large in one, or when `max_loss` of the packets are lost.
   - The trigger is TRIGGER_S, or `jitters` times the usual change of q between looks, at most
     `max_trigger_s`.
   - One high look does not count where a delayed acknowledgement looks like a queue: of `looks` looks where a
     round trip is below `short_trip_s`, and while growing below `few` of C.  (With long round trips a slow
     start comes in bursts, and each counts.)
   - When q has been below the trigger for a *hold*, 1 follows.  A hold is `hold_s` or `hold_trips` round
     trips, in which another flow's slow start fills the link.  A yield soon (`soon_s`) after the last hold
     adds half as much, up to `max_hold_s` less two round trips.  Above LONG_TRIP_S, `quiet_trips` round
     trips without any burst suffice.

6. *Correcting C*: a yield while cruising makes C = max(R, `kept` * C).  A yield while growing, at
   `doubted_from` * C (0.4) or more, makes it max(R, `kept_growing` * C), if `patient_yields` others came
   soon after one another before it.  (Beside a flow that has the link, growing ends far below that, and C
   stays known.  So the link is reclaimed in a few steps.)  After `doubting_yields` of them one does so
   wherever growing ended: the link may have become slower by a multiple.

The floor is `floor_share` of C, at least `floor_bytes_per_s`, and FLOOR_CONNECTION_BYTES_PER_S for each
connection.  It is enough to see the queue, and keeps either side's timeouts from ending idle connections.
It may be more than a link carries that has become slower, and then the queue never goes.  So a yield that has
lasted `doubted_floor_s`, and those in a row after it, have no share of C.
"""

from __future__ import annotations

import enum
import math
from collections import deque

import msgspec

from s3_upload.control.share import others
from s3_upload.control.share.link import (
    FLOOR_CONNECTION_BYTES_PER_S,
    LONG_TRIP_S,
    LOSS_S,
    RATE_S,
    REACTION_S,
    Look,
    Recent,
)


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory, but for those that others need too."""

    start_bytes_per_s: float = 250_000.0
    """The rate at first, in bytes per second."""
    min_step_s: float = 0.15
    """The shortest step, in seconds."""
    growth: float = 1.5
    """The rate is multiplied by this each step (step 1)."""
    growth_near: float = 2.0
    """The same below C / 2 (step 1)."""
    growth_far: float = 4.0
    """The same below C / 4 on a path with long round trips (step 1)."""
    growth_shy: float = 1.25
    """The same on such a path when other traffic shows (step 1)."""
    growth_found: float = 1.125
    """The same near F, the part of the link that other traffic left (step 1)."""
    found_s: float = 10.0
    """F is remembered for this many seconds (step 1)."""
    found_from: float = 0.5
    """Near F begins at this share of F (step 1)."""
    found_to: float = 1.5
    """Near F ends at this many times F (step 1)."""
    used: float = 0.5
    """A rate does not grow while less than this share of it is acknowledged (step 1)."""
    quiet_trips: float = 2.5
    """It counts for this many round trips (steps 1 and 5)."""
    headroom: float = 0.98
    """The rate while cruising, as a share of C (step 2)."""
    own_steps: float = 3.0
    """In the first steps of cruising, this many, a queue still comes from the state before (step 2)."""
    burst_s: float = 0.002
    """A rise of the queue by this many seconds is a burst (step 2)."""
    again_s: float = 0.001
    """A rise by this many seconds is a second burst (step 2)."""
    again_trips: float = 0.85
    """A second burst counts from this many round trips after the first on (step 2)."""
    wary_trips: float = 2.25
    """Caution after a first burst lasts this many round trips (step 2)."""
    medium_trip_s: float = 0.05
    """From this many seconds on there is no time to find out whose a queue is (steps 1 and 2)."""
    first_probe_after_s: float = 0.5
    """The first probe after a yield comes after this many seconds of cruising."""
    probe_after_s: float = 2.5
    """Every other probe comes after this many seconds of cruising (step 2)."""
    max_probe_after_s: float = 20.0
    """Probes that find nothing double that wait up to this many seconds (step 3)."""
    probe_gain: float = 1.05
    """The rate of a probe, in C (step 3)."""
    probe_gain_far: float = 1.03
    """The same on a path with long round trips (step 3)."""
    probe_growth: float = 1.25
    """The rate of the next probe after one that found more, in C (step 3)."""
    gained: float = 1.01
    """A probe has found more if this many times C is acknowledged (step 3)."""
    drain_gain: float = 0.8
    """The rate while draining, in C (steps 2 and 4)."""
    mine: float = 0.85
    """The queue is other traffic's if less than this share of what was sent is acknowledged (step 4)."""
    strong: float = 3.0
    """A queue of this many triggers is strong: it counts at once (steps 2, 3 and 5)."""
    few: float = 0.1
    """Below this share of C a strong queue counts as any other (step 5)."""
    max_loss: float = 0.02
    """It yields when more than this share of the packets is lost (step 5)."""
    hold_s: float = 1.0
    """The shortest hold, in seconds (step 5)."""
    hold_trips: float = 4.0
    """The shortest hold in round trips: another flow's slow start fills the link in that time (step 5)."""
    max_hold_s: float = 2.0
    """The longest hold, in seconds (step 5)."""
    soon_s: float = 5.0
    """A yield within this many seconds after a hold came soon (steps 1 and 5)."""
    patient_yields: int = 2
    """After this many such yields in a row, one while growing lowers C (step 6)."""
    doubting_yields: int = 20
    """After this many such yields in a row, any one while growing lowers C (step 6)."""
    kept: float = 0.97
    """A measurement lowers C to this share of it at the most (steps 4 and 6)."""
    kept_growing: float = 0.9
    """The same while growing (step 6)."""
    doubted_from: float = 0.4
    """A yield while growing lowers C only from this share of C on (step 6)."""
    floor_share: float = 0.01
    """The floor as a share of C: enough to see the queue."""
    floor_bytes_per_s: float = 32_000.0
    """The floor at the least, in bytes per second."""
    doubted_floor_s: float = 10.0
    """After this many seconds of a yield the floor is no share of C."""
    queue: others.Tuning = others.DEFAULT
    """What of a queue counts."""


DEFAULT = Tuning()


class State(enum.StrEnum):
    """Steps 1 to 5; the values are those of `PaceReport.state`."""

    GROWING = "growing"
    CRUISING = "cruising"
    PROBING = "probing"
    DRAINING = "draining"
    WARY = "wary"
    YIELDING = "yielding"


class Stay:
    """In one state. `step_s`: when the probe's present step began; `best`, `peak_s`: the highest R and q
    while draining."""

    def __init__(self, now: float) -> None:
        self.since_s = self.step_s = now
        self.best = self.peak_s = 0.0


class Sent:
    """What was sent. `told`: the rates that R tells of."""

    def __init__(self) -> None:
        self.told = Recent()
        self._young: deque[tuple[float, float]] = deque()  # when, rate: cannot be acknowledged yet
        self._last_s = 0.0

    def add(self, rate: float, look: Look, *, now: float) -> float:
        """`rate` is sent from now on. Returns the seconds since the last one."""
        elapsed_s, self._last_s = now - self._last_s, now
        # R measures what was sent a round trip ago, so each rate is kept for that long.
        self._young.append((now, rate))
        while self._young and self._young[0][0] <= now - look.base_s:
            self.told.add(self._young.popleft()[1], now=now, over_s=max(look.base_s, RATE_S) + REACTION_S)
        return elapsed_s


class Yields:
    """`in_a_row`: how many came soon after one another; `reclaimed_s`: when the last hold ended; `found`: F,
    which showed at `found_s`; `doubted`: one in this row was so long that the floor may be too high."""

    def __init__(self) -> None:
        self.in_a_row = 0
        self.reclaimed_s = -math.inf
        self.found = 0.0
        self.found_s = -math.inf
        self.doubted = False

    def begin(self, look: Look, *, soon_s: float, now: float) -> None:
        # A yield this soon shows that the link was not free. Each one in a row makes the hold longer.
        soon = now - self.reclaimed_s < soon_s
        self.in_a_row = self.in_a_row + 1 if soon else 0
        self.doubted = self.doubted and soon
        self.found, self.found_s = (look.bytes_per_s if soon else 0.0), now


class BackgroundShare:
    """The algorithm of the module's theory. `rate`: bytes per second, what all connections may send."""

    heedless = False
    due = 0.0

    def __init__(self, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self.rate = tuning.start_bytes_per_s
        self.state = State.GROWING
        self.capacity = 0.0  # C
        self._stay = Stay(0.0)
        self._queue = others.Queue(tuning.queue)
        self._sent = Sent()
        self._yields = Yields()
        self._made_sure = False  # a first queue of this cruising was drained as its own
        self._probe_after_s = tuning.probe_after_s

    def decide(self, look: Look, *, now: float) -> float:
        """The rate from now on. `now` only grows."""
        elapsed_s = self._sent.add(self.rate, look, now=now)
        self._queue.add(look, self.capacity, yields=self.yields, now=now)
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

    def _congested(self, look: Look, now: float) -> bool:
        # With C unknown the queue is probably our own, and a third look makes the measurement of C better.
        tuning = self._tuning
        needed = 2 if self.capacity else 3
        if look.queue_s > tuning.strong * self._queue.trigger_s and self.rate > tuning.few * self.capacity:
            needed -= 1
        # Until then the loss ratio still includes losses from before this state.
        own_s = LOSS_S + self._step(look)
        loses = look.loss > tuning.max_loss and now - self._stay.since_s > own_s
        return self._queue.above >= needed or loses

    def _floor(self, look: Look) -> float:
        each = FLOOR_CONNECTION_BYTES_PER_S * look.busy
        share = 0.0 if self.yields and self._yields.doubted else self._tuning.floor_share
        return max(self._tuning.floor_bytes_per_s, share * self.capacity, each)

    def _step(self, look: Look) -> float:
        """The seconds after which the effect of a change is visible."""
        return max(look.base_s + look.queue_s + REACTION_S, self._tuning.min_step_s)

    def _enter(self, state: State, rate: float, now: float) -> None:
        self.state = state
        self.rate = rate
        self._stay = Stay(now)

    @property
    def yields(self) -> bool:
        return self.state is State.YIELDING

    @property
    def reclaims(self) -> float:
        """The rate that is soon wanted after a yield; 0.0 if there was none, or it is reached."""
        return self._tuning.headroom * self.capacity if self.state is State.GROWING else 0.0

    # --- the steps ---------------------------------------------------------------------------------

    def _grow(self, look: Look, elapsed_s: float, now: float) -> None:
        tuning = self._tuning
        if self._congested(look, now):
            if self.capacity:
                near = self.rate >= tuning.doubted_from * self.capacity
                if self._yields.in_a_row >= (tuning.patient_yields if near else tuning.doubting_yields):
                    self.capacity = max(look.bytes_per_s, tuning.kept_growing * self.capacity)
                self._yield(look, now)
            # Nothing goes through: that is a gap, and says nothing of what the link carries.
            elif not look.bytes_per_s:
                self._yield(look, now)
            else:
                self.capacity = look.bytes_per_s
                self._probe_after_s = tuning.first_probe_after_s
                self._enter(State.DRAINING, tuning.drain_gain * self.capacity, now)
            return
        # A rate that is not used (a slow disk, say) has not been tested, so it must not grow further.
        used = look.bytes_per_s >= tuning.used * self._sent.told.least
        if not used and now - self._stay.since_s > 3.0 * self._step(look):
            return
        growth = self._growth(look, now)
        if look.base_s > 0.0:
            # Only what looks have seen may grow: this process may have stood still for seconds.
            self.rate *= growth ** min(1.0, elapsed_s / self._step(look))
        if self.capacity and self.rate >= tuning.headroom * self.capacity:
            self._made_sure = False
            self._enter(State.CRUISING, tuning.headroom * self.capacity, now)

    def _growth(self, look: Look, now: float) -> float:
        tuning = self._tuning
        if look.base_s > LONG_TRIP_S and self.capacity:
            if now - self._queue.noise_s < tuning.quiet_trips * look.base_s:
                return tuning.growth_shy
            return tuning.growth_far if self.rate < self.capacity / 4.0 else tuning.growth
        if self._nears_found(look, now):
            return tuning.growth_found
        return tuning.growth_near if self.rate < self.capacity / 2.0 else tuning.growth

    def _nears_found(self, look: Look, now: float) -> bool:
        tuning, found = self._tuning, self._yields.found
        near = tuning.found_from * found < self.rate < tuning.found_to * found
        recent = now - self._yields.found_s < tuning.found_s
        return near and recent and look.base_s >= tuning.medium_trip_s

    def _cruise(self, look: Look, now: float) -> None:
        tuning = self._tuning
        far = look.base_s > LONG_TRIP_S
        elapsed_s = now - self._stay.since_s
        congested = self._congested(look, now)
        strongly = look.queue_s >= tuning.strong * self._queue.trigger_s
        burst = self._queue.bursts(look, tuning.burst_s) and elapsed_s > self._step(look)
        if elapsed_s >= (1.0 if far else tuning.own_steps) * self._step(look):
            early = self._made_sure = False
        else:
            early = not self._made_sure
        # On a short path there is time to drain first and see whose queue it is.
        own = early or look.base_s < tuning.medium_trip_s
        # A single event, such as a pause of some machine on the path, makes a queue that passes.
        passing = far and not strongly and look.queue_s > self._queue.trigger_s
        if congested and own and not strongly:
            self._enter(State.DRAINING, tuning.drain_gain * self.capacity, now)
            self._made_sure = True
        elif congested and not passing:
            self._give_way(look, now)
        elif far and (congested or burst):
            self._enter(State.WARY, tuning.drain_gain * self.capacity, now)
        elif elapsed_s >= self._probe_after_s and look.queue_s <= self._queue.trigger_s:
            gain = tuning.probe_gain_far if far else tuning.probe_gain
            self._enter(State.PROBING, gain * self.capacity, now)

    def _watch(self, look: Look, now: float) -> None:
        """Looks for the second burst of a slow start, in `State.WARY`."""
        tuning = self._tuning
        elapsed_s = now - self._stay.since_s
        again = self._queue.bursts(look, tuning.again_s) and elapsed_s > tuning.again_trips * look.base_s
        stands = self._congested(look, now) and elapsed_s > self._step(look)
        if again or stands or look.queue_s >= tuning.strong * self._queue.trigger_s:
            self._give_way(look, now)
        elif elapsed_s > tuning.wary_trips * look.base_s:
            self._enter(State.CRUISING, tuning.headroom * self.capacity, now)

    def _give_way(self, look: Look, now: float) -> None:
        """Yields from cruising, and lowers C."""
        # R may be less than the link carries, so it lowers C by a little at a time only.
        if look.bytes_per_s < self.capacity:
            self.capacity = max(look.bytes_per_s, self._tuning.kept * self.capacity)
        self._yield(look, now)

    def _probe(self, look: Look, now: float) -> None:
        tuning = self._tuning
        step_s = self._step(look)
        # A probe above the capacity makes a queue of its own, of a known size. Only more is other traffic.
        expected_s = (self.rate / self.capacity - 1.0) * (now - self._stay.step_s)
        if look.queue_s > tuning.strong * self._queue.trigger_s + expected_s:
            self._yield(look, now)
        elif self._congested(look, now):
            self._probe_after_s = min(
                max(2.0 * self._probe_after_s, tuning.probe_after_s), tuning.max_probe_after_s
            )
            self._enter(State.DRAINING, tuning.drain_gain * self.capacity, now)
        # From here on R covers this step alone.
        elif now - self._stay.step_s >= step_s + max(step_s, RATE_S):
            if look.bytes_per_s < tuning.gained * self.capacity:
                self._probe_after_s = min(
                    max(2.0 * self._probe_after_s, tuning.probe_after_s), tuning.max_probe_after_s
                )
                self._enter(State.CRUISING, tuning.headroom * self.capacity, now)
                return
            self._probe_after_s = tuning.probe_after_s
            self.capacity = look.bytes_per_s
            self.rate = tuning.probe_growth * self.capacity
            self._stay.step_s = now

    def _drain(self, look: Look, now: float) -> None:
        tuning = self._tuning
        self._stay.best = max(self._stay.best, look.bytes_per_s)
        self._stay.peak_s = max(self._stay.peak_s, look.queue_s)
        sent = min(self._sent.told.least, self.capacity)
        # The queue drains more slowly than we send: other traffic fills it.
        if look.queue_s > self._queue.trigger_s and look.bytes_per_s < tuning.mine * sent:
            self._yield(look, now)
            return
        if look.queue_s <= self._queue.trigger_s / 2.0:
            self.capacity = max(self._stay.best, tuning.kept * self.capacity)
            self._enter(State.CRUISING, tuning.headroom * self.capacity, now)
            return
        self.rate = tuning.drain_gain * min(self._stay.best, max(self.capacity, look.bytes_per_s))
        # A queue of our own making would be gone by then.
        needed_s = 2.0 * self._step(look) + self._stay.peak_s / (1.0 - tuning.drain_gain)
        if now - self._stay.since_s > needed_s:
            self._yield(look, now)

    def _yield(self, look: Look, now: float) -> None:
        self._yields.begin(look, soon_s=self._tuning.soon_s, now=now)
        self._probe_after_s = self._tuning.first_probe_after_s
        self._queue.forget_least()
        self._enter(State.YIELDING, 0.0, now)

    def _hold(self, look: Look, now: float) -> None:
        tuning = self._tuning
        self.rate = 0.0  # the floor lifts it
        if now - self._stay.since_s > tuning.doubted_floor_s:
            self._yields.doubted = True
        trips_s = tuning.hold_trips * look.base_s
        hold_s = max(tuning.hold_s, trips_s) * (1.0 + 0.5 * self._yields.in_a_row)
        hold_s = min(hold_s, max(tuning.max_hold_s - 2.0 * look.base_s, trips_s))
        clear = now - max(self._queue.clear_since_s, self._stay.since_s) >= hold_s
        quiet = now - max(self._queue.noise_s, self._stay.since_s + look.base_s) >= max(
            tuning.hold_s / 2.0, tuning.quiet_trips * look.base_s
        )
        if clear or (quiet and look.base_s > LONG_TRIP_S):
            self._yields.reclaimed_s = now
            self._enter(State.GROWING, self._floor(look), now)
