"""Which rate a request falls under: one for all, or one for each prefix that is refused while others are
not. Pure.

S3 limits requests for each partitioned prefix of a bucket
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html), others the whole bucket
or account.  Which it is shows only where more than one prefix is written to at a time.

Theory of operation.

1. There is one rate for all, and as long as that knows no limit, nothing else is counted.
2. While it does, what is accepted and refused is counted for each prefix (a key up to its last "/"), over
   JUDGE_S at a time.  Where some have at least REFUSED_SHARE of their requests refused, and the rest, which
   is at least REST_SHARE of what was accepted, has none, those that are refused get a rate of their own,
   which begins with what was accepted of them, and the one for all is open again.
3. Of more than MAX_PREFIXES at a time nothing is said.
"""

from __future__ import annotations

from s3_upload.control.rate import AcceptedRate

JUDGE_S = 1.0
REFUSED_SHARE = 0.005
REST_SHARE = 0.1
MIN_REST = 100
"""Fewer that were accepted of the rest say little."""
MAX_PREFIXES = 256


class AcceptedRates:
    """The algorithm of the module's theory."""

    def __init__(self) -> None:
        self._all = AcceptedRate()
        self._apart: dict[str, AcceptedRate] = {}
        self._counts: dict[str, list[int]] = {}  # accepted and refused, by prefix
        self._since_s = 0.0

    @property
    def limited(self) -> bool:
        """Whether a limit is known."""
        return self._all.limited or bool(self._apart)

    def of(self, key: str) -> AcceptedRate:
        """The rate that a request for `key` falls under."""
        return self._apart.get(prefix_of(key), self._all) if self._apart else self._all

    def accepted(self, key: str, *, sent_s: float, now: float) -> None:
        """A request for `key` that began at `sent_s` has succeeded."""
        if self.limited:
            self._count(key, 0, now)
        self.of(key).accepted(sent_s=sent_s, now=now)

    def refused(self, key: str, *, sent_s: float, now: float) -> None:
        """A request for `key` that began at `sent_s` was refused for its rate."""
        if self.limited:
            self._count(key, 1, now)
        self.of(key).refused(sent_s=sent_s, now=now)

    def _count(self, key: str, refused: int, now: float) -> None:
        """Steps 2 and 3."""
        if now - self._since_s >= JUDGE_S:
            self._judge(now)
        prefix = prefix_of(key)
        if self._all.limited and prefix not in self._apart and len(self._counts) <= MAX_PREFIXES:
            self._counts.setdefault(prefix, [0, 0])[refused] += 1

    def _judge(self, now: float) -> None:
        counts, self._counts = self._counts, {}
        since_s, self._since_s = self._since_s, now
        self._apart = {prefix: rate for prefix, rate in self._apart.items() if rate.limited}
        if len(counts) > MAX_PREFIXES:
            return
        hit = {prefix for prefix, (some, none) in counts.items() if none > REFUSED_SHARE * (some + none)}
        rest = [count for prefix, count in counts.items() if prefix not in hit]
        accepted = sum(count[0] for count in rest)
        if not hit or any(count[1] for count in rest) or accepted < MIN_REST:
            return
        if accepted < REST_SHARE * sum(count[0] for count in counts.values()):
            return
        for prefix in hit:
            self._apart[prefix] = AcceptedRate(counts[prefix][0] / (now - since_s))
        self._all = AcceptedRate()


def prefix_of(key: str) -> str:
    """What comes before the last "/"."""
    return key[: key.rfind("/") + 1]
