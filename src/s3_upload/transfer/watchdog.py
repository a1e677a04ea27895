"""Watches the attempts in flight against their timers.

`control/waiting/verdict.py` judges; this module looks at the sockets for it and acts.  One timer serves all
attempts, armed for the earliest moment at which any of them could be due: an attempt that ends in
time costs a dictionary entry and no timer.

A verdict is passed only on what is still due right after the loop has looked at its sockets: when
this process itself was late (a busy machine, a long callback), the answers may already be there.

While an attempt is watched the timer is armed, whatever a judgement meets: a dead watchdog is a run
that hangs.  Where a socket cannot be read (uvloop closes it before it tells anybody), the attempt is judged
by what is known of it.  Any other exception ends the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from s3_upload.control.retrying.budget import SpeculationBudget
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.control.waiting.verdict import Action, Judgement, judge
from s3_upload.s3.operations import Operation
from s3_upload.transfer.guard import Fail
from s3_upload.transfer.tries import LOOK_S, Attempt

MIN_SLEEP_S = 0.001
RECHECK_S = 0.25
"""How soon to look again at an attempt of which nothing can be judged yet."""
MOVERS = 4
"""A slow link moves all bodies a little; a frozen store moves at most those that are new."""
BUFFERED_S = 1.0
"""A kernel takes in the first bytes of a request within this time, though nobody reads them."""


class Watchdog:
    """See the module's theory.

    `timeouts_of`: what an attempt is allowed by what is known now.  `hedge` may send a second copy of
    one, and says whether it did.  `fail` ends the run: it is told what a judgement raises.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        budget: SpeculationBudget,
        *,
        timeouts_of: Callable[[Attempt], Timeouts],
        hedge: Callable[[Attempt], bool],
        fail: Fail,
    ) -> None:
        self._loop = loop
        self._now = now
        self._budget = budget
        self._timeouts_of = timeouts_of
        self._hedge = hedge
        self._fail = fail
        self._in_flight: dict[Attempt, None] = {}
        self._late = 0  # of these
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for_s = 0.0

    def watch(self, attempt: Attempt) -> None:
        """Watches `attempt` until `unwatch`."""
        self._in_flight[attempt] = None
        if self._timer is None or attempt.due_s < self._armed_for_s:
            self._arm(attempt.due_s, self._look)

    def unwatch(self, attempt: Attempt) -> None:
        del self._in_flight[attempt]
        self._late -= attempt.late

    @property
    def in_flight(self) -> Collection[Attempt]:
        """The attempts that are watched."""
        return self._in_flight

    @property
    def any_on_its_way(self) -> bool:
        """Whether a request is under way on a connection, as far as the client tells."""
        return any(attempt.trace.probe is not None for attempt in self._in_flight)

    def last_sign_s(self) -> tuple[float, Operation | None]:
        """When a byte of a body on its way was acknowledged last; and a request that waits for an answer on a
        connection, None if there is none."""
        now, last_s, waits = self._now(), 0.0, None
        for attempt in self._in_flight:
            if attempt.trace.request_s > 0.0:
                standing, waits = attempt.standing(now), attempt.request.operation
                # Of a body that is through no byte can be acknowledged any more.
                if standing.acked_s == 0.0:
                    last_s = max(last_s, standing.progress_s)
        return last_s, waits

    def moved_s(self) -> float:
        """Until when at least one in MOVERS of the bodies on their way was being taken in, as `last_sign_s`
        saw it last; 0.0 where fewer were."""
        now = self._now()
        # The first bytes of a request do not count: a kernel takes them in though nobody reads.
        moved_s = [
            attempt.progress_s if attempt.progress_s > attempt.trace.request_s + BUFFERED_S else 0.0
            for attempt in self._in_flight
            if 0.0 < attempt.trace.request_s < now - 2 * BUFFERED_S and attempt.acked_s == 0.0
        ]
        moved_s.sort(reverse=True)
        return moved_s[len(moved_s) // MOVERS] if moved_s else 0.0

    def cut_silent(self, since_s: float, timer: str) -> None:
        """Cuts, as by `timer`, what was begun before `since_s` and has made no progress from then on."""
        now = self._now()
        for attempt in tuple(self._in_flight):
            trace = attempt.trace
            # Neither a handshake, which has a timer of its own, nor what began after the store had gone.
            if not 0.0 < trace.request_s < since_s:
                continue
            standing = attempt.standing(now)
            if max(standing.progress_s, standing.acked_s, standing.first_byte_s) < since_s:
                attempt.cut(timer, "the store was away, and nothing has come or gone since")

    def close(self) -> None:
        """Forgets everything and stops the timer."""
        self._in_flight.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due_s: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for_s = due_s
        self._timer = self._loop.call_later(max(due_s - self._now(), MIN_SLEEP_S), callback)

    def _look(self) -> None:
        """Something may be due: looks again after the loop has served its sockets."""
        self._timer = None
        if self._in_flight:
            self._arm(self._now(), self._judge_all)

    def _judge_all(self) -> None:
        self._timer = None
        now = self._now()
        try:
            for attempt in [attempt for attempt in self._in_flight if attempt.due_s <= now]:
                self._judge(attempt, now)
        except Exception as error:
            self._fail(error)
        # Armed again also after an exception: without its timer the run would hang.
        finally:
            if self._in_flight:
                self._arm(min(now + LOOK_S, *(attempt.due_s for attempt in self._in_flight)), self._look)

    def _judge(self, attempt: Attempt, now: float) -> None:
        # First of all: an attempt that stayed due would have the timer fire without end.
        attempt.look_again(now + RECHECK_S)
        trace = attempt.trace
        # A handshake has a timer of its own.
        if trace.request_s == 0.0:
            return
        # It has ended, and its task has not had its turn yet.
        if trace.abort is None:
            return
        # What was learned since it began counts for it, too.
        attempt.allow(self._timeouts_of(attempt))
        self._act(attempt, judge(attempt.timeouts, attempt.standing(now), now=now), now)

    def _act(self, attempt: Attempt, judgement: Judgement, now: float) -> None:
        attempt.look_again(min(judgement.due_s, now + LOOK_S))
        action = judgement.action
        late = action is Action.HEDGE or attempt.hedged
        self._late += late - attempt.late
        attempt.is_late(late)
        if action is Action.HEDGE:
            self._hedge_if_paid(attempt, now)
        elif action is Action.CUT or (action is Action.CUT_IF_CREDIT and self._budget.take(now=now)):
            attempt.cut(judgement.timer, _reason(attempt, judgement.timer, now))

    def _hedge_if_paid(self, attempt: Attempt, now: float) -> None:
        size = len(attempt.request.operation.body)
        # All wait for answers, so a copy would take nobody's turn on the link.
        link_is_free = self._late == len(self._in_flight)
        # Paid only if it is sent: it may not be safe.
        if self._budget.affords_hedge(size, link_is_free=link_is_free, now=now) and self._hedge(attempt):
            attempt.has_copy()
            self._budget.take_hedge(size, now=now)


def _reason(attempt: Attempt, timer: str, now: float) -> str:
    """What the error text says of a cut."""
    trace = attempt.trace
    if timer == "stall":
        return f"no byte was taken in for {now - max(attempt.progress_s, trace.request_s):.3g} s"
    if timer == "response":
        return f"no answer within {now - (attempt.acked_s or trace.sent_s or trace.request_s):.3g} s"
    return f"not done within {now - trace.request_s:.3g} s"
