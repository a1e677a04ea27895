"""Looks at the run several times a second: what limits it, and how far big bodies have come.

Rules:

* What is looked at is there already: counts, queues, and a few sockets. A look costs some 50 µs.
* What limits is found out in every run, for its summary; events are made for those who want them.
* Looks come every TICK_S in the first second, then every SLOW_TICK_S.  Where somebody wants to see bytes,
  those are looked at every TICK_S throughout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice

import msgspec

from s3_upload.http1.trace import Transfer
from s3_upload.observe.events import BytesAcknowledged, Events, LimitsChanged
from s3_upload.observe.limits import ANSWERS, AWAY, LINK, READING, SILENT_S, Shares, Standing, limited_by
from s3_upload.report import PaceReport
from s3_upload.s3.operations import CARRIES_DATA
from s3_upload.transfer.given import Given, Runtime
from s3_upload.transfer.guard import Timers
from s3_upload.transfer.record import Record
from s3_upload.transfer.tries import Attempt
from s3_upload.transfer.watchdog import Watchdog

TICK_S, SLOW_TICK_S, FIRST_S = 0.1, 0.25, 1.0
MAX_PROBED = 16
"""Sockets that are looked at to tell whether requests are still being sent."""
DELAYED_ACK_S = 0.05
"""Linux delays an acknowledgement by 40 ms."""
BIG_BYTES = 256 << 10
"""For bodies of this size and more it is told how far they have come."""


class Processors:
    """How busy they are, between two looks."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._busy_s = runtime.busy_s()
        self._all_busy_s: float | None = None  # at the last look, if files were what was waited for

    def busy_share(self, elapsed_s: float) -> float:
        """Of the loop's thread."""
        before, self._busy_s = self._busy_s, self._runtime.busy_s()
        return (self._busy_s - before) / elapsed_s

    def limited_by(self, standing: Standing, elapsed_s: float) -> str:
        """What limits. Where that is the reading of files, it may be the processors that readers wait for."""
        before, self._all_busy_s = self._all_busy_s, None
        name = limited_by(standing)
        # To look at all threads costs too much for every look.
        if name != READING:
            return name
        self._all_busy_s = self._runtime.all_busy_s()
        if before is None:
            return name
        share = (self._all_busy_s - before) / elapsed_s
        return limited_by(msgspec.structs.replace(standing, all_busy_share=share))


class LimitsTeller:
    """Makes events of what limits, for those who want them."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._wanted = events.wants(LimitsChanged)
        self._told: LimitsChanged | None = None

    def tell(self, standing: Standing, name: str, pace: PaceReport | None, now: float) -> None:
        if not self._wanted:
            return
        # Compared without its time: what has not changed is not told again.
        found = LimitsChanged(
            at_s=0.0,
            requests=standing.requests,
            max_requests=standing.max_requests,
            limited_by=name,
            rate_per_s=standing.rate_per_s,
            bytes_per_s=pace.pace_bytes_per_s if pace is not None else 0.0,
            silent_since_s=round(now - standing.silent_s, 3) if _is_silent(standing, name) else None,
        )
        if found != self._told:
            self._told = found
            self._events.tell(msgspec.structs.replace(found, at_s=now))


class BytesTeller:
    """Makes events of how far big bodies have come."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.wanted = events.wants(BytesAcknowledged)
        self._acknowledged: dict[Record, int] = {}

    def tell(self, in_flight: Iterable[Attempt], now: float) -> None:
        before = self._acknowledged
        found: dict[Record, int] = {}
        for attempt in in_flight:
            operation = attempt.request.operation
            body_bytes = len(operation.body) if operation.name in CARRIES_DATA else 0
            # A copy sends the bytes of its original, which count once.
            if body_bytes < BIG_BYTES or attempt.hedge or attempt.request.settled:
                continue
            record = attempt.request.record
            found[record] = found.get(record, record.stored_bytes) + _arrived(attempt, body_bytes)
        for record, count in found.items():
            if before.get(record) != count:
                self._events.tell(
                    BytesAcknowledged(
                        at_s=now,
                        seq=record.seq,
                        key=record.key,
                        bytes=count,
                        size=record.known_size,
                        resumed_bytes=record.resumed_bytes,
                    )
                )
        self._acknowledged = found


class Observer:
    """See the module's rules. `stand`: how the run stands, apart from what is read here."""

    def __init__(
        self, given: Given, watchdog: Watchdog, timers: Timers, stand: Callable[[], Standing]
    ) -> None:
        self._watchdog = watchdog
        self._timers = timers
        self._stand = stand
        self._pace = given.paced
        self._processors = Processors(given.runtime)
        self._limits = LimitsTeller(given.events)
        self._bytes = BytesTeller(given.events)
        self._shares = Shares()
        self._looked_s = 0.0
        self._timer: asyncio.TimerHandle | None = self._timers.later(TICK_S, self._act)

    def shares(self) -> dict[str, float]:
        """What has limited the run so far, as shares of its time."""
        return self._shares.of(self._timers.now())

    def finish(self) -> None:
        """No more looks; the last one counts for the rest of the time. Raises what a listener raises."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._look()

    def close(self) -> None:
        """The same at any end of a run, and raises nothing."""
        # What a listener raises now must not keep the rest from being closed, nor hide why the run ended.
        self._timers.guard(self.finish)()

    def _act(self) -> None:
        now = self._timers.now()
        is_first = now < FIRST_S
        every_s = TICK_S if is_first or self._bytes.wanted else SLOW_TICK_S
        self._timer = self._timers.later(every_s, self._act)
        # Half a tick early is near enough: the ticks for bytes need not fall together with those of looks.
        if is_first or now - self._looked_s > SLOW_TICK_S - TICK_S / 2:
            self._look()
        if self._bytes.wanted:
            self._bytes.tell(self._watchdog.in_flight, now)

    def _look(self) -> None:
        now = self._timers.now()
        elapsed_s = now - self._looked_s
        if elapsed_s <= 0.0:
            return
        pace = self._pace()
        standing = msgspec.structs.replace(
            self._stand(),
            busy_share=self._processors.busy_share(elapsed_s),
            sending_share=self._sending_share(),
            paced=pace.state if pace is not None else "",
            pace_used=_used(pace),
        )
        self._looked_s = now
        name = self._processors.limited_by(standing, elapsed_s)
        # That a store is away shows late: it counts from the last sign of life on.
        self._shares.add(name, now=now, since_s=now - standing.silent_s if name == AWAY else None)
        self._limits.tell(standing, name, pace, now)

    def _sending_share(self) -> float:
        attempts, now = self._watchdog.in_flight, self._timers.now()
        # Some of them, old ones and new ones: a look has to stay cheap.
        step = max(1, len(attempts) // MAX_PROBED)
        asked = sending = 0
        for attempt in islice(attempts, 0, None, step):
            trace = attempt.trace
            if transfer := trace.transfer():
                asked += 1
                sending += _is_sending(transfer, now - trace.request_s)
        return sending / asked if asked else 0.0


def _arrived(attempt: Attempt, body_bytes: int) -> int:
    """How much of a body the other side has, as far as the socket tells."""
    if attempt.acked_s:
        return body_bytes
    transfer = attempt.trace.transfer()
    return max(0, body_bytes - transfer.left_bytes) if transfer is not None else 0


def _is_silent(standing: Standing, name: str) -> bool:
    """Not where something else explains it."""
    return standing.silent_s >= SILENT_S and not standing.away and name in {AWAY, LINK, ANSWERS}


def _used(pace: PaceReport | None) -> float:
    return (
        pace.acked_bytes_per_s / pace.pace_bytes_per_s if pace is not None and pace.pace_bytes_per_s else 0.0
    )


def _is_sending(transfer: Transfer, age_s: float) -> bool:
    """Whether a request still waits for the link to carry its bytes."""
    if transfer.unsent_bytes:
        return True
    # What was sent may have arrived: a receiver acknowledges up to DELAYED_ACK_S later, or with its answer.
    return transfer.left_bytes > 0 and age_s > DELAYED_ACK_S + 2 * transfer.trip_s
