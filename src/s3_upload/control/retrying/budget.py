"""Budgets that keep retries and speculation from becoming a storm. `now` is an argument.

*Retry budget*: a token bucket per endpoint, as the AWS SDKs have it
(https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).  A retry costs tokens, and a
success gives some back.  The SDKs give up when the bucket is empty.  Here the run slows down: the retry waits
until time has refilled its cost.  Nothing is dropped.

*Speculation budget*: cutting or doubling a request that may well be answered is speculation.  It costs 1 of a
credit to which each success adds `income`, up to `cap`.  So speculation is about 5 % of the traffic at most.
A store that falls silent as a whole is not hammered: after `cap` speculations there is only what time adds,
`income_per_s`.  (Without that, a request lost at the very end of a run, when no success comes any more, would
wait for PATIENCE_S.)

A hedge is paid in bytes as well: on a link of few, big requests, 5 % of the requests would be 5 % of the
link.  Each success adds `hedge_share` of its body, and a hedge costs its body.  A hedge that is answered
first gets that back, since its original was lost.  So hedges waste at most that share of a link's bytes,
whatever makes answers late.  While all requests wait for answers the link is free, and one hedge may go on
credit.
"""

from __future__ import annotations

import msgspec


class RetryTuning(msgspec.Struct, frozen=True):
    """The constants of the retry budget, in tokens unless said otherwise."""

    capacity: float = 500.0
    """The tokens at first and at the most."""
    cost_transient: float = 14.0
    """The cost of a retry after a transient failure."""
    cost_throttle: float = 5.0
    """The cost of a retry after a throttle; the rate (`rate`) holds such retries back, too."""
    refund_per_success: float = 7.0
    """A success brings back this many tokens at the least. So no retry waits for tokens as long as at most
    two requests in five fail."""
    refill_per_s: float = 14.0
    """Time brings this many tokens per second. So one transient retry a second gets through, however long
    nothing succeeds."""


class SpeculationTuning(msgspec.Struct, frozen=True):
    """The constants of the speculation budget, in speculations unless said otherwise."""

    income: float = 0.05
    """A success brings this much: one speculation in twenty requests."""
    income_per_s: float = 2.0
    """A second brings this much."""
    cap: float = 50.0
    """The credit at the most."""
    initial_credit: float = 10.0
    """The credit at first."""
    hedge_share: float = 0.005
    """Hedges may send this share of the bytes that succeed in vain."""
    hedge_initial_bytes: float = float(16 << 10)
    """Hedges may send this many bytes before anything has succeeded: too few to matter on any link."""
    hedge_cap_bytes: float = float(32 << 20)
    """Hedges may have this many bytes of credit at the most."""


RETRY_DEFAULT = RetryTuning()
SPECULATION_DEFAULT = SpeculationTuning()


class RetryBudget:
    """Tokens for retries; `capacity` at first and at most."""

    def __init__(self, tuning: RetryTuning = RETRY_DEFAULT) -> None:
        self.tuning = tuning
        self._tokens = tuning.capacity
        self._refilled_s = 0.0

    def tokens(self, *, now: float) -> float:
        """What is there now."""
        elapsed_s = now - self._refilled_s
        # A clock that stands still or steps back adds nothing.
        if elapsed_s > 0.0:
            self._tokens = min(self.tuning.capacity, self._tokens + self.tuning.refill_per_s * elapsed_s)
            self._refilled_s = now
        return self._tokens

    def take(self, cost: float, *, now: float) -> float:
        """Takes `cost` tokens and returns 0.0; or takes none and returns after how many seconds time
        alone will have brought them (others may be quicker, and successes bring some as well)."""
        missing = cost - self.tokens(now=now)
        # Nothing is reserved for this retry, so a cheaper one may use the tokens that are there.
        if missing > 0.0:
            return missing / self.tuning.refill_per_s
        self._tokens -= cost
        return 0.0

    def give_back(self, tokens: float) -> None:
        """A request succeeded, which brings back `tokens`."""
        self._tokens = min(self.tuning.capacity, self._tokens + tokens)


class SpeculationBudget:
    """Credit for hedges and speculative cancels; `initial_credit` at first, `cap` at most; for hedges
    `hedge_initial_bytes` as well, and `hedge_cap_bytes`."""

    def __init__(self, tuning: SpeculationTuning = SPECULATION_DEFAULT) -> None:
        self._tuning = tuning
        self._bytes = tuning.hedge_initial_bytes
        self._credit = tuning.initial_credit
        self._counted_s = 0.0

    def credit(self, *, now: float) -> float:
        """What is there now."""
        elapsed_s = now - self._counted_s
        if elapsed_s > 0.0:
            self._credit = min(self._tuning.cap, self._credit + self._tuning.income_per_s * elapsed_s)
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
        # On a free link one hedge may go on credit: its bytes displace nothing.
        return self.credit(now=now) >= 1.0 and self._bytes >= (0.0 if link_is_free else size)

    def take_hedge(self, size: int, *, now: float) -> None:
        """Pays for one that was afforded."""
        self.take(now=now)
        # On a free link this goes below zero; the next hedge waits until that is paid back.
        self._bytes -= size

    def give_back_hedge(self, size: int) -> None:
        """One was answered before its original, or never left."""
        self._bytes = min(self._tuning.hedge_cap_bytes, self._bytes + size)

    def succeeded(self, size: int) -> None:
        """A request with a body of `size` bytes."""
        tuning = self._tuning
        self._credit = min(tuning.cap, self._credit + tuning.income)
        self._bytes = min(tuning.hedge_cap_bytes, self._bytes + tuning.hedge_share * size)
