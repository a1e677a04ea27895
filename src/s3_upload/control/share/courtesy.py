"""How much of the link to take: joins what the shares, the cap and the requests in flight decide. Pure.

Theory of operation.  Every tick the connections' samples become a `Look` (`link`).

1. *Rate*: what the share allows (`scavenger`, `fair`; "full": everything), and at most what the cap does.
2. *Requests*: with a bound on the rate, more requests at a time than keep it busy only wait.  From
   START_REQUESTS, times REQUESTS_GROWTH each step (a round trip and REACTION_S) in which all were in use and
   less than USED of the rate was acknowledged, though no queue stands in the way and none had bytes that
   wait (all wait for answers); where some had (TCP holds them back), each SLOW_STEPS.  In the share "fair"
   also while a queue stands, if less than SENDING of them have (mean of SENDING_LOOKS): where bodies are
   small many wait for answers, and its part is due whatever their size.  One less when more than MAX_WAITING
   have bytes that wait, their windows suffice (SPARE_WINDOWS times what is wanted: each waits a round trip
   between two bodies), and the last one less has told.  After a yield the windows of old connections are
   small (what little they sent has met losses), and open slowly: where they do not suffice, so many are added
   within a step as let the rest through soon (step 6 of `link`); not before FRESH_FROM of it is reached,
   since in a try that fails they would fare like the others.
3. *Pace of one connection*: `division`.
4. *Timeouts*: what is held back here is not to be cut for it.  A small body counts as taken in when the
   kernel has it, but then leaves at the pace; the slowest of the last SLOWEST_S, for safety.  A request as
   a whole may take the time of its bytes at the floor.
5. *Blind*: without TCP_INFO nothing is known of the queue.  Then a share other than "full" is one request
   at a time, which is one flow: fair beside one other, and no less than that in the background.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from s3_upload.control.concurrency.window import Window
from s3_upload.control.share.background import FLOOR_CONNECTION_BYTES_PER_S, TRIGGER_S, Scavenger, State
from s3_upload.control.share.cap import UNBOUNDED, Cap
from s3_upload.control.share.division import Division
from s3_upload.control.share.fair import FairFlow
from s3_upload.control.share.link import RATE_S, REACTION_S, LinkView, Look, Recent, fresh_connections
from s3_upload.control.waiting.adaptive import SMALL_BYTES
from s3_upload.control.waiting.timeouts import Timeout, Timeouts
from s3_upload.report import AttemptReport, ConnectionSample, PaceReport, Paces
from s3_upload.units import Bandwidth

START_REQUESTS = 4
REQUESTS_GROWTH = 1.5
USED, SPARE_WINDOWS = 0.9, 1.25
MAX_WAITING = 8
SENDING, SENDING_LOOKS = 0.7, 8.0
SLOW_STEPS = 3
FRESH_FROM = 0.25
SLOWEST_S = 60.0
BLIND_RATE_S = 3.0


class Decision(msgspec.Struct, frozen=True, gc=False):
    """`bytes_per_s` for all connections together (or UNBOUNDED), and how they share it."""

    bytes_per_s: float
    paces: Paces
    report: PaceReport


class CappedWindow:
    """A window algorithm, and above it the bound of step 2 (None: no bound)."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._bound: int | None = None
        self.acked_bytes = 0
        """Of bodies, in attempts that succeeded."""
        self.on_growth: Callable[[], None] = lambda: None
        """Called when the bound has let more in: no request ends that would show it."""

    @property
    def limit(self) -> int:
        return self.unbound if self._bound is None else min(self.unbound, self._bound)

    @property
    def unbound(self) -> int:
        """The window's own limit."""
        return self._window.limit

    @property
    def bound(self) -> int | None:
        return self._bound

    @bound.setter
    def bound(self, bound: int | None) -> None:
        before, self._bound = self.limit, bound
        if self.limit > before:
            self.on_growth()

    def observe(self, report: AttemptReport, *, now: float, in_flight: int) -> None:
        self.acked_bytes += report.body_bytes if report.succeeded else 0
        self._window.observe(report, now=now, in_flight=in_flight)


class Requests:
    """Step 2 of the module's theory."""

    def __init__(self) -> None:
        self.bound = START_REQUESTS
        self._rates = Recent()
        self._changed_s = 0.0
        self._used_s = 0.0  # when they last were enough
        self._sending = 1.0  # the share of those busy that have bytes to send, smoothed
        self._freshened = False
        self._fresh = self._stale = 0  # how many are added in this reclaim, to how many
        self._fresh_s = 0.0
        self.steady = False
        """The rate has been about the same for as long as its effect takes to be seen."""

    def decide(
        self,
        look: Look,
        rate: float,
        limit: int,
        *,
        now: float,
        reclaims: float = 0.0,
        due: float = 0.0,
    ) -> int | None:
        """How many may be in flight, None for as many as the window has; `limit`: what it has. `reclaims`:
        the rate that is wanted soon, after a yield; `due`: the rate that is wanted even though others' queue
        stands."""
        step_s = look.base_s + look.queue_s + REACTION_S
        self._rates.add(rate, now=now, over_s=step_s + RATE_S)
        if rate == UNBOUNDED:
            return None
        least = self._rates.least
        self.steady = self._rates.most < 1.1 * least
        full = look.busy >= min(self.bound, limit)
        self._sending += (look.waiting / max(look.busy, 1) - self._sending) / SENDING_LOOKS
        answers = look.bytes_per_s < USED * due and self._sending < SENDING
        crowded = look.queue_s > TRIGGER_S and not answers
        if not full or look.bytes_per_s >= USED * least or crowded:
            self._used_s = now
        held_back = now - self._used_s >= step_s * (SLOW_STEPS if look.waiting else 1)
        if reclaims:
            self._used_s = now  # paces rise with acknowledgements, and few come yet
            self._freshen(look, rate, now, reclaims)
            self._add_fresh(limit, step_s, now)
        else:
            self._freshened = False
        if now - self._changed_s < step_s:
            return self.bound
        if held_back:
            self.bound = min(int(self.bound * REQUESTS_GROWTH), 2 * max(limit, START_REQUESTS))
            self._changed_s = self._used_s = now
        elif look.bytes_per_s >= USED * due and self._too_many(look, rate):
            self.bound -= 1
            self._changed_s = now
        return self.bound

    def _too_many(self, look: Look, rate: float) -> bool:
        """Whether one less would do: many wait, and it is the pace that has them wait, not TCP."""
        paced = look.waiting > MAX_WAITING and look.window_bytes_per_s > SPARE_WINDOWS * rate
        return paced and START_REQUESTS < self.bound >= look.busy

    def _freshen(self, look: Look, rate: float, now: float, reclaims: float) -> None:
        """Once in each reclaim, for connections whose windows are small."""
        missing = SPARE_WINDOWS * reclaims - look.window_bytes_per_s
        if self._freshened or missing <= 0.0 or rate < FRESH_FROM * reclaims:
            return
        self._fresh, self._stale = fresh_connections(missing, look.base_s), self.bound
        self._freshened = True
        self._fresh_s = now

    def _add_fresh(self, limit: int, step_s: float, now: float) -> None:
        """One after the other: each sends its first ten segments at once."""
        if not self._freshened:
            return
        due = min(self._fresh, 1 + int(self._fresh * (now - self._fresh_s) / step_s))
        bound = min(self._stale + due, 2 * max(limit, START_REQUESTS))
        if bound > self.bound:
            self.bound = bound
            self._changed_s = now

    def rest(self, now: float) -> int:
        """Instead of `decide` while nothing is to change."""
        self.steady = self._freshened = False
        self._used_s = now
        return self.bound


class Courtesy:
    """The decisions of one run. `share`: "background", "fair" or "full"; `blind`: there are no samples."""

    def __init__(self, share: str, window: CappedWindow, *, blind: bool = False) -> None:
        self.share = share
        self._window = window
        self._view = LinkView()
        self._taker: Scavenger | FairFlow | None = None
        self._blind = blind
        self._acked: deque[tuple[float, int]] = deque()
        if share != "full" and not blind:
            self._taker = Scavenger() if share == "background" else FairFlow()
        self._cap = Cap(blind=blind)
        self._requests = Requests()
        self._paces = Recent()  # of the slowest connection
        self._division = Division()
        self._rate, self._at_s = UNBOUNDED, 0.0

    def decide(
        self, samples: Sequence[ConnectionSample], bandwidth: Bandwidth | None, *, now: float
    ) -> Decision:
        """What holds until the next tick; bounds the window at once."""
        look = self._blind_look(now) if self._blind else self._view.look(samples, now=now)
        share_rate = UNBOUNDED if self._taker is None else self._taker.decide(look, now=now)
        cap_rate = self._cap.rate(bandwidth, look, now=now)
        rate = min(share_rate, cap_rate)
        if self._blind:
            bound = 1 if self.share != "full" else None
        else:
            bound = self._bound(look, rate, cap_rate, now)
        self._window.bound = bound
        self._rate, self._at_s = rate, now
        if rate < UNBOUNDED:  # a cap makes up by itself for what is missing
            self._division.adapt(rate, look, steady=self._requests.steady and cap_rate >= share_rate)
        report = PaceReport(
            at_s=now,
            share=self.share,
            state=self._state(capped=cap_rate < share_rate),
            queue_s=look.queue_s,
            base_s=look.base_s,
            pace_bytes_per_s=0.0 if rate == UNBOUNDED else rate,
            acked_bytes_per_s=look.bytes_per_s,
            connections=look.connections,
            requests=bound or 0,
        )
        return Decision(rate, self.divide(samples), report)

    def _bound(self, look: Look, rate: float, cap_rate: float, now: float) -> int | None:
        """Step 2. At the floor no number of requests is too small."""
        reclaims = due = 0.0
        if isinstance(self._taker, FairFlow):
            due = min(rate, self._taker.carries)
        if isinstance(self._taker, Scavenger):
            if self._taker.state is State.YIELDING:
                return self._requests.rest(now)
            reclaims = min(self._taker.reclaims, cap_rate)
        return self._requests.decide(look, rate, self._window.unbound, now=now, reclaims=reclaims, due=due)

    def _blind_look(self, now: float) -> Look:
        """What the ends of requests say."""
        acked_bytes = self._window.acked_bytes
        self._acked.append((now, acked_bytes))
        while self._acked[0][0] < now - BLIND_RATE_S:
            self._acked.popleft()
        since_s, before = self._acked[0]
        rate = (acked_bytes - before) / (now - since_s) if now > since_s else 0.0
        return Look(at_s=now, acked_bytes=acked_bytes, bytes_per_s=rate)

    def divide(self, samples: Sequence[ConnectionSample]) -> Paces:
        """Step 3 alone, for the rate that holds."""
        if self._rate == UNBOUNDED:
            return Paces()
        each, apart = self._division.divide(self._rate, samples)
        self._paces.add(min(apart.values(), default=each), now=self._at_s, over_s=SLOWEST_S)
        heedless = isinstance(self._taker, FairFlow) and self._taker.heedless
        return Paces(each_bytes_per_s=each, apart=apart, heedless=heedless)

    def slowed_s(self, body_bytes: int) -> float:
        """How long the bytes of a body may take on their way for their pace alone (step 4)."""
        return body_bytes / self._paces.least

    def _state(self, *, capped: bool) -> str:
        if capped or self._taker is None:
            return "capped" if capped else "full"
        return str(getattr(self._taker.state, "value", self._taker.state))


class PacedTimeout:
    """A timeout algorithm that knows of the pace: step 4 of the module's theory."""

    def __init__(self, timeout: Timeout, courtesy: Courtesy) -> None:
        self._timeout = timeout
        self._courtesy = courtesy

    @property
    def est_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        return self._timeout.est_MBps

    def timeouts(self, *, operation: str, body_bytes: int, retries: int) -> Timeouts:
        limits = self._timeout.timeouts(operation=operation, body_bytes=body_bytes, retries=retries)
        slowed_s = self._courtesy.slowed_s(body_bytes) if body_bytes <= SMALL_BYTES else 0.0
        return Timeouts(
            limits.connect_s,
            limits.total_s + body_bytes / FLOOR_CONNECTION_BYTES_PER_S,
            limits.stall_s,
            limits.response_s + slowed_s,
            limits.hedge_s + slowed_s,
            limits.look_s,
        )

    def observe(self, report: AttemptReport) -> None:
        self._timeout.observe(report)
