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

A hedge is paid in bytes as well, or on a link of few, big requests 5 % of them would be 5 % of the link: each
success brings `HEDGE_SHARE` of its body, a hedge costs its body, and one that is answered first gets it back,
which says that its original was lost.  So what second copies take from a link in vain is that share of its
bytes, whatever makes answers late.  Where all that is under way waits for answers, the link is free: then one
hedge may be owed.
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
HEDGE_SHARE = 0.005
HEDGE_INITIAL_BYTES = float(16 << 10)
"""So little that no link feels it."""
HEDGE_CAP_BYTES = float(32 << 20)
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
    """Credit for hedges and speculative cancels; `INITIAL_CREDIT` at first, `CAP` at most; for hedges
    `HEDGE_INITIAL_BYTES` as well, and `HEDGE_CAP_BYTES`."""

    def __init__(self) -> None:
        self._bytes = HEDGE_INITIAL_BYTES
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

    def affords_hedge(self, size: int, *, link_is_free: bool, now: float) -> bool:
        """Whether a second copy of `size` bytes can be paid."""
        return self.credit(now=now) >= 1.0 and self._bytes >= (0.0 if link_is_free else size)

    def take_hedge(self, size: int, *, now: float) -> None:
        """Pays for one that was afforded."""
        self.take(now=now)
        self._bytes -= size

    def give_back_hedge(self, size: int) -> None:
        """One was answered before its original, or never left."""
        self._bytes = min(HEDGE_CAP_BYTES, self._bytes + size)

    def succeeded(self, size: int) -> None:
        """A request with a body of `size` bytes."""
        self._credit = min(CAP, self._credit + INCOME)
        self._bytes = min(HEDGE_CAP_BYTES, self._bytes + HEDGE_SHARE * size)
