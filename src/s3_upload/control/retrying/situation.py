"""What a run's user would want to know of the store now: when to say a line, and which. Pure.

A situation is reported when it has lasted for `first_s`, and again each time that it has lasted twice as
long.  Its end is reported once.  Two lines are at least `apart_s` apart.  Trouble that comes and goes among
successes is not reported.
"""

from __future__ import annotations

import msgspec

from s3_upload.report import SUCCESS, AttemptReport


class Tuning(msgspec.Struct, frozen=True):
    first_s: float = 5.0
    """A situation is reported once it has lasted this many seconds."""
    again: float = 2.0
    """It is reported again when it has lasted this many times as long."""
    apart_s: float = 4.0
    """Two lines are at least this many seconds apart."""
    min_refused: int = 3
    """This many errors in a row are a situation: fewer are chance."""


DEFAULT = Tuning()


class Refusals(msgspec.Struct):
    """Answers in a row that were errors: `count` since `since_s`, of which `last` was the last."""

    count: int = 0
    since_s: float = 0.0
    last: str = ""

    def answered(self, report: AttemptReport) -> None:
        """An attempt was answered."""
        if report.outcome == SUCCESS:
            self.count = 0
            return
        if not self.count:
            self.since_s = report.ended_s
        self.count += 1
        self.last = f"{report.status} {report.code}".rstrip()


class Seen(msgspec.Struct, frozen=True):
    """What is known at one moment; times are seconds on the run's clock.

    `alive_s`: the store's last sign of life, or when nothing was waited for; `answered_s`: its last answer;
    `away_since_s`: since when it is away, None if it is not, for the reason `cause`; `unreached`: the last
    probe got no connection; `refused`: how many answers in a row were errors, since `refused_since_s`, the
    last of them `refusal`.
    """

    alive_s: float
    answered_s: float = 0.0
    away_since_s: float | None = None
    cause: str = ""
    unreached: bool = False
    refused: int = 0
    refused_since_s: float = 0.0
    refusal: str = ""


class Situation:
    """See the module's text. `max_s`: for how long a store may be away or silent."""

    def __init__(self, endpoint: str, max_s: float, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._endpoint = endpoint
        self._limit = f"the run waits for {max_s:,g} s (--max-outage)" if max_s else "its tries are used up"
        self._since_s: float | None = None  # of what was told and is not over
        self._end = ""  # how to say that it is
        self._told_s = float("-inf")
        self._next_s = tuning.first_s

    def line(self, seen: Seen, *, now: float) -> str | None:
        """What to say now, None for nothing."""
        tuning = self._tuning
        since_s, what, rest = self._trouble(seen, now)
        lasted_s = now - since_s
        if lasted_s < tuning.first_s:
            return self._over(seen, now)
        if self._since_s is None:
            self._since_s, self._next_s = since_s, tuning.first_s
        if lasted_s < self._next_s or now - self._told_s < tuning.apart_s:
            return None
        self._next_s, self._told_s = tuning.again * lasted_s, now
        self._end = "takes new connections again" if self._goes_on(seen, now) else "answers again"
        return f"{self._endpoint} {what} {lasted_s:.0f} s{rest}"

    def _trouble(self, seen: Seen, now: float) -> tuple[float, str, str]:
        """Since when, and what is said before and behind how long that is."""
        if seen.away_since_s is not None:
            if self._goes_on(seen, now):
                rest = f" ({seen.cause}), and goes on with the others"
                return seen.away_since_s, "has taken no new connection for", rest
            return seen.away_since_s, "has been away for", f" ({seen.cause}); {self._limit}"
        # Without any answer, not even an error, the trouble to report is the silence.
        if seen.refused >= self._tuning.min_refused and now - seen.alive_s < self._tuning.first_s:
            refusals = f" ({seen.refused:,} answers, the last: {seen.refusal})"
            return seen.refused_since_s, "has answered with errors only for", refusals
        return seen.alive_s, "takes requests and has not answered for", f"; {self._limit}"

    def _goes_on(self, seen: Seen, now: float) -> bool:
        """Whether no new connection reaches the store, and it goes on with those that it has: our own queue
        on a slow uplink may be so long that no handshake is over in time."""
        is_alive = now - max(seen.alive_s, seen.answered_s) < self._tuning.first_s
        return seen.away_since_s is not None and seen.unreached and is_alive

    def _over(self, seen: Seen, now: float) -> str | None:
        """After something was told, and only by a success: an error is no end of trouble, nor is a byte that
        was taken in, which the kernel of a store does that is frozen."""
        # Only a trouble that was reported can be over, and only a success ends it.
        if self._since_s is None or seen.away_since_s is not None or seen.refused:
            return None
        if seen.answered_s < self._since_s:
            return None
        if now - self._told_s < self._tuning.apart_s:
            return None
        lasted_s, self._since_s, self._told_s = now - self._since_s, None, now
        return f"{self._endpoint} {self._end}, after {lasted_s:.0f} s"
