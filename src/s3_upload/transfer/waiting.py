"""Units that wait for their next try: for their delay, then until the budget pays for it.

Rules:

* What waits for the budget goes in the order of coming: when a success or time has brought the tokens.
* The budget and the delays are there against storms, not against recovery.  Nothing succeeded for DROUGHT_S,
  then something does: what failed in the drought goes on at the pace of successes, RELEASED of it for
  each, as TCP's slow start does, free of charge and whatever is left of its delay.  One that fails again
  waits like any other.  What the store asked for by Retry-After is waited for in any case.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from s3_upload.control.retrying.retry import Retry
from s3_upload.s3.operations import ASKING
from s3_upload.transfer.guard import Fail, guarded
from s3_upload.transfer.unit import Unit

DROUGHT_S = 2.0
RELEASED = 2
"""For each success after a drought: what waited doubles in a round trip."""


class Waiter(msgspec.Struct, eq=False):
    """One that waits since `since_s`, until the loop's `timer` or, if that is None, for the budget.

    `again`: tries it again.  `not_before_s`: when the store allows that at the earliest.  `unanswered`: it
    has failed for want of an answer.
    """

    unit: Unit
    again: Callable[[Unit], None]
    since_s: float
    not_before_s: float
    unanswered: bool = False
    timer: asyncio.TimerHandle | None = None


class Waiting:
    """See the module's rules. `budget_wait_s`: how long there was one that waited for the budget.

    `fail` ends the run, where one cannot go on that waited.
    """

    def __init__(
        self, retry: Retry, now: Callable[[], float], loop: asyncio.AbstractEventLoop, fail: Fail
    ) -> None:
        self._retry = retry
        self._now = now
        self._loop = loop
        self._due = guarded(fail, self._on_due)
        self._pay = guarded(fail, self._on_pay)
        self._delayed: dict[Waiter, None] = {}  # in the order of coming
        self._unpaid: deque[Waiter] = deque()
        self._refill: asyncio.TimerHandle | None = None
        self._unpaid_since_s = 0.0
        self._success_s = 0.0
        self._drought_ended_s = 0.0  # what waits since before that is let go by successes; 0.0: nothing is
        self._budget_wait_s = 0.0

    def __len__(self) -> int:
        return len(self._delayed) + len(self._unpaid)

    @property
    def budget_wait_s(self) -> float:
        since_s = self._now() - self._unpaid_since_s if self._unpaid else 0.0
        return self._budget_wait_s + since_s

    def add(
        self,
        unit: Unit,
        delay_s: float,
        again: Callable[[Unit], None],
        *,
        asked_s: float = 0.0,
        unanswered: bool = False,
    ) -> None:
        """`unit` is tried again in `delay_s`, of which the store has asked for `asked_s`."""
        now = self._now()
        waiter = Waiter(unit, again, now, now + asked_s, unanswered)
        waiter.timer = self._loop.call_later(delay_s, self._due, waiter)
        self._delayed[waiter] = None

    def succeeded(self) -> None:
        """A request has succeeded."""
        now = self._now()
        if now - self._success_s >= DROUGHT_S:
            self._drought_ended_s = now
        self._success_s = now
        if self._drought_ended_s:
            self._release(now)
        if self._unpaid:
            self._pay()

    def reclaim(self, since_s: float) -> list[Unit]:
        """Takes out what has failed for want of an answer since `since_s`, with its last try given back."""
        found = [w for w in (*self._unpaid, *self._delayed) if w.unanswered and w.since_s >= since_s]
        for waiter in found:
            self._take_out(waiter)
            unit = waiter.unit
            unit.retries -= 1
            unit.upload.retries -= unit.operation.name not in ASKING
        return [waiter.unit for waiter in found]

    def close(self) -> None:
        """Nothing is tried again any more."""
        for waiter in self._delayed:
            assert waiter.timer is not None
            waiter.timer.cancel()
        self._stop_refill()

    def _on_due(self, waiter: Waiter) -> None:
        del self._delayed[waiter]
        waiter.timer = None
        if not self._unpaid:
            self._unpaid_since_s = self._now()
        self._unpaid.append(waiter)
        self._pay()

    def _on_pay(self) -> None:
        """Lets go whoever can be paid for."""
        wait_s = 0.0
        while self._unpaid:
            wait_s = self._retry.pay(self._unpaid[0].unit.retry_cost, now=self._now())
            if wait_s > 0.0:
                break
            waiter = self._unpaid.popleft()
            self._count_wait()
            waiter.again(waiter.unit)
        self._stop_refill()
        if self._unpaid:
            self._refill = self._loop.call_later(wait_s, self._pay)

    def _count_wait(self) -> None:
        """One has left those who wait for the budget."""
        if not self._unpaid:
            self._budget_wait_s += self._now() - self._unpaid_since_s
            self._stop_refill()

    def _release(self, now: float) -> None:
        """Lets go RELEASED of those that failed in the drought."""
        for _ in range(RELEASED):
            waiter = self._next_of_drought(now)
            if waiter is None:
                self._drought_ended_s = 0.0
                return
            waiter.unit.retry_cost = 0.0
            waiter.again(waiter.unit)

    def _next_of_drought(self, now: float) -> Waiter | None:
        if self._unpaid and self._unpaid[0].since_s <= self._drought_ended_s:
            waiter = self._unpaid[0]
            self._take_out(waiter)
            return waiter
        for waiter in self._delayed:
            if waiter.since_s > self._drought_ended_s:
                return None
            if waiter.not_before_s <= now:
                self._take_out(waiter)
                return waiter
        return None

    def _take_out(self, waiter: Waiter) -> None:
        if waiter.timer is None:
            self._unpaid.remove(waiter)
            self._count_wait()
        else:
            waiter.timer.cancel()
            del self._delayed[waiter]

    def _stop_refill(self) -> None:
        if self._refill is not None:
            self._refill.cancel()
            self._refill = None
