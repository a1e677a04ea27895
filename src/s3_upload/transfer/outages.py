"""Acts on what `control/retrying/outage.py` says: probes the store, holds what failed meanwhile, lets it go.

Rules:

* There is one probe at a time, outside of the slots: HeadObject of the object for which something was
  answered last (what waits may be the very thing that somebody on the way does not like), if there is one.
  Any answer of the store's counts.
* What is held keeps its body, and its bytes count as held: memory stays as bounded as it is.
* What lasts for seconds is told (`control/retrying/situation.py`), where somebody listens.
* When the store is away, idle connections are closed; when it is back, attempts that have made no progress
  since it went are cut.  Their connections may be dead without knowing, and cost no try.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from s3_upload.control.retrying.outage import Change, Outage, Reach
from s3_upload.control.retrying.retry import Rng
from s3_upload.control.retrying.situation import Seen, Situation
from s3_upload.errors import AttemptError, FailureKind, RunError
from s3_upload.http1.exchange import Exchange
from s3_upload.observe.events import Events, StoreAway, StoreBack
from s3_upload.report import SUCCESS, AttemptReport
from s3_upload.s3.operations import HEAD_OBJECT, Operation
from s3_upload.transfer.attempt import Outcome
from s3_upload.transfer.client import Client, IdleCloser
from s3_upload.transfer.guard import guarded
from s3_upload.transfer.sink import Sink
from s3_upload.transfer.unit import Unit
from s3_upload.transfer.waiting import Waiting
from s3_upload.transfer.watchdog import Watchdog

TIMER_OUTAGE = "outage"
"""The timer, in reports, of an attempt that was cut since the store had been away meanwhile."""
Notice = Callable[[str], object]
"""Is told what goes on with the store: one line of plain English, a few seconds apart at least."""
TICK_S = 1.0
"""How often signs of life are looked for."""
MIN_PROBE_DELAY_S, MAX_PROBE_DELAY_S = 0.02, 0.05
"""Before the first probe: among many requests another is answered by then, and spares it."""


class Outages:
    """See the module's rules. `judge`: decides about a held attempt as about any that failed."""

    def __init__(
        self,
        client: Client,
        outage: Outage,
        *,
        rng: Rng,
        loop: asyncio.AbstractEventLoop,
        sink: Sink,
        waiting: Waiting,
        watchdog: Watchdog,
        observe: Callable[[AttemptReport], None],
        judge: Callable[[Unit, Outcome], object],
        notice: Notice | None,
        events: Events,
    ) -> None:
        self._events = events
        self._client = client
        self._outage = outage
        self._rng = rng
        self._loop = loop
        self._sink = sink
        self._waiting = waiting
        self._watchdog = watchdog
        self._observe = observe
        self._judge = judge
        self._notice = notice
        self._situation = Situation(client.endpoint, outage.max_s)
        self._refused = 0  # answers in a row that were errors
        self._refused_since_s = 0.0
        self._refusal = ""
        self._moved_s = 0.0  # until then bodies were being taken in, or nothing was waited for
        self._held: dict[Unit, Outcome | None] = {}  # None: it goes on in any case
        self._bucket = self._key = ""  # of the object of which something was answered last
        self._timer: asyncio.TimerHandle | None = None
        self._probe: asyncio.Task[None] | None = None
        self._probe_begun_s = 0.0
        self._tick = guarded(sink.fail, self._look)
        self._begin_probe = guarded(sink.fail, self._start_probe)
        self._probed = guarded(sink.fail, self._after_probe)
        self._tick_timer = loop.call_later(TICK_S, self._tick)

    @property
    def room(self) -> float:
        """How many requests may be in flight, by what is known of the store."""
        return self._outage.room

    @property
    def away(self) -> bool:
        return self._outage.reach is Reach.AWAY

    @property
    def silent_s(self) -> float:
        """For how long nothing was answered, and bodies were hardly taken in."""
        now = self._sink.now()
        if self.away:
            return self._outage.silent_s(now=now)
        return now - max(self._moved_s, self._outage.answered_s)

    @property
    def got_somewhere(self) -> bool:
        return self._outage.got_somewhere or self._watchdog.any_on_its_way

    def saw(self, operation: Operation, report: AttemptReport) -> None:
        """Learns from an attempt that has ended."""
        if report.status:
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
            elif self._outage.room < math.inf and report.outcome == SUCCESS:
                self._outage.succeeded(self._sink.window_limit())
            return
        under_way = self._watchdog.any_on_its_way
        change = self._outage.unanswered(report, under_way=under_way, now=self._sink.now())
        if change is Change.SUSPECTED:
            self._suspect(operation)

    def holds(self, report: AttemptReport) -> bool:
        """Whether the unit of this attempt is to be held, and uses up no try for it."""
        return self._outage.holds(report) or report.timer == TIMER_OUTAGE

    def outwaited(self, report: AttemptReport) -> bool:
        """Whether its answer was waited for as long as any is."""
        return self._outage.outwaited(report)

    def hold(self, unit: Unit, outcome: Outcome) -> None:
        """Holds `unit` until the store is heard of."""
        unit.avoid = outcome.report.address
        if self._outage.reach is Reach.THERE:  # cut when it came back
            self._sink.resume(unit)
        else:
            self._held[unit] = None if self.away else outcome

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
        now = self._sink.now()
        if now - self._outage.answered_s < TICK_S:
            alive_s, waits_for = self._outage.answered_s, None
        else:
            alive_s, waits_for = self._watchdog.last_sign_s()
            if waits_for is None and not self._held and not self.away:
                alive_s = now  # nothing is waited for
            moved_s = self._watchdog.moved_s() if waits_for is not None or self._held else now
            self._moved_s = max(self._moved_s, moved_s)
        if self._outage.look(alive_s=alive_s, now=now) is Change.SUSPECTED and waits_for is not None:
            self._suspect(waits_for)
        if self._outage.is_overdue(now=now):
            self._sink.fail(self._given_up())
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
        if not self._key:
            self._bucket, self._key = operation.bucket, operation.key
        self._arm(self._rng.uniform(MIN_PROBE_DELAY_S, MAX_PROBE_DELAY_S))

    def _act(self, change: Change) -> None:
        match change:
            case Change.WAS_THERE:
                self._disarm()
                held, self._held = self._held, {}
                for unit, outcome in held.items():
                    assert outcome is not None
                    self._judge(unit, outcome)
            case Change.GONE:
                self._held = dict.fromkeys([*self._held, *self._waiting.reclaim(self._outage.answered_s)])
                if isinstance(self._client, IdleCloser):
                    self._client.close_idle()
            case Change.BACK:
                self._disarm()
                self._moved_s = self._sink.now()  # a probe was answered, perhaps: no request knows of it yet
                if self._events.wants(StoreBack):
                    self._events.tell(StoreBack(at_s=self._sink.now(), since_s=self._outage.since_s))
                self._watchdog.cut_silent(self._outage.since_s, TIMER_OUTAGE)
                held, self._held = self._held, {}
                for unit in reversed(held):  # each goes before all that waits
                    self._sink.resume(unit)
                self._sink.more_room()

    def _arm(self, delay_s: float) -> None:
        if self._timer is None and self._probe is None:
            self._timer = self._loop.call_later(delay_s, self._begin_probe)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_probe(self) -> None:
        self._timer = None
        self._probe_begun_s = self._sink.now()
        self._probe = self._loop.create_task(self._ask())
        self._probe.add_done_callback(self._probed)

    async def _ask(self) -> None:
        outage, sink = self._outage, self._sink
        connect_s, answer_s = outage.probe_limits_s(now=sink.now())
        operation = Operation(name=HEAD_OBJECT, bucket=self._bucket, key=self._key)
        exchange = Exchange(sink.now, connect_s, fresh=True)
        cause = f"no answer within {answer_s:.3g} s"
        try:
            async with asyncio.timeout(connect_s + answer_s):
                response = await self._client.send(operation, exchange)
        except AttemptError as error:
            if error.kind is FailureKind.CLIENT_CLOSED:
                sink.fail(RunError(error.message, error.kind))
            cause = error.message
        except TimeoutError:
            pass
        else:
            if outage.is_miss(response.status, response.request_id):
                cause = f"something else answers for it, {response.status}"
                self._act(outage.missed(cause, connected=True, begun_s=exchange.started_s))
                return
            self._learn(exchange, response.status)
            self._act(outage.heard(begun_s=exchange.started_s, now=sink.now()))
            return
        connected = exchange.request_s > 0.0
        self._act(outage.missed(cause, connected=connected, begun_s=exchange.started_s))

    def _learn(self, exchange: Exchange, status: int) -> None:
        """A handshake that took longer than one is allowed would fail the next request again."""
        report = AttemptReport(
            operation=HEAD_OBJECT,
            started_s=exchange.started_s,
            ended_s=self._sink.now(),
            timeout_s=exchange.connect_timeout_s,
            body_bytes=0,
            outcome=SUCCESS,
            connect_s=exchange.connect_s,
            request_s=exchange.request_s,
            status=status,
        )
        self._observe(report)

    def _after_probe(self, probe: asyncio.Task[None]) -> None:
        self._probe = None
        if probe.cancelled():
            return
        error = probe.exception()
        if error is not None:
            self._sink.fail(error)
        elif self._outage.reach is not Reach.THERE:
            now = self._sink.now()
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
