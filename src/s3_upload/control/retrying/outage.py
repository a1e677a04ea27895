"""Whether the store is there at all, and what follows for requests that fail meanwhile.

Pure: time and chance are arguments.

Theory of operation (`silent_s` and the like are fields of `Tuning`).  Networks, VPNs and stores go away for
minutes.  A request that fails meanwhile is not to blame, and trying it again uses up its tries for nothing.

1. *Suspected*: a connection could not be made (refused, unreachable, in vain, name not resolved), or was lost
   before any byte of an answer.  Or there was no *sign of life* for `silent_s`: no answer, and no byte of a
   body acknowledged.  Or S3 has answered in this run before, and for `foreign_s` only an ingress has
   (`by_ingress`), because the store behind it is away.  From now on a request that fails without an answer of
   S3's is *held*: it is neither tried again nor judged.  Unless something is answered soon, a probe asks the
   store something small.
2. *It was there*: a request that began since is answered, with whatever result; or, after mere silence, the
   probe got a connection.  So the requests had bad luck of their own.  Those held are judged as usual, and
   use up their tries.
3. *Away*: the probe fails.  Only probes are begun.  The time between two of them grows with the outage:

       gap = uniform(0.5, 1) * min(max_gap_s, max(first_gap_s, gap_share * (now - since)))

   So the run notices the end of an outage at most `gap_share` of its length too late.
4. *Back*: a request that began since is answered.  Those held go on as if nothing had happened, and new ones
   begin.  After more than `brief_s` there is room for `first_room` requests at once, and for one more with
   each success (twice as many in each round trip), until there is room for all.
5. *Given up*: there was no sign of life for `max_s` while requests were under way or held, whether the store
   took connections or not.  With `max_s` 0 all of this is switched off.  No single answer is awaited for
   longer either: a request for which that was in vain is not tried again (`outwaited`).

None of this holds before the run has got somewhere.  Before the store has answered anything, and before any
connection has taken a byte of a body, a wrong address is likelier than an outage, and `retry.py` stops the
run soon.  Broken connections count only once the store has answered: a server that hangs up on everybody may
not be a store.
"""

from __future__ import annotations

import enum
import math

import msgspec

from s3_upload.control.retrying.retry import Rng
from s3_upload.control.waiting.adaptive import PATIENCE_S, TIMER_RESPONSE
from s3_upload.errors import FailureKind
from s3_upload.report import AttemptReport

CONNECT_S = 5.0
"""A probe's handshake may take this many seconds, unless the configuration says otherwise."""
UNREACHED = frozenset({FailureKind.CONNECT, FailureKind.HOST_UNKNOWN})
"""Outcomes of attempts that had no connection."""
UNANSWERED = UNREACHED | {FailureKind.RESET, FailureKind.TIMEOUT}
"""Outcomes of attempts to which nothing was answered."""
INGRESS_STATUSES = frozenset({502, 503, 504})
"""What load balancers and proxies answer for a server that they do not reach."""


def by_ingress(report: AttemptReport) -> bool:
    """Whether what answered an attempt stands before a store that is away: no word of it is S3's (no code, no
    request ID)."""
    if not report.status or report.code or report.request_id:
        return False
    return report.status in INGRESS_STATUSES or report.outcome == FailureKind.NOT_S3


class Tuning(msgspec.Struct, frozen=True):
    silent_s: float = 3.0
    """An outage is suspected after this many seconds of silence, and each time the silence has doubled."""
    foreign_s: float = 1.0
    """An outage is suspected when only an ingress has answered for this many seconds."""
    first_gap_s: float = 0.2
    """The shortest time between two probes, in seconds."""
    gap_share: float = 1 / 30
    """The time between two probes as a share of the outage's length: three seconds after 90. A refused
    connection costs nobody anything."""
    max_gap_s: float = 15.0
    """The longest time between two probes, in seconds."""
    quick_connect_s: float = 2.2
    """Every other probe's handshake may take this many seconds: the kernel sends a lost SYN again after 1 s,
    and then after 3 s."""
    answer_s: float = 5.0
    """A probe's answer may take this many seconds at first."""
    max_answer_s: float = 60.0
    """A probe's answer may take this many seconds at the most."""
    brief_s: float = 1.0
    """After an outage of less than this many seconds all requests may go at once."""
    first_room: int = 8
    """After a longer one this many requests may go at first: a store that has just started is spared the
    whole window."""


DEFAULT = Tuning()


class Reach(enum.Enum):
    """Whether the store is there."""

    THERE = "there"
    SUSPECTED = "suspected"
    AWAY = "away"


class Change(enum.Enum):
    """What a report or a probe changed."""

    NONE = "none"
    SUSPECTED = "suspected"
    """Send a probe, now."""
    WAS_THERE = "was-there"
    """Judge what is held."""
    GONE = "gone"
    """Begin nothing but probes."""
    BACK = "back"
    """Let go what is held."""


class Suspicion(msgspec.Struct, frozen=True):
    """Since when, and why. `foreign_status`: of the answer that was not the store's, 0 for none; `unreached`:
    the last probe got no connection."""

    since_s: float = 0.0
    cause: str = ""
    merely_silent: bool = False
    foreign_status: int = 0
    unreached: bool = False


class Outage:
    """The state of the module's theory.

    `max_s`: see the theory; `connect_s`: what a handshake may take at the most.

    `reach`; `since_s`: when it was suspected; `cause`: what was seen last; `room`: how many requests may be
    in flight; `got_somewhere`: see the theory; `answered_s`: when something was answered last;
    `alive_s`: when the last sign of life was seen, or nothing was waited for.
    """

    def __init__(self, max_s: float, connect_s: float = CONNECT_S, tuning: Tuning = DEFAULT) -> None:
        self.max_s = max_s
        self.reach = Reach.THERE
        self.room = math.inf
        self.got_somewhere = False
        self.answered_s = self.alive_s = 0.0
        self._connect_s = connect_s
        self._heard_s = 0.0  # when a probe or a request was answered last
        self._any_answer = False
        self._suspicion = Suspicion()
        self._probes = 0
        self._ask_again_s = tuning.silent_s
        self._tuning = tuning

    @property
    def since_s(self) -> float:
        return self._suspicion.since_s

    @property
    def cause(self) -> str:
        return self._suspicion.cause

    @property
    def unreached(self) -> bool:
        """Whether the last probe got no connection."""
        return self._suspicion.unreached

    def answered(self, report: AttemptReport) -> Change:
        """An attempt was answered, whatever the answer."""
        if self._any_answer and by_ingress(report):
            return self._answered_by_another(report)
        self.got_somewhere = self._any_answer = True
        self.answered_s = report.ended_s
        if self.reach is Reach.THERE:
            return Change.NONE
        return self.heard(begun_s=report.started_s, now=report.ended_s)

    def succeeded(self, wanted: int) -> None:
        """An attempt has succeeded though there is not room for all, which are `wanted` at a time."""
        self.room += self.reach is Reach.THERE
        if self.room >= wanted:
            self.room = math.inf

    def heard(self, *, begun_s: float, now: float) -> Change:
        """The store has answered something that was begun at `begun_s`."""
        self._heard_s = now
        # A request from before may have been answered before, and its answer only be read now.
        if self.reach is Reach.THERE or begun_s < self.since_s:
            return Change.NONE
        was_away, self.reach = self.reach is Reach.AWAY, Reach.THERE
        if not was_away:
            return Change.WAS_THERE
        # In a brief outage too few requests have gathered to overrun the store.
        is_brief = now - self.since_s < self._tuning.brief_s
        self.room = math.inf if is_brief else self._tuning.first_room
        return Change.BACK

    def unanswered(self, report: AttemptReport, *, under_way: bool, now: float) -> Change:
        """An attempt was not answered. `under_way`: whether another's request is on a connection now."""
        if under_way or (report.request_s > 0.0 and report.body_bytes > 0):
            self.got_somewhere = True
        if self.reach is not Reach.THERE or not self.max_s:
            return Change.NONE
        unreached = report.outcome in UNREACHED and self.got_somewhere
        lost = report.outcome == FailureKind.RESET and self._any_answer and report.first_byte_s == 0.0
        # Any other failure (a wrong certificate, say) concerns this request alone.
        if not (unreached or lost):
            return Change.NONE
        return self._suspect(report.message, now)

    def _answered_by_another(self, report: AttemptReport) -> Change:
        now = report.ended_s
        if self.reach is not Reach.THERE or not self.max_s or now - self.answered_s < self._tuning.foreign_s:
            return Change.NONE
        cause = f"something else answers for it, {report.status}"
        return self._suspect(cause, now, foreign_status=report.status)

    def look(self, *, alive_s: float, now: float) -> Change:
        """Looks for signs of life: the last was seen at `alive_s`, now if nothing is waited for."""
        self.alive_s = max(self.alive_s, alive_s, self.answered_s)
        silent_s = now - self.alive_s
        if silent_s < self._tuning.silent_s:
            self._ask_again_s = self._tuning.silent_s
        elif self.reach is Reach.THERE and self.max_s and silent_s >= self._ask_again_s:
            # If a probe finds the store there, ask again only when the silence has doubled.
            self._ask_again_s = 2.0 * silent_s
            return self._suspect(f"no sign of life for {silent_s:.3g} s", now, merely_silent=True)
        return Change.NONE

    def holds(self, report: AttemptReport) -> bool:
        """Whether an attempt that failed is neither tried again nor judged now."""
        if self.reach is Reach.THERE:
            return False
        return report.outcome in UNANSWERED or (self._any_answer and by_ingress(report))

    def is_miss(self, status: int, request_id: str) -> bool:
        """Whether a probe's answer, which has no body, is not the store's."""
        return not request_id and (status in INGRESS_STATUSES or status == self._suspicion.foreign_status)

    def missed(self, cause: str, *, connected: bool, begun_s: float) -> Change:
        """A probe that was begun at `begun_s` was not answered; `connected`: it got a connection."""
        if self.reach is Reach.THERE or begun_s < self.since_s:
            return Change.NONE
        # A store that accepts connections is there, only slow; the timers of the requests handle that.
        if connected and self._suspicion.merely_silent and self.reach is Reach.SUSPECTED:
            self.reach = Reach.THERE
            return Change.WAS_THERE
        self._suspicion = msgspec.structs.replace(self._suspicion, cause=cause, unreached=not connected)
        if self.reach is Reach.AWAY:
            return Change.NONE
        self.reach, self.room = Reach.AWAY, 0
        return Change.GONE

    def stood_still(self, late_s: float, *, now: float) -> None:
        """For so long nobody has listened, and nothing of that was silence."""
        self.alive_s = min(self.alive_s + late_s, now)

    def is_overdue(self, *, now: float) -> bool:
        """Whether there was no sign of life for so long that the run is to be given up."""
        return self._unheard_s(now) >= self.max_s > 0.0

    def _unheard_s(self, now: float) -> float:
        """What counts of an outage: not what this process slept through."""
        return now - max(self.alive_s, self._heard_s)

    def silent_s(self, *, now: float) -> float:
        """Since the last sign of life, which is looked for now and then only; where the store is away and was
        not silent, since that showed."""
        if self.reach is Reach.AWAY and not self._suspicion.merely_silent:
            return now - self.since_s
        return now - max(self.alive_s, self.answered_s)

    def outwaited(self, report: AttemptReport) -> bool:
        """Whether the answer to an attempt was waited for as long as any is (`timers`, step 3)."""
        since_s = report.acked_s or report.sent_s or report.request_s
        waited_s = round(report.ended_s - since_s, 3)
        return report.timer == TIMER_RESPONSE and waited_s >= self.max_s > PATIENCE_S

    def probe_limits_s(self, *, now: float) -> tuple[float, float]:
        """What the next probe's handshake may take, and its answer.

        Not what handshakes took of late: the way may have become longer.  A store that takes connections and
        is silent is waited for longer each time.
        """
        tuning, away_s = self._tuning, now - self.since_s
        # A quick handshake notices the end of an outage early; a long one also works on a path that has
        # become slower.
        quick = self._probes % 2 == 0
        self._probes += 1
        connect_s = min(self._connect_s, tuning.quick_connect_s) if quick else self._connect_s
        return connect_s, min(tuning.max_answer_s, max(tuning.answer_s, away_s / 2.0))

    def gap_s(self, *, now: float, rng: Rng) -> float:
        """The time from one probe to the next."""
        tuning, away_s = self._tuning, now - self.since_s
        gap_s = min(tuning.max_gap_s, max(tuning.first_gap_s, tuning.gap_share * away_s))
        return min(rng.uniform(0.5, 1.0) * gap_s, max(self.max_s - self._unheard_s(now), 0.0))

    def _suspect(
        self, cause: str, now: float, *, merely_silent: bool = False, foreign_status: int = 0
    ) -> Change:
        self.reach = Reach.SUSPECTED
        self._suspicion = Suspicion(now, cause, merely_silent, foreign_status)
        return Change.SUSPECTED
