"""`python -m tests.sim`: many worlds, or one again. See `--help`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.sim.oracle import ambiguous, orphans, violations
from tests.sim.run import Outcome, run_world
from tests.sim.world import random_world

CHUNK = 20


@dataclass(slots=True)
class Tally:
    """What a number of worlds came to."""

    seeds: int = 0
    virtual_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    broken: dict[int, list[str]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.virtual_s += outcome.virtual_s
        self.injected += outcome.injected
        self.counts["killed"] += outcome.runs[0].killed
        self.counts["objects"] += len(outcome.world.objects)
        self.counts["uploaded"] += sum(run.summary.uploaded for run in outcome.runs if run.summary)
        self.counts["failed"] += sum(len(run.summary.failed) for run in outcome.runs if run.summary)
        self.counts["requests"] += len(outcome.records)
        self.counts["failed, and there all the same"] += len(ambiguous(outcome))
        self.counts["multipart uploads left at the store"] += len(orphans(outcome))
        found = violations(outcome)
        if found:
            self.broken[outcome.world.seed] = found

    def merge(self, other: Tally) -> None:
        self.seeds += other.seeds
        self.virtual_s += other.virtual_s
        self.counts += other.counts
        self.injected += other.injected
        self.broken |= other.broken


def replay_command(seed: int) -> str:
    return f"python -m tests.sim --first {seed} --seeds 1 --verbose"


def run_seeds(first: int, count: int) -> Tally:
    """Runs the worlds of `count` seeds from `first` on."""
    tally = Tally()
    for seed in range(first, first + count):
        tally.add(run_world(random_world(seed)))
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many worlds (default 300)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--verbose", action="store_true", help="show each world and what happened in it")
    arguments = parser.parse_args()
    started_s = time.perf_counter()
    if arguments.verbose:
        tally = Tally()
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            outcome = run_world(random_world(seed))
            tally.add(outcome)
            _show(outcome)
    else:
        tally = _run_in_processes(arguments.first, arguments.seeds, arguments.jobs)
    took_s = time.perf_counter() - started_s
    for seed, found in sorted(tally.broken.items()):
        print(f"seed {seed}: {len(found)} violations; {replay_command(seed)}")
        for text in found[:5]:
            print(f"    {text}")
    print(f"{tally.seeds} seeds in {took_s:.1f} s ({tally.seeds / took_s:.1f} per second),", end=" ")
    print(f"{tally.virtual_s / 3600:.1f} virtual hours, violations in {len(tally.broken)} seeds")
    print("happened:", ", ".join(f"{name} {count}" for name, count in tally.counts.items()))
    print("injected:", ", ".join(f"{name} {count}" for name, count in sorted(tally.injected.items())))
    return 1 if tally.broken else 0


def _run_in_processes(first: int, count: int, jobs: int) -> Tally:
    tally = Tally()
    starts = range(first, first + count, CHUNK)
    with ProcessPoolExecutor(jobs) as pool:
        counts = [min(CHUNK, first + count - start) for start in starts]
        for part in pool.map(run_seeds, starts, counts):
            tally.merge(part)
    return tally


def _show(outcome: Outcome) -> None:
    world = outcome.world
    print(
        f"seed {world.seed}: {len(world.objects)} objects, {world.total_bytes} bytes, trace {outcome.trace}"
    )
    print(f"  {world.config}\n  {world.store}\n  {world.faults}")
    print(
        f"  {world.addresses} rates {world.rates} loss {world.loss} down {world.down}"
        f" restarts {world.restarts} no names {world.resolver_fails} half-empty {world.half_empty_info}"
    )
    if world.kills:
        print(f"  {'killed' if world.crash else 'cancelled'} {world.kills} journal {world.journal}")
    for run in outcome.runs:
        what = "killed" if run.killed else run.error or run.summary
        print(f"  ended at {run.ended_s:.3f} s: {str(what)[:600]}")
    print(f"  {outcome.virtual_s:.1f} s, {outcome.steps} turns, injected {dict(outcome.injected)}")
    print(f"  {outcome.cuts}; left at the store: {orphans(outcome)}")


if __name__ == "__main__":
    sys.exit(main())
