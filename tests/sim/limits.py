"""What limits an upload, in worlds that are made to be limited by it: `python -m tests.sim.limits`.

The worlds of `tests.sim.scenarios`, and one with a slow disk.  `expected`: what would make the run faster,
were there more of it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace

from s3_upload.observe.limits import ANSWERS, LINK, READING, THROTTLED
from tests.sim.run import Meddling, run_world
from tests.sim.scenarios import LIMIT_S, Scenario, scenario, scenarios
from tests.sim.world import KIB

EXPECTED = {
    "LAN, 1 ms, 1 Gbit/s": LINK,
    "WAN, 50 ms, 100 Mbit/s": LINK,
    "satellite, 336 ms, 20 Mbit/s": LINK,
    "1 MB/s uplink": LINK,
    "1 Mbit/s uplink": LINK,
    "1 MB/s uplink, 200 forced": LINK,
    "1 % unanswered": ANSWERS,
    "0.1 % take 5 s": ANSWERS,
    "503 above 100 PUT/s": THROTTLED,
    "503 above 3,500 PUT/s": THROTTLED,
    "one of four addresses dead": ANSWERS,
    "link halves, recovers": LINK,
    "disk, 5 MB/s": READING,
}


@dataclass(frozen=True, slots=True)
class Found:
    """The shares of time that a run in a world says, the largest first."""

    name: str
    shares: dict[str, float]

    @property
    def right(self) -> bool:
        return next(iter(self.shares), "") == EXPECTED[self.name]


def worlds() -> list[Scenario]:
    slow = scenario("disk, 5 MB/s", count=2000, size=64 * KIB, rtt_s=0.02, rate=125e6)
    return [*scenarios(), replace(slow, world=replace(slow.world, disk_rate=5e6))]


def find(one: Scenario, share: int = 1) -> Found:
    """Runs a world, or one `share`-th of its objects."""
    world = one.world
    config = world.config
    if one.fixed_window:
        config = replace(config, window="fixed", max_in_flight=one.fixed_window)
    world = replace(world, config=config, objects=world.objects[: max(1, len(world.objects) // share)])
    summary = run_world(world, Meddling(limit_s=LIMIT_S)).runs[0].summary
    return Found(one.name, dict(summary.limits) if summary is not None else {})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.limits", description=__doc__)
    parser.parse_args()
    right = 0
    for one in worlds():
        found = find(one)
        right += found.right
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found.shares.items())
        verdict = "right" if found.right else f"wrong: {EXPECTED[one.name]}"
        print(f"{one.name:30} {verdict:12} {shares}", flush=True)
    print(f"{right} of {len(worlds())} right")
    return 0 if right >= len(worlds()) - 1 else 3


if __name__ == "__main__":
    sys.exit(main())
