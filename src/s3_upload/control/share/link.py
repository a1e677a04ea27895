"""What all connections together say of the link. Pure: samples and `now` in, a `Look` out.

Theory of operation (`base_minutes` and the like are fields of `Tuning`).

1. *Round trip of a connection*: the kernel reports a smoothed one, with SRTT = (1 - 1/8) * SRTT + R / 8 for
   each acknowledgement.  With n of them between two looks the mean of their R is

       R = (srtt - w * srtt_before) / (1 - w)        w = (7/8) ** n

   which is as fresh as the look itself.  A connection without a new acknowledgement says nothing.
2. *Round trip of a look*: the lower quartile of its connections' R.  (The quartile is low since delayed
   acknowledgements make some of them too long.)
3. *Base*: the least in the last `base_minutes` (RFC 6817: base history) of medians, first over the
   connections and then over `base_looks` looks.  (The plain minimum would keep one odd measurement as long.
   There are such: at a pace of a packet every 80 ms Linux has reported round trips 54 ms too short, probably
   of probes for a lost tail, which go at once but are dated when the pace would have let them go.)  *Queue*:
   the round trip now, less the base.
4. *Rate*: bytes acknowledged, selectively too, over the last RATE_S, or the round trip where that is longer.
5. *Loss*: retransmissions per segment sent over the last LOSS_S.
6. *Fresh connections* open their windows faster than old ones whose windows losses have made small.  In
   FRESH_TRIPS round trips of slow start a new connection reaches FRESH_BYTES per round trip.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import msgspec

from s3_upload.report import ConnectionSample

RATE_S = 0.25
"""Rates are averages over at least this many seconds."""
LOSS_S = 1.0
"""Loss ratios are averages over this many seconds."""
REACTION_S = 0.05
"""The effect of a change is visible a round trip and this many seconds later."""
TRIGGER_S = 0.005
"""A queueing delay of more than this many seconds counts as a queue."""
LONG_TRIP_S = 0.2
"""Round trips of more than this many seconds are long: other traffic is then noticed late."""
FRESH_TRIPS = 3.0
"""A new connection is given this many round trips of slow start (step 6)."""
FRESH_BYTES = 2**3 * 10 * 1448
"""Ten segments (RFC 6928), doubled in each of FRESH_TRIPS round trips."""
FLOOR_CONNECTION_BYTES_PER_S = 1_024.0
"""Every connection may send this many bytes per second: below, a timeout of either side would end it."""


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory, but for those that others need too."""

    srtt_weight: float = 7 / 8
    """The weight of the old value in the kernel's SRTT (RFC 6298, 2.3: 1 - alpha)."""
    base_minutes: int = 10
    """The base is the minimum over this many minutes (BASE_HISTORY of RFC 6817, section 2.5)."""
    base_looks: int = 9
    """The base takes medians over this many looks."""
    min_segments: int = 50
    """Below this many segments a loss ratio is noise."""
    history_s: float = 3.0
    """Sums are kept for this many seconds: no rate may span more."""


DEFAULT = Tuning()


def unsmoothed(srtt_s: float, before_s: float, acks: int, weight: float) -> float:
    """Step 1: the mean of the `acks` samples that turned `before_s` into `srtt_s` (RFC 6298, 2.3)."""
    kept = weight**acks
    return (srtt_s - kept * before_s) / (1.0 - kept)


def fresh_connections(missing_bytes_per_s: float, base_s: float) -> int:
    """How many new connections together reach this rate after FRESH_TRIPS round trips of `base_s`."""
    return math.ceil(missing_bytes_per_s * max(base_s, REACTION_S) / FRESH_BYTES)


class Recent:
    """The least and the greatest value of the recent past.

    Only values that may still become one are kept: for `least` they ascend, for `most` they descend.
    """

    def __init__(self) -> None:
        self._least: deque[tuple[float, float]] = deque()  # when, value
        self._most: deque[tuple[float, float]] = deque()

    def add(self, value: float, *, now: float, over_s: float) -> None:
        """`now` only grows; what is older than `over_s` is forgotten."""
        # A later value that surpasses this one also outlives it, so this one can never be the extreme again.
        while self._least and self._least[-1][1] >= value:
            self._least.pop()
        while self._most and self._most[-1][1] <= value:
            self._most.pop()
        for values in (self._least, self._most):
            values.append((now, value))
            while values[0][0] < now - over_s:
                values.popleft()

    @property
    def least(self) -> float:
        """math.inf before there is any."""
        return self._least[0][1] if self._least else math.inf

    @property
    def most(self) -> float:
        """-math.inf before there is any."""
        return self._most[0][1] if self._most else -math.inf


class Look(msgspec.Struct, frozen=True, gc=False):
    """The link at one moment; see the module's theory. `fresh`: something was acknowledged since the last.

    `acked_bytes` is the sum since the run began; `busy`: connections with a request under way, `waiting`:
    with bytes that wait to be sent; `window_bytes_per_s`: what the congestion windows of those that are busy
    let through.  `base_s` is 0.0 while nothing is known.
    """

    at_s: float = 0.0
    queue_s: float = 0.0
    base_s: float = 0.0
    bytes_per_s: float = 0.0
    acked_bytes: int = 0
    loss: float = 0.0
    retransmits: int = 0
    fresh: bool = False
    connections: int = 0
    busy: int = 0
    waiting: int = 0
    window_bytes_per_s: float = 0.0


class LinkView:
    """Turns samples into looks."""

    def __init__(self, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._last: dict[int, ConnectionSample] = {}
        self._minutes: deque[tuple[float, float]] = deque()  # begin, least round trip
        self._sums: deque[tuple[float, int, int, int]] = deque()  # when, acked, sent, retransmitted
        self._acked_bytes = self._segments = self._retransmits = 0
        self._queue_s = 0.0
        self._medians_s: deque[float] = deque(maxlen=tuning.base_looks)

    def look(self, samples: Iterable[ConnectionSample], *, now: float) -> Look:
        samples = list(samples)
        before_retransmits = self._retransmits
        trips = [trip_s for sample in samples if (trip_s := self._advance(sample)) is not None]
        self._last = {sample.number: sample for sample in samples}
        if trips:
            trips.sort()
            # The lower quartile: delayed acknowledgements make some round trips too long.
            trip_s = trips[(len(trips) - 1) // 4]
            self._forget(now)
            self._medians_s.append(trips[len(trips) // 2])
            base_s = self._base(sorted(self._medians_s)[len(self._medians_s) // 2], now)
            self._queue_s = max(0.0, trip_s - base_s)  # as in RFC 6817, section 3.1.2, but of round trips
        else:
            # No connection tells of a round trip: the queue is assumed to be unchanged.
            base_s = min((least_s for _, least_s in self._minutes), default=0.0)
        self._sums.append((now, self._acked_bytes, self._segments, self._retransmits))
        while self._sums[0][0] < now - self._tuning.history_s:
            self._sums.popleft()
        return Look(
            at_s=now,
            queue_s=self._queue_s,
            base_s=base_s,
            bytes_per_s=self.rate(max(RATE_S, base_s), now=now),
            acked_bytes=self._acked_bytes,
            loss=self._loss(now),
            retransmits=self._retransmits - before_retransmits,
            fresh=bool(trips),
            connections=len(samples),
            busy=sum(sample.busy for sample in samples),
            waiting=sum(sample.waiting for sample in samples),
            window_bytes_per_s=sum(sample.window_bytes_per_s for sample in samples if sample.busy),
        )

    def rate(self, over_s: float, *, now: float) -> float:
        """Bytes acknowledged per second in the last `over_s` <= history_s."""
        first = self._at(now - over_s)
        elapsed_s = now - first[0]
        return (self._acked_bytes - first[1]) / elapsed_s if elapsed_s > 0.0 else 0.0

    def _loss(self, now: float) -> float:
        _, _, segments, retransmits = self._at(now - LOSS_S)
        sent = self._segments - segments
        return (self._retransmits - retransmits) / sent if sent >= self._tuning.min_segments else 0.0

    def _at(self, moment: float) -> tuple[float, int, int, int]:
        """The sums at the last look before that moment, or at the first look kept."""
        found = self._sums[0]
        for entry in self._sums:
            if entry[0] > moment + 1e-9:
                break
            found = entry
        return found

    def _advance(self, sample: ConnectionSample) -> float | None:
        """Adds what a connection has sent since the last look; returns its newest round trip, if any."""
        last = self._last.get(sample.number)
        if last is None:
            # Bytes from before the first look belong to an earlier run on this connection.
            if self._sums:
                self._acked_bytes += sample.acked_bytes
                self._segments += sample.sent_segments
                self._retransmits += sample.retransmits
            return sample.rtt_s if sample.acks > 1 else None
        self._acked_bytes += sample.acked_bytes - last.acked_bytes
        self._segments += sample.sent_segments - last.sent_segments
        self._retransmits += sample.retransmits - last.retransmits
        # Only an acknowledgement of new bytes carries a round trip of now.
        acks = sample.acks - last.acks
        if acks <= 0 or sample.acked_bytes == last.acked_bytes:
            return None
        trip_s = unsmoothed(sample.rtt_s, last.rtt_s, acks, self._tuning.srtt_weight)
        return max(sample.min_rtt_s, trip_s)

    def _base(self, trip_s: float, now: float) -> float:
        """Step 3: base_delay of RFC 6817, section 2.4.2, a minimum for each minute."""
        if not self._minutes or now >= self._minutes[-1][0] + 60.0:
            self._minutes.append((now, trip_s))
        begin_s, least_s = self._minutes[-1]
        self._minutes[-1] = begin_s, min(least_s, trip_s)
        return min(least_s for _, least_s in self._minutes)

    def _forget(self, now: float) -> None:
        """Old minima expire minute by minute, so the base follows when the route becomes longer."""
        # By their age: a run that had nothing to send for an hour may come back on another route.
        since_s = now - 60.0 * self._tuning.base_minutes
        while self._minutes and self._minutes[0][0] <= since_s:
            self._minutes.popleft()
        if not self._minutes:
            self._medians_s.clear()
