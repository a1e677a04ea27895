"""`python -m bench.million`: whether time and memory stay what they are with a million files.

The s3-upload command uploads 10,000, 100,000 and 1,000,000 files of 16 bytes, which lie in folders of 1,000
on a RAM disk, to a discarding store; with one process and with two.  A time is that of the whole command,
with its journal; what a file takes of it is without the start-up (a run of one file), which among 10,000
files is a tenth and would hide as much.  The memory is that of the first process alone: it walks, hands out,
keeps the journal and sums up, so what grows with the number of files grows there.

Targets: a file takes at most 10 % longer than with 10,000, and the memory has 150 MB at most.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.command import Findings, files_home, parser_of, run_command
from bench.contenders import environment, ours_command
from bench.gostore import GoStore
from bench.measure import FailedUploadError, RunError, Workload, run_process
from bench.table import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE_BYTES, PER_FOLDER = 16, 1_000
ROUNDS = {10_000: 5, 100_000: 3, 1_000_000: 1}
"""How many of each number of files: few are soon done, and what one of them takes says little."""
START_UPS = 5
LEAST_FILES = 1_000
"""With fewer, the start-up is nearly all that is measured."""
PROCESSES = (1, 2)
MAX_TIMES, MAX_PEAK_BYTES = 1.1, 150_000_000
PATIENCE_S_PER_FILE, START_UP_S = 2e-3, 60.0
"""A run that takes longer is ended."""
LOOK_S = 0.05

COLUMNS = Columns(
    (
        ("files", 9), ("processes", 9), ("s", 7), ("µs a file", 9), ("min..max", 10), ("to fewest", 9),
        ("CPU µs", 7), ("peak MB", 7), ("", -1),
    )
)  # fmt: skip


class Peak:
    """The most memory that one process has had, its children's not counted (Linux)."""

    def __init__(self) -> None:
        self.bytes = 0

    def watch(self, pid: int) -> None:
        """Until it has ended."""
        threading.Thread(target=self._look, args=(Path(f"/proc/{pid}/status"),), daemon=True).start()

    def _look(self, status: Path) -> None:
        with contextlib.suppress(OSError):  # it has ended
            while found := peak_in(status.read_text(encoding="utf-8")):
                self.bytes = found
                time.sleep(LOOK_S)


def peak_in(status: str) -> int:
    """In bytes, by what is in /proc/PID/status; 0 where it has no memory any more."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


@dataclass
class Series:
    """The runs with one number of files and one of processes. `start_up_s`: how much of each is no file's."""

    files: int
    processes: int
    walls_s: list[float] = field(default_factory=list)
    cpus_s: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    start_up_s: float = 0.0

    @property
    def us_per_file(self) -> float:
        return self._each_us(median(self.walls_s))

    def _each_us(self, wall_s: float) -> float:
        return 1e6 * (wall_s - self.start_up_s) / self.files

    def line(self, fewest: Series) -> str:
        missed, each_us = shortfalls(self, fewest), [self._each_us(wall_s) for wall_s in self.walls_s]
        return COLUMNS.line(
            [
                f"{self.files:,}", str(self.processes), f"{median(self.walls_s):.1f}",
                f"{self.us_per_file:.0f}", f"{min(each_us):.0f}..{max(each_us):.0f}",
                f"{self.us_per_file / fewest.us_per_file:.2f}",
                f"{1e6 * median(self.cpus_s) / self.files:.0f}", f"{max(self.peaks) / 1e6:.0f}",
                "MISSED: " + ", ".join(missed) if missed else "reached",
            ]
        )  # fmt: skip


def shortfalls(series: Series, fewest: Series) -> list[str]:
    """What of the targets was not reached, one phrase each; none: all were."""
    said = []
    if (times := series.us_per_file / fewest.us_per_file) > MAX_TIMES:
        said.append(f"{times:.2f} x the time")
    if max(series.peaks) > MAX_PEAK_BYTES:
        said.append(f"{max(series.peaks) / 1e6:.0f} MB")
    return said


def run_once(series: Series, files: Workload) -> None:
    """Raises `FailedUploadError` if an object is missing."""
    peak = Peak()
    with GoStore() as store:
        argv = ours_command().command("", files.directory, store.url)
        ended = run_process(
            [*argv, "--processes", str(series.processes)],
            environment(None),
            START_UP_S + PATIENCE_S_PER_FILE * files.count,
            on_start=peak.watch,
        )
        stats = store.stats()
    if ended.returncode or (stats["objects"], stats["bytes"]) != (files.count, files.total_bytes):
        last = (ended.complaint.splitlines() or ["it said nothing"])[-1]
        missing = files.count - stats["objects"]
        raise FailedUploadError(f"exit {ended.returncode}, {missing:,} objects are not there: {last[:200]}")
    series.walls_s.append(ended.run.wall_s)
    series.cpus_s.append(ended.run.cpu_s)
    series.peaks.append(peak.bytes)


def measure(all_series: Sequence[Series], rounds: int, home: Path) -> None:
    """All with one number of files, in turns."""
    count = all_series[0].files
    files = Workload("files", count, FILE_BYTES, home / str(count), per_folder=PER_FOLDER).create()
    for _ in range(rounds):
        for series in all_series:
            run_once(series, files)
    shutil.rmtree(files.directory)


def start_up_s(home: Path) -> float:
    """What one file takes with one process. A second process begins while the first is at work already."""
    series = Series(1, 1)
    measure([series], START_UPS, home)
    return median(series.walls_s)


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes. Raises `SinkError`, `RunError`."""
    if problem := ours_command().missing:
        raise RunError(problem)
    fewest: dict[int, Series] = {}
    counts = sorted(set(options.files or ROUNDS))
    kept: list[dict[str, Any]] = []
    findings.data["series"] = kept
    with files_home() as home:
        before_s = start_up_s(home)
        print(f"start-up, {before_s:.2f} s, is no part of what a file takes\n{COLUMNS.head}", flush=True)
        for count in counts:
            all_series = [Series(count, one, start_up_s=before_s) for one in options.processes or PROCESSES]
            kept += map(vars, all_series)  # as they fill: a run that fails leaves those before it
            measure(all_series, options.rounds or ROUNDS.get(count, 1), home)
            for series in all_series:
                least = fewest.setdefault(series.processes, series)
                findings.judged += 1
                findings.missed += len(shortfalls(series, least))
                findings.unjudged += len(counts) == 1  # whether it takes longer than with fewer
                print(series.line(least), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_of("million", __doc__)
    parser.add_argument(
        "--files", type=int, action="append", help="so many; more than once for more (10,000 to 1,000,000)"
    )
    parser.add_argument(
        "--processes", type=int, action="append", help="so many; more than once for more (1 and 2)"
    )
    parser.add_argument("--rounds", type=int, default=0, help="of each (5, 3 and 1)")
    options = parser.parse_args(argv)
    if options.rounds < 0 or min(options.processes or (1,)) < 1:
        parser.error("--rounds must be at least 0, --processes at least 1")
    if min(options.files or ROUNDS) < LEAST_FILES:
        parser.error(f"--files must be at least {LEAST_FILES:,}")
    return run_command(lambda findings: measure_all(options, findings), options.json)


if __name__ == "__main__":
    sys.exit(main())
