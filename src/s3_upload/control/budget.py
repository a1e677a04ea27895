"""Budgets that keep retries and speculation from becoming a storm. `now` is an argument.

*Retry budget* (a token bucket per endpoint, as the AWS SDKs have it,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html): a retry costs tokens,
a success gives some back.  Where the SDKs give up when it is empty, here the run slows down: the
retry waits until time has refilled what it costs.  Nothing is dropped.

*Speculation budget*: cutting or doubling a request that may well be answered is paid from successes:
`INCOME` each, 1 per speculation, `CAP` at most.  So speculation is about 5 % of the traffic at most, and a
store that falls silent as a whole is not hammered: after `CAP` speculations there is only what time
brings, `INCOME_PER_S`.  (Without that, what was lost at the very end of a run, when no success comes
any more, would wait for PATIENCE_S.)
"""

from __future__ import annotations

RETRY_CAPACITY = 500.0
COST_TRANSIENT = 14.0
COST_THROTTLE = 5.0
REFUND_PER_SUCCESS = 7.0
"""As long as at most two requests in five fail, no retry waits for its tokens."""
REFILL_PER_S = 14.0
"""One transient retry a second gets through, however long nothing succeeds."""

INCOME = 0.05
INCOME_PER_S = 2.0
CAP = 50.0
INITIAL_CREDIT = 10.0


class RetryBudget:
    """Tokens for retries; `RETRY_CAPACITY` at first and at most."""

    def __init__(self) -> None:
        self._tokens = RETRY_CAPACITY
        self._refilled_s = 0.0

    def tokens(self, *, now: float) -> float:
        """What is there now."""
        if now > self._refilled_s:
            self._tokens = min(RETRY_CAPACITY, self._tokens + REFILL_PER_S * (now - self._refilled_s))
            self._refilled_s = now
        return self._tokens

    def take(self, cost: float, *, now: float) -> float:
        """Takes `cost` tokens and returns 0.0; or takes none and returns after how many seconds time
        alone will have brought them (others may be quicker, and successes bring some as well)."""
        missing = cost - self.tokens(now=now)
        if missing > 0.0:
            return missing / REFILL_PER_S
        self._tokens -= cost
        return 0.0

    def give_back(self, tokens: float) -> None:
        """A request succeeded, which brings back `tokens`."""
        self._tokens = min(RETRY_CAPACITY, self._tokens + tokens)


class SpeculationBudget:
    """Credit for hedges and speculative cancels; `INITIAL_CREDIT` at first, `CAP` at most."""

    def __init__(self) -> None:
        self._credit = INITIAL_CREDIT
        self._counted_s = 0.0

    def credit(self, *, now: float) -> float:
        """What is there now."""
        if now > self._counted_s:
            self._credit = min(CAP, self._credit + INCOME_PER_S * (now - self._counted_s))
            self._counted_s = now
        return self._credit

    def take(self, *, now: float) -> bool:
        """Pays for one speculation, if there is credit for it."""
        if self.credit(now=now) < 1.0:
            return False
        self._credit -= 1.0
        return True

    def succeeded(self) -> None:
        self._credit = min(CAP, self._credit + INCOME)
