"""How long to wait, by three timers, each adapting only to its own cause.

Rules: no clock, no I/O; what is learned comes from `AttemptReport`s alone.

Theory of operation.  docs/algorithm.md ("How long to wait") has the reasons; these are the steps that the
code names (`syn_retry_s` and the like are fields of `Tuning`).

1. *connect*: RFC 6298 on handshake times, but never less than `syn_retry_s` + 2 * srtt.
2. *send*: a transfer is alive as long as bytes of the body are acknowledged, however slowly.  A stall is
   cut: nothing acknowledged for `stall_s`, or for longer if the connection's own RTO is long
   (`verdict.stall_limit_s`).  A cut doubles `stall_s`, as in step 5.
3. *response*: the time from the last byte acknowledged to the first byte of the answer, which does not depend
   on the size.  `srtt` and `rttvar` of that time give two bounds:

       hedge_s    = srtt + max(hedge_margin_s, min(m * rttvar, hedge_spread_s + m_min * rttvar))
       response_s = max(response_min_s, response_factor * hedge_s, late_factor * slowest) * backoff ** retries

   `slowest` is the longest time of an answer, less 1/64 for each quicker answer.  A first try waits for at
   most PATIENCE_S unless an answer has taken that long, a retry for at most `max_outage_s`.  Bodies of more
   than `hedge_max_bytes`, and parts of objects, have a `slowest` and doublings (step 5) of their own, and are
   waited for at least `response_initial_s`.

   After `hedge_s` a second copy is sent beside the first (of small bodies, where it is safe); after
   `response_s` the attempt is cut.  Both are speculation and paid from `budget.SpeculationBudget`.  After
   PATIENCE_S an attempt is cut whatever the budget.
4. A hedge whose original answered first was *wasted* and multiplies `m` by `m_raise`; every success
   multiplies it by `m_decay`.  A hedge that won changes nothing.
5. A response timeout is a censored sample.  It doubles `response_s` (of a first try up to PATIENCE_S), once
   for all attempts that were under way at the last doubling.  A success halves the number of doublings.
   Where a part was cut and its upload is then refused for its parts (InvalidPart), a big body is waited for
   PATIENCE_S at least from then on.
6. The classic timeout (`timeouts.py`), made wide, is the outer bound on everything:

       total_s = max(outer_min_s + bytes / outer_min_bytes_per_s,
                     outer_factor * backoff ** retries * (min_timeout + timeout_fraction * MB / speed))
7. CompleteMultipartUpload may take minutes: it has no response timer, only the outer bound.

S3 answers small requests in 0.1 to 0.2 s, and about one in a thousand in some seconds
(https://docs.aws.amazon.com/whitepapers/latest/s3-optimizing-performance-best-practices/timeouts-and-retries-for-latency-sensitive-applications.html
advises to retry requests below 512 KB after 2 s, then after 4 s: `response_min_s` and `backoff`).
"""

from __future__ import annotations

import msgspec

from s3_upload.config import UploadConfig
from s3_upload.control.waiting import rtt
from s3_upload.control.waiting.rtt import RttEstimator
from s3_upload.control.waiting.timeouts import NEVER_S, SpeedEstimate, Timeouts
from s3_upload.errors import FailureKind
from s3_upload.report import SUCCESS, AttemptReport

PATIENCE_S = 60.0
"""An attempt that has been silent for this many seconds is cut, whatever the budget for speculation."""
SMALL_BYTES = 64 << 10
"""A body of at most this size is in the kernel at once.  Its response time counts from then (`sent_s`): when
it was acknowledged is known no better than to a receiver's delayed acknowledgement, 40 ms."""
TIMER_CONNECT = "connect"
TIMER_STALL = "stall"
TIMER_RESPONSE = "response"
TIMER_TOTAL = "total"

_NO_RESPONSE_TIMER = frozenset({"CompleteMultipartUpload"})
_PART = "UploadPart"


class Tuning(msgspec.Struct, frozen=True):
    connect_initial_s: float = 3.0
    """A handshake may take this many seconds before any was measured (step 1)."""
    syn_retry_s: float = 1.0
    """The kernel sends a lost SYN again after this many seconds (step 1)."""
    stall_min_s: float = 20.0
    """A stall lasts at least this many seconds (step 2). A flow that shares a full queue with many others may
    be silent for ten seconds and more while TCP backs off. S3 itself gives up on a silent request after about
    20 s (400 RequestTimeout)."""
    response_initial_s: float = 10.0
    """An answer may take this many seconds before there are samples (step 3)."""
    response_min_s: float = 2.0
    """An answer may take at least this many seconds (step 3): the advice of AWS."""
    response_factor: float = 4.0
    """The cut comes after this many times the wait for a hedge (step 3)."""
    connect_rtt: rtt.Tuning = rtt.DEFAULT
    """How handshake times are smoothed (step 1)."""
    response_rtt: rtt.Tuning = rtt.Tuning(alpha=1 / 64, beta=1 / 32)
    """How response times are smoothed (step 3): there are many samples in a round trip (RFC 7323, appendix
    G)."""
    late_factor: float = 1.5
    """The cut never comes before this many times the slowest answer of late (step 3)."""
    late_kept: float = 63 / 64
    """Each quicker answer multiplies the slowest of late by this (step 3)."""
    max_doublings: int = 5
    """Cuts double a timer this often at the most (step 5)."""
    hedge_margin_s: float = 0.03
    """A hedge comes at least this many seconds after the usual answer (step 3)."""
    hedge_spread_s: float = 2.0
    """m adds this many seconds at the most (step 3). A busy machine wastes some hedges at once, which
    raises m, and a request lost after that would wait for a minute."""
    hedge_max_bytes: int = 1 << 20
    """The largest body that is hedged, in bytes: a copy of more costs the link more than it saves."""
    hedge_min_samples: int = 20
    """Nothing is hedged before this many answers were measured."""
    learn_look_s: float = 0.03
    """Until then, the time between two looks at a body, in seconds. A sample needs a look between the last
    acknowledgement and the answer; from then on the looks for hedging suffice."""
    m_initial: float = 6.0
    """m at first (step 4)."""
    m_min: float = 4.0
    """m at the least (step 4): RFC 6298's K."""
    m_max: float = 200.0
    """m at the most (step 4)."""
    m_raise: float = 1.5
    """A wasted hedge multiplies m by this (step 4)."""
    m_decay: float = 0.9997
    """A success multiplies m by this (step 4)."""
    limits_kept: int = 8
    """The limits are computed again after this many successes: one moves them little, and there are
    thousands a second. Any other news counts at once."""
    outer_factor: float = 10.0
    """An attempt may take this many times as long as the speed of late suggests (step 6)."""
    outer_min_s: float = 300.0
    """An attempt may take at least this many seconds (step 6)."""
    outer_min_bytes_per_s: float = 1000.0
    """An attempt may be as slow as this, in bytes per second (step 6)."""


DEFAULT = Tuning()


class Censored:
    """Step 5: how often a timer was too short of late, as a factor on it."""

    def __init__(self, max_doublings: int) -> None:
        self._max_doublings = max_doublings
        self._doublings = 0.0
        self._raised_s = float("-inf")

    @property
    def factor(self) -> float:
        return float(2.0**self._doublings)

    def add(self, report: AttemptReport) -> None:
        """An attempt was cut by the timer."""
        # An attempt from before the last doubling ran under the shorter timer: its cut says nothing new.
        if report.started_s > self._raised_s:
            self._doublings = min(self._doublings + 1.0, self._max_doublings)
            self._raised_s = report.ended_s

    def success(self) -> None:
        self._doublings *= 0.5


class Answers:
    """The state of steps 3 and 5 for bodies of one kind: the slowest answer, and cuts that came too soon."""

    def __init__(self, tuning: Tuning) -> None:
        self.late = Censored(tuning.max_doublings)
        self.slowest_s = 0.0
        self.least_s = 0.0  # how long any answer is waited for
        self.cut = False  # whether one was not waited for
        self._kept = tuning.late_kept
        self._factor = tuning.late_factor

    def sample(self, response_s: float) -> None:
        kept_s = self.slowest_s * self._kept
        self.slowest_s = response_s if response_s > kept_s else kept_s

    def bound_s(self, base_s: float) -> float:
        """The longest wait for the answer to a first try: `base_s`, unless cuts or slow answers say more."""
        # A doubling is a guess, so PATIENCE_S bounds it; a slow answer is a fact, so nothing does.
        guess_s = min(PATIENCE_S, base_s * self.late.factor)
        return max(guess_s, self.least_s, self._factor * self.slowest_s)


class AdaptiveTimeout:
    def __init__(self, config: UploadConfig, tuning: Tuning = DEFAULT) -> None:
        self._config = config
        self._tuning = tuning
        self._speed = SpeedEstimate(config)
        self._connect = RttEstimator(
            initial_s=min(tuning.connect_initial_s, config.connect_timeout_s),
            min_s=0.0,
            max_s=config.connect_timeout_s,
            tuning=tuning.connect_rtt,
        )
        self._response = RttEstimator(
            initial_s=tuning.response_initial_s,
            min_s=0.0,
            max_s=PATIENCE_S,
            tuning=tuning.response_rtt,
        )
        self._m = tuning.m_initial
        self._small, self._big = Answers(tuning), Answers(tuning)
        self._big.least_s = tuning.response_initial_s
        self._longest_s = max(PATIENCE_S, config.max_outage_s)
        self._stalled = Censored(tuning.max_doublings)
        self._compute_limits()

    @property
    def est_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        return self._speed.MBps

    @property
    def connect_s(self) -> float:
        """What a handshake is allowed (step 1)."""
        connect = self._connect
        # Without a sample there is no srtt, and the initial RTO allows for a lost SYN already.
        if connect.samples == 0:
            return connect.rto_s
        after_lost_syn_s = self._tuning.syn_retry_s + 2.0 * connect.srtt_s
        return min(self._config.connect_timeout_s, max(connect.rto_s, after_lost_syn_s))

    @property
    def hedge_s(self) -> float:
        """When a second copy may be sent, in seconds after the last byte was acknowledged (step 3)."""
        tuning, response = self._tuning, self._response
        if response.samples < tuning.hedge_min_samples:
            return NEVER_S
        spread_s = min(self._m * response.rttvar_s, tuning.hedge_spread_s + tuning.m_min * response.rttvar_s)
        longest_s = min(self._longest_s, max(PATIENCE_S, tuning.late_factor * self._small.slowest_s))
        return min(longest_s, response.srtt_s + max(tuning.hedge_margin_s, spread_s))

    @property
    def response_s(self) -> float:
        """When a first try of a small body is cut, in seconds after the last byte was acknowledged (steps 3
        and 5)."""
        return self._first_s(self._small)

    def _first_s(self, answers: Answers) -> float:
        tuning, hedge_s = self._tuning, self.hedge_s
        base_s = tuning.response_initial_s
        if hedge_s != NEVER_S:
            base_s = max(tuning.response_min_s, tuning.response_factor * hedge_s)
        return min(self._longest_s, answers.bound_s(base_s))

    def timeouts(self, *, operation: str, body_bytes: int, retries: int) -> Timeouts:
        tuning, config = self._tuning, self._config
        if self._successes >= tuning.limits_kept:
            self._compute_limits()
        longer: float = float(config.backoff**retries) if retries else 1.0
        expected_s = config.min_timeout + config.timeout_fraction * body_bytes / 1e6 / self._speed.MBps
        total_s = tuning.outer_min_s + body_bytes / tuning.outer_min_bytes_per_s
        total_s = max(total_s, tuning.outer_factor * longer * expected_s)
        connect_s, stall_s, response_s, hedge_s, big_response_s = self._limits
        hedge_max_bytes = tuning.hedge_max_bytes
        if body_bytes > hedge_max_bytes or operation == _PART:
            response_s, hedge_s = big_response_s, NEVER_S
        # The path may have become slower than the samples say, so each retry gets more time.
        if retries:
            stall_s = min(stall_s * longer, PATIENCE_S)
            response_s = min(response_s * longer, self._longest_s)
        if operation in _NO_RESPONSE_TIMER:
            return Timeouts(connect_s, total_s, stall_s)
        look_s = hedge_s
        # Only a look finds out when a body was acknowledged; without it the answer gives no sample.
        if hedge_s == NEVER_S and SMALL_BYTES < body_bytes <= hedge_max_bytes:
            look_s = tuning.learn_look_s
        return Timeouts(connect_s, total_s, stall_s, response_s, hedge_s, look_s)

    def _compute_limits(self) -> None:
        """The limits of a first try, from what is known now."""
        stall_s = min(self._tuning.stall_min_s * self._stalled.factor, PATIENCE_S)
        self._limits = (
            self.connect_s, stall_s, self.response_s, self.hedge_s, self._first_s(self._big),
        )  # fmt: skip
        self._successes = 0  # since then

    def observe(self, report: AttemptReport) -> None:
        if report.connect_s > 0.0:
            self._connect.sample(report.connect_s)
        if report.outcome == SUCCESS:
            self._observe_success(report)
            return
        self._successes = self._tuning.limits_kept
        if report.timer == TIMER_CONNECT:
            self._connect.timed_out()
        elif report.timer == TIMER_RESPONSE:
            answers = self._answers(report)
            answers.cut = True
            answers.late.add(report)
        elif report.outcome == FailureKind.INVALID_PART and self._big.cut:
            self._big.least_s = PATIENCE_S
        elif report.timer == TIMER_STALL:
            self._stalled.add(report)
        self._speed.observe(report)

    def _observe_success(self, report: AttemptReport) -> None:
        tuning = self._tuning
        self._successes += 1
        answers = self._answers(report)
        answers.late.success()
        m = self._m * tuning.m_decay
        self._m = m if m > tuning.m_min else tuning.m_min
        # The original answered first, so its copy was wasted.
        if report.hedged and not report.hedge:
            self._m = min(tuning.m_max, self._m * tuning.m_raise)
            self._successes = tuning.limits_kept
        if report.body_bytes > SMALL_BYTES:
            self._stalled.success()
            acked_s = report.acked_s
        else:
            acked_s = report.sent_s
        if report.body_bytes >= self._config.avg_min_bytes:
            self._speed.observe(report)
        if acked_s and report.operation not in _NO_RESPONSE_TIMER:
            response_s = report.first_byte_s - acked_s
            # Such a late answer to a big body says nothing about small bodies: it only counts as slowest.
            if answers is self._small or response_s <= tuning.response_initial_s:
                # A look may see the acknowledgement after the answer has begun.
                self._response.sample(response_s if response_s > 0.0 else 0.0)
            answers.sample(response_s)
            if response_s > PATIENCE_S:
                self._successes = tuning.limits_kept

    def _answers(self, report: AttemptReport) -> Answers:
        is_big = report.body_bytes > self._tuning.hedge_max_bytes or report.operation == _PART
        return self._big if is_big else self._small
