"""Requests that wait for their next try: for their delay, then until the budget pays for it.

Rules:

* What waits for the budget goes in the order of coming, when a success or time has brought the tokens.
* The budget and the delays are there against storms, not against recovery.  When something succeeds after
  DROUGHT_S without any success, each success lets RELEASED go of those that failed in the drought, as TCP's
  slow start does: free of charge, and whatever is left of their delays.  One that fails again waits like any
  other.  What the store asked for by Retry-After is waited for in any case.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from s3_upload.control.retrying.retry import Retry
from s3_upload.transfer.guard import Fail, Timers
from s3_upload.transfer.tries import Request
from s3_upload.transfer.turn import Go, turn

DROUGHT_S = 2.0
RELEASED = 2
"""For each success after a drought: what waited doubles in a round trip."""


class Waiter(msgspec.Struct, eq=False):
    """One that has waited since `since_s`: for the loop's `timer` or, if that is None, for the budget.

    `go`: lets it go.  `not_before_s`: the earliest moment that the store allows.  `unanswered`: it failed
    for want of an answer.
    """

    request: Request
    go: Go
    since_s: float
    not_before_s: float
    unanswered: bool = False
    timer: asyncio.TimerHandle | None = None


class Waiting:
    """See the module's rules. `budget_wait_s`: how long at least one waited for the budget.

    `fail` ends the run, where one that waited cannot go on.
    """

    def __init__(
        self, retry: Retry, now: Callable[[], float], loop: asyncio.AbstractEventLoop, fail: Fail
    ) -> None:
        self._retry = retry
        self._timers = Timers(loop, now, fail)
        self._delayed: dict[Waiter, None] = {}  # in the order of coming
        self._unpaid: deque[Waiter] = deque()
        self._refill: asyncio.TimerHandle | None = None
        self._unpaid_since_s = 0.0
        self._success_s = 0.0
        # Successes let go what has waited since before that; 0.0: nothing.
        self._drought_ended_s = 0.0
        self._budget_wait_s = 0.0

    def __len__(self) -> int:
        return len(self._delayed) + len(self._unpaid)

    @property
    def budget_wait_s(self) -> float:
        since_s = self._timers.now() - self._unpaid_since_s if self._unpaid else 0.0
        return self._budget_wait_s + since_s

    async def wait(
        self, request: Request, delay_s: float, *, asked_s: float = 0.0, unanswered: bool = False
    ) -> None:
        """Until `request` may be tried again: in `delay_s`, of which the store asked for `asked_s`."""
        await turn(lambda go: self.add(request, delay_s, go, asked_s=asked_s, unanswered=unanswered))

    def add(
        self, request: Request, delay_s: float, go: Go, *, asked_s: float = 0.0, unanswered: bool = False
    ) -> None:
        """`wait`, for one that is called by `go`."""
        now = self._timers.now()
        waiter = Waiter(request, go, now, now + asked_s, unanswered)
        waiter.timer = self._timers.later(delay_s, self._on_due, waiter)
        self._delayed[waiter] = None

    def succeeded(self) -> None:
        """A request has succeeded."""
        now = self._timers.now()
        if now - self._success_s >= DROUGHT_S:
            self._drought_ended_s = now
        self._success_s = now
        if self._drought_ended_s:
            self._release(now)
        # A success brings tokens, so the first may be able to pay before its timer is due.
        if self._unpaid:
            self._timers.guard(self._on_pay)()

    def reclaim(self, since_s: float) -> list[Go]:
        """Takes out what failed for want of an answer since `since_s`, and gives back its last try."""
        found = [w for w in (*self._unpaid, *self._delayed) if w.unanswered and w.since_s >= since_s]
        for waiter in found:
            self._take_out(waiter)
            waiter.request.give_back_try()
        return [waiter.go for waiter in found]

    def close(self) -> None:
        """Nothing is tried again any more."""
        for waiter in self._delayed:
            assert waiter.timer is not None
            waiter.timer.cancel()
        self._stop_refill()

    def _on_due(self, waiter: Waiter) -> None:
        del self._delayed[waiter]
        waiter.timer = None
        # The wait is counted once, however many wait at the same time.
        if not self._unpaid:
            self._unpaid_since_s = self._timers.now()
        self._unpaid.append(waiter)
        self._timers.guard(self._on_pay)()

    def _on_pay(self) -> None:
        """Lets go whoever can be paid for."""
        wait_s = 0.0
        while self._unpaid:
            wait_s = self._retry.pay(self._unpaid[0].request.cost, now=self._timers.now())
            # In the order of coming: one that costs less does not go past the first.
            if wait_s > 0.0:
                break
            waiter = self._unpaid.popleft()
            self._count_wait()
            waiter.go()
        self._stop_refill()
        if self._unpaid:
            self._refill = self._timers.later(wait_s, self._on_pay)

    def _count_wait(self) -> None:
        """One has left those who wait for the budget."""
        if not self._unpaid:
            self._budget_wait_s += self._timers.now() - self._unpaid_since_s
            self._stop_refill()

    def _release(self, now: float) -> None:
        """Lets go RELEASED of those that failed in the drought."""
        for _ in range(RELEASED):
            waiter = self._next_of_drought(now)
            if waiter is None:
                self._drought_ended_s = 0.0
                return
            # It pays nothing, so its success brings back no more than any other.
            waiter.request.costs_nothing()
            waiter.go()

    def _next_of_drought(self, now: float) -> Waiter | None:
        if self._unpaid and self._unpaid[0].since_s <= self._drought_ended_s:
            waiter = self._unpaid[0]
            self._take_out(waiter)
            return waiter
        for waiter in self._delayed:
            # They are in the order of coming, so all that follow failed after the drought as well.
            if waiter.since_s > self._drought_ended_s:
                return None
            # A drought shortens our own delays, not what the store asked for.
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
