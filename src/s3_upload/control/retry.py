"""Whether to try again, and when.

Rules: no clock, no randomness of its own (`rng` is an argument), no I/O.  The kinds' fates are in
`errors.FailureKind`; this module turns a fate into a decision.

Theory of operation.

1. Delays have full jitter
   (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/):

       delay = uniform(0, min(CAP_S, base * 2 ** retries))

   with `base` 50 ms for a transient failure and 1 s for a throttle.
2. What the store asks for by Retry-After is a lower bound, itself bounded by `MAX_RETRY_AFTER_S`.
3. A retry is paid from the endpoint's `budget.RetryBudget`; where that is empty the delay grows until
   the tokens are there: the run slows down and drops nothing.
"""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec

from s3_upload.control.budget import COST_THROTTLE, COST_TRANSIENT, RetryBudget
from s3_upload.errors import FailureKind, Fate

BASE_TRANSIENT_S = 0.05
BASE_THROTTLE_S = 1.0
CAP_S = 20.0
MAX_RETRY_AFTER_S = 120.0


class Rng(Protocol):
    """The part of `random.Random` that decisions use."""

    def uniform(self, a: float, b: float, /) -> float: ...


class Verdict(enum.Enum):
    """What to do with the work of a failed attempt."""

    RETRY = "retry"
    FAIL_FILE = "fail-file"
    STOP_RUN = "stop-run"


class Decision(msgspec.Struct, frozen=True, gc=False):
    """A verdict; `delay_s` is the wait before the next attempt (0.0 unless the verdict is RETRY).

    `slowed_s`: how much of it is for want of tokens in the retry budget.
    """

    verdict: Verdict
    delay_s: float = 0.0
    slowed_s: float = 0.0


class Retry:
    """Decides after each failed attempt."""

    def __init__(self, n_retries: int, budget: RetryBudget | None = None) -> None:
        self._n_retries = n_retries
        self.budget = budget or RetryBudget()

    def succeeded(self, retries: int) -> None:
        """A request succeeded after `retries` failed tries: the budget gets something back."""
        self.budget.succeeded(retried=retries > 0)

    def decide(
        self,
        kind: FailureKind,
        *,
        retries: int,
        any_success: bool,
        retry_after_s: float | None,
        now: float,
        rng: Rng,
    ) -> Decision:
        """`retries`: tries of this request before the failed one, its first not counted.

        `any_success`: whether the run has uploaded anything; a refusal of one object among
        successes is that object's, a refusal of the first is the run's.
        """
        fate = kind.fate
        if fate is Fate.FILE or (kind is FailureKind.ACCESS_DENIED and any_success):
            return Decision(Verdict.FAIL_FILE)
        if fate in (Fate.RUN, Fate.CORRECT):
            return Decision(Verdict.STOP_RUN)
        if retries >= self._n_retries:
            return Decision(Verdict.FAIL_FILE)
        throttled = fate is Fate.THROTTLE
        base_s = BASE_THROTTLE_S if throttled else BASE_TRANSIENT_S
        jitter_s = rng.uniform(0.0, min(CAP_S, base_s * 2.0 ** min(retries, 30)))
        delay_s = max(jitter_s, min(retry_after_s or 0.0, MAX_RETRY_AFTER_S))
        wait_s = self.budget.take(COST_THROTTLE if throttled else COST_TRANSIENT, now=now)
        return Decision(Verdict.RETRY, max(delay_s, wait_s), max(0.0, wait_s - delay_s))
