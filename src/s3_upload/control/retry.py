"""Whether to try again, and when.

Rules: no clock, no randomness of its own (`rng` is an argument), no I/O.  What follows from each kind of
failure is in the table `errors.FailureKind`; this module turns a row of it into a decision.

Theory of operation.

1. Delays have full jitter
   (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/):

       delay = uniform(0, min(CAP_S, base * 2 ** retries))

   with `base` 50 ms for a transient failure and 1 s for a throttle.
2. What the store asks for by Retry-After is a lower bound, itself bounded by `MAX_RETRY_AFTER_S`.
3. What cannot be reached from the very beginning will not be reached by the next object either: when
   the tries of a request run out for want of a connection and the store has never answered anything,
   the run stops, or each of a million objects would fail in the same way.  Until it answers, such a
   retry costs nothing (step 4): a hundred requests that share the budget would take minutes to find out.
4. A retry is paid from the endpoint's `budget.RetryBudget` when its delay is over (`pay`); where that
   is empty it waits until the tokens are there: the run slows down and drops nothing.  What the last
   retry of a request cost comes back when the request succeeds.
5. What can be put right (region, clock, token) is put right, and the request goes again at once: that is
   no retry and costs nothing.  A request that fails for the same cause once more stops the run.
6. Some kinds are tried again fewer times than `n_retries` (`FailureKind.times`), with the body read anew.
   A request that only asks or tidies up (HeadObject, ListParts, AbortMultipartUpload) is tried again
   `ASK_RETRIES` times, whatever `n_retries`, and never stops a run: it may lack a permission that uploads
   do not need.
7. Before an object is given up there may be another way (`remedy`), once for each cause.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Protocol

import msgspec

from s3_upload.control.budget import COST_THROTTLE, COST_TRANSIENT, REFUND_PER_SUCCESS, RetryBudget
from s3_upload.errors import FailureKind, Fate, Remedy

BASE_TRANSIENT_S = 0.05
BASE_THROTTLE_S = 1.0
CAP_S = 20.0
MAX_RETRY_AFTER_S = 120.0
MIN_RETRIES_TO_STOP = 4
"""Fewer tries to connect are over within a second, which is too soon to judge an endpoint."""
MIN_PAY_AGAIN_S = 0.05
ASK_RETRIES = 3


class Rng(Protocol):
    """The part of `random.Random` that decisions use."""

    def uniform(self, a: float, b: float, /) -> float: ...


class Verdict(enum.Enum):
    """What to do with the work of a failed attempt."""

    RETRY = "retry"
    REREAD = "reread"
    """As RETRY, with the body read and hashed anew."""
    CORRECT = "correct"
    """Put right what the failure names and try again; stop the run where that cannot be done."""
    FAIL_FILE = "fail-file"
    STOP_RUN = "stop-run"


class Decision(msgspec.Struct, frozen=True, gc=False):
    """A verdict; `delay_s` is the wait before the next attempt (0.0 unless there is a retry).

    `cost`: what the next attempt then has to `pay`.
    """

    verdict: Verdict
    delay_s: float = 0.0
    cost: float = 0.0


GIVEN_UP = Decision(Verdict.FAIL_FILE)


class Retry:
    """Decides after each failed attempt."""

    def __init__(self, n_retries: int, budget: RetryBudget | None = None) -> None:
        self._n_retries = n_retries
        self.budget = budget or RetryBudget()

    def succeeded(self, paid: float) -> None:
        """A request succeeded whose last retry cost `paid` (0.0: it had none): some comes back."""
        self.budget.give_back(max(paid, REFUND_PER_SUCCESS))

    def pay(self, cost: float, *, now: float) -> float:
        """Pays for a retry and returns 0.0, or returns after how many seconds to try to pay again."""
        wait_s = self.budget.take(cost, now=now)
        return max(wait_s, MIN_PAY_AGAIN_S) if wait_s > 0.0 else 0.0

    def decide(
        self,
        kind: FailureKind,
        *,
        retries: int,
        corrected: int,
        completing: bool,
        asking: bool,
        any_success: bool,
        any_answer: bool,
        retry_after_s: float | None,
        rng: Rng,
    ) -> Decision:
        """`retries`: tries of this request before the failed one, its first not counted.  `corrected`:
        how often something was put right for this request, after this kind of failure, before.
        `completing`: it is a CompleteMultipartUpload; `asking`: see step 6.

        `any_success`: whether the run has uploaded anything; a refusal of one object among
        successes is that object's, a refusal of the first is the run's.  `any_answer`: whether the
        store has answered anything in this run, or may be about to (step 3).
        """
        spoilt = completing and kind.on_complete is not Remedy.NONE
        if kind.fate is Fate.FILE or spoilt or (kind is FailureKind.ACCESS_DENIED and any_success):
            return GIVEN_UP
        used_up = kind.times is not None and corrected >= kind.times
        if kind.fate is Fate.CORRECT and not used_up:
            return Decision(Verdict.CORRECT)
        if kind.stops_run:
            return GIVEN_UP if asking else Decision(Verdict.STOP_RUN)
        unreached = kind is FailureKind.CONNECT and not (any_answer or any_success)
        if used_up or retries >= (ASK_RETRIES if asking else self._n_retries):
            stops = unreached and retries >= MIN_RETRIES_TO_STOP and not asking
            return Decision(Verdict.STOP_RUN) if stops else GIVEN_UP
        base_s = BASE_THROTTLE_S if kind.cuts_window else BASE_TRANSIENT_S
        jitter_s = rng.uniform(0.0, min(CAP_S, base_s * 2.0 ** min(retries, 30)))
        delay_s = max(jitter_s, min(retry_after_s or 0.0, MAX_RETRY_AFTER_S))
        cost = COST_THROTTLE if kind.cuts_window else COST_TRANSIENT
        verdict = Verdict.REREAD if kind.remedy is Remedy.REREAD else Verdict.RETRY
        return Decision(verdict, delay_s, 0.0 if unreached else cost)


def remedy(kind: FailureKind, *, completing: bool, tried: Collection[FailureKind]) -> Remedy:
    """What else there is to try before an object fails by `kind`; `tried`: the kinds for which that was
    done before."""
    if kind in tried:
        return Remedy.NONE
    if completing and kind.on_complete is not Remedy.NONE:
        return kind.on_complete
    return kind.remedy if kind.fate is Fate.FILE else Remedy.NONE
