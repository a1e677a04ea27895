"""What limits a run: where its time goes. Pure.

Theory of operation.  Several times a second `transfer/` says how the run stands (`Standing`), and
`limited_by` names the one thing that, were there more of it, would let the run go faster at that moment.  The
first that holds counts, from what stops everything to what merely slows:

1. AWAY: the store does not answer; or hardly anything of what is being sent has been acknowledged for
   SILENT_S (this is looked at after 2, since a pace may hold everything back).  Silence shows late, so it
   counts from the last sign of life.
2. CAP, OTHERS: the pace is bounded, by `max_bandwidth` or since others use the link.
3. THROTTLED: requests wait for their turn at the rate that the store accepts.
4. ERRORS: nothing goes on but waits between tries.
5. CPU: the loop's thread used a processor, or waited for one, most of the time; or, while files are read
   (6), all threads together did so with all processors.
6. Fewer requests are under way than may be, since there is nothing to send: READING, while files are read;
   LISTING, while sources are still being found.
7. LINK: the bytes of most requests are still on their way.
8. ANSWERS: otherwise.  Most bytes have arrived, and their requests wait for the store's answer: the number
   of requests is at its bound, or few are left.

`Shares` adds up for how long each of these was the limit.
"""

from __future__ import annotations

from collections import deque

import msgspec

AWAY, CAP, OTHERS, THROTTLED, ERRORS = "away", "cap", "others", "throttled", "errors"
CPU, LISTING, READING, LINK, ANSWERS = "cpu", "listing", "reading", "link", "answers"
NAMES = (LINK, ANSWERS, THROTTLED, READING, CPU, CAP, OTHERS, LISTING, AWAY, ERRORS)

BUSY = 0.85
"""From this share of the time on, the processor is what limits."""
SENDING = 0.5
"""Where so many of the requests are still being taken in, it is the link that takes its time."""
SILENT_S = 3.0
"""Without an answer, and while hardly anything is taken in, a store is silent and no longer slow."""
USED = 0.75
"""A bound on the pace limits where so much of it is used."""


class Standing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a run stands at one moment.

    `requests` are under way of `max_requests` that may be; `ready`: more could be sent at once.  `listing`:
    sources are being asked for; `reading`: files are being read.  `paced`: the state of `PaceReport`, ""
    without one; `pace_used`: how much of the pace is acknowledged, 0 to 1.  `throttled`: requests wait for
    their turn, at `rate_per_s`; `retries`: requests that wait between tries.  `busy_share`: of the time since
    the last look, the loop's thread on a processor or waiting for one; `all_busy_share`: of all processors,
    all threads, where that was looked at.  `sending_share`: of the requests under way, those that the other
    side has not yet taken in.  `silent_s`: since the store's last answer, or since bodies were still being
    taken in, where one is waited for.
    """

    requests: int = 0
    max_requests: int = 0
    ready: bool = False
    listing: bool = False
    reading: bool = False
    away: bool = False
    paced: str = ""
    pace_used: float = 0.0
    throttled: bool = False
    rate_per_s: float = 0.0
    retries: int = 0
    busy_share: float = 0.0
    all_busy_share: float = 0.0
    sending_share: float = 0.0
    silent_s: float = 0.0


def limited_by(now: Standing) -> str:
    return _from_outside(now) or _from_here(now) or (LINK if now.sending_share >= SENDING else ANSWERS)


def _from_outside(now: Standing) -> str:
    """1 to 4."""
    if now.away:
        return AWAY
    if now.paced == "capped" and now.pace_used >= USED:
        return CAP
    if now.paced == "yielding":
        return OTHERS
    if now.silent_s >= SILENT_S and now.sending_share >= SENDING:
        return AWAY
    if now.throttled:
        return THROTTLED
    return ERRORS if now.requests == 0 and now.retries and not now.ready else ""


def _from_here(now: Standing) -> str:
    """5 and 6."""
    if now.busy_share >= BUSY:
        return CPU
    if now.requests >= now.max_requests or now.ready:
        return ""
    if now.reading:
        return CPU if now.all_busy_share >= BUSY else READING
    return LISTING if now.listing else ""


class _Span(msgspec.Struct, gc=False):
    """From one moment to another it was `name` that limited."""

    name: str
    from_s: float
    to_s: float


MAX_SPANS = 64
"""Spans that may still turn out to have been something else."""


class Shares:
    """How long each was what limited."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._at_s = 0.0
        self._recent: deque[_Span] = deque(maxlen=MAX_SPANS)

    def add(self, name: str, *, now: float, since_s: float | None = None) -> None:
        """`name` has limited since the last call, or since the run's begin; or, which shows only now, since
        `since_s`."""
        begun_s, recent = self._at_s, self._recent
        while since_s is not None and recent and recent[-1].to_s > since_s:
            span = recent.pop()
            begun_s = max(span.from_s, since_s)
            self._seconds[span.name] -= span.to_s - begun_s
            if span.from_s < begun_s:
                recent.append(_Span(span.name, span.from_s, begun_s))
                break
        self._seconds[name] = self._seconds.get(name, 0.0) + now - begun_s
        if recent and recent[-1].name == name:
            recent[-1].to_s = now
        else:
            recent.append(_Span(name, begun_s, now))
        self._at_s = now

    def of(self, wall_time_s: float) -> dict[str, float]:
        """Shares of the run's time, the largest first; those below a thousandth are left out."""
        if wall_time_s <= 0.0:
            return {}
        shares = {name: min(1.0, seconds / wall_time_s) for name, seconds in self._seconds.items()}
        ordered = sorted(shares.items(), key=lambda item: -item[1])
        return {name: round(share, 3) for name, share in ordered if share >= 0.001}
