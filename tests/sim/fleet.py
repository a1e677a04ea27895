"""A fleet of workers on one job, at a store that limits each prefix, in virtual time.

The rates are the real ones: `worker_rates` in each worker, `fleet_rate` in the one that joins them; or, with
`together=False`, the `AcceptedRates` of a single run in each.  The rest is as simple as it may be:

* Time goes in steps of a millisecond, which is what the timers of a loop can tell apart.
* A store takes from each prefix what a limiter of `limiter_rig` allows, and answers after `delay_s`.
* A worker begins `speed` requests each second, has up to `window` under way (32 at first, one more with each
  success), and sends again at once what was refused.
* The job is cut into shards of as many objects each.  A worker that is done with one gets the next; with keys
  "apart" (each shard in one prefix) the first of the prefix that has the most left for each worker there.
* Every `REPORT_S` a worker tells what it has seen, and how many objects of its shard are done.  That takes
  `ON_THE_WAY_S`, and so does the answer.
* A worker that is lost is lost with its requests.  Its shard goes to the others from where it was last told.

`python -m tests.sim.fleet_table` makes the table of docs/scale.md.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from s3_upload.control.concurrency.fleet_rate import FleetRates
from s3_upload.control.concurrency.prefixes import AcceptedRates
from s3_upload.control.concurrency.rate import AcceptedRate
from s3_upload.control.concurrency.worker_rates import Seen, Told, WorkerRates
from tests.unit.control.limiter_rig import (
    START,
    TICK_S,
    FixedWindows,
    Noise,
    SlidingWindow,
    Steps,
    Store,
    TokenBucket,
)

Kind = Literal["token", "fixed", "sliding", "noise"]
Keys = Literal["spread", "apart", "in order"]
REPORT_S, ON_THE_WAY_S = 0.25, 0.02
SETTLED_S = 3
"""From here on refusals are judged, as in `bench.limits`."""
MAX_WAITING = 256
"""A worker pulls no more than this many objects whose turn has not come."""
SLOW = 0.1
"""The speed of a straggler, as a share of the others'."""
NOISE = 0.05
LIMITERS: dict[str, Callable[[Steps, float], Store]] = {
    "token": TokenBucket,
    "fixed": FixedWindows,
    "sliding": SlidingWindow,
}
GOLDEN = 0.6180339887
"""Multiples of it lie evenly between 0 and 1, however many they are."""


@dataclass(frozen=True)
class World:
    """`per_s`: what the store allows each prefix, `steps` instead if that changes.  `keys`: one after the
    other goes to the next prefix ("spread"), or prefixes one after the other ("in order"), of which shards
    are taken in turn ("apart").  `slow`: how many workers are stragglers.  `lost_s`: when one is lost."""

    workers: int
    prefixes: int
    objects: int
    per_s: float = 3_500.0
    steps: Steps = ()
    kind: Kind = "token"
    keys: Keys = "spread"
    together: bool = True
    speed: float = 4_400.0
    delay_s: float = 0.04
    window: int = 512
    shards: int = 32
    slow: int = 0
    lost_s: tuple[float, ...] = ()
    lasts_s: float = math.inf
    seed: int = 1

    @property
    def allowed_per_s(self) -> float:
        return self.prefixes * self.per_s

    @property
    def saved(self) -> float:
        """What buckets hold at first."""
        return self.allowed_per_s if self.kind == "token" else 0.0

    @property
    def speeds(self) -> list[float]:
        return [self.speed * (SLOW if number < self.slow else 1.0) for number in range(self.workers)]

    @property
    def ideal_s(self) -> float:
        """What no fleet can beat."""
        return max(self.objects / sum(self.speeds), (self.objects - self.saved) / self.allowed_per_s)

    def key(self, number: int) -> str:
        prefix = number % self.prefixes if self.keys == "spread" else number * self.prefixes // self.objects
        return f"{prefix}/"


class Shard:
    """Objects by number: `next` of them up to `end` are not begun, `left` are not done, `told_left` were not
    when this was told last."""

    def __init__(self, begin: int, end: int) -> None:
        self.next, self.end = begin, end
        self.left = self.told_left = end - begin

    @property
    def at(self) -> int:
        """One of its objects."""
        return self.end - 1


@dataclass
class Outcome:
    """What a world came to. `seconds`: accepted and refused in each; `again`: objects that were sent again
    since a worker was lost; `worked_s`: until when there was work for all."""

    world: World
    seconds: list[list[int]] = field(default_factory=list)
    took_s: float = 0.0
    worked_s: float = math.inf
    again: int = 0

    def accepted_share(self, since_s: int = 0) -> float:
        """Of what was allowed while there was work for all."""
        saved = 0.0 if since_s else self.world.saved
        seconds = self.seconds[since_s : self._full_s]
        return sum(one[0] for one in seconds) / (len(seconds) * self.world.allowed_per_s + saved)

    def refused_share(self, since_s: int = 0) -> float:
        accepted, refused = (sum(one[of] for one in self.seconds[since_s : self._full_s]) for of in (0, 1))
        return refused / max(accepted + refused, 1)

    @property
    def efficiency(self) -> float:
        return self.world.ideal_s / self.took_s

    @property
    def _full_s(self) -> int:
        return max(int(min(self.worked_s, self.took_s)), 1)


class Worker:
    """One worker: what of its shard waits, and what is under way."""

    def __init__(self, number: int, world: World, sim: Sim) -> None:
        self.number = number
        self.lost = False
        self.shard: Shard | None = None
        self.rates = WorkerRates(number * GOLDEN % 1.0) if world.together else AcceptedRates()
        self.wakes_tick = -1
        self._world, self._sim = world, sim
        self._per_s = world.speeds[number]
        self._window = START
        self._under_way = 0
        self._free_s = 0.0  # when the processor has done with the last request
        self._ready: deque[str] = deque()  # what goes next
        self._lines: dict[AcceptedRate, deque[str]] = {}  # what waits for its turn

    @property
    def done(self) -> bool:
        return self.lost or self.shard is None or not self.shard.left

    def answered(self, key: str, sent_s: float, accepted: bool, now: float) -> None:
        assert self.shard is not None
        self._under_way -= 1
        if accepted:
            self._window = min(self._window + 1, self._world.window)
            self.shard.left -= 1
            self.rates.accepted(key, sent_s=sent_s, now=now)
        else:
            self._ready.append(key)
            self.rates.refused(key, sent_s=sent_s, now=now)

    def begin(self, now: float) -> float:
        """Sends what may be sent; returns when there will be more."""
        self._let_go(now)
        while self._under_way < self._window:
            if self._free_s > now:
                return self._free_s
            key = self._ready.popleft() if self._ready else self._pull()
            if key is None:
                break
            rate = self.rates.of(key)
            if rate.limited and not rate.take(now=now):
                self._lines.setdefault(rate, deque()).append(key)
                continue
            self._free_s = max(self._free_s, now - TICK_S) + 1.0 / self._per_s
            self._under_way += 1
            self._sim.send(self, key)
        return min((rate.due_s() for rate in self._lines), default=math.inf)

    def _let_go(self, now: float) -> None:
        """As `transfer.rate_line` does."""
        for rate, line in tuple(self._lines.items()):
            count = min(rate.available(now=now), len(line)) if rate.limited else len(line)
            self._ready.extend(line.popleft() for _ in range(count))
            if line:
                rate.keeps_waiting(now=now)
            else:
                del self._lines[rate]

    def _pull(self) -> str | None:
        if sum(map(len, self._lines.values())) >= MAX_WAITING:
            return None
        if self.shard is None or not self.shard.left:
            self.shard = self._sim.next_shard()
        shard = self.shard
        if shard is None or shard.next == shard.end:
            return None
        shard.next += 1
        return self._world.key(shard.next - 1)


class Sim:
    """A world, run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.outcome = Outcome(world)
        self.tick = 0
        self._rng = random.Random(world.seed)
        phase_s = self._rng.random()
        steps = world.steps or ((0.0, world.per_s),)
        self._store = {f"{prefix}/": self._limiter(steps, phase_s) for prefix in range(world.prefixes)}
        self._arrivals: defaultdict[int, list[tuple[Worker, str, float]]] = defaultdict(list)
        self._answers: defaultdict[int, list[tuple[Worker, str, float, bool]]] = defaultdict(list)
        self._wakes: defaultdict[int, list[Worker]] = defaultdict(list)
        self._reports: dict[int, list[tuple[Worker, list[Seen]]]] = {}
        self._told: dict[int, dict[int, list[Told]]] = {}
        self._rates: FleetRates[int] = FleetRates()
        count = world.workers * world.shards
        edges = [world.objects * number // count for number in range(count + 1)]
        self._shards = deque(Shard(*ends) for ends in pairwise(edges) if ends[0] < ends[1])
        self.workers = [Worker(number, world, self) for number in range(world.workers)]

    @property
    def now(self) -> float:
        return self.tick * TICK_S

    def run(self) -> Outcome:
        lost_s = deque(self.world.lost_s)
        self._wakes[0] = list(self.workers)
        while self.now < self.world.lasts_s and (self._shards or not all(one.done for one in self.workers)):
            self._serve()
            awake = dict.fromkeys(self._answer())
            awake.update(dict.fromkeys(self._wakes.pop(self.tick, ())))
            if lost_s and self.now >= lost_s[0]:
                lost_s.popleft()
                awake.update(dict.fromkeys(self._lose()))
            awake.update(dict.fromkeys(self._tell()))
            for worker in awake:
                if not worker.lost:
                    self._wake(worker, worker.begin(self.now))
            self.tick += 1
        return self.outcome

    def send(self, worker: Worker, key: str) -> None:
        way_s = self.world.delay_s * (0.4 + 0.2 * self._rng.random())
        self._arrivals[self.tick + max(1, int(way_s / TICK_S))].append((worker, key, self.now))

    def next_shard(self) -> Shard | None:
        if not self._shards:
            self.outcome.worked_s = min(self.outcome.worked_s, self.now)
            return None
        if self.world.keys != "apart":
            return self._shards.popleft()
        key = self.world.key
        at = Counter(key(one.shard.at) for one in self.workers if one.shard is not None and not one.done)
        left = Counter(key(shard.at) for shard in self._shards)
        shard = max(self._shards, key=lambda shard: left[key(shard.at)] / (at[key(shard.at)] + 1))
        self._shards.remove(shard)
        return shard

    def _limiter(self, steps: Steps, phase_s: float) -> Store:
        if self.world.kind == "noise":
            return Noise(NOISE, self._rng)
        return LIMITERS[self.world.kind](steps, phase_s)

    def _serve(self) -> None:
        arrivals = self._arrivals.pop(self.tick, None)
        if not arrivals:
            return
        outcome, now = self.outcome, self.now
        while len(outcome.seconds) <= now:
            outcome.seconds.append([0, 0])
        second, answers = outcome.seconds[-1], self._answers[self.tick + self._half_ticks]
        for worker, key, sent_s in arrivals:
            accepted = self._store[key].allows(now)
            second[not accepted] += 1
            if accepted:
                outcome.took_s = now
            answers.append((worker, key, sent_s, accepted))

    @property
    def _half_ticks(self) -> int:
        return max(1, int(0.5 * self.world.delay_s / TICK_S))

    def _answer(self) -> Iterable[Worker]:
        for worker, key, sent_s, accepted in self._answers.pop(self.tick, ()):
            if not worker.lost:
                worker.answered(key, sent_s, accepted, self.now)
                yield worker

    def _wake(self, worker: Worker, due_s: float) -> None:
        if due_s == math.inf:
            return
        tick = max(self.tick + 1, math.ceil(due_s / TICK_S))
        if not self.tick < worker.wakes_tick <= tick:
            worker.wakes_tick = tick
            self._wakes[tick].append(worker)

    def _lose(self) -> Iterable[Worker]:
        """Loses the first that is left; returns whom there is work for again."""
        worker = next(one for one in self.workers if not one.lost)
        worker.lost = True
        self._rates.gone(worker.number)
        shard = worker.shard
        if shard is None or not shard.told_left:
            return []
        self.outcome.again += shard.told_left - shard.left
        self._shards.appendleft(Shard(shard.end - shard.told_left, shard.end))
        return self.workers

    def _tell(self) -> Iterable[Worker]:
        """What workers tell, and are told; returns who has been told something."""
        way = round(ON_THE_WAY_S / TICK_S)
        if self.tick % round(REPORT_S / TICK_S) == 0:
            self._reports[self.tick + way] = self._seen()
        reports = self._reports.pop(self.tick, None)
        if reports:
            for worker, seen in reports:
                if not worker.lost:
                    self._rates.report(worker.number, seen, now=self.now)
            self._told[self.tick + way] = self._rates.told(now=self.now)
        for number, told in self._told.pop(self.tick, {}).items():
            worker = self.workers[number]
            assert isinstance(worker.rates, WorkerRates)
            worker.rates.hear(told, now=self.now)
            yield worker

    def _seen(self) -> list[tuple[Worker, list[Seen]]]:
        found = []
        for worker in self.workers:
            if worker.done:
                self._rates.gone(worker.number)
                continue
            assert worker.shard is not None
            worker.shard.told_left = worker.shard.left
            if isinstance(worker.rates, WorkerRates):
                found.append((worker, worker.rates.seen(now=self.now)))
        return found
