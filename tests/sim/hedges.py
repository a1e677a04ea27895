"""What second copies cost and save, by the link's speed: `python -m tests.sim.hedges`.

Objects of several sizes (*photos*: 0.1 to 1 MiB, log-normal) over links of several speeds and round trips,
with a store that answers all of them, and with one that never answers one in a hundred.  *twice*: bytes of
second copies, of the payload.  *lost*: the time of the run over that of the same run without hedging.
*unanswered*: the time where one in a hundred is not answered, over the fault-free time.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
from dataclasses import replace

from s3_upload.config import UploadConfig
from tests.sim.run import run_world
from tests.sim.server import Faults, StoreSpec
from tests.sim.world import KIB, MIB, AddressSpec, ObjectSpec, World

FOREVER_S = 1e9
MEDIAN_BYTES, SIGMA = 500 * KIB, 0.5
COUNT = {"photos": 142, "64 KiB": 600, "4 KiB": 2000}
SPEEDS_MBPS = (1.0, 5.0, 20.0, 100.0)
TRIPS_S = (0.001, 0.03, 0.1)
QUEUE_S = 0.1


def link(kind: str, speed_MBps: float, rtt_s: float, *, seed: int = 1) -> World:
    """Objects of one kind over a link that is free of faults."""
    rng = random.Random(f"{seed} {kind}")
    return World(
        seed=seed,
        objects=tuple(
            ObjectSpec(f"p/{n:05d}", "file", _size(kind, rng), start=n * 16) for n in range(COUNT[kind])
        ),
        config=UploadConfig(),
        addresses=(AddressSpec(rtt_s),),
        rates=((0.0, speed_MBps * 1e6),),
        queue_bytes=max(64 * KIB, int(speed_MBps * 1e6 * max(rtt_s, QUEUE_S))),
        store=StoreSpec(service_s=0.02, sigma=0.4),
    )


def _size(kind: str, rng: random.Random) -> int:
    if kind == "photos":
        return int(min(MIB, max(100 * KIB, MEDIAN_BYTES * rng.lognormvariate(0.0, SIGMA))))
    return int(kind.split(maxsplit=1)[0]) * KIB


def forgetful(world: World) -> World:
    """The same with a store that never answers one request in a hundred."""
    return replace(world, faults=Faults(end_s=FOREVER_S, unanswered=0.01))


def ran(world: World) -> tuple[float, list[int]]:
    """The time it took, and the sizes of its second copies."""
    run = run_world(world).runs[0]
    assert run.summary is not None, run.error
    assert not run.summary.failed
    tries = [attempt for report in run.reports for attempt in report.attempt_reports]
    time_s = run.summary.wall_time_s
    del run
    gc.collect()  # a world is few objects, and all bodies that it kept
    return time_s, [attempt.body_bytes for attempt in tries if attempt.hedge]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.hedges", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="worlds of each kind (default 3)")
    parser.add_argument(
        "--speed", type=float, action="append", help="MB/s, may be given again (default 1, 5, 20, 100)"
    )
    arguments = parser.parse_args()
    print("objects  MB/s  rtt ms  seed  copies  twice   time     lost    unanswered")
    for kind in COUNT:
        for speed_MBps in arguments.speed or SPEEDS_MBPS:  # noqa: N806
            for rtt_s in TRIPS_S:
                for seed in range(1, arguments.seeds + 1):
                    world = link(kind, speed_MBps, rtt_s, seed=seed)
                    time_s, copies = ran(world)
                    without_s, _ = ran(replace(world, config=UploadConfig(hedge="off")))
                    faulty_s, _ = ran(forgetful(world))
                    print(
                        f"{kind:7}  {speed_MBps:4.0f}  {1e3 * rtt_s:6.0f}  {seed:4}  {len(copies):6}"
                        f"  {sum(copies) / world.total_bytes:6.2%}  {time_s:6.2f} s"
                        f"  {time_s / without_s - 1:+6.1%}  {faulty_s / time_s - 1:+6.1%}",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
