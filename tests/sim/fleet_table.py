"""What fleets of workers make of a store's limit: `python -m tests.sim.fleet_table`, or `make sim-fleet`.

The worlds of `tests.sim.fleet`: 3,500 requests a second for each of 16 prefixes, and 4,400 for each worker's
processor.  *accepted*: of what the store allows while there is work for all.  *refused*: of all requests, and
of those from second 3 on.  *efficiency*: the ideal time over that which it took.  The ideal: all objects over
what the store allows, or over the speeds of all workers, whichever is longer.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.sim.fleet import SETTLED_S, Outcome, Sim, World
from tests.sim.scenarios import table, write

MARKS = "<!-- fleet: begin -->", "<!-- fleet: end -->"
ALONE_MARKS = "<!-- alone: begin -->", "<!-- alone: end -->"
HEADINGS = ("world", "workers", "allowed/s", "accepted", "refused", "from second 3", "took", "efficiency")
PREFIXES = 16
LASTS_S = 20
"""How long a row takes at the rate that is allowed."""
TARGET = World(workers=64, prefixes=PREFIXES, objects=PREFIXES * 3_500 * LASTS_S)
MIN_ACCEPTED, MAX_REFUSED = 0.95, 0.02


def rows() -> dict[str, World]:
    """The worlds by name."""
    found = {}
    for workers in (1, 4, 16, 64, 256):
        one = replace(TARGET, workers=workers)
        per_s = min(one.allowed_per_s, sum(one.speeds))
        found[f"keys spread, {workers}"] = replace(one, objects=int(per_s * LASTS_S))
    found["keys apart"] = replace(TARGET, keys="apart")
    found["keys in order"] = replace(TARGET, keys="in order", objects=TARGET.objects // 4)
    for kind in ("fixed", "sliding"):
        found[f"{kind} windows"] = replace(TARGET, kind=kind)
    found["one prefix"] = replace(TARGET, prefixes=1, objects=TARGET.objects // PREFIXES)
    found["4 workers lost"] = replace(TARGET, lost_s=(5.0, 6.0, 7.0, 8.0))
    found["6 at a tenth of the speed"] = replace(TARGET, slow=6)
    return found


def row(name: str, outcome: Outcome) -> tuple[str, ...]:
    world = outcome.world
    return (
        name,
        str(world.workers),
        f"{world.allowed_per_s:,.0f}",
        f"{outcome.accepted_share():.1%}",
        f"{outcome.refused_share():.1%}",
        f"{outcome.refused_share(SETTLED_S):.1%}",
        f"{outcome.took_s:.1f} s",
        f"{outcome.efficiency:.1%}",
    )


def run(world: World) -> Outcome:
    return Sim(world).run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.fleet_table", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this Markdown file")
    parser.add_argument("--only", default="", help="worlds whose name holds this text")
    parser.add_argument("--alone", action="store_true", help="each worker learns alone")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="one Nth of the objects")
    parser.add_argument("--seed", type=int, default=1, help="another order of events (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    arguments = parser.parse_args()
    worlds = {
        name: replace(
            one,
            objects=one.objects // arguments.share,
            seed=arguments.seed,
            together=not arguments.alone,
        )
        for name, one in rows().items()
        if arguments.only in name
    }
    with ProcessPoolExecutor(arguments.jobs) as pool:
        outcomes = list(pool.map(run, worlds.values()))
    text = table([row(*found) for found in zip(worlds, outcomes, strict=True)], HEADINGS)
    if arguments.write is None:
        print(text)
        return 0
    wrong = write(arguments.write, text, ALONE_MARKS if arguments.alone else MARKS)
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
