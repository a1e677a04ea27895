"""Watches the attempts in flight against their timers.

`control/waiting/verdict.py` judges; this module looks at the sockets for it and acts.  One timer serves all
attempts, armed for the earliest moment at which any of them could be due: an attempt that ends in
time costs a dictionary entry and no timer.

A verdict is passed only on what is still due right after the loop has looked at its sockets: when
this process itself was late (a busy machine, a long callback), the answers may already be there.

While an attempt is watched the timer is armed, whatever a judgement meets: a dead watchdog is a run
that hangs.  A socket that cannot be read (uvloop closes it before it tells anybody) leaves the attempt
to be judged by what is known of it; any other exception ends the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import msgspec

from s3_upload.control.retrying.budget import SpeculationBudget
from s3_upload.control.waiting.adaptive import SMALL_BYTES
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.control.waiting.verdict import RECHECK_S, Action, Judgement, Standing, judge
from s3_upload.http1.exchange import Exchange, Transfer
from s3_upload.s3.operations import Operation
from s3_upload.transfer.guard import Fail

if TYPE_CHECKING:
    from s3_upload.transfer.unit import Unit

MIN_SLEEP_S = 0.001
LOOK_S = 0.5
"""How often an attempt is looked at in any case: what its timers allow may have changed since."""
MAX_COPIES = 3
"""Of one request under way at the same time."""


MOVERS = 4
"""A way that is slow moves all bodies a little, a store that is frozen at most what is new."""
BUFFERED_S = 1.0
"""By then what a kernel takes in of a new request without anybody's reading it is there."""


class InFlight(msgspec.Struct, eq=False):
    """One attempt under way. `hedge`: it is a second copy; `hedged`: it has one beside it; `late`: so
    late is its answer that a second copy may help.  `acked_s`: all of it has been taken in, since then."""

    unit: Unit
    exchange: Exchange
    timeouts: Timeouts
    hedge: bool
    hedged: bool = False
    timer: str = ""
    progress: int = 0
    progress_s: float = 0.0
    acked_s: float = 0.0
    late: bool = False
    due_s: float = 0.0

    def __post_init__(self) -> None:
        limits = self.timeouts
        response_s = min(limits.look_s, limits.hedge_s, limits.response_s)
        self.due_s = self.exchange.started_s + min(response_s, limits.stall_s, limits.total_s, LOOK_S)

    def standing(self, now: float) -> Standing:
        """Looks at the socket."""
        exchange = self.exchange
        rto_s = acked_s = 0.0
        if exchange.probe is not None and (transfer := transfer_of(exchange.probe)) is not None:
            rto_s = transfer.rto_s
            self._note(transfer, now)
            if self._small and min(transfer.last_ack_age_s, now - exchange.request_s) >= rto_s:
                acked_s = exchange.sent_s  # nothing moves any more: a copy does not queue behind it
        elif exchange.sent_s:
            self.acked_s = exchange.sent_s
        return Standing(
            request_s=exchange.request_s,
            progress_s=max(self.progress_s, exchange.request_s),
            acked_s=self.acked_s or acked_s,
            first_byte_s=exchange.first_byte_s,
            rto_s=rto_s,
            hedged=self.hedged or len(self.unit.in_flight) >= MAX_COPIES,
        )

    def _note(self, transfer: Transfer, now: float) -> None:
        exchange = self.exchange
        last_ack_s = max(now - transfer.last_ack_age_s, exchange.request_s)
        if transfer.progress > self.progress:
            self.progress, self.progress_s = transfer.progress, last_ack_s
        if transfer.starved:
            self.progress_s = now  # it is the disk that takes its time, and nobody else
        if transfer.drained and self.acked_s == 0.0:
            self.acked_s = exchange.sent_s if self._small else max(last_ack_s, exchange.sent_s)

    @property
    def _small(self) -> bool:
        return len(self.unit.operation.body) <= SMALL_BYTES


def transfer_of(probe: Callable[[], Transfer]) -> Transfer | None:
    """What `probe` says; None where the socket cannot be read (OSError of asyncio's, ValueError of
    uvloop's)."""
    try:
        return probe()
    except (OSError, ValueError):
        return None


class Watchdog:
    """See the module's theory.

    `timeouts_of`: what an attempt is allowed by what is known now.  `hedge` may send a second copy of
    one; it says whether it did.  `fail` ends the run: no judgement may raise.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        budget: SpeculationBudget,
        *,
        timeouts_of: Callable[[InFlight], Timeouts],
        hedge: Callable[[InFlight], bool],
        fail: Fail,
    ) -> None:
        self._loop = loop
        self._now = now
        self._budget = budget
        self._timeouts_of = timeouts_of
        self._hedge = hedge
        self._fail = fail
        self._in_flight: dict[InFlight, None] = {}
        self._late = 0  # of these
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for_s = 0.0

    def watch(self, attempt: InFlight) -> None:
        """Watches `attempt` until `unwatch`."""
        self._in_flight[attempt] = None
        if self._timer is None or attempt.due_s < self._armed_for_s:
            self._arm(attempt.due_s, self._look)

    def unwatch(self, attempt: InFlight) -> None:
        del self._in_flight[attempt]
        self._late -= attempt.late

    @property
    def in_flight(self) -> Collection[InFlight]:
        """The attempts that are watched."""
        return self._in_flight

    @property
    def any_on_its_way(self) -> bool:
        """Whether a request is under way on a connection, as far as the client tells."""
        return any(attempt.exchange.probe is not None for attempt in self._in_flight)

    def last_sign_s(self) -> tuple[float, Operation | None]:
        """When a byte of a body on its way was acknowledged last, and a request that waits for an answer on a
        connection, None if there is none."""
        now, last_s, waits = self._now(), 0.0, None
        for attempt in self._in_flight:
            if attempt.exchange.request_s > 0.0:
                standing, waits = attempt.standing(now), attempt.unit.operation
                if standing.acked_s == 0.0:
                    last_s = max(last_s, standing.progress_s)
        return last_s, waits

    def moved_s(self) -> float:
        """When one in MOVERS of the bodies on their way was still being taken in, by `last_sign_s`; 0.0 where
        none was.  The first bytes of a request do not count: a kernel takes them in though nobody reads."""
        now = self._now()
        moved_s = [
            attempt.progress_s if attempt.progress_s > attempt.exchange.request_s + BUFFERED_S else 0.0
            for attempt in self._in_flight
            if 0.0 < attempt.exchange.request_s < now - 2 * BUFFERED_S and attempt.acked_s == 0.0
        ]
        moved_s.sort(reverse=True)
        return moved_s[len(moved_s) // MOVERS] if moved_s else 0.0

    def cut_silent(self, since_s: float, timer: str) -> None:
        """Cuts, as by `timer`, what was begun before `since_s` and has made no progress from then on."""
        now = self._now()
        for attempt in tuple(self._in_flight):
            exchange = attempt.exchange
            if not 0.0 < exchange.request_s < since_s:
                continue
            standing = attempt.standing(now)
            if max(standing.progress_s, standing.acked_s, standing.first_byte_s) < since_s:
                attempt.timer = timer
                exchange.cancel("the store was away, and nothing has come or gone since")

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
        finally:
            if self._in_flight:
                self._arm(min(now + LOOK_S, *(attempt.due_s for attempt in self._in_flight)), self._look)

    def _judge(self, attempt: InFlight, now: float) -> None:
        attempt.due_s = now + RECHECK_S
        exchange = attempt.exchange
        if exchange.request_s == 0.0:
            return  # a handshake, which has a timer of its own
        if exchange.abort is None:
            return  # it has ended, and its task has not had its turn yet
        attempt.timeouts = self._timeouts_of(attempt)
        self._act(attempt, judge(attempt.timeouts, attempt.standing(now), now=now), now)

    def _act(self, attempt: InFlight, judgement: Judgement, now: float) -> None:
        attempt.due_s = min(judgement.due_s, now + LOOK_S)
        action = judgement.action
        late = action is Action.HEDGE or attempt.hedged
        self._late += late - attempt.late
        attempt.late = late
        if action is Action.HEDGE:
            self._hedge_if_paid(attempt, now)
        elif action is Action.CUT or (action is Action.CUT_IF_CREDIT and self._budget.take(now=now)):
            attempt.timer = judgement.timer
            attempt.due_s = float("inf")  # nothing more to judge: it ends in the loop's next turn
            attempt.exchange.cancel(_reason(attempt, judgement.timer, now))

    def _hedge_if_paid(self, attempt: InFlight, now: float) -> None:
        size = len(attempt.unit.operation.body)
        link_is_free = self._late == len(self._in_flight)  # a copy would take nobody's turn
        if self._budget.affords_hedge(size, link_is_free=link_is_free, now=now) and self._hedge(attempt):
            attempt.hedged = True
            self._budget.take_hedge(size, now=now)


def _reason(attempt: InFlight, timer: str, now: float) -> str:
    """What the error text says of a cut."""
    exchange = attempt.exchange
    if timer == "stall":
        return f"no byte was taken in for {now - max(attempt.progress_s, exchange.request_s):.3g} s"
    if timer == "response":
        return f"no answer within {now - (attempt.acked_s or exchange.sent_s or exchange.request_s):.3g} s"
    return f"not done within {now - exchange.request_s:.3g} s"
