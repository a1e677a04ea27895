"""The rate that a store accepts of a job whose requests several workers send. Pure.

Each worker learns from its own refusals within milliseconds (`worker_rates`).  That alone is not enough, for
three reasons.  Whether refusals depend on the rate does not show to one of many: it slows down, the others do
not, and as many are refused.  A slow one meets few refusals: it learns late that too much is sent, and it
grows while others are refused.  And each keeps what it got in the rush of the first second, much or little.

Theory of operation (names in backticks are fields of `Tuning`).

1. *Scope*: what is counted together.  It is a prefix where a worker sends to that one alone, or holds it back
   alone (`prefixes`).  Else it is everything.  Workers of one scope share a *budget*.
2. *Budget*: none as long as no worker of the scope knows a limit.  The first limit makes it: the limits of
   those that have one, and for each of the others `rate.above` times what it had accepted in the last second.
   From then on each change that a worker makes to its limit (`rate`, steps 3 to 6) is made to the budget.  So
   all learn together, and the budget moves as the limit of one process would that sends all of it.  But what
   workers cut leaves at least `floor` of what all together had accepted in the last second: the part of one
   that has just come is chance.
3. *Shares*: a worker whose requests wait gets as much as any other whose do.  One that does not use that much
   gets what it uses and `spare` more.  Who is off by more than `near` is told.  So who has met no refusal is
   held back with the others, who comes later begins with its share, and none stays below it.
4. *Quiet*: a refusal that one worker meets says to all of the scope that the store allows no more for now.
   None grows before its quiet time has passed again.
5. *Cut by all*: with fewer than `rate.min_refusals` each, no worker can tell that too much is sent, but all
   together can: by the shares and times of `rate`, step 2.  The budget becomes `rate.above` times what was
   accepted in the last second, or, if that still had what a bucket had saved up, since the cut before.  It
   becomes no less than `most_cut` of what it was, and two such cuts are at least `gap_s` apart.  There is
   none while half of the workers are blocked (`rate`, step 4).
6. *Noise*: the job judges what one worker cannot (`rate`, step 8).  A cut counts if it is one by all, or if
   half of the workers have made one.  If a larger share is refused than before the first of them (by
   `rate.similar`), the store allows less, and they are counted again.  If it is noise, all are told its
   share, and are open again.
7. *Open again*: no request of the scope waited, and none was refused, for `rate.remember_s`.
8. *Alone*: a worker that has no others in its scope gets the whole budget, and from then on keeps to what it
   learns itself.  Only what is noise it is told.
9. A worker that has told nothing for `silent_s` counts no more, and the others have its share.
10. *Too little*: a store may count all prefixes together.  Then scopes that the workers of one walk are in
   take from each other, and one that got little would keep it when the others are through.  So where all
   scopes together send less than `lacking` of what was accepted before (which counts less and less, for
   `rate.remember_s`, and no more once refusals show what is allowed), a scope whose requests wait and in
   which none was refused for a second gets `more` times its budget, again and again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import msgspec

from s3_upload.control.concurrency import rate
from s3_upload.control.concurrency.rate import Series, Share
from s3_upload.control.concurrency.worker_rates import EVERYTHING, Seen, Told


class Tuning(msgspec.Struct, frozen=True):
    spare: float = 0.25
    """A worker that does not use its share gets this much more than it uses, as a share of that (step 3)."""
    near: float = 0.03
    """A limit that is off by less than this share stays (step 3)."""
    most_cut: float = 0.5
    """A cut by all leaves at least this share of the budget (step 5)."""
    floor: float = 0.9
    """What workers cut leaves at least this share of what all were accepted in the last second (step 2)."""
    gap_s: float = 0.4
    """Two cuts by all are at least this many seconds apart (step 5): the first has to arrive, and answers to
    requests from before it to end."""
    silent_s: float = 2.0
    """A worker counts for this many seconds after it has told something (step 9)."""
    lacking: float = 0.5
    """Below this share of what was accepted before, too little is sent (step 10)."""
    more: float = 2.0
    """A budget becomes so many times what it was, where too little is sent (step 10)."""
    rate: rate.Tuning = rate.DEFAULT
    """The constants of one rate, which hold for all together, too."""


DEFAULT = Tuning()

WorkerT = TypeVar("WorkerT", bound=Hashable)
"""What names a worker."""


class Member(msgspec.Struct):
    """A worker in a scope: what it told last, and when. `refused`: since others were told of it."""

    seen: Seen
    at_s: float
    refused: int
    cut: bool = False
    """Whether it has cut its limit since cuts were counted (step 6)."""


class Past:
    """What all together were accepted and refused, by the times of the answers to the workers."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int, int]] = deque()
        self._accepted = self._refused = 0
        self.since_cut = 0
        """Accepted since the last cut by all."""

    def add(self, accepted: int, refused: int) -> None:
        self._accepted += accepted
        self._refused += refused
        self.since_cut += accepted

    def last_second(self, now: float) -> tuple[int, int]:
        """Accepted and refused."""
        if self._accepted or self._refused:
            self._counts.append((now, self._accepted, self._refused))
            self._accepted = self._refused = 0
        while self._counts and self._counts[0][0] <= now - 1.0:
            self._counts.popleft()
        return sum(one[1] for one in self._counts), sum(one[2] for one in self._counts)


class Scope(Generic[WorkerT]):
    """Steps 2 to 8 and 10 for what is counted together."""

    def __init__(self, name: str, tuning: Tuning) -> None:
        self._name = name
        self._tuning = tuning
        self.members: dict[WorkerT, Member] = {}
        self.budget_per_s = math.inf
        self._before_per_s = 0.0  # the budget when it was divided last
        self._shared = False  # whether it was divided then
        self.noise = 0.0
        self._past = Past()
        self._episode = Share(-math.inf)
        self._busy_s = -math.inf  # when one last waited, or was refused
        self._cut_s = -math.inf  # when all together last cut
        self._series, self._series_share, self._series_s = Series(tuning.rate), 0.0, -math.inf

    def report(self, worker: WorkerT, seen: Seen, now: float) -> None:
        """What one worker has seen."""
        member = self.members.get(worker)
        if member is None:
            member = self.members[worker] = Member(seen, now, 0)
        # What it changed before it came here, it changed under another budget.
        else:
            self.budget_per_s += seen.change_per_s
        member.seen, member.at_s = seen, now
        member.refused += seen.refused
        member.cut |= seen.cut
        self._past.add(seen.accepted, seen.refused)
        self._episode.accepted += seen.accepted
        self._episode.refused += seen.refused
        if seen.waits or seen.refused:
            self._busy_s = now

    @property
    def may_send_per_s(self) -> float:
        """What its workers send at the most."""
        return sum(
            min(one.seen.limit_per_s, math.inf if one.seen.waits else one.seen.accepted_per_s)
            for one in self.members.values()
        )

    def told(self, now: float, *, lacks: bool = False) -> dict[WorkerT, Told]:
        """What to tell whom. `lacks`: see step 10."""
        tuning = self._tuning.rate
        last_second = self._past.last_second(now)
        if not any(one.seen.limit_per_s != math.inf for one in self.members.values()):
            self.budget_per_s = math.inf
            return {}
        if now - self._busy_s > tuning.remember_s:
            return self._opened()
        if self.budget_per_s == math.inf:
            self.budget_per_s = sum(
                one.seen.limit_per_s
                if one.seen.limit_per_s != math.inf
                else tuning.above * one.seen.accepted_per_s
                for one in self.members.values()
            )
        waits = any(one.seen.waits for one in self.members.values())
        more = self._tuning.more if lacks and waits and not last_second[1] else 1.0
        if len(self.members) == 1 and not self._shared:
            return self._alone(*last_second, more, now)
        self.budget_per_s *= more
        floor_per_s = min(self._tuning.floor * last_second[0], self._before_per_s)
        # What its workers have cut while everything was refused may come to more than there was.
        least_per_s = max(floor_per_s, tuning.min_per_s * len(self.members))
        before = self.budget_per_s = max(self.budget_per_s, least_per_s)
        self._cut_by_all(last_second[0], now)
        if self._shows_noise(*last_second, now):
            return self._opened()
        self.budget_per_s = max(self.budget_per_s, tuning.min_per_s * len(self.members))
        self._before_per_s = self.budget_per_s
        return self._divided(min(self.budget_per_s / before, 1.0))

    def _alone(self, accepted: int, refused: int, more: float, now: float) -> dict[WorkerT, Told]:
        """Step 8. `more`: see step 10."""
        [(worker, one)] = self.members.items()
        self.budget_per_s = self._before_per_s = more * one.seen.limit_per_s
        one.refused = 0
        if self._shows_noise(accepted, refused, now):
            return self._opened()
        return {worker: Told(self._name, self.budget_per_s, noise=self.noise)} if more > 1.0 else {}

    def _opened(self) -> dict[WorkerT, Told]:
        self.budget_per_s = math.inf
        return {worker: Told(self._name, math.inf, noise=self.noise) for worker in self.members}

    def _divided(self, cut: float) -> dict[WorkerT, Told]:
        """Steps 3 and 4."""
        tuning = self._tuning
        self._shared = len(self.members) > 1
        if not self._shared:
            [worker] = self.members
            return {worker: Told(self._name, self.budget_per_s, noise=self.noise)}
        found: dict[WorkerT, Told] = {}
        refused = any(one.refused for one in self.members.values())
        left_per_s, left = self.budget_per_s, len(self.members)
        for worker, one in sorted(self.members.items(), key=lambda item: self._wanted(item[1])):
            per_s = max(min(left_per_s / left, self._wanted(one)), tuning.rate.min_per_s)
            left_per_s, left = left_per_s - per_s, left - 1
            others = refused and not one.refused
            off = cut < 1.0 or abs(one.seen.limit_per_s - per_s) > tuning.near * per_s
            if off or others:
                limit_per_s = per_s if off else one.seen.limit_per_s
                found[worker] = Told(self._name, limit_per_s, self.budget_per_s, cut, others, self.noise)
            one.refused = 0
        return found

    def _wanted(self, one: Member) -> float:
        return math.inf if one.seen.waits else (1.0 + self._tuning.spare) * one.seen.accepted_per_s

    def _cut_by_all(self, in_a_second: int, now: float) -> None:
        """Step 5."""
        tuning, episode = self._tuning.rate, self._episode
        age_s, pause_s = now - episode.since_s, now - self._cut_s
        share = (episode.refused_share - self.noise) / (1.0 - self.noise)
        few = tuning.told_refused <= episode.refused < tuning.min_refusals * len(self.members)
        # An allowance that is used up each worker meets itself.
        blocked = 2 * sum(one.seen.blocked for one in self.members.values()) >= len(self.members)
        over = tuning.high <= share < tuning.mostly or (share >= tuning.low and age_s >= tuning.long_s)
        if few and over and not blocked and pause_s > self._tuning.gap_s:
            accepted_per_s: float = in_a_second
            if pause_s <= tuning.long_s:
                accepted_per_s = min(accepted_per_s, self._past.since_cut / pause_s)
            cut_per_s = max(tuning.above * accepted_per_s, self._tuning.most_cut * self.budget_per_s)
            self.budget_per_s = min(self.budget_per_s, cut_per_s)
            self._cut_s, self._past.since_cut = now, 0
        # Soon after a cut what is refused was sent before it, and counts no more.
        if (few and over) or blocked or age_s >= tuning.long_s:
            self._episode = Share(now)

    def _shows_noise(self, accepted: int, refused: int, now: float) -> bool:
        """Step 6."""
        tuning = self._tuning.rate
        pause_s = now - self._series_s
        half = 2 * sum(one.cut for one in self.members.values()) >= len(self.members)
        if pause_s <= tuning.long_s or not (half or self._cut_s > self._series_s):
            return False
        for one in self.members.values():
            one.cut = False
        self._series_s = now
        share = refused / max(accepted + refused, 1)
        if share * tuning.similar > self._series_share:
            self._series, self._series_share = Series(tuning), share
        if not self._series.shows_noise(accepted, share, pause_s):
            return False
        self.noise = min(share, tuning.max_noise)
        return True


class FleetRates(Generic[WorkerT]):
    """The algorithm of the module's theory: a fold over what the workers tell, whatever names them."""

    def __init__(self, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self._scopes: dict[str, Scope[WorkerT]] = {}
        self._past = Past()
        self._most_per_s, self._most_s = 0.0, 0.0  # accepted in a second before, and when that was reckoned

    def report(self, worker: WorkerT, seen: Iterable[Seen], *, now: float) -> None:
        """What a worker has seen, of all of its scopes."""
        by_scope = {one.scope: one for one in seen}
        for name, scope in self._scopes.items():
            if name not in by_scope:
                scope.members.pop(worker, None)
        for name, one in by_scope.items():
            if name not in self._scopes:
                self._scopes[name] = Scope(name, self._tuning)
            self._scopes[name].report(worker, one, now)
            self._past.add(one.accepted, one.refused)

    def gone(self, worker: WorkerT) -> None:
        """A worker has ended, or is lost."""
        for scope in self._scopes.values():
            scope.members.pop(worker, None)

    def told(self, *, now: float) -> dict[WorkerT, list[Told]]:
        """What to tell each worker; who is not in it keeps to what it has."""
        for name, scope in tuple(self._scopes.items()):
            for worker, one in tuple(scope.members.items()):
                if now - one.at_s > self._tuning.silent_s:
                    del scope.members[worker]
            if not scope.members:
                del self._scopes[name]
        lacks = self._lacks(now)
        found: dict[WorkerT, list[Told]] = {}
        for scope in self._scopes.values():
            for worker, told in scope.told(now, lacks=lacks).items():
                found.setdefault(worker, []).append(told)
        return found

    def _lacks(self, now: float) -> bool:
        """Step 10."""
        tuning = self._tuning.rate
        accepted, refused = self._past.last_second(now)
        # Where refusals show what the store allows, it allows no more.
        told = refused >= max(tuning.min_refusals, tuning.low * (accepted + refused))
        faded = 0.0 if told else self._most_per_s * math.exp((self._most_s - now) / tuning.remember_s)
        self._most_per_s, self._most_s = max(accepted, faded), now
        may_send_per_s = sum(scope.may_send_per_s for scope in self._scopes.values())
        return may_send_per_s < self._tuning.lacking * self._most_per_s

    def begins(self) -> list[Told]:
        """What to tell a worker before its first request: an equal share of the largest budget."""
        limited = [scope for scope in self._scopes.values() if scope.budget_per_s != math.inf]
        if not limited:
            return []
        most = max(limited, key=lambda scope: len(scope.members))
        share_per_s = most.budget_per_s / (len(most.members) + 1)
        return [Told(EVERYTHING, share_per_s, most.budget_per_s, noise=most.noise)]
