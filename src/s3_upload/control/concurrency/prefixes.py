"""Which rate a request falls under: one for all, or one for each prefix that is refused while others are
not. Pure.

S3 limits requests for each partitioned prefix of a bucket
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html), others the whole bucket
or account.  Which it is shows only where more than one prefix is written to at a time.

Theory of operation.

1. There is one rate for all, and as long as that knows no limit, nothing else is counted.
2. While it does, what is accepted and refused is counted for each prefix (a key up to its last "/").  What
   was accepted says nothing unless it lies between two refusals at most NEAR_S apart: a store that counts
   whole seconds refuses at their ends, and a walk through folders has just left one and begun the next.
3. Were all counted together, a refusal would meet each prefix as likely as it has requests among those since
   the refusal before: that share of one refusal is *expected* of it.  A prefix of which x were expected has
   none with a probability of less than exp(-x).  One with CERTAIN expected and none met is *free*.  (Shares
   of a longer time would not do: refusals come in bursts, and a walk through folders meets them one by one.)
   Once some are free, each that has met MIN_REFUSED gets a rate of its own, which begins with what was
   accepted of it, and the one for all is open again.
4. Without such a result the counts are begun anew after FORGET_S.  Of more than MAX_PREFIXES at a time
   nothing is said.
"""

from __future__ import annotations

import math

import msgspec

from s3_upload.control.concurrency.rate import AcceptedRate

NEAR_S = 0.1
CERTAIN = 10.0
MIN_REFUSED = 8
JUDGE_S, FORGET_S = 0.25, 5.0
MAX_PREFIXES = 256


class Count(msgspec.Struct):
    """Of a prefix: `since_last`: requests answered since the last refusal."""

    accepted: int = 0
    refused: int = 0
    expected: float = 0.0
    since_last: int = 0


class AcceptedRates:
    """The algorithm of the module's theory."""

    def __init__(self) -> None:
        self._all = AcceptedRate()
        self._apart: dict[str, AcceptedRate] = {}
        self._counts: dict[str, Count] = {}
        self._since_s = -math.inf  # when the counts were begun
        self._judge_s = 0.0
        self._refused_s = -math.inf

    @property
    def limited(self) -> bool:
        """Whether a limit is known."""
        return self._all.limited or bool(self._apart)

    def of(self, key: str) -> AcceptedRate:
        """The rate that a request for `key` falls under."""
        if self._apart:
            prefix = prefix_of(key)
            rate = self._apart.get(prefix)
            if rate is not None:
                if rate.limited:
                    return rate
                del self._apart[prefix]
        return self._all

    def accepted(self, key: str, *, sent_s: float, now: float) -> None:
        """A request for `key` that began at `sent_s` has succeeded."""
        if self._all.limited:
            count = self._count_of(key)
            count.accepted += 1
            count.since_last += 1
        self.of(key).accepted(sent_s=sent_s, now=now)

    def refused(self, key: str, *, sent_s: float, now: float) -> None:
        """A request for `key` that began at `sent_s` was refused for its rate."""
        if self._all.limited:
            self._count_refusal(key, now)
        self.of(key).refused(sent_s=sent_s, now=now)

    def _count_of(self, key: str) -> Count:
        prefix = prefix_of(key)
        count = self._counts.get(prefix)
        if count is None:
            count = Count()
            if prefix not in self._apart and len(self._counts) <= MAX_PREFIXES:
                self._counts[prefix] = count
        return count

    def _count_refusal(self, key: str, now: float) -> None:
        """Step 2."""
        near = now - self._refused_s <= NEAR_S
        self._refused_s = now
        if now - self._since_s > FORGET_S:
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
            self._judge_s = now + JUDGE_S
            self._judge(now)

    def _judge(self, now: float) -> None:
        """Step 3."""
        counts = self._counts
        if not 1 < len(counts) + len(self._apart) <= MAX_PREFIXES:
            return
        if not any(not count.refused and count.expected >= CERTAIN for count in counts.values()):
            return
        hit = {prefix: count for prefix, count in counts.items() if count.refused >= MIN_REFUSED}
        for prefix, count in hit.items():
            self._apart[prefix] = AcceptedRate(count.accepted / max(now - self._since_s, JUDGE_S))
        if hit:
            self._all = AcceptedRate()
            self._counts = {}
            self._since_s = -math.inf


def prefix_of(key: str) -> str:
    """What comes before the last "/"."""
    return key[: key.rfind("/") + 1]
