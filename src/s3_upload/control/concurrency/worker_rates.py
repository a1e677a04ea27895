"""The rates of one worker of several: `AcceptedRates` that tell what they see, and hold to a share. Pure.

A worker reacts to its refusals as any run does (`rate`, `prefixes`).  Several times a second it tells the job
what it has `seen`, and hears from it what to hold to.  The job's side is `fleet_rate`, with the theory.

* A share is another slice of the same requests.  So what was accepted lately counts as if the worker had had
  this share already.  Else the next cut would take for the store's word what was only the old share.
* Of all workers that may grow, each waits a little longer than the one before, up to `STAGGER_S`.  So the
  first few find out for all whether the store allows more.
* How long it has to be quiet depends on how many refusals the job would have met by then, not the worker.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from s3_upload.control.concurrency import prefixes, rate
from s3_upload.control.concurrency.prefixes import AcceptedRates, prefix_of
from s3_upload.control.concurrency.rate import AcceptedRate

EVERYTHING = "*"
"""The scope of a rate for all. No prefix is called so: they are empty, or end with a slash."""
NEVER = 1_000_000_000
"""More cuts in a row than there ever are."""
MAINLY = 0.9
"""A worker sends to one prefix if at least this share of its requests goes there."""
STAGGER_S = 1.0
"""The last of the workers waits for its growth this many seconds longer than the first."""
WORKER = prefixes.Tuning(rate=rate.Tuning(series=NEVER))
"""The constants of a worker's rates. What is noise only the job can tell (`fleet_rate`, step 6)."""


class Seen(msgspec.Struct, frozen=True):
    """What a worker tells of a scope, since it told last.

    `limit_per_s`: its limit, math.inf for none; `change_per_s`: by how much it has changed that itself.
    `accepted`, `refused`: requests; `accepted_per_s`: in the last second.  `waits`: requests wait for their
    turn.  `cut`: it has cut its limit.  `blocked`: nothing is accepted at the moment.
    """

    scope: str
    limit_per_s: float
    change_per_s: float
    accepted: int
    refused: int
    accepted_per_s: float
    waits: bool
    cut: bool
    blocked: bool


class Told(msgspec.Struct, frozen=True):
    """What a worker is told of a scope.

    `limit_per_s`: its share of the budget, math.inf for no limit; `budget_per_s`: that of all.  `cut`: the
    budget has just become so many times what it was.  `others_refused`: of others, requests were refused.
    `noise`: the share of refusals that do not depend on the rate.
    """

    scope: str
    limit_per_s: float
    budget_per_s: float = math.inf
    cut: float = 1.0
    others_refused: bool = False
    noise: float = 0.0


class WorkerRate(AcceptedRate):
    """A rate whose limit is a share of the job's. It grows `later_s` later than it would alone."""

    def __init__(self, limit_per_s: float, tuning: rate.Tuning, later_s: float) -> None:
        super().__init__(limit_per_s, tuning)
        self._later_s = later_s
        self._budget_per_s = 0.0
        self._known_per_s = self.limit_per_s  # the limit that the job knows of
        self._change_per_s = 0.0  # made before the last share came, and not told yet
        self._has_cut = False  # itself, since the job was told last

    def refused(self, *, sent_s: float, now: float) -> None:
        super().refused(sent_s=sent_s, now=now)
        self._keep_quiet(now)

    def seen(self, scope: str, accepted: int, refused: int, now: float) -> Seen:
        """What there is to tell; `accepted` and `refused` since it was told last."""
        change_per_s = self._change()
        self._known_per_s, self._change_per_s = self.limit_per_s, 0.0
        cut, self._has_cut = self._has_cut, False
        return Seen(
            scope=scope,
            limit_per_s=self.limit_per_s,
            change_per_s=change_per_s,
            accepted=accepted,
            refused=refused,
            accepted_per_s=self._tally.last_second(now),
            waits=self._waits(now),
            cut=cut,
            blocked=self.blocked,
        )

    def hear(self, told: Told, now: float) -> None:
        """The limit is what the job says."""
        self._change_per_s = self._change()
        self.noise = told.noise
        self._budget_per_s = told.budget_per_s if told.budget_per_s != math.inf else 0.0
        if told.limit_per_s == math.inf:
            self._open()
        else:
            self._set_limit(max(told.limit_per_s, self._tuning.min_per_s), told.cut, now)
        if told.others_refused:
            self._keep_quiet(now)
        self._known_per_s = self.limit_per_s

    def _set_limit(self, limit_per_s: float, cut: float, now: float) -> None:
        if not self.limited:
            self.limit_per_s = self._held_per_s = limit_per_s
            return
        factor = limit_per_s / self.limit_per_s
        # Where nothing waited, what was accepted says nothing of the limit.
        if self._waits(now):
            self._scale_past(factor / cut)
        # What is held to at the moment keeps its share of the limit.
        self.limit_per_s = limit_per_s
        self._held_per_s = max(self._held_per_s * factor, self._tuning.min_per_s)
        self._next_s = min(self._next_s, now + 1.0 / self._held_per_s)
        # What was sent before the cut says nothing new.
        if cut < 1.0 and not self.blocked:
            self._last.at_s = now
            self._episode = None

    def _cut(self, per_s: float, share: float, now: float) -> None:
        super()._cut(per_s, share, now)
        self._has_cut = True

    def _scale_past(self, factor: float) -> None:
        last = self._last
        self._tally.scale(factor)
        last.since *= factor
        last.second_before *= factor
        last.per_s *= factor
        last.used_up_per_s *= factor

    def _keep_quiet(self, now: float) -> None:
        """`rate`, step 6."""
        self._growth.quiet_from_s = now + self._later_s
        self._growth.share = self._tuning.growth

    def _waits(self, now: float) -> bool:
        return now - self._waited_s < max(self._tuning.growth_s, 2.0 / self._held_per_s)

    def _change(self) -> float:
        """By how much the worker has changed its limit. A new limit is none: the job hears of it as such."""
        both = self.limited and self._known_per_s != math.inf
        return self._change_per_s + (self.limit_per_s - self._known_per_s if both else 0.0)

    def _counted_per_s(self) -> float:
        return max(self.limit_per_s, self._budget_per_s)


class WorkerRates(AcceptedRates):
    """The rates of one worker. `place`: from 0 to 1, another for each worker of a job."""

    def __init__(self, place: float = 0.0, tuning: prefixes.Tuning = WORKER) -> None:
        self._later_s = place * STAGGER_S
        super().__init__(tuning)
        self._scope = EVERYTHING  # of the rate for all
        self._lately: dict[str, list[int]] = {}  # accepted and refused of each prefix, not told yet

    def accepted(self, key: str, *, sent_s: float, now: float) -> None:
        self._count(key, 0)
        super().accepted(key, sent_s=sent_s, now=now)

    def refused(self, key: str, *, sent_s: float, now: float) -> None:
        self._count(key, 1)
        super().refused(key, sent_s=sent_s, now=now)

    def seen(self, *, now: float) -> list[Seen]:
        """What there is to tell the job, for each scope; the counts begin again."""
        lately, self._lately = self._lately, {}
        apart = {prefix: one for prefix, one in self._apart.items() if one.limited}
        seen = []
        for prefix, one in apart.items():
            accepted, refused = lately.pop(prefix, [0, 0])
            seen.append(_own(one).seen(prefix, accepted, refused, now))
        accepted, refused = (sum(counts[of] for counts in lately.values()) for of in (0, 1))
        if lately:
            most = max(lately, key=lambda prefix: sum(lately[prefix]))
            self._scope = most if sum(lately[most]) >= MAINLY * (accepted + refused) else EVERYTHING
        if self._scope in apart:
            self._scope = EVERYTHING
        return [*seen, _own(self._all).seen(self._scope, accepted, refused, now)]

    def hear(self, told: Iterable[Told], *, now: float) -> None:
        """What the job says holds from now on; of scopes that the worker has left it says nothing."""
        for one in told:
            rate = self._all if one.scope == self._scope else self._apart.get(one.scope)
            if rate is not None:
                _own(rate).hear(one, now)

    def _new_rate(self, limit_per_s: float = math.inf) -> WorkerRate:
        return WorkerRate(limit_per_s, self._tuning.rate, self._later_s)

    def _count(self, key: str, which: int) -> None:
        prefix = prefix_of(key)
        counts = self._lately.get(prefix)
        if counts is None:
            counts = self._lately[prefix] = [0, 0]
        counts[which] += 1


def _own(rate: AcceptedRate) -> WorkerRate:
    assert isinstance(rate, WorkerRate)
    return rate
