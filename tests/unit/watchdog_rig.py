"""A watchdog on a loop whose clock the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

import msgspec

from s3_upload.control.retrying.budget import SpeculationBudget
from s3_upload.control.waiting.adaptive import SMALL_BYTES
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.transfer.record import Record
from s3_upload.transfer.tries import Attempt, Request
from s3_upload.transfer.watchdog import Watchdog
from tests.unit.control.constants import SPECULATION

ALLOWED = Timeouts(connect_s=3.0, total_s=300.0, stall_s=5.0, response_s=2.0, hedge_s=0.5)

TIME_PAYS_NOTHING = msgspec.structs.replace(SPECULATION, income_per_s=0.0)
"""So that what is spent shows; `tests/unit/control/test_budget.py` has what time pays."""


class Timer:
    def __init__(self, when_s: float, callback: Callable[[], None]) -> None:
        self.when_s = when_s
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """What the watchdog uses of a loop: `call_later`. `now` is the clock."""

    def __init__(self) -> None:
        self.now_s = 10.0
        self.timers: list[Timer] = []
        self.armed = 0

    def now(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[..., None], *arguments: object) -> Timer:
        self.armed += 1
        self.timers.append(Timer(self.now_s + delay_s, partial(callback, *arguments)))
        return self.timers[-1]

    def pending(self) -> list[Timer]:
        self.timers = [timer for timer in self.timers if not timer.cancelled]
        return sorted(self.timers, key=lambda timer: timer.when_s)

    def fire(self) -> None:
        """Runs the next timer, whose time has come or, if it has not, comes now."""
        timer = self.pending()[0]
        self.timers.remove(timer)
        self.now_s = max(self.now_s, timer.when_s)
        timer.callback()

    def run_until(self, instant_s: float) -> None:
        while (pending := self.pending()) and pending[0].when_s <= instant_s:
            self.fire()
        self.now_s = instant_s


class Rig:
    """A watchdog on such a loop, and what it did: `cuts` as (instant, reason), `hedges` as attempts,
    `errors` that end the run."""

    def __init__(self, *, credit: int = 10, may_hedge: bool = True) -> None:
        self.loop = Loop()
        self.budget = SpeculationBudget(TIME_PAYS_NOTHING)
        while self.credit > credit:
            self.budget.take(now=self.loop.now_s)
        self.allowed: dict[Attempt, Timeouts] = {}
        self.cuts: list[tuple[float, str]] = []
        self.hedges: list[Attempt] = []
        self.errors: list[BaseException] = []
        self.may_hedge = may_hedge
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        self.watchdog = Watchdog(
            loop,
            self.loop.now,
            self.budget,
            timeouts_of=self.allowed.__getitem__,
            hedge=self._hedge,
            fail=self.errors.append,
        )

    @property
    def credit(self) -> float:
        return self.budget.credit(now=self.loop.now_s)

    def _hedge(self, attempt: Attempt) -> bool:
        self.hedges.append(attempt)
        return self.may_hedge

    def attempt(
        self,
        timeouts: Timeouts = ALLOWED,
        *,
        sent: bool = True,
        big: bool = False,
        copy_of: Attempt | None = None,
    ) -> Attempt:
        """A watched attempt that begins now; `sent`: it has been taken in, too; `big`: more than
        `SMALL_BYTES`."""
        attempt = self.handshake(timeouts, big=big, copy_of=copy_of)
        self.begin(attempt, sent=sent)
        return attempt

    def handshake(
        self, timeouts: Timeouts = ALLOWED, *, big: bool = False, copy_of: Attempt | None = None
    ) -> Attempt:
        """A watched attempt that has no connection yet."""
        body = bytes(SMALL_BYTES + big)
        operation = Operation(name=PUT_OBJECT, bucket="bucket", key="key", body=body)
        request = copy_of.request if copy_of else Request(cast("Record", None), operation)
        trace = Trace(SendOptions(timeouts.connect_s), self.loop.now)
        attempt = Attempt(request, trace, timeouts, hedge=copy_of is not None)
        request.in_flight.append(attempt)
        self.allowed[attempt] = timeouts
        self.watchdog.watch(attempt)
        return attempt

    def begin(self, attempt: Attempt, *, sent: bool = True) -> None:
        attempt.trace.request_s = self.loop.now_s
        attempt.trace.sent_s = self.loop.now_s if sent else 0.0
        attempt.trace.abort = lambda reason: self._end(attempt, reason)

    def _end(self, attempt: Attempt, reason: str) -> None:
        self.cuts.append((self.loop.now_s, reason))
        self.watchdog.unwatch(attempt)
