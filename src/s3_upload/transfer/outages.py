"""Acts on what `control/retrying/outage.py` says: probes the store, holds what failed meanwhile, lets it go.

Rules:

* There is one probe at a time, outside of the slots.  It asks by HeadObject for the object about which
  something was answered last, if there is one: what waits may be the very thing that somebody on the way
  does not like.  Any answer of the store's counts.
* What is held keeps its body, and its bytes count as held: memory stays bounded.
* What lasts for seconds is told (`control/retrying/situation.py`), where somebody listens.
* When the store is away, idle connections are closed.  When it is back, attempts that have made no progress
  since it went are cut, at the cost of no try: their connections may be dead without knowing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec

from s3_upload.control.retrying.outage import Change, Outage, Reach
from s3_upload.control.retrying.retry import Rng
from s3_upload.control.retrying.situation import Seen, Situation
from s3_upload.errors import AttemptError, FailureKind, RunError
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.observe.events import Events, StoreAway, StoreBack
from s3_upload.report import SUCCESS, AttemptReport
from s3_upload.s3.operations import HEAD_OBJECT, Operation
from s3_upload.transfer.client import Client, IdleCloser
from s3_upload.transfer.guard import Fail, guarded
from s3_upload.transfer.turn import Go, turn
from s3_upload.transfer.waiting import Waiting
from s3_upload.transfer.watchdog import Watchdog

TIMER_OUTAGE = "outage"
"""The timer, in reports, of an attempt that was cut because the store had been away meanwhile."""
Notice = Callable[[str], object]
"""Is told what goes on with the store: lines of plain English, a few seconds apart at least."""
TICK_S = 1.0
"""How often signs of life are looked for."""
MIN_PROBE_DELAY_S, MAX_PROBE_DELAY_S = 0.02, 0.05
"""The wait before the first probe: among many requests one is answered by then, and spares it."""


class Held(msgspec.Struct, eq=False):
    """One that has failed meanwhile, and waits. `goes_again`: when the store is heard of, unjudged."""

    go: Go = lambda: False
    goes_again: bool = False

    def wait(self, go: Go) -> None:
        self.go = go


class Outages:
    """See the module's rules.

    `wanted`: how many requests would be under way if the store were well.  `observe` learns from a probe's
    attempt.  `more_room` is called when `room` has grown.  `fail` ends the run.
    """

    def __init__(
        self,
        client: Client,
        outage: Outage,
        *,
        now: Callable[[], float],
        rng: Rng,
        loop: asyncio.AbstractEventLoop,
        fail: Fail,
        waiting: Waiting,
        watchdog: Watchdog,
        observe: Callable[[AttemptReport], None],
        more_room: Callable[[], None],
        wanted: Callable[[], int],
        notice: Notice | None,
        events: Events,
    ) -> None:
        self._events = events
        self._client = client
        self._outage = outage
        self._now = now
        self._rng = rng
        self._loop = loop
        self._fail = fail
        self._waiting = waiting
        self._watchdog = watchdog
        self._observe = observe
        self._wanted = wanted
        self._notice = notice
        self._situation = Situation(client.endpoint, outage.max_s)
        self._refused = 0  # answers in a row that were errors
        self._refused_since_s = 0.0
        self._refusal = ""
        self._moved_s = 0.0  # until then bodies were being taken in, or nothing was waited for
        self._held: list[Held] = []
        self._bucket = self._key = ""  # of the object of which something was answered last
        self._timer: asyncio.TimerHandle | None = None
        self._probe: asyncio.Task[None] | None = None
        self._probe_begun_s = 0.0
        self._tick = guarded(fail, self._look)
        self._open = guarded(fail, more_room)
        self._begin_probe = guarded(fail, self._start_probe)
        self._probed = guarded(fail, self._after_probe)
        self._tick_timer = loop.call_later(TICK_S, self._tick)

    @property
    def away(self) -> bool:
        return self._outage.reach is Reach.AWAY

    @property
    def silent_s(self) -> float:
        """For how long nothing was answered, and bodies were hardly taken in."""
        now = self._now()
        if self.away:
            return self._outage.silent_s(now=now)
        return now - max(self._moved_s, self._outage.answered_s)

    @property
    def got_somewhere(self) -> bool:
        return self._outage.got_somewhere or self._watchdog.any_on_its_way

    def saw(self, operation: Operation, report: AttemptReport) -> None:
        """Learns from an attempt that has ended."""
        if report.status:
            # A probe asks for this object, about which somebody answers.
            self._bucket, self._key = operation.bucket, operation.key
            if report.outcome != SUCCESS:
                self._count_refusal(report)
            elif self._refused:
                self._refused = 0
            change = self._outage.answered(report)
            if change is Change.SUSPECTED:
                self._suspect(operation)
            elif change is not Change.NONE:
                self._act(change)
            # An error answers too, but only a success makes room for one more.
            elif self._outage.room < math.inf and report.outcome == SUCCESS:
                self._outage.succeeded(self._wanted())
            return
        under_way = self._watchdog.any_on_its_way
        change = self._outage.unanswered(report, under_way=under_way, now=self._now())
        if change is Change.SUSPECTED:
            self._suspect(operation)

    def holds(self, report: AttemptReport) -> bool:
        """Whether the request of this attempt is to be held, and uses up no try for it."""
        return self._outage.holds(report) or report.timer == TIMER_OUTAGE

    def outwaited(self, report: AttemptReport) -> bool:
        """Whether its answer was waited for as long as any is."""
        return self._outage.outwaited(report)

    async def hold(self) -> bool:
        """Waits until the store is heard of. Returns whether what failed then goes again, unjudged."""
        # It was cut as the store came back, so there is nothing to wait for.
        if self._outage.reach is Reach.THERE:
            return True
        # While the store is only suspected, the failure may be the request's own: it is judged later.
        held = Held(goes_again=self.away)
        self._held.append(held)
        await turn(held.wait)
        return held.goes_again

    async def close(self) -> None:
        """Nothing is held or probed any more."""
        self._held.clear()
        self._disarm()
        self._tick_timer.cancel()
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    # --- what follows ---------------------------------------------------------------------------------

    def _look(self) -> None:
        """Looks for signs of life."""
        self._tick_timer = self._loop.call_later(TICK_S, self._tick)
        now = self._now()
        # An answer since the last look is sign enough: no socket has to be asked.
        if now - self._outage.answered_s < TICK_S:
            alive_s, waits_for = self._outage.answered_s, None
        else:
            alive_s, waits_for = self._watchdog.last_sign_s()
            # Nothing is waited for, so nobody is silent.
            if waits_for is None and not self._held and not self.away:
                alive_s = now
            moved_s = self._watchdog.moved_s() if waits_for is not None or self._held else now
            self._moved_s = max(self._moved_s, moved_s)
        if self._outage.look(alive_s=alive_s, now=now) is Change.SUSPECTED and waits_for is not None:
            self._suspect(waits_for)
        if self._outage.is_overdue(now=now):
            self._fail(self._given_up())
        elif self._notice is not None:
            line = self._situation.line(self._seen(), now=now)
            if line is not None:
                self._notice(line)

    def _seen(self) -> Seen:
        outage = self._outage
        return Seen(
            alive_s=outage.alive_s,
            answered_s=outage.answered_s,
            away_since_s=outage.since_s if self.away else None,
            cause=outage.cause,
            refused=self._refused,
            refused_since_s=self._refused_since_s,
            refusal=self._refusal,
        )

    def _count_refusal(self, report: AttemptReport) -> None:
        if not self._refused:
            self._refused_since_s = report.ended_s
        self._refused += 1
        self._refusal = f"{report.status} {report.code}".rstrip()

    def _suspect(self, operation: Operation) -> None:
        # Nothing was answered yet: the probe has to ask for what waits.
        if not self._key:
            self._bucket, self._key = operation.bucket, operation.key
        self._arm(self._rng.uniform(MIN_PROBE_DELAY_S, MAX_PROBE_DELAY_S))

    def _act(self, change: Change) -> None:
        match change:
            case Change.WAS_THERE:
                self._disarm()
                self._let_go()
            case Change.GONE:
                # The outage explains these failures: they are not judged, and use up no try.
                for held in self._held:
                    held.goes_again = True
                # It also explains those since the last answer that were judged: their tries are given back.
                reclaimed = self._waiting.reclaim(self._outage.answered_s)
                self._held += [Held(go, goes_again=True) for go in reclaimed]
                # They may be dead without knowing.
                if isinstance(self._client, IdleCloser):
                    self._client.close_idle()
            case Change.BACK:
                self._disarm()
                # If it was a probe that was answered, no request knows: without this, silence goes on.
                self._moved_s = self._now()
                if self._events.wants(StoreBack):
                    self._events.tell(StoreBack(at_s=self._now(), since_s=self._outage.since_s))
                self._watchdog.cut_silent(self._outage.since_s, TIMER_OUTAGE)
                self._let_go()
                # In the next turn of the loop: what was held then stands first in line.
                self._loop.call_soon(self._open)

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for one in held:
            one.go()

    def _arm(self, delay_s: float) -> None:
        if self._timer is None and self._probe is None:
            self._timer = self._loop.call_later(delay_s, self._begin_probe)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_probe(self) -> None:
        self._timer = None
        self._probe_begun_s = self._now()
        self._probe = self._loop.create_task(self._ask())
        self._probe.add_done_callback(self._probed)

    async def _ask(self) -> None:
        outage = self._outage
        connect_s, answer_s = outage.probe_limits_s(now=self._now())
        operation = Operation(name=HEAD_OBJECT, bucket=self._bucket, key=self._key)
        trace = Trace(SendOptions(connect_s, fresh=True), self._now)
        cause = f"no answer within {answer_s:.3g} s"
        try:
            # The client bounds the handshake alone, so this bounds the wait for the answer.
            async with asyncio.timeout(connect_s + answer_s):
                response = await self._client.send(operation, trace)
        except AttemptError as error:
            # No other probe could be sent, and no request.
            if error.kind is FailureKind.CLIENT_CLOSED:
                self._fail(RunError(error.message, error.kind))
            cause = error.message
        except TimeoutError:
            pass
        else:
            if outage.is_miss(response.status, response.request_id):
                cause = f"something else answers for it, {response.status}"
                self._act(outage.missed(cause, connected=True, begun_s=trace.started_s))
                return
            self._learn(trace, response.status)
            self._act(outage.heard(begun_s=trace.started_s, now=self._now()))
            return
        connected = trace.request_s > 0.0
        self._act(outage.missed(cause, connected=connected, begun_s=trace.started_s))

    def _learn(self, trace: Trace, status: int) -> None:
        """Teaches the timers how long the handshake took: else they would cut the next request's again."""
        report = AttemptReport(
            operation=HEAD_OBJECT,
            started_s=trace.started_s,
            ended_s=self._now(),
            timeout_s=trace.options.connect_timeout_s,
            body_bytes=0,
            outcome=SUCCESS,
            connect_s=trace.connect_s,
            request_s=trace.request_s,
            status=status,
        )
        self._observe(report)

    def _after_probe(self, probe: asyncio.Task[None]) -> None:
        self._probe = None
        if probe.cancelled():
            return
        error = probe.exception()
        if error is not None:
            self._fail(error)
        elif self._outage.reach is not Reach.THERE:
            now = self._now()
            # The gap lies between two beginnings: what a probe waited for its answer is part of it.
            gap_s = self._outage.gap_s(now=now, rng=self._rng)
            delay_s = max(MIN_PROBE_DELAY_S, self._probe_begun_s + gap_s - now)
            self._arm(delay_s)
            if self.away and self._events.wants(StoreAway):
                since_s, cause = self._outage.since_s, self._outage.cause
                self._events.tell(StoreAway(at_s=now, since_s=since_s, next_try_s=now + delay_s, cause=cause))

    def _given_up(self) -> RunError:
        outage, endpoint = self._outage, self._client.endpoint
        limit = f"{outage.max_s:,.3g} s"
        if self.away:
            what, kind = f"{endpoint} has been away for {limit} ({outage.cause})", FailureKind.CONNECT
        else:
            what = f"{endpoint} takes requests and has answered none for {limit}"
            kind = FailureKind.TIMEOUT
        return RunError(f"{what}: given up; max_outage_s (--max-outage) says how long to wait", kind)
