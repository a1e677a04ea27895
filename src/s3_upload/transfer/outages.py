"""Acts on what `control/retrying/outage.py` says: holds what failed meanwhile, lets it go.

Rules:

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
from s3_upload.control.retrying.situation import Refusals, Seen, Situation
from s3_upload.errors import FailureKind, RunError
from s3_upload.observe.events import Events, StoreAway, StoreBack
from s3_upload.report import SUCCESS, AttemptReport
from s3_upload.s3.operations import Operation
from s3_upload.transfer.client import Client, IdleCloser
from s3_upload.transfer.guard import Timers
from s3_upload.transfer.probing import Prober
from s3_upload.transfer.turn import Go, turn
from s3_upload.transfer.waiting import Waiting
from s3_upload.transfer.watchdog import Watchdog

TIMER_OUTAGE = "outage"
"""The timer, in reports, of an attempt that was cut because the store had been away meanwhile."""
Notice = Callable[[str], object]
"""Is told what goes on with the store: lines of plain English, a few seconds apart at least."""
TICK_S = 1.0
"""How often signs of life are looked for."""


class Held(msgspec.Struct, eq=False):
    """One that has failed meanwhile, and waits. `goes_again`: when the store is heard of, unjudged."""

    go: Go = lambda: False
    goes_again: bool = False

    def wait(self, go: Go) -> None:
        self.go = go


class Noticed:
    """What `notice` is told: see `situation.py`."""

    def __init__(self, notice: Notice | None, situation: Situation) -> None:
        self.refusals = Refusals()
        self._notice = notice
        self._situation = situation

    def look(self, outage: Outage, *, now: float) -> None:
        if self._notice is None:
            return
        seen = Seen(
            alive_s=outage.alive_s,
            answered_s=outage.answered_s,
            away_since_s=outage.since_s if outage.reach is Reach.AWAY else None,
            cause=outage.cause,
            unreached=outage.unreached,
            refused=self.refusals.count,
            refused_since_s=self.refusals.since_s,
            refusal=self.refusals.last,
        )
        line = self._situation.line(seen, now=now)
        if line is not None:
            self._notice(line)


class Outages:
    """See the module's rules.

    `wanted`: how many requests would be under way if the store were well.  `observe` learns from a probe's
    attempt.  `more_room` is called when `room` has grown.
    """

    def __init__(
        self,
        client: Client,
        outage: Outage,
        timers: Timers,
        *,
        rng: Rng,
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
        self._timers = timers
        self._waiting = waiting
        self._watchdog = watchdog
        self._wanted = wanted
        self._more_room = more_room
        self._noticed = Noticed(notice, Situation(client.endpoint, outage.max_s))
        self._prober = Prober(
            client, outage, self._timers, rng, observe=observe, act=self._act, failed=self._tell_away
        )
        self._moved_s = 0.0  # until then bodies were being taken in, or nothing was waited for
        self._held: list[Held] = []
        self._tick: asyncio.TimerHandle | None = None
        self._looked_s = timers.now()

    def start(self) -> None:
        """Looks for signs of life from now on, until it is closed."""
        self._tick = self._timers.later(TICK_S, self._look)

    @property
    def away(self) -> bool:
        return self._outage.reach is Reach.AWAY

    @property
    def silent_s(self) -> float:
        """For how long nothing was answered, and bodies were hardly taken in."""
        now = self._timers.now()
        if self.away:
            return self._outage.silent_s(now=now)
        return now - max(self._moved_s, self._outage.answered_s)

    @property
    def got_somewhere(self) -> bool:
        return self._outage.got_somewhere or self._watchdog.any_on_its_way

    def saw(self, operation: Operation, report: AttemptReport) -> None:
        """Learns from an attempt that has ended."""
        if report.status:
            self._prober.answered(operation)
            self._noticed.refusals.answered(report)
            change = self._outage.answered(report)
            if change is Change.SUSPECTED:
                self._prober.suspect(operation)
            elif change is not Change.NONE:
                self._act(change)
            # An error answers too, but only a success makes room for one more.
            elif self._outage.room < math.inf and report.outcome == SUCCESS:
                self._outage.succeeded(self._wanted())
            return
        under_way = self._watchdog.any_on_its_way
        change = self._outage.unanswered(report, under_way=under_way, now=self._timers.now())
        if change is Change.SUSPECTED:
            self._prober.suspect(operation)

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
        if self._tick is not None:
            self._tick.cancel()
        await self._prober.close()

    # --- what follows ---------------------------------------------------------------------------------

    def _look(self) -> None:
        self.start()
        now = self._timers.now()
        # This process stood still (Ctrl-Z, a debugger): in that time nobody was silent, it has not listened.
        if (late_s := now - self._looked_s - TICK_S) > TICK_S:
            self._outage.stood_still(late_s, now=now)
        self._looked_s = now
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
            self._prober.suspect(waits_for)
        if self._outage.is_overdue(now=now):
            self._timers.fail(self._given_up())
        else:
            self._noticed.look(self._outage, now=now)

    def _act(self, change: Change) -> None:
        match change:
            case Change.WAS_THERE:
                self._prober.disarm()
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
                self._prober.disarm()
                # If it was a probe that was answered, no request knows: without this, silence goes on.
                self._moved_s = self._timers.now()
                if self._events.wants(StoreBack):
                    back = StoreBack(at_s=self._timers.now(), since_s=self._outage.since_s)
                    # What a listener raises must not take with it the answer by which the store is back.
                    self._timers.guard(self._events.tell)(back)
                self._watchdog.cut_silent(self._outage.since_s, TIMER_OUTAGE)
                self._let_go()
                # In the next turn of the loop: what was held then stands first in line.
                self._timers.soon(self._more_room)

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for one in held:
            one.go()

    def _tell_away(self, next_try_s: float) -> None:
        if self.away and self._events.wants(StoreAway):
            since_s, cause, now = self._outage.since_s, self._outage.cause, self._timers.now()
            self._events.tell(StoreAway(at_s=now, since_s=since_s, next_try_s=next_try_s, cause=cause))

    def _given_up(self) -> RunError:
        outage, endpoint = self._outage, self._client.endpoint
        limit = f"{outage.max_s:,.3g} s"
        if self.away:
            what, kind = f"{endpoint} has been away for {limit} ({outage.cause})", FailureKind.CONNECT
        else:
            what = f"{endpoint} takes requests and has answered none for {limit}"
            kind = FailureKind.TIMEOUT
        return RunError(f"{what}: given up; max_outage_s (--max-outage) says how long to wait", kind)
