"""Named worlds, and how three algorithms do in them: `python -m tests.sim.scenarios`.

*ideal*: the world's bytes over the link's rate, or its requests over what the store takes, whichever
is longer, and two round trips (to connect, and to ask) and service.
What a store takes at once when a run begins, a second's worth, is not in it: less than 1 can come out.
*false timeouts*: attempts cut by a timer whose answers would have come, be it late (nothing had been
injected that kept them back for good), of all attempts (no more than were cut at all, and no more than
were ended for no such reason).
*hedges*: second copies, of all attempts.  *refused*: attempts answered by 503 SlowDown.
*re-sent*: bytes given to the network by attempts, cut or superseded, that nothing injected had kept
from an answer for good, of the payload.  *window*: its limit over time.

Ours: `controls_for(UploadConfig())`.  Origin: its estimator, 20 requests at once.  Plain: 256 at once
and no timeout at all, what a naive program does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s3_upload.api import controls_for
from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.window import FixedWindow
from s3_upload.control.retrying.retry import Retry
from s3_upload.control.waiting.timeouts import OriginTimeout, Timeouts
from s3_upload.errors import FailureKind
from s3_upload.report import AttemptReport
from s3_upload.transfer.given import Controls
from tests.sim.loop import START_S, SimLoop
from tests.sim.run import Meddling, Outcome, run_world
from tests.sim.server import Faults, StoreSpec
from tests.sim.world import KIB, AddressSpec, ObjectSpec, World

FOREVER_S = 1e9
LIMIT_S = 3600.0
HEAD_BYTES = 480
MARKS = "<!-- scenarios: begin -->", "<!-- scenarios: end -->"
HEADINGS = (
    "world", "algorithm", "time", "over ideal", "failed", "false timeouts", "hedges", "refused", "re-sent",
    "window",
)  # fmt: skip


class NoTimeout:
    """Waits for ever."""

    est_MBps = 0.0

    def timeouts(self, *, operation: str, body_bytes: int, retries: int) -> Timeouts:
        return Timeouts(connect_s=FOREVER_S, total_s=FOREVER_S)

    def observe(self, report: AttemptReport) -> None:
        """Learns nothing."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    name: str
    config: UploadConfig
    controls: Callable[[World], Controls]


ALGORITHMS = (
    Algorithm("ours", UploadConfig(), lambda world: controls_for(world.config)),
    Algorithm(
        "origin",
        UploadConfig(max_in_flight=20),
        lambda world: Controls(OriginTimeout(world.config), Retry(world.config.n_retries), FixedWindow(20)),
    ),
    Algorithm(
        "plain",
        UploadConfig(max_in_flight=256),
        lambda world: Controls(NoTimeout(), Retry(world.config.n_retries), FixedWindow(256)),
    ),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`fixed_window`: all algorithms have so many requests in flight (0: each its own number)."""

    name: str
    world: World
    fixed_window: int = 0

    @property
    def ideal_s(self) -> float:
        world = self.world
        left = float(world.total_bytes + HEAD_BYTES * len(world.objects))
        now_s = 0.0
        for (since_s, rate), (until_s, _) in zip(
            world.rates, (*world.rates[1:], (float("inf"), 0.0)), strict=True
        ):
            if left <= rate * (until_s - since_s):
                now_s = since_s + left / rate
                break
            left -= rate * (until_s - since_s)
        taken_s = len(world.objects) / min(world.store.capacity_per_s, world.store.prefix_rate_per_s)
        return max(now_s, taken_s) + 2 * world.addresses[0].rtt_s + world.store.service_s


def scenario(
    name: str,
    *,
    count: int,
    size: int,
    rtt_s: float,
    rate: float | tuple[tuple[float, float], ...],
    addresses: tuple[AddressSpec, ...] = (),
    store: StoreSpec | None = None,
    faults: Faults | None = None,
    fixed_window: int = 0,
    queue_s: float = 0.05,
) -> Scenario:
    """`queue_s`: what the bottleneck's queue holds, at least one round trip's worth."""
    rates = rate if isinstance(rate, tuple) else ((0.0, rate),)
    world = World(
        seed=1,
        objects=tuple(ObjectSpec(f"p/{n:05d}", "file", size, start=n * 16) for n in range(count)),
        config=UploadConfig(),
        addresses=addresses or tuple(AddressSpec(rtt_s) for _ in range(4)),
        rates=rates,
        queue_bytes=max(64 * KIB, int(rates[0][1] * max(rtt_s, queue_s))),
        store=store or StoreSpec(service_s=0.02, sigma=0.4, capacity_per_s=3000.0),
        faults=faults or Faults(),
    )
    return Scenario(name, world, fixed_window)


def scenarios() -> list[Scenario]:
    """The worlds of the table."""
    normal = StoreSpec(service_s=0.02, sigma=0.4, capacity_per_s=3000.0)
    halves = ((0.0, 12.5e6), (5.0, 6.25e6), (15.0, 12.5e6))
    dead = (*(AddressSpec(0.02) for _ in range(3)), AddressSpec(0.02, dead_until_s=FOREVER_S))
    return [
        scenario("LAN, 1 ms, 1 Gbit/s", count=6000, size=64 * KIB, rtt_s=0.001, rate=125e6),
        scenario("WAN, 50 ms, 100 Mbit/s", count=2000, size=64 * KIB, rtt_s=0.05, rate=12.5e6),
        scenario("satellite, 336 ms, 20 Mbit/s", count=600, size=256 * KIB, rtt_s=0.336, rate=2.5e6),
        scenario("1 MB/s uplink", count=200, size=512 * KIB, rtt_s=0.03, rate=1e6, queue_s=0.5),
        scenario("1 Mbit/s uplink", count=300, size=256 * KIB, rtt_s=0.05, rate=125e3),
        scenario(
            "1 MB/s uplink, 200 forced",
            count=400,
            size=128 * KIB,
            rtt_s=0.03,
            rate=1e6,
            fixed_window=200,
            queue_s=0.5,
        ),
        scenario(
            "1 % unanswered",
            count=12_000,
            size=16 * KIB,
            rtt_s=0.02,
            rate=125e6,
            faults=Faults(end_s=FOREVER_S, unanswered=0.01),
        ),
        scenario(
            "0.1 % take 5 s",
            count=12_000,
            size=16 * KIB,
            rtt_s=0.02,
            rate=125e6,
            store=replace(normal, slow_share=0.001),
        ),
        scenario(
            "503 above 100 PUT/s",
            count=6000,
            size=16 * KIB,
            rtt_s=0.02,
            rate=125e6,
            store=replace(normal, prefix_rate_per_s=100.0),
        ),
        scenario(
            "503 above 3,500 PUT/s",
            count=60_000,
            size=1 * KIB,
            rtt_s=0.02,
            rate=125e6,
            store=replace(normal, capacity_per_s=20_000.0, prefix_rate_per_s=3500.0),
        ),
        scenario(
            "one of four addresses dead", count=12000, size=16 * KIB, rtt_s=0.02, rate=125e6, addresses=dead
        ),
        scenario("link halves, recovers", count=2000, size=128 * KIB, rtt_s=0.03, rate=halves),
    ]


# --- running them --------------------------------------------------------------------------------


def run_scenario(one: Scenario, algorithm: Algorithm) -> tuple[str, ...]:
    """A row of the table."""
    samples: list[tuple[float, int]] = []

    def watch(loop: SimLoop, controls: Controls) -> None:
        def sample() -> None:
            samples.append((loop.time() - START_S, controls.window.limit))
            if len(samples) < 1000:
                loop.at(loop.time() + one.ideal_s / 4, sample)

        loop.at(loop.time() + one.ideal_s / 8, sample)

    config, controls = algorithm.config, algorithm.controls
    if one.fixed_window:
        config = replace(config, window="fixed", max_in_flight=one.fixed_window)
        chosen = controls

        def controls(world: World) -> Controls:
            found = chosen(world)
            return Controls(found.timeout, found.retry, FixedWindow(one.fixed_window))

    outcome = run_world(
        replace(one.world, config=config),
        Meddling(controls=controls, limit_s=LIMIT_S, started=watch),
    )
    return _row(one, algorithm, outcome, samples)


def _row(
    one: Scenario, algorithm: Algorithm, outcome: Outcome, samples: list[tuple[float, int]]
) -> tuple[str, ...]:
    run, cuts = outcome.runs[0], outcome.cuts
    cells = [one.name, algorithm.name]
    if run.summary is None:
        cells += ["never ends", "", f"{len(one.world.objects) - len(run.reports)} unfinished"]
        attempts = max(1, len(outcome.records))
    else:
        taken_s = run.summary.wall_time_s
        cells += [f"{taken_s:.1f} s", f"{taken_s / one.ideal_s:.2f} x", str(len(run.summary.failed))]
        attempts = sum(len(report.attempt_reports) for report in run.reports)
    tries = [attempt for report in run.reports for attempt in report.attempt_reports]
    timeouts = sum(bool(attempt.timer) for attempt in tries)
    false_timeouts = min(timeouts, cuts.false + cuts.false_connects)
    hedges = sum(attempt.hedge for attempt in tries)
    refused = sum(attempt.outcome == FailureKind.THROTTLE for attempt in tries)
    if os.environ.get("SIM_DEBUG"):
        print(Counter((a.outcome, a.timer, a.hedge) for a in tries), file=sys.stderr)
    seen = [limit for when_s, limit in samples if not run.ended_s or when_s <= run.ended_s]
    step = max(1, len(seen) // 6)
    window = " ".join(str(limit) for limit in seen[::step][:7]) if len(set(seen)) > 1 else f"{seen[0]}"
    return (
        *cells,
        f"{100 * false_timeouts / attempts:.2f} %",
        f"{100 * hedges / attempts:.2f} %",
        f"{100 * refused / attempts:.1f} %",
        f"{100 * cuts.false_bytes / one.world.total_bytes:.1f} %",
        window,
    )


def table(rows: Sequence[tuple[str, ...]], headings: Sequence[str] = HEADINGS) -> str:
    """Markdown, with the ideal in the world's cell."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def write(path: Path, text: str, marks: tuple[str, str] = MARKS) -> str:
    """Puts `text` between the marks in `path`; returns what is wrong, "" if nothing."""
    if not path.is_file():
        return f"{path}: no such file; create it with the lines {marks[0]} and {marks[1]}"
    content = path.read_text(encoding="utf-8")
    before, begin, rest = content.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        return f"{path}: needs the lines {marks[0]} and {marks[1]}, between which the table goes"
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.scenarios", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this Markdown file")
    parser.add_argument("--only", default="", help="worlds whose name holds this text")
    arguments = parser.parse_args()
    rows = []
    for one in scenarios():
        if arguments.only not in one.name:
            continue
        named = replace(one, name=f"{one.name} (ideal {one.ideal_s:.1f} s)")
        for algorithm in ALGORITHMS:
            rows.append(run_scenario(named, algorithm))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    text = table(rows)
    if arguments.write is None:
        print(text)
        return 0
    wrong = write(arguments.write, text)
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
