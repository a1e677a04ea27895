"""How long to wait, by three timers, each adapting only where its cause lies.

Rules: no clock, no I/O; what is learned comes from `AttemptReport`s alone.

Theory of operation.  One number for a whole attempt must be large enough for the slowest transfer
and is then useless against a store that does not answer.  Time has three causes, so:

1. *connect*: RFC 6298 on handshake times, but never less than SYN_RETRY_S + 2 * srtt, so that one lost
   SYN, which the kernel sends again after a second, does not end a handshake.
2. *send*: as long as bytes of the body are acknowledged the transfer is alive, however slow.  What
   is cut is a stall: nothing acknowledged for `stall_s`, or for `STALL_RTOS` times the connection's
   own RTO where that is longer (`stall_limit_s`), so that TCP's retransmissions get their chance.
   A stall cut is a censored sample like a response timeout (step 5) and doubles `stall_s`.
3. *response*: from the last byte acknowledged to the first byte of the answer, which does not depend
   on the size.  `srtt`, `rttvar` of that time give two bounds:

       hedge_s    = srtt + max(HEDGE_MARGIN_S, min(m * rttvar, HEDGE_SPREAD_S + M_MIN * rttvar))
       response_s = max(RESPONSE_MIN_S, RESPONSE_FACTOR * hedge_s, LATE_FACTOR * slowest) * backoff ** retries

   `slowest` is what an answer took at the most, less 1/64 for each that was quicker: a proxy that takes a
   whole body at once and passes it on for minutes is waited for from its first answer on.  A first try
   waits PATIENCE_S at the most unless an answer has taken that long, a retry `max_outage_s` at the most.
   Bodies of more than HEDGE_MAX_BYTES have a `slowest` and doublings (step 5) of their own: what keeps
   them waiting is often their size, and small answers say nothing of it.

   After `hedge_s` a second copy is sent beside the first (small bodies, where it is safe); after
   `response_s` the attempt is cut.  Both are speculation and paid from `budget.SpeculationBudget`;
   after `PATIENCE_S` an attempt is cut whatever the budget.
4. `m` is what keeps hedges rare without a tuned constant: a hedge whose original answered first was
   *wasted* and multiplies m by `M_RAISE`; every success multiplies it by `M_DECAY`.  In equilibrium
   one hedge in ln(M_RAISE) / -ln(M_DECAY), about 1,350, is wasted, whatever the distribution.  A hedge
   that won says that the original was lost, not that the bound was too tight: it changes nothing.
5. A response timeout is a censored sample: the answer would have taken longer than the attempt was
   allowed.  It doubles `response_s` (of a first try up to PATIENCE_S), once for all that were under way
   when it did last; a success halves the number of doublings.
6. The origin's bandwidth model stays as the outer bound on everything:

       total_s = max(OUTER_MIN_S + bytes / OUTER_MIN_BYTES_PER_S,
                     OUTER_FACTOR * backoff ** retries * (min_timeout + timeout_fraction * MB / speed))

   It ends a transfer that trickles for ever and nothing else.
7. CompleteMultipartUpload may take minutes: it has no response timer, only the outer bound.

S3 answers small requests in 0.1 to 0.2 s, about one in a thousand in some seconds
(https://docs.aws.amazon.com/whitepapers/latest/s3-optimizing-performance-best-practices/timeouts-and-retries-for-latency-sensitive-applications.html
advises to retry requests below 512 KB after 2 s, then after 4 s: RESPONSE_MIN_S and `backoff`).
"""

from __future__ import annotations

from s3_upload.config import UploadConfig
from s3_upload.control.waiting.rtt import RttEstimator
from s3_upload.control.waiting.timeouts import NEVER_S, SpeedEstimate, Timeouts
from s3_upload.report import SUCCESS, AttemptReport

CONNECT_INITIAL_S = 3.0
SYN_RETRY_S = 1.0
STALL_MIN_S = 20.0
"""Flows that share a full queue with many others are silent for ten seconds and more while TCP backs
off, and live; S3 itself gives up on a silent request after about 20 s (400 RequestTimeout)."""
STALL_RTOS = 8
RESPONSE_INITIAL_S = 10.0
RESPONSE_MIN_S = 2.0
RESPONSE_FACTOR = 4.0
LATE_FACTOR = 1.5
LATE_KEPT = 63 / 64
"""For each answer, as RESPONSE_ALPHA."""
MAX_DOUBLINGS = 5
PATIENCE_S = 60.0
HEDGE_MARGIN_S = 0.03
HEDGE_SPREAD_S = 2.0
"""What m adds at the most, whatever it has become: a busy machine wastes some hedges at once, and what is
lost after that would wait for a minute."""
HEDGE_MAX_BYTES = 1 << 20
"""A second copy of more than this costs the link more than it saves."""
HEDGE_MIN_SAMPLES = 20
LEARN_LOOK_S = 0.03
"""How often a body is looked at until there are so many: a sample needs a look between its last
acknowledgement and the answer.  (From then on the looks that hedging needs bring enough.)"""
M_INITIAL = 6.0
M_MIN = 4.0
M_MAX = 200.0
M_RAISE = 1.5
M_DECAY = 0.9997
SMALL_BYTES = 64 << 10
"""Such a body is in the kernel at once; its response time counts from then (`sent_s`), since when it
was acknowledged cannot be told better than by the receiver's delayed acknowledgements, 40 ms."""
LIMITS_KEPT = 8
"""Successes after which the limits are reckoned anew: one moves them little, and there are thousands a
second.  Whatever else is learned counts at once."""
OUTER_FACTOR = 10.0
OUTER_MIN_S = 300.0
OUTER_MIN_BYTES_PER_S = 1000.0
# RFC 7323, appendix G: many samples come in one round trip.
RESPONSE_ALPHA = 1 / 64
RESPONSE_BETA = 1 / 32
TIMER_CONNECT = "connect"
TIMER_STALL = "stall"
TIMER_RESPONSE = "response"
TIMER_TOTAL = "total"

_NO_RESPONSE_TIMER = frozenset({"CompleteMultipartUpload"})


def stall_limit_s(stall_s: float, rto_s: float) -> float:
    """How long nothing may be acknowledged on a connection whose RTO, before back-off, is `rto_s`."""
    return max(stall_s, STALL_RTOS * rto_s)


class Censored:
    """Step 5: how often a timer was too short of late, as a factor on it."""

    def __init__(self) -> None:
        self._doublings = 0.0
        self._raised_s = float("-inf")

    @property
    def factor(self) -> float:
        return float(2.0**self._doublings)

    def add(self, report: AttemptReport) -> None:
        """An attempt was cut by the timer."""
        if report.started_s > self._raised_s:
            self._doublings = min(self._doublings + 1.0, MAX_DOUBLINGS)
            self._raised_s = report.ended_s

    def success(self) -> None:
        self._doublings *= 0.5


class Answers:
    """What steps 3 and 5 tell apart by size: what answers took at the most, and cuts that came too soon."""

    def __init__(self) -> None:
        self.late = Censored()
        self.slowest_s = 0.0

    def sample(self, response_s: float) -> None:
        kept_s = self.slowest_s * LATE_KEPT
        self.slowest_s = response_s if response_s > kept_s else kept_s

    def bound_s(self, base_s: float) -> float:
        """How long the first try of a request is waited for, by what is usual and by what has been seen."""
        return max(min(PATIENCE_S, base_s * self.late.factor), LATE_FACTOR * self.slowest_s)


class AdaptiveTimeout:
    """The algorithm of the module's theory."""

    def __init__(self, config: UploadConfig) -> None:
        self._config = config
        self._speed = SpeedEstimate(config)
        self._connect = RttEstimator(
            initial_s=min(CONNECT_INITIAL_S, config.connect_timeout_s),
            min_s=0.0,
            max_s=config.connect_timeout_s,
        )
        self._response = RttEstimator(
            initial_s=RESPONSE_INITIAL_S,
            min_s=0.0,
            max_s=PATIENCE_S,
            alpha=RESPONSE_ALPHA,
            beta=RESPONSE_BETA,
        )
        self._m = M_INITIAL
        self._small, self._big = Answers(), Answers()
        self._longest_s = max(PATIENCE_S, config.max_outage_s)
        self._stalled = Censored()
        self._reckon()

    @property
    def est_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        return self._speed.MBps

    @property
    def connect_s(self) -> float:
        """What a handshake is allowed (step 1)."""
        connect = self._connect
        if connect.samples == 0:
            return connect.rto_s
        return min(self._config.connect_timeout_s, max(connect.rto_s, SYN_RETRY_S + 2.0 * connect.srtt_s))

    @property
    def hedge_s(self) -> float:
        """When a second copy may be sent, in seconds after the last byte was acknowledged (step 3)."""
        response = self._response
        if response.samples < HEDGE_MIN_SAMPLES:
            return NEVER_S
        spread_s = min(self._m * response.rttvar_s, HEDGE_SPREAD_S + M_MIN * response.rttvar_s)
        longest_s = min(self._longest_s, max(PATIENCE_S, LATE_FACTOR * self._small.slowest_s))
        return min(longest_s, response.srtt_s + max(HEDGE_MARGIN_S, spread_s))

    @property
    def response_s(self) -> float:
        """When a first try of a small body is cut, in seconds after the last byte was acknowledged (steps 3
        and 5)."""
        return self._first_s(self._small)

    def _first_s(self, answers: Answers) -> float:
        hedge_s = self.hedge_s
        base_s = RESPONSE_INITIAL_S if hedge_s == NEVER_S else max(RESPONSE_MIN_S, RESPONSE_FACTOR * hedge_s)
        return min(self._longest_s, answers.bound_s(base_s))

    def timeouts(self, *, operation: str, body_bytes: int, retries: int) -> Timeouts:
        if self._unreckoned >= LIMITS_KEPT:
            self._reckon()
        config = self._config
        longer: float = float(config.backoff**retries) if retries else 1.0
        expected_s = config.min_timeout + config.timeout_fraction * body_bytes / 1e6 / self._speed.MBps
        total_s = OUTER_MIN_S + body_bytes / OUTER_MIN_BYTES_PER_S
        total_s = max(total_s, OUTER_FACTOR * longer * expected_s)
        connect_s, stall_s, response_s, hedge_s, big_response_s = self._limits
        if body_bytes > HEDGE_MAX_BYTES:
            response_s, hedge_s = big_response_s, NEVER_S
        if retries:
            stall_s = min(stall_s * longer, PATIENCE_S)
            response_s = min(response_s * longer, self._longest_s)
        if operation in _NO_RESPONSE_TIMER:
            return Timeouts(connect_s, total_s, stall_s)
        look_s = hedge_s
        if hedge_s == NEVER_S and SMALL_BYTES < body_bytes <= HEDGE_MAX_BYTES:
            look_s = LEARN_LOOK_S
        return Timeouts(connect_s, total_s, stall_s, response_s, hedge_s, look_s)

    def _reckon(self) -> None:
        """The limits of a first try, from what is known now."""
        stall_s = min(STALL_MIN_S * self._stalled.factor, PATIENCE_S)
        self._limits = (
            self.connect_s, stall_s, self.response_s, self.hedge_s, self._first_s(self._big),
        )  # fmt: skip
        self._unreckoned = 0

    def observe(self, report: AttemptReport) -> None:
        if report.connect_s > 0.0:
            self._connect.sample(report.connect_s)
        if report.outcome == SUCCESS:
            self._observe_success(report)
            return
        self._unreckoned = LIMITS_KEPT
        if report.timer == TIMER_CONNECT:
            self._connect.timed_out()
        elif report.timer == TIMER_RESPONSE:
            self._answers(report).late.add(report)
        elif report.timer == TIMER_STALL:
            self._stalled.add(report)
        self._speed.observe(report)

    def _observe_success(self, report: AttemptReport) -> None:
        self._unreckoned += 1
        answers = self._answers(report)
        answers.late.success()
        self._m = max(M_MIN, self._m * M_DECAY)
        if report.hedged and not report.hedge:
            self._m = min(M_MAX, self._m * M_RAISE)
            self._unreckoned = LIMITS_KEPT
        if report.body_bytes > SMALL_BYTES:
            self._stalled.success()
            acked_s = report.acked_s
        else:
            acked_s = report.sent_s
        if report.body_bytes >= self._config.avg_min_bytes:
            self._speed.observe(report)
        if acked_s and report.operation not in _NO_RESPONSE_TIMER:
            response_s = report.first_byte_s - acked_s
            # A big body's answer that is that late says nothing of small ones: it counts as `slowest` alone.
            if answers is self._small or response_s <= RESPONSE_INITIAL_S:
                self._response.sample(response_s if response_s > 0.0 else 0.0)
            answers.sample(response_s)
            if response_s > PATIENCE_S:
                self._unreckoned = LIMITS_KEPT

    def _answers(self, report: AttemptReport) -> Answers:
        return self._big if report.body_bytes > HEDGE_MAX_BYTES else self._small
