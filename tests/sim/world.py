"""What one seed means: files, configuration, network, store, faults, and when the run is killed.

A world is plain data; all that is random in it afterwards (service times, losses, which request
meets which fault) is drawn from generators seeded with its seed, one per part of the world, so that
the same seed replays the same events.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from s3_upload.config import UploadConfig
from s3_upload.control.waiting.adaptive import DEFAULT
from s3_upload.errors import SourceError
from s3_upload.sources.source import ObjectSource
from tests.sim.disk import PATTERN, SimFile
from tests.sim.kills import ABORT, ANY, COMPLETE, CREATE, Moment
from tests.sim.server import BIG_BYTES, Faults, StoreSpec

KIB, MIB = 1 << 10, 1 << 20
HOST = "store.sim"


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """One source. `kind`: data, file, stream, unreadable, problem, skip. `start`: where in PATTERN.

    `changes_s`: when a file becomes another one of the same size (0.0: never).  `sized`: it is known
    how long a stream is.  `fails`: a stream that raises halfway, or ends there though it was to be longer.
    """

    key: str
    kind: str
    size: int
    start: int
    changes_s: float = 0.0
    fails: bool = False
    sized: bool = True

    def bodies(self) -> list[memoryview]:
        """What may be found in the bucket."""
        starts = [self.start, self.start + 1] if self.changes_s else [self.start]
        return [PATTERN[start : start + self.size] for start in starts]

    def file(self) -> SimFile:
        versions = [(0.0, self.start, self.size)]
        if self.changes_s:
            versions.append((self.changes_s, self.start + 1, self.size))
        return SimFile(tuple(versions), unreadable=self.kind == "unreadable")


@dataclass(frozen=True, slots=True)
class AddressSpec:
    """`rtt_s` without queues; instants until which nobody answers there, or it refuses."""

    rtt_s: float
    dead_until_s: float = 0.0
    refuses_until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class World:
    """See the module's text. Instants are seconds since the world began; rates are bytes per second."""

    seed: int
    objects: tuple[ObjectSpec, ...]
    config: UploadConfig
    addresses: tuple[AddressSpec, ...]
    rates: tuple[tuple[float, float], ...]
    queue_bytes: int
    loss: float = 0.0
    overwrites: float = 0.0
    """The share of keys under which there is an object already: see `before`."""
    down: tuple[tuple[float, float], ...] = ()
    """When the link is down: nothing passes, and nobody says so."""
    restarts: tuple[tuple[float, float], ...] = ()
    """When the store is not running: connections are reset at the beginning, and refused."""
    store: StoreSpec = field(default_factory=StoreSpec)
    faults: Faults = field(default_factory=Faults)
    resolver_fails: tuple[tuple[float, float], ...] = ()
    """When names are not resolved."""
    disk_call_s: float = 50e-6
    disk_rate: float = 2e9
    tls: bool = False
    half_empty_info: bool = False
    """TCP_INFO says nothing of what was acknowledged, as in gVisor."""
    lazy: bool = False
    """Sources come from an async iterable, with pauses."""
    only_new: bool = False
    """Objects are not to be overwritten (If-None-Match)."""
    kill_step: int = 0
    """The run is cancelled so many turns of the loop after `kill_from`; 0: never."""
    kill_from: tuple[str, int] = ("", 0)
    """Kind and number of a request, as in `kills.Moment`."""
    kill_again: int = 0
    """So many turns after `kill_again_from` it is cancelled once more (an impatient user); 0: not."""
    kill_again_from: tuple[str, int] = ("", 0)
    crash: bool = False
    """It is not cancelled: its process is killed."""
    journal: bool = False
    """The runs have a journal, in a file."""

    @property
    def kills(self) -> tuple[Moment, ...]:
        moments = (self.kill_step, self.kill_from), (self.kill_again, self.kill_again_from)
        return tuple(Moment(turns, *since) for turns, since in moments if turns) if self.kill_step else ()

    def rng(self, part: str) -> random.Random:
        return random.Random(f"{self.seed} {part}")

    @property
    def total_bytes(self) -> int:
        return sum(o.size for o in self.objects)

    @property
    def limit_s(self) -> float:
        """Virtual time that one run may take: far more than any sane one, far less than for ever."""
        rate = min(rate for _, rate in self.rates)
        requests = len(self.objects) + self.total_bytes / (5 * MIB)
        slowest_rate = min(self.store.capacity_per_s, self.store.prefix_rate_per_s)
        one_s = max(a.rtt_s for a in self.addresses) * 10 + self.store.service_s * 10
        ideal_s = self.total_bytes / rate + requests * (one_s + 1 / slowest_rate)
        big = sum(-(-o.size // (5 * MIB)) for o in self.objects if o.size > BIG_BYTES)
        ideal_s += big * (self.store.big_body_s + self.store.complete_s)
        if self.store.slow_share:
            ideal_s += 10 * requests * self.store.slow_share
        bad_until_s = max((end for _, end in (*self.down, *self.restarts)), default=0.0)
        return self.faults.end_s + bad_until_s + 1800 + 30 * ideal_s

    @property
    def calm(self) -> bool:
        """Nothing is injected: every object that can be read must get through."""
        shares = sum(getattr(self.faults, name) for name in self.faults.names())
        dead = any(a.dead_until_s or a.refuses_until_s for a in self.addresses)
        quiet = not (shares or self.faults.accept_reset or self.down or self.restarts or dead)
        # Who waits longer for the first answer than the program does has bad luck, until it knows.
        return quiet and not self.resolver_fails and self.store.big_body_s < DEFAULT.response_initial_s

    def files(self) -> dict[str, SimFile]:
        return {_path(o): o.file() for o in self.objects if o.kind in ("file", "unreadable")}

    def sources(self) -> Iterator[ObjectSource]:
        return map(_source, self.objects)

    async def lazy_sources(self) -> AsyncIterator[ObjectSource]:
        rng = self.rng("sources")
        for spec in self.objects:
            if rng.random() < 0.3:
                await asyncio.sleep(rng.expovariate(20))
            yield _source(spec)


def _path(spec: ObjectSpec) -> str:
    return f"/sim/{spec.key}"


def _source(spec: ObjectSpec) -> ObjectSource:
    match spec.kind:
        case "data":
            return ObjectSource.data(PATTERN[spec.start : spec.start + spec.size], spec.key)
        case "stream":
            return ObjectSource.stream(_chunks(spec), spec.key, spec.size if spec.sized else None)
        case "problem":
            return ObjectSource(key=spec.key, path=_path(spec), problem=SourceError(f"{spec.key}: a loop"))
        case "skip":
            return ObjectSource(key=spec.key, path=_path(spec), skip_reason="is a socket")
    return ObjectSource.file(_path(spec), spec.key)


async def _chunks(spec: ObjectSpec) -> AsyncIterator[bytes]:
    rng = random.Random(spec.start)
    sent = 0
    while sent < spec.size:
        if spec.fails and sent >= spec.size // 2:
            if spec.sized and spec.start % 2:
                return
            raise ValueError("the stream broke")
        size = min(rng.randint(1, max(1, spec.size // 2)), spec.size - sent)
        await asyncio.sleep(rng.expovariate(50))
        yield bytes(PATTERN[spec.start + sent : spec.start + sent + size])
        sent += size


# --- worlds from seeds -----------------------------------------------------------------------------


def random_world(seed: int) -> World:
    """The world of a seed."""
    return _rare(_usual_world(seed))


def _usual_world(seed: int) -> World:
    rng = random.Random(seed)
    end_s = 10 ** rng.uniform(0, 2)
    rtt_s = 10 ** rng.uniform(-3, -0.45)
    rate = 10 ** rng.uniform(5.7, 9)
    rates = [(0.0, rate)]
    down = []
    if rng.random() < 0.25:
        changes_s = rng.uniform(0, end_s)
        rates += [(changes_s, rate / rng.uniform(1.5, 10)), (changes_s + rng.uniform(0, end_s), rate)]
    if rng.random() < 0.15:
        begins_s = rng.uniform(0, end_s)
        down.append((begins_s, begins_s + 10 ** rng.uniform(-1, 1.5)))
    tls = rng.random() < 0.3
    return World(
        seed=seed,
        objects=tuple(_objects(rng, end_s)),
        # Of those who are cancelled every other one ends at once.
        config=dataclasses.replace(_config(rng), grace_s=10.0 if seed % 2 else 0.0),
        addresses=tuple(_addresses(rng, rtt_s, end_s)),
        rates=tuple(rates),
        queue_bytes=max(30_000, int(rate * rng.choice((0.02, 0.1, 0.5)))),
        loss=rng.choice((0.0, 0.0, 0.0, 0.0005, 0.005, 0.02)),
        overwrites=random.Random(f"{seed} overwrites").choice((0.0, 0.3, 1.0)),
        down=tuple(down),
        store=_store(rng),
        faults=_faults(rng, end_s),
        resolver_fails=rng.choice(((), (), (), ((0.0, 0.3),))),
        disk_call_s=rng.choice((20e-6, 50e-6, 5e-3, 0.1)),
        disk_rate=rng.choice((2e9, 2e8, 5e6)),
        tls=tls,
        lazy=rng.random() < 0.3,
    )


def stormy_world(seed: int) -> World:
    """That of a seed, with a store that seldom says what it has done, and few tries."""
    world = random_world(seed)
    rng = world.rng("storm")
    faults = Faults(end_s=1e3, unsaid=0.2, unanswered=0.05, torn=0.1, reset=0.15, throttle=0.02, garbage=0.05)
    return dataclasses.replace(
        world,
        faults=faults,
        config=dataclasses.replace(world.config, n_retries=rng.choice((0, 1, 2))),
        only_new=not world.kill_step and rng.random() < 0.5,
    )


def _objects(rng: random.Random, end_s: float) -> Iterator[ObjectSpec]:
    count = int(10 ** rng.uniform(0, 2.1))
    big = rng.choice((0, 0, 0, 1, 1, 2))
    kinds = rng.choices(("file", "data", "stream"), weights=(6, 3, 2), k=count)
    for n, kind in enumerate(kinds):
        odd = rng.random()
        if n < big:
            size = rng.randint(5 * MIB, 11 * MIB)
        else:
            size = rng.choice((0, rng.randint(1, 2000), int(10 ** rng.uniform(3, 5.7))))
        if odd < 0.04:
            kind = rng.choice(("unreadable", "problem", "skip"))
            size = 0
        yield ObjectSpec(
            key=f"{n % 3}/{n:04d} é",
            kind=kind,
            size=size,
            start=rng.randint(0, 4 * MIB),
            changes_s=rng.uniform(0, end_s) if kind == "file" and rng.random() < 0.1 else 0.0,
            fails=kind == "stream" and size > 1 and rng.random() < 0.1,
        )


def _config(rng: random.Random) -> UploadConfig:
    return UploadConfig(
        max_in_flight=rng.choice((1, 2, 4, 8, 20, 32, 64)),
        max_in_flight_bytes=rng.choice((16, 24, 192)) * MIB,
        n_retries=rng.choice((1, 3, 8, 8)),
        multipart_threshold=rng.choice((256 * KIB, MIB, 6 * MIB, 16 * MIB)),
        part_size=5 * MIB,
        reader_threads=rng.choice((1, 2, 4)),
    )


def _addresses(rng: random.Random, rtt_s: float, end_s: float) -> Iterator[AddressSpec]:
    count = rng.choice((1, 1, 2, 4))
    for n in range(count):
        bad = n > 0 and rng.random() < 0.3
        yield AddressSpec(
            rtt_s * rng.uniform(0.8, 1.2),
            dead_until_s=end_s if bad and n % 2 else 0.0,
            refuses_until_s=end_s if bad and not n % 2 else 0.0,
        )


def _store(rng: random.Random) -> StoreSpec:
    return StoreSpec(
        service_s=10 ** rng.uniform(-3, -1),
        sigma=rng.choice((0.1, 0.4, 1.0)),
        slow_share=rng.choice((0.0, 0.001, 0.02)),
        capacity_per_s=rng.choice((math.inf, math.inf, 1000.0, 50.0)),
        prefix_rate_per_s=rng.choice((math.inf, math.inf, 3500.0, 20.0)),
        idle_close_s=rng.choice((20.0, 20.0, 1.0)),
        requests_per_connection=rng.choice((0, 0, 100, 3)),
    )


def _faults(rng: random.Random, end_s: float) -> Faults:
    if rng.random() < 0.2:
        return Faults()
    names = [name for name in (*Faults().names(), "accept_reset") if name != "frozen"]
    chosen = rng.sample(names, rng.randint(1, 4))
    shares = {name: 10 ** rng.uniform(-2.3, -0.7) for name in chosen}
    return Faults(end_s=end_s, **shares)


def _rare(world: World) -> World:
    """The same, now and then with what most worlds do not have.

    By a generator of its own: what is added at its end leaves all else as it is.
    """
    rng = world.rng("rare")
    end_s = 10 ** rng.uniform(0, 2)
    objects = tuple(
        dataclasses.replace(o, sized=rng.random() < 0.5) if o.kind == "stream" else o for o in world.objects
    )
    store, faults = world.store, world.faults
    if rng.random() < 0.15:
        store = dataclasses.replace(store, parts_once=True)
    if rng.random() < 0.1:
        store = dataclasses.replace(store, complete_s=rng.choice((3.0, 90.0)))
    if rng.random() < 0.1:
        store = dataclasses.replace(store, big_body_s=rng.choice((3.0, 8.0, 40.0)))
    if rng.random() < 0.2:
        faults = dataclasses.replace(
            faults, end_s=max(end_s, faults.end_s), frozen=10 ** rng.uniform(-1, -0.2)
        )
    return dataclasses.replace(
        world,
        objects=objects,
        store=store,
        faults=faults,
        restarts=tuple(_restarts(rng, end_s)),
        resolver_fails=_resolver_fails(rng, end_s) or world.resolver_fails,
        half_empty_info=rng.random() < 0.1,
        **_kills(rng, world),
    )


def _restarts(rng: random.Random, end_s: float) -> Iterator[tuple[float, float]]:
    if rng.random() < 0.1:
        begins_s = rng.uniform(0, end_s)
        yield begins_s, begins_s + 10 ** rng.uniform(-1, 1.3)


def _resolver_fails(rng: random.Random, end_s: float) -> tuple[tuple[float, float], ...]:
    begins_s = rng.choice((0.0, rng.uniform(0, end_s), rng.uniform(0, end_s)))
    lasts_s = rng.choice((math.inf, rng.uniform(0, end_s)))
    return ((begins_s, begins_s + lasts_s),) if rng.random() < 0.06 else ()


def _kills(rng: random.Random, world: World) -> dict[str, Any]:
    """A third of them soon after the beginning; the others at any time, or while an object in parts ends."""
    part_size, threshold = world.config.part_size, world.config.multipart_threshold
    parts = [-(-o.size // part_size) + 2 for o in world.objects if o.size > threshold]
    requests = len(world.objects) - len(parts) + sum(parts)
    soon = int(10 ** rng.uniform(0.5, 2.8))
    moments: list[tuple[int, tuple[str, int]]] = [
        (soon, ("", 0)),
        (rng.randint(1, 40), (ANY, rng.randint(1, requests))),
        (int(10 ** rng.uniform(0, 2)), (rng.choice((CREATE, COMPLETE, COMPLETE, ABORT)), 1)),
    ]
    turns, since = rng.choice(moments if parts else moments[:2])
    again = rng.choice((0, 0, 0, 1, 2, 5, 50))
    again_since = rng.choice((("", 0), ("", 0), (ABORT, 1)))
    if rng.random() >= 0.3:
        return {}
    # An async iterable is looked up in a real thread.
    journal = not world.lazy and rng.random() < 0.5
    return {
        "kill_step": turns,
        "kill_from": since,
        "kill_again": again,
        "kill_again_from": again_since,
        "crash": journal and rng.random() < 0.7,
        "journal": journal,
    }
