"""A store that refuses above a rate, in three ways, and an upload without end to it; all in made-up time."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from typing import NamedTuple, Protocol

from s3_upload.control.concurrency.rate import AcceptedRate

TICK_S = 0.001
"""What the timers of a loop can tell apart."""
START, MAX_IN_FLIGHT = 32, 4_096

Steps = tuple[tuple[float, float], ...]
"""From when on how many requests a second are allowed."""


class Store(Protocol):
    def allows(self, now: float) -> bool:
        """Whether a request that comes now is accepted."""
        ...


def rate_at(steps: Steps, now: float) -> float:
    return [per_s for since_s, per_s in steps if since_s <= now][-1]


class FixedWindows:
    """So many in each second of the store's clock."""

    def __init__(self, steps: Steps, phase_s: float) -> None:
        self._steps, self._phase_s = steps, phase_s
        self._second, self._used = -1, 0

    def allows(self, now: float) -> bool:
        second = math.floor(now + self._phase_s)
        if second != self._second:
            self._second, self._used = second, 0
        self._used += 1
        return self._used <= rate_at(self._steps, now)


class TokenBucket:
    """So many tokens come each second; a second's worth is kept, and there at first."""

    def __init__(self, steps: Steps, phase_s: float) -> None:
        self._steps, self._since_s, self._tokens = steps, 0.0, rate_at(steps, 0.0)

    def allows(self, now: float) -> bool:
        per_s = rate_at(self._steps, now)
        self._tokens = min(per_s, self._tokens + per_s * (now - self._since_s))
        self._since_s = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class SlidingWindow:
    """So many in any second."""

    def __init__(self, steps: Steps, phase_s: float) -> None:
        self._steps = steps
        self._log: deque[float] = deque()

    def allows(self, now: float) -> bool:
        while self._log and self._log[0] <= now - 1.0:
            self._log.popleft()
        if len(self._log) >= rate_at(self._steps, now):
            return False
        self._log.append(now)
        return True


class Noise:
    """Refuses a share of whatever comes."""

    def __init__(self, share: float, rng: random.Random) -> None:
        self._share, self._rng = share, rng

    def allows(self, now: float) -> bool:
        return self._rng.random() >= self._share


class Result(NamedTuple):
    accepted: int
    refused: int
    settled_accepted: int
    """From `settled_s` on, as is the next."""
    settled_refused: int

    @property
    def refused_share(self) -> float:
        """After it has settled."""
        return self.settled_refused / max(self.settled_accepted + self.settled_refused, 1)


def upload(
    store: Store,
    rate: AcceptedRate,
    *,
    until_s: float,
    delay_s: float,
    settled_s: float = 3.0,
    max_in_flight: int = MAX_IN_FLIGHT,
    seed: int = 1,
) -> Result:
    """As many requests in flight as slow start allows, each of which begins when `rate` lets it."""
    rng = random.Random(seed)
    events: list[tuple[float, int, str, float]] = []
    in_flight = number = 0
    counts = {"accepted": 0, "refused": 0}
    settled = dict(counts)
    now, allowed = 0.0, START
    while now < until_s:
        due_s = math.inf
        while in_flight < min(allowed, max_in_flight):
            if rate.limited and not rate.take(now=now):
                due_s = max(rate.due_s(), now + TICK_S)
                break
            in_flight, number = in_flight + 1, number + 1
            heapq.heappush(events, (now + delay_s * rng.uniform(0.4, 0.6), number, "arrives", now))
        now = max(now, min(due_s, events[0][0] if events else math.inf))
        while events and events[0][0] <= now:
            at_s, number_of_it, what, sent_s = heapq.heappop(events)
            if what == "arrives":
                answer = "accepted" if store.allows(at_s) else "refused"
                heapq.heappush(events, (at_s + 0.5 * delay_s, number_of_it, answer, sent_s))
                continue
            in_flight -= 1
            counts[what] += 1
            settled[what] += now >= settled_s
            if what == "accepted":
                allowed += 1
                rate.accepted(sent_s=sent_s, now=now)
            else:
                rate.refused(sent_s=sent_s, now=now)
    return Result(counts["accepted"], counts["refused"], settled["accepted"], settled["refused"])
