"""Random schedules of connection loss against the watchdog: `python -m tests.sim.watchdog`.

A schedule is a few requests, some of which are never answered, and losses of their connections (a
reset, a FIN, a broken path) at the moments that could hurt: in the very turn of the loop in which the
watchdog's timer is due, or in which it judges, some turns before or after, or at any time.  From a
loss to the turn of the request's task the socket is closed, as uvloop's is, and raises what that
raises.  Nothing is tried again: no later request arms the timer.

After each turn of the loop: while an attempt is watched, the timer is armed.  In the end: every
request has ended, in bounded virtual time, and nothing complained in the loop's exception handler.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from s3_upload.clients.s3 import S3Client
from s3_upload.control.retrying.budget import SpeculationBudget
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.attempt import Attempts
from s3_upload.transfer.record import Record
from s3_upload.transfer.tries import Attempt, Request
from s3_upload.transfer.watchdog import MIN_SLEEP_S, Watchdog
from tests.faults.model import S3Model
from tests.sim.handshake import Address
from tests.sim.loop import START_S, SimLoop, Stuck
from tests.sim.network import Network, SimTransport
from tests.sim.server import EPOCH_UTC_S, Faults, SimStore, StoreSpec
from tests.sim.tcp import Link
from tests.sim.world import HOST

LIMIT_S = 600.0
"""Virtual time: many times what the timers allow."""
CHUNK = 100
BODIES = {bytes(size): hashlib.sha256(bytes(size)).hexdigest() for size in (1000, 100_000, 300_000)}
"""Each with its hash.  The watchdog looks at the socket of one that is not small."""


@dataclass(slots=True)
class Tally:
    """What a number of schedules came to. `broken`: what was wrong, by seed."""

    schedules: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    broken: dict[int, list[str]] = field(default_factory=dict)

    def merge(self, other: Tally) -> None:
        self.schedules += other.schedules
        self.counts += other.counts
        self.broken |= other.broken

    def __str__(self) -> str:
        unarmed = sum(any("unarmed" in text for text in found) for found in self.broken.values())
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return f"{self.schedules} schedules, left unarmed {unarmed}, broken {len(self.broken)}\n{counts}"


class CheckedLoop(SimLoop):
    """Calls `check` after each turn."""

    check: Callable[[], None] = staticmethod(lambda: None)

    def advance(self, timeout_s: float | None) -> None:
        self.check()
        super().advance(timeout_s)


class Seen(Watchdog):
    """A watchdog whose timer the schedule knows, and which counts what it met."""

    def __init__(self, counts: Counter[str], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.counts = counts

    @property
    def due_s(self) -> float | None:
        """When its timer is due, by the loop's clock."""
        return None if self._timer is None else self._timer.when()

    @property
    def unarmed(self) -> bool:
        return bool(self._in_flight) and (self._timer is None or self._timer.cancelled())

    def _judge_all(self) -> None:
        due = [attempt for attempt in self._in_flight if attempt.due_s <= self._now()]
        begun = [attempt for attempt in due if attempt.trace.request_s]
        self.counts["judgements"] += len(begun)
        self.counts["of an attempt just lost"] += sum(a.trace.abort is None for a in begun)
        super()._judge_all()


class Schedule:
    """The schedule of a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(f"{seed} schedule")
        self.tally = Tally(schedules=1)
        self.found: list[str] = []
        self.loop = CheckedLoop(LIMIT_S)
        link = Link(self.loop, [(0.0, 10 ** rng.uniform(6, 8))], 1 << 20, [], START_S)
        self.network = Network(self.loop, link, rng, loss=0.0, trace=lambda *_: None)
        self.network.names[HOST] = [Address("10.0.0.1", 10 ** rng.uniform(-3.5, -1))]
        self.network.closes_at_once = rng.random() < 0.5
        faults = Faults(end_s=LIMIT_S, unanswered=rng.choice((0.2, 0.8)), stalled_body=rng.choice((0.0, 0.2)))
        store = SimStore(self.network, StoreSpec(service_s=0.05), faults, rng, S3Model(keep_bodies=False))
        self.network.store = store
        self.loop.network = self.network
        limits = Timeouts(
            connect_s=3.0,
            total_s=300.0,
            stall_s=rng.choice((0.3, 2.0)),
            response_s=rng.choice((0.2, 1.0)),
            hedge_s=(hedge_s := rng.choice((0.05, 0.5))),
            look_s=hedge_s,
        )
        self.watchdog = Seen(
            self.tally.counts,
            self.loop,
            self.network.now,
            SpeculationBudget(),
            timeouts_of=lambda attempt: limits,
            hedge=self._hedge,
            fail=lambda error: self.found.append(f"the run would end: {error!r}"),
        )
        self.loop.check = self._check
        self.attempts: Attempts
        self.limits = limits
        self.tasks: set[asyncio.Task[None]] = set()

    # --- what the program does ---------------------------------------------------------------------

    async def main(self) -> None:
        client = S3Client(
            endpoint_url=f"http://{HOST}",
            region="us-east-1",
            credentials=Credentials("sim", "sim"),
            addressing_style="path",
            checksum="off",
            look_up=self.loop.look_up,
            utc_clock=lambda: EPOCH_UTC_S + self.loop.time(),
        )
        self.attempts = Attempts(client, lambda _: self.limits, self.watchdog, self.network.now)
        for number in range(self.rng.randint(1, 6)):
            source = ObjectSource.data(b"", str(number))
            body, sha256 = self.rng.choice(tuple(BODIES.items()))
            record = Record(number, source, len(body), 0.0, 1.0, [])
            operation = Operation(name=PUT_OBJECT, bucket="bucket", key=str(number), body=body, sha256=sha256)
            request = Request(record, operation)
            self._begin(request, hedge=False, delay_s=self.rng.choice((0.0, self.rng.uniform(0.0, 2.0))))
        self._plan_loss()
        while self.tasks:
            await asyncio.wait(set(self.tasks))
        await client.aclose()

    def _begin(self, request: Request, *, hedge: bool, delay_s: float = 0.0) -> None:
        async def attempt() -> None:
            await asyncio.sleep(delay_s)
            outcome = await self.attempts.make(request, hedge=hedge)
            self.tally.counts[outcome.report.timer or outcome.report.outcome] += 1

        task = self.loop.create_task(attempt())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _hedge(self, attempt: Attempt) -> bool:
        self._begin(attempt.request, hedge=True)
        return True

    def _check(self) -> None:
        if self.watchdog.unarmed and not self.found:
            self.found.append(f"unarmed at {self.network.now():.6f} s, with attempts in flight")

    # --- what happens to it ------------------------------------------------------------------------

    def _plan_loss(self) -> None:
        """The next loss, where the watchdog is about to look or judge, or anywhere."""
        now_s, due_s = self.loop.time(), self.watchdog.due_s
        moments = [now_s + self.rng.uniform(0.0, 0.5)]
        if due_s is not None:
            moments += [due_s, due_s + MIN_SLEEP_S]
        when_s = max(now_s, self.rng.choice(moments))
        self.loop.at(when_s, self._after_turns, self.rng.choice((0, 0, 0, 1, 2, 3)))

    def _after_turns(self, turns: int) -> None:
        if turns:
            self.loop.call_soon(self._after_turns, turns - 1)
            return
        busy = [transport for transport in self.network.open.values() if transport.request_bytes]
        if busy:
            self._lose(self.rng.choice(busy))
        if self.tasks:
            self.loop.at(self.loop.time() + self.rng.choice((0.0, 0.0005, 0.1)), self._plan_loss)

    def _lose(self, transport: SimTransport) -> None:
        how = self.rng.choice(("reset", "closed", "broken"))
        self.tally.counts[f"lost: {how}"] += 1
        match how:
            case "reset":
                transport.receive_reset()
            case "closed":
                transport.receive_eof()
            case "broken":
                transport.sender.stop()
                transport._broken()


def run_schedule(seed: int) -> Tally:
    """One schedule; `Tally.broken` says what was wrong with it."""
    schedule = Schedule(seed)
    loop = schedule.loop
    main = loop.create_task(schedule.main())
    try:
        loop.run_until_complete(main)
    except Stuck as stuck:
        schedule.found.append(f"a request never ends: {stuck}")
        loop.check = lambda: None
        loop.limit_s = float("inf")
        for task in (tasks := sorted(asyncio.all_tasks(loop), key=hash)):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    finally:
        loop.close()
    schedule.found += [f"in the loop's handler: {text}" for text in loop.complaints]
    if schedule.found:
        schedule.tally.broken[seed] = schedule.found
    return schedule.tally


def run_schedules(first: int, count: int) -> Tally:
    tally = Tally()
    for seed in range(first, first + count):
        tally.merge(run_schedule(seed))
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.watchdog", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    arguments = parser.parse_args()
    started_s, tally = time.perf_counter(), Tally()
    first, last = arguments.first, arguments.first + arguments.schedules
    starts = range(first, last, CHUNK)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for part in pool.map(run_schedules, starts, [min(CHUNK, last - start) for start in starts]):
            tally.merge(part)
    for seed, found in sorted(tally.broken.items())[:10]:
        print(f"seed {seed}: {found[0][:200]}; python -m tests.sim.watchdog --first {seed} --schedules 1")
    print(f"{tally}\n{time.perf_counter() - started_s:.1f} s")
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
