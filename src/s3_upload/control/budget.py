"""Budgets that keep retries and speculation from becoming a storm. `now` is an argument.

*Retry budget* (a token bucket per endpoint, as the AWS SDKs have it,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html): a retry costs tokens,
a success gives some back.  Where the SDKs give up when it is empty, here the run slows down: the
retry waits until time has refilled what it costs.  Nothing is dropped.

*Speculation budget*: cutting or doubling a request that may well be answered is paid from successes:
`INCOME` each, 1 per speculation, `CAP` at most.  So speculation is at most 5 % of the traffic, and a
store that falls silent as a whole is not hammered: after `CAP` speculations there is nothing to
spend until it answers again.
"""

from __future__ import annotations

RETRY_CAPACITY = 500.0
COST_TRANSIENT = 14.0
COST_THROTTLE = 5.0
REFUND_PER_SUCCESS = 1.0
REFILL_PER_S = 14.0
"""One transient retry a second gets through, however long nothing succeeds."""

INCOME = 0.05
CAP = 10.0


class RetryBudget:
    """Tokens for retries; `RETRY_CAPACITY` at first and at most."""

    def __init__(self) -> None:
        self._tokens = RETRY_CAPACITY
        self._refilled_s = 0.0

    def tokens(self, *, now: float) -> float:
        """What is there now; negative while retries wait for what they have taken in advance."""
        if now > self._refilled_s:
            self._tokens = min(RETRY_CAPACITY, self._tokens + REFILL_PER_S * (now - self._refilled_s))
            self._refilled_s = now
        return self._tokens

    def take(self, cost: float, *, now: float) -> float:
        """Takes `cost` tokens; returns how many seconds to wait until they are there."""
        self._tokens = self.tokens(now=now) - cost
        return max(0.0, -self._tokens / REFILL_PER_S)

    def succeeded(self) -> None:
        self._tokens = min(RETRY_CAPACITY, self._tokens + REFUND_PER_SUCCESS)


class SpeculationBudget:
    """Credit for hedges and speculative cancels; `CAP` at first and at most."""

    def __init__(self) -> None:
        self.credit = CAP

    def take(self) -> bool:
        """Pays for one speculation, if there is credit for it."""
        if self.credit < 1.0:
            return False
        self.credit -= 1.0
        return True

    def succeeded(self) -> None:
        if self.credit < CAP:
            self.credit = min(CAP, self.credit + INCOME)
