"""The rate for a request: one for all, or one for each prefix that is refused while others are not. Pure.

S3 limits requests for each partitioned prefix of a bucket
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html), other stores the whole
bucket or account.  The difference shows only where several prefixes are written to at the same time.

Theory of operation (names in backticks are fields of `Tuning`).

1. There is one rate for all.  As long as it knows no limit, nothing else is counted.
2. While it does, accepted and refused requests are counted for each prefix (a key up to its last "/").
   Accepted ones count only between two refusals at most `near_s` apart.  Others say nothing: a store that
   counts whole seconds refuses at their ends, and a walk through folders has just left one for the next.
3. If all prefixes were counted together, a refusal would hit each in proportion to its requests since the
   refusal before.  That share of one refusal is *expected* of the prefix.  With x expected, none occurs with
   a probability below exp(-x).  A prefix with `certain` expected and none met is *free*.  (Shares over a
   longer time would not do: refusals come in bursts, and a walk through folders meets them one by one.)  Once
   some are free, each prefix that met `min_refused` gets a rate of its own, which starts from what was
   accepted there, and the rate for all is open again.
4. Without such a result the counts begin again after `forget_s`.  With more than `max_prefixes` at a time no
   prefix is judged.
5. A rate of its own is forgotten when nothing of its prefix was answered for `remember_s` (a folder is done).
"""

from __future__ import annotations

import math

import msgspec

from s3_upload.control.concurrency import rate
from s3_upload.control.concurrency.rate import AcceptedRate


class Tuning(msgspec.Struct, frozen=True):
    """The constants of the module's theory, and those of each rate."""

    near_s: float = 0.1
    """What was accepted counts between two refusals at most this many seconds apart (step 2)."""
    certain: float = 10.0
    """A prefix is free if it met none of this many expected refusals (step 3): exp(-10) is 1 in 22,000."""
    min_refused: int = 8
    """A prefix that met this many refusals gets a rate of its own (step 3)."""
    judge_s: float = 0.25
    """Judgements are at least this many seconds apart, since each looks at all prefixes."""
    forget_s: float = 5.0
    """The counts begin again after this many seconds without a result (step 4)."""
    max_prefixes: int = 256
    """With more prefixes than this none is judged (step 4), so that counting stays cheap."""
    rate: rate.Tuning = rate.DEFAULT
    """The constants of each rate."""


DEFAULT = Tuning()


class Count(msgspec.Struct):
    """The counts of a prefix; `since_last`: requests answered since the last refusal."""

    accepted: int = 0
    refused: int = 0
    expected: float = 0.0
    since_last: int = 0


class AcceptedRates:
    def __init__(self, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._all = self._new_rate()
        self._apart: dict[str, AcceptedRate] = {}
        self._met_s: dict[str, float] = {}  # when something of theirs was answered last
        self._drop_s = 0.0
        self._counts: dict[str, Count] = {}
        self._since_s = -math.inf  # when the counts were begun
        self._judge_s = 0.0
        self._refused_s = -math.inf

    @property
    def limited(self) -> bool:
        """Whether a limit is known."""
        return self._all.limited or bool(self._apart)

    def of(self, key: str) -> AcceptedRate:
        """The rate that applies to a request for `key`."""
        if self._apart:
            prefix = prefix_of(key)
            own = self._apart.get(prefix)
            if own is not None:
                if own.limited:
                    return own
                # This rate has opened again: the store allows the prefix more than is sent.
                del self._apart[prefix]
        return self._all

    def _meets(self, key: str, now: float) -> None:
        """Step 5."""
        self._met_s[prefix_of(key)] = now
        if now < self._drop_s:
            return
        self._drop_s = now + self._tuning.forget_s
        old_s = now - self._tuning.rate.remember_s
        self._met_s = {prefix: at_s for prefix, at_s in self._met_s.items() if at_s >= old_s}
        self._apart = {prefix: one for prefix, one in self._apart.items() if prefix in self._met_s}

    def accepted(self, key: str, *, sent_s: float, now: float) -> None:
        """A request for `key` that began at `sent_s` has succeeded."""
        # A run that meets no limit counts nothing and pays nothing.
        if self._all.limited:
            count = self._count_of(key)
            count.accepted += 1
            count.since_last += 1
        if self._apart:
            self._meets(key, now)
        self.of(key).accepted(sent_s=sent_s, now=now)

    def refused(self, key: str, *, sent_s: float, now: float) -> None:
        """A request for `key` that began at `sent_s` was refused for its rate."""
        if self._all.limited:
            self._count_refusal(key, now)
        if self._apart:
            self._meets(key, now)
        self.of(key).refused(sent_s=sent_s, now=now)

    def _new_rate(self, limit_per_s: float = math.inf) -> AcceptedRate:
        return AcceptedRate(limit_per_s, self._tuning.rate)

    def _count_of(self, key: str) -> Count:
        prefix = prefix_of(key)
        count = self._counts.get(prefix)
        if count is None:
            # A prefix beyond max_prefixes, or with a rate of its own, gets a count that is not kept.
            count = Count()
            if prefix not in self._apart and len(self._counts) <= self._tuning.max_prefixes:
                self._counts[prefix] = count
        return count

    def _count_refusal(self, key: str, now: float) -> None:
        """Step 2."""
        tuning = self._tuning
        near = now - self._refused_s <= tuning.near_s
        self._refused_s = now
        if now - self._since_s > tuning.forget_s:
            self._counts.clear()
            self._since_s = now
        met = self._count_of(key)
        met.refused += 1
        met.since_last += 1
        answered = sum(count.since_last for count in self._counts.values())
        for count in self._counts.values():
            if near:
                count.expected += count.since_last / max(answered, 1)
            count.since_last = 0
        if now >= self._judge_s:
            self._judge_s = now + tuning.judge_s
            self._judge(now)

    def _judge(self, now: float) -> None:
        """Step 3."""
        tuning = self._tuning
        counts = self._counts
        if not 1 < len(counts) + len(self._apart) <= tuning.max_prefixes:
            return
        # While every prefix meets refusals, the limit may be the whole bucket's.
        if not any(not count.refused and count.expected >= tuning.certain for count in counts.values()):
            return
        hit = {prefix: count for prefix, count in counts.items() if count.refused >= tuning.min_refused}
        for prefix, count in hit.items():
            per_s = count.accepted / max(now - self._since_s, tuning.judge_s)
            self._apart[prefix] = self._new_rate(per_s)
            self._met_s[prefix] = now
        if hit:
            self._all = self._new_rate()
            self._counts = {}
            self._since_s = -math.inf


def prefix_of(key: str) -> str:
    """What comes before the last "/"."""
    return key[: key.rfind("/") + 1]
