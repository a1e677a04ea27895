"""Whether to try again, and when.

Rules: no clock, no randomness of its own (`rng` is an argument), no I/O.  The table `errors.FailureKind` says
what follows from each kind of failure; this module turns a row of it into a decision.

Theory of operation (`cap_s` and the like are fields of `Tuning`).

1. Delays have full jitter (`full_jitter_s`,
   https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/):

       delay = uniform(0, min(cap_s, base * 2 ** retries))

   `base` is 50 ms for a transient failure and 100 ms for a throttle.
2. The store's Retry-After is a lower bound of the delay, itself bounded by `max_retry_after_s`.
3. An endpoint that cannot be reached from the very beginning will not be reached by the next object either.
   So the run stops when a request has used up its retries for want of a connection and the store has never
   answered anything; otherwise each of a million objects would fail in the same way.  Until the store
   answers, such a retry costs nothing (step 4): otherwise a hundred requests that share the budget would
   take minutes to find out.  And there are `min_retries_to_stop`, however few `n_retries` allows: they say
   something of the endpoint, and send nothing of an object.
4. A retry is paid from the endpoint's `budget.RetryBudget` when its delay is over (`pay`).  If the budget is
   empty, the retry waits until the tokens are there: the run slows down and drops nothing.  The cost of a
   request's last retry comes back when the request succeeds.
5. A cause that can be put right (region, clock, token) is put right, and the request goes again at once.
   That is no retry and costs nothing.  A second failure from the same cause is refused as in step 8.
6. Some kinds are tried again fewer times than `n_retries` (`FailureKind.times`), with the body read again.
   A request that only asks or tidies up (HeadObject, ListParts, AbortMultipartUpload) is tried again
   ASK_RETRIES times, whatever `n_retries`.  It never stops a run: it may lack a permission that uploads do
   not need.  One on whose answer an object depends (`Failed.patient`: what an earlier run has left) is tried
   as often as one that sends, and stops a run as that does, but for want of a permission.  A request whose
   answer was awaited for the longest time allowed (`Failed.outwaited`) is not tried again.
7. Before an object is given up there may be another way (`remedy`), for each cause as often as
   `FailureKind.times` says, and once where it does not.
8. A failure that no other object may survive stops the run, or is tried again elsewhere, or fails its object:
   `refusals.py` has the rules.  Such a retry costs nothing, since an object has two at the most.
9. Answers that are not S3's (`FailureKind.is_foreign`) mean a store that is away.  They are tried again like
   any transient failure until `outage.py` takes over.  As long as nothing has succeeded, they are tried again
   STRAY_RETRIES times, and then stop the run.  A 400 without a word of S3's (BAD_REQUEST) may be the
   object's own: it is tried again as by step 8, and then counts as a refusal of its object.
   If a success lacks its proof (`Remedy.ASK`), HeadObject is asked first whether the object is there.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

import msgspec

from s3_upload.control.retrying.budget import RetryBudget
from s3_upload.control.retrying.refusals import MAX_IN_A_ROW, STRAY_RETRIES, Refusals
from s3_upload.errors import FailureKind, Fate, Remedy

ASK_RETRIES = 3
"""How often a request that only asks or tidies up is tried again."""


class Tuning(msgspec.Struct, frozen=True):
    base_transient_s: float = 0.05
    """The first retry after a transient failure waits up to this many seconds (step 1)."""
    base_throttle_s: float = 0.1
    """The same after a throttle. The rate (`rate`) protects the store; this only keeps one request from being
    refused again and again."""
    base_stray_s: float = 1.0
    """The same after a refusal among successes (step 8): a node that starts needs a while."""
    cap_s: float = 20.0
    """No retry waits longer than this many seconds by step 1."""
    max_retry_after_s: float = 120.0
    """No retry waits longer than this many seconds for the store's Retry-After (step 2)."""
    min_retries_to_stop: int = 4
    """A run stops for want of a connection only after this many retries of a request (step 3): fewer take
    less than a second, which is too soon to judge an endpoint."""
    max_in_vain: int = 20
    """The retries of step 8 end once they were in vain for this many objects."""
    min_pay_again_s: float = 0.05
    """A retry without tokens looks again after this many seconds at the earliest (step 4)."""


DEFAULT = Tuning()


class Rng(Protocol):
    """The part of `random.Random` that decisions use."""

    def uniform(self, a: float, b: float, /) -> float: ...


class Verdict(enum.Enum):
    """What to do with the work of a failed attempt."""

    RETRY = "retry"
    REREAD = "reread"
    """As RETRY, with the body read and hashed again."""
    CORRECT = "correct"
    """Put right what the failure names and try again; decide again where that cannot be done."""
    ASK = "ask"
    """Ask HeadObject whether the object is there; decide again where it is not."""
    FAIL_FILE = "fail-file"
    STOP_RUN = "stop-run"


class Failed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A failed attempt, as far as a decision needs it.

    `retries`: tries of its request before it, the first not counted.  `corrected`: how often its request
    was put right, or tried again elsewhere, after this kind of failure before.  `completing`: it is a
    CompleteMultipartUpload; `asking`, `patient`: see step 6.  `can_ask`: HeadObject may know better, and was
    not asked about this attempt.  `outwaited`: see step 6.  `object_seq`: which object it is of.  `alike`:
    the same text for refusals that are alike, "" where the store did not refuse it.
    """

    kind: FailureKind
    retries: int = 0
    corrected: int = 0
    completing: bool = False
    asking: bool = False
    patient: bool = False
    can_ask: bool = False
    outwaited: bool = False
    object_seq: int = 0
    alike: str = ""
    retry_after_s: float | None = None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """A verdict; `delay_s` is the wait before the next attempt (0.0 unless there is a retry).

    `cost`: what the next attempt then has to `pay`.  `in_a_row`: how many objects were refused one after
    the other, where that is why the run stops.
    """

    verdict: Verdict
    delay_s: float = 0.0
    cost: float = 0.0
    in_a_row: int = 0


# What an account or a store may lack for asking alone.
_LACKING = frozenset({FailureKind.ACCESS_DENIED, FailureKind.UNSUPPORTED})
GIVEN_UP = Decision(Verdict.FAIL_FILE)
STOPPED = Decision(Verdict.STOP_RUN)


class Retry:
    """Decides after each failed attempt."""

    def __init__(self, n_retries: int, budget: RetryBudget | None = None, tuning: Tuning = DEFAULT) -> None:
        self._n_retries = n_retries
        self._tuning = tuning
        self._refusals = Refusals(tuning.max_in_vain)
        self.budget = budget or RetryBudget()

    @property
    def any_success(self) -> bool:
        """Whether the run has uploaded anything, or begun to."""
        return self._refusals.any_success

    def succeeded(self, paid: float, *, was_refused: bool = False, asking: bool = False) -> None:
        """A request succeeded whose last retry cost `paid` (0.0: it had none): some comes back.
        `was_refused`: as by step 8, before."""
        self.budget.give_back(max(paid, self.budget.tuning.refund_per_success))
        if not asking:
            self._refusals.succeeded(was_refused=was_refused)

    def pay(self, cost: float, *, now: float) -> float:
        """Pays for a retry and returns 0.0, or returns after how many seconds to try to pay again."""
        wait_s = self.budget.take(cost, now=now)
        return max(wait_s, self._tuning.min_pay_again_s) if wait_s > 0.0 else 0.0

    def decide(self, failed: Failed, *, any_answer: bool, rng: Rng) -> Decision:
        """`any_answer`: whether the store has answered anything in this run, or may be about to (step 3)."""
        kind = failed.kind
        # Sending CompleteMultipartUpload again would not help; `remedy` says what does.
        if failed.completing and kind.on_complete is not Remedy.NONE:
            return GIVEN_UP
        if kind.fate is Fate.FILE:
            return self._final(failed)
        if kind.remedy is Remedy.ASK and failed.can_ask:
            return Decision(Verdict.ASK)
        if kind.fate is Fate.CORRECT and failed.corrected < (kind.times or 0):
            return Decision(Verdict.CORRECT)
        if not kind.stops_run or (kind.is_foreign and self.any_success):
            return self._may_pass(failed, rng, any_answer=any_answer)
        return self._refused(failed, rng)

    def _may_pass(self, failed: Failed, rng: Rng, *, any_answer: bool) -> Decision:
        """Steps 1 to 3, 6 and 9."""
        if failed.kind is FailureKind.BAD_REQUEST:
            return self._bare(failed, rng)
        asks_briefly = failed.asking and not failed.patient
        kind, limit = failed.kind, ASK_RETRIES if asks_briefly else self._n_retries
        is_foreign = kind.is_foreign and not failed.asking
        # Before any success there may be no store at all behind this endpoint.
        if is_foreign and not self.any_success:
            in_a_row = self._refusals.refused(failed.object_seq, failed.alike)
            if in_a_row >= MAX_IN_A_ROW or failed.retries >= min(STRAY_RETRIES, limit):
                return Decision(Verdict.STOP_RUN, in_a_row=in_a_row)
        unreached = kind is FailureKind.CONNECT and not (any_answer or self.any_success)
        stops = unreached and not asks_briefly
        if stops:
            limit = max(limit, self._tuning.min_retries_to_stop)
        used_up = kind.retried and kind.times is not None and failed.corrected >= kind.times
        if used_up or failed.outwaited or failed.retries >= limit:
            if stops and failed.retries >= self._tuning.min_retries_to_stop:
                return STOPPED
            return self._given_up(failed) if is_foreign else GIVEN_UP
        tuning, costs = self._tuning, self.budget.tuning
        base_s = tuning.base_throttle_s if kind.throttles else tuning.base_transient_s
        cost = costs.cost_throttle if kind.throttles else costs.cost_transient
        # An endpoint that was never reached is found out soon only if its retries do not wait for tokens
        # (step 3).
        cost = 0.0 if unreached else cost
        verdict = Verdict.REREAD if kind.remedy is Remedy.REREAD else Verdict.RETRY
        return Decision(verdict, self._delay_s(failed, base_s, rng), cost)

    def _bare(self, failed: Failed, rng: Rng) -> Decision:
        """Step 9, of a 400."""
        # Perhaps each object is answered so: that shows before all tries of twenty are over.
        if failed.corrected and not failed.asking and not self.any_success:
            in_a_row = self._refusals.refused(failed.object_seq, failed.alike)
            if in_a_row >= MAX_IN_A_ROW:
                return Decision(Verdict.STOP_RUN, in_a_row=in_a_row)
        base_s = self._tuning.base_stray_s if self.any_success else self._tuning.base_transient_s
        return self._stray(failed, rng, base_s, failed.corrected)

    def _final(self, failed: Failed) -> Decision:
        """What is the object's own; or every object's, as long as none has fared better."""
        ours = failed.kind is not FailureKind.REJECTED or not failed.alike or failed.asking
        return GIVEN_UP if ours or self.any_success else self._given_up(failed)

    def _refused(self, failed: Failed, rng: Rng) -> Decision:
        """Step 8."""
        # The caller has closed the client, so no request can be sent any more.
        if failed.kind is FailureKind.CLIENT_CLOSED:
            return STOPPED
        # Wrong keys, say, are the run's own. To list may be a permission that uploads do not need, or nothing
        # that this store has.
        is_own = failed.patient and not (failed.kind.is_foreign or failed.kind in _LACKING)
        if failed.asking and not is_own:
            return GIVEN_UP
        if not self.any_success:
            return STOPPED
        strays = failed.corrected - (failed.kind.times or 0)
        return self._stray(failed, rng, self._tuning.base_stray_s, strays)

    def _stray(self, failed: Failed, rng: Rng, base_s: float, strays: int) -> Decision:
        """A retry that costs nothing, but for the third of its kind: that object is refused. `strays`: how
        many there were; tries after other failures, in an outage, say, do not count."""
        is_left = strays < STRAY_RETRIES and failed.retries < self._n_retries
        if is_left and not self._refusals.in_vain:
            return Decision(Verdict.RETRY, self._delay_s(failed, base_s, rng, retries=strays))
        if failed.patient or not failed.asking:
            self._refusals.retried_in_vain()
        return self._given_up(failed)

    def _given_up(self, failed: Failed) -> Decision:
        if failed.asking:
            return GIVEN_UP
        in_a_row = self._refusals.refused(failed.object_seq, failed.alike)
        return Decision(Verdict.STOP_RUN, in_a_row=in_a_row) if in_a_row >= MAX_IN_A_ROW else GIVEN_UP

    def _delay_s(self, failed: Failed, base_s: float, rng: Rng, retries: int | None = None) -> float:
        """Steps 1 and 2."""
        tuning = self._tuning
        jitter_s = full_jitter_s(base_s, failed.retries if retries is None else retries, tuning.cap_s, rng)
        return max(jitter_s, min(failed.retry_after_s or 0.0, tuning.max_retry_after_s))


def full_jitter_s(base_s: float, retries: int, cap_s: float, rng: Rng) -> float:
    """Step 1: "full jitter" as AWS has it, uniform between 0 and a bound that doubles with each retry."""
    # 2 ** 30 exceeds any cap; 2 ** 1024 would overflow a float.
    return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(retries, 30)))


def remedy(kind: FailureKind, *, completing: bool, tried: Sequence[FailureKind]) -> Remedy:
    """What else there is to try before an object fails by `kind`; `tried`: the kinds for which that was
    done before, each as often as it was."""
    if tried.count(kind) >= (kind.times or 1):
        return Remedy.NONE
    if completing and kind.on_complete is not Remedy.NONE:
        return kind.on_complete
    return kind.remedy if kind.fate is Fate.FILE else Remedy.NONE
