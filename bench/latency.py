"""`python -m bench.latency`: small files to a store that takes 100 ms for every answer.

Then the requests in flight are all that counts, and an upload has to find out how many it needs: the same in
every run.  The s3-upload command runs with its defaults, s5cmd with the best of some numbers of workers (one
run each) and with its default of 256; they take turns.  A time is that of a whole process.

Targets: all runs within 10 % of each other, and half the time of s5cmd or less.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.command import Findings, files_home, parser_of, run_command
from bench.contenders import Contender, environment, ours_command, s5cmd
from bench.gostore import GoStore
from bench.measure import FailedUploadError, RunError, Workload, run_process
from bench.table import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

FILES, FILE_BYTES, DELAY_MS, RUNS = 20_000, 4 << 10, 100, 5
WORKERS = (256, 512, 1024)
MAX_SPREAD, MIN_RATIO = 0.1, 2.0

COLUMNS = Columns(
    (
        ("uploader", -24), ("median s", 8), ("min..max", 14), ("spread %", 8), ("in flight", 9), ("CPU s", 6),
        ("s of each run", -1),
    )
)  # fmt: skip


@dataclass
class Series:
    """The runs of one uploader: seconds, processor seconds, and how many requests were in flight at most."""

    name: str
    walls_s: list[float] = field(default_factory=list)
    cpus_s: list[float] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)

    @property
    def spread(self) -> float:
        """How far the slowest and the fastest are apart, of the median."""
        return (max(self.walls_s) - min(self.walls_s)) / median(self.walls_s)

    def line(self) -> str:
        return COLUMNS.line(
            [
                self.name, f"{median(self.walls_s):.2f}", f"{min(self.walls_s):.2f}..{max(self.walls_s):.2f}",
                f"{self.spread * 100:.1f}", str(max(self.in_flight)), f"{median(self.cpus_s):.1f}",
                " ".join(f"{wall_s:.2f}" for wall_s in self.walls_s),
            ]
        )  # fmt: skip

    def as_data(self) -> dict[str, Any]:
        return {
            "name": self.name, "walls_s": self.walls_s, "cpus_s": self.cpus_s, "in_flight": self.in_flight,
            "median_s": median(self.walls_s), "spread": self.spread,
        }  # fmt: skip


def ratio(ours: Series, other: Series) -> float:
    """How many times longer the other takes: the median of the rounds' own ratios."""
    return median(b / a for a, b in zip(ours.walls_s, other.walls_s, strict=True))


def shortfalls(ours: Series, best: Series) -> list[str]:
    """What of the targets was not reached, one phrase each; none: all were."""
    found = []
    if ours.spread > MAX_SPREAD:
        found.append(f"the runs are {ours.spread:.0%} apart")
    if (times := ratio(ours, best)) < MIN_RATIO:
        found.append(f"{times:.2f} x {best.name}")
    return found


def run_once(series: Series, contender: Contender, setting: str, files: Workload, delay_ms: int) -> None:
    """One upload into a store of its own. Raises `RunError` if an object is missing."""
    with GoStore("--delay", f"{delay_ms}ms") as store:
        argv = contender.command(setting, files.directory, store.url)
        ended = run_process(argv, environment(None))
        stats, objects = store.stats(), store.objects()
    if ended.returncode or {key for key, one in objects.items() if one.size == files.size} != files.keys:
        last = (ended.complaint.splitlines() or ["it said nothing"])[-1]
        missing = len(files.keys - objects.keys())
        kind = FailedUploadError if contender.ours else RunError
        raise kind(f"{series.name}: exit {ended.returncode}, {missing} objects missing: {last[:200]}")
    series.walls_s.append(ended.run.wall_s)
    series.cpus_s.append(ended.run.cpu_s)
    series.in_flight.append(stats["max_in_flight"])


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes. Raises `SinkError`, `RunError`."""
    ours, peer = ours_command(), s5cmd()
    if problem := ours.missing or peer.missing:
        raise RunError(problem)
    with files_home() as home:
        files = Workload("small files", options.files, options.bytes, home / "files").create()
        trials: dict[int, Series] = {}
        for workers in WORKERS:
            trials[workers] = Series(f"s5cmd, {workers} workers")
            run_once(trials[workers], peer, f"--numworkers {workers}", files, options.delay_ms)
        findings.data["trials_s"] = {workers: series.walls_s[0] for workers, series in trials.items()}
        best = min(trials, key=lambda workers: trials[workers].walls_s[0])
        lineup = [(Series("s3-upload"), ours, "")]
        lineup += [
            (Series(f"s5cmd, {workers} workers"), peer, f"--numworkers {workers}")
            for workers in sorted({WORKERS[0], best})
        ]
        for number in range(options.runs):
            for series, contender, setting in lineup:
                run_once(series, contender, setting, files, options.delay_ms)
            findings.data["series"] = [series.as_data() for series, _, _ in lineup]
            print(f"  round {number + 1} of {options.runs} done", file=sys.stderr, flush=True)
    first, *others = (series for series, _, _ in lineup)
    print(COLUMNS.head)
    print("\n".join(series.line() for series in (first, *others)))
    missed = shortfalls(first, others[-1])
    for other in others:
        print(f"{ratio(first, other):.2f} x {other.name}")
    print("MISSED: " + ", ".join(missed) if missed else "reached")
    findings.judged, findings.missed = 1, len(missed)
    findings.unjudged += options.runs < 2  # one run is like itself


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_of("latency", __doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of each ({RUNS})")
    parser.add_argument("--files", type=int, default=FILES, help=f"({FILES})")
    parser.add_argument("--bytes", type=int, default=FILE_BYTES, help=f"of a file ({FILE_BYTES})")
    parser.add_argument("--delay-ms", type=int, default=DELAY_MS, help=f"from request to answer ({DELAY_MS})")
    options = parser.parse_args(argv)
    if min(options.runs, options.files) < 1 or min(options.bytes, options.delay_ms) < 0:
        parser.error("--runs and --files must be at least 1, --bytes and --delay-ms at least 0")
    return run_command(lambda findings: measure_all(options, findings), options.json)


if __name__ == "__main__":
    sys.exit(main())
