"""Lets requests begin no faster than the store accepts them: `control/concurrency/rate.py` says how fast.

Rules:

* What may not begin yet waits in a line of its own, in order.  What falls under another rate goes past it.
  As long as no limit is known, nothing waits.
* Nothing is held back that has begun: a request takes its turn and its slot in the same moment.
* One timer serves all lines.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from s3_upload.control.concurrency.prefixes import AcceptedRates
from s3_upload.control.concurrency.rate import AcceptedRate
from s3_upload.errors import FailureKind
from s3_upload.report import SUCCESS, AttemptReport
from s3_upload.transfer.guard import Fail, guarded
from s3_upload.transfer.line import Stander

MIN_WAIT_S = 0.001
"""What a loop's timers can tell apart; at higher rates several requests go together."""
MAX_BLOCKED_S = 300.0
"""For how long a store may refuse everything before its refusals use up tries."""


class RateLine:
    """See the module's rules. `rates` None: nothing is ever held back. `put_back`: those that waited may
    go.  `fail` ends the run."""

    def __init__(
        self,
        rates: AcceptedRates | None,
        now: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
        put_back: Callable[[list[Stander]], None],
        fail: Fail,
    ) -> None:
        self._rates = rates
        self._now = now
        self._loop = loop
        self._put_back = put_back
        self._due = guarded(fail, self._let_go)
        self._lines: dict[AcceptedRate, deque[Stander]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0  # when it is due

    @property
    def limited(self) -> bool:
        """Whether anything is held back; if not, nobody has to ask `admit`."""
        return self._rates is not None and self._rates.limited

    @property
    def waits(self) -> bool:
        """Whether a request waits for its turn."""
        return bool(self._lines)

    @property
    def per_s(self) -> float:
        """How many of those that are held back begin each second; 0.0 where none are."""
        return sum(rate.limit_per_s for rate in self._lines if rate.limited)

    def admit(self, stander: Stander) -> bool:
        """Whether `stander` may begin now; else it waits here."""
        assert self._rates is not None
        rate = self._rates.of(stander.operation.key)
        if not rate.limited or rate.take(now=self._now()):
            return True
        self._lines.setdefault(rate, deque()).append(stander)
        if self._timer is None:
            self._arm()
        return False

    def give_back(self, key: str) -> None:
        """One that was admitted, for `key`, does not begin after all."""
        assert self._rates is not None
        rate = self._rates.of(key)
        if rate.limited:
            rate.give_back()

    def observe(self, key: str, report: AttemptReport) -> None:
        """An attempt has ended."""
        if self._rates is None:
            return
        if report.outcome == SUCCESS:
            self._rates.accepted(key, sent_s=report.started_s, now=report.ended_s)
        # The refusal of a hedge says only that there were two of one request.
        elif report.outcome == FailureKind.THROTTLE and not report.hedge:
            self._rates.refused(key, sent_s=report.started_s, now=report.ended_s)
        # The store accepts again what it refused, or more.
        self.hurry()

    def hurry(self) -> None:
        """A rate has changed: the next one may be due sooner."""
        if self._timer is not None and self._due_s() < self._timer_s - MIN_WAIT_S:
            self._timer.cancel()
            self._arm()

    def blocked(self, key: str) -> bool:
        """Whether nothing like `key` is accepted at the moment, and this has lasted for MAX_BLOCKED_S at
        most."""
        if self._rates is None:
            return False
        return 0.0 < self._rates.of(key).blocked_s(now=self._now()) <= MAX_BLOCKED_S

    def close(self) -> None:
        """Nothing that waits goes any more."""
        self._lines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due_s(self) -> float:
        """When the first of those that wait may go."""
        return min(rate.due_s() for rate in self._lines)

    def _arm(self) -> None:
        now = self._now()
        self._timer_s = max(self._due_s(), now + MIN_WAIT_S)
        self._timer = self._loop.call_later(self._timer_s - now, self._due)

    def _let_go(self) -> None:
        """Puts back those that may go: each takes its turn when it has a slot."""
        self._timer = None
        now = self._now()
        for rate, line in tuple(self._lines.items()):
            count = min(rate.available(now=now), len(line)) if rate.limited else len(line)
            may_go = [line.popleft() for _ in range(count)]
            # They ask for no turn while they stand here, so the rate has to hear of them to grow.
            if line:
                rate.keeps_waiting(now=now)
            else:
                del self._lines[rate]
            self._put_back(may_go)
        # Who was put back may have come here again, and have armed it.
        if self._lines and self._timer is None:
            self._arm()
