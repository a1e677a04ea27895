"""`python -m bench.processes`: the command with one process, with two, and with as many as it takes itself.

The rows are those of the suite, to a discarding store.  In each round the three take turns.  A time is that
of a whole process; the processor time of the store, which runs on the same cores, is beside it: what it takes
two processes cannot have.

Targets: where one processor is what limits, two processes upload 1.5 times as many objects a second; where
answers take 20 ms, at least 0.95 times; and "auto" is within 5 % of the better of the two in every row.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.command import Findings, check_patterns, files_home, parser_of, run_command
from bench.contenders import environment, ours_command
from bench.gostore import GoStore
from bench.measure import FailedUploadError, RunError, run_process
from bench.rows import ROWS as SUITE
from bench.rows import chosen
from bench.sinks import STORE
from bench.table import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.measure import Workload
    from bench.rows import Row

ROWS = "small,medium,large,mix,hundred,one,delay-20"
ROUNDS = 5
PROCESSES = ("1", "2", "auto")
BOUND = {"small": 1.5, "delay-20": 0.95}
"""At least so many times faster with two, by row."""
WITHIN = 0.95

COLUMNS = Columns(
    (
        ("row", -10), ("1: s", 7), ("2: s", 7), ("auto: s", 8), ("2 to 1", 7), ("auto to best", 12),
        ("CPU s", 16), ("store's", 8), ("", -1),
    )
)  # fmt: skip


@dataclass
class Series:
    """The runs with one number of processes; `stores_s`: processor seconds of the store."""

    walls_s: list[float] = field(default_factory=list)
    cpus_s: list[float] = field(default_factory=list)
    stores_s: list[float] = field(default_factory=list)


def run_once(series: Series, processes: str, files: Workload, delay_ms: int) -> None:
    """Raises `FailedUploadError` if an object is missing."""
    with GoStore("--delay", f"{delay_ms}ms") as store:
        argv = [*ours_command().command("", files.directory, store.url), "--processes", processes]
        ended = run_process(argv, environment(None))
        objects, store_s = store.objects(), store.cpu_s()
    wrong = [key for key, size in files.sizes_by_key() if key not in objects or objects[key].size != size]
    if ended.returncode or wrong:
        last = (ended.complaint.splitlines() or ["it said nothing"])[-1]
        raise FailedUploadError(
            f"with {processes}: exit {ended.returncode}, {len(wrong)} objects are not there: {last[:200]}"
        )
    series.walls_s.append(ended.run.wall_s)
    series.cpus_s.append(ended.run.cpu_s)
    series.stores_s.append(store_s)


def faster(one: Series, other: Series) -> float:
    """How many times longer the first takes: the median of the rounds' own ratios."""
    return median(a / b for a, b in zip(one.walls_s, other.walls_s, strict=True))


def shortfalls(row: str, runs: dict[str, Series]) -> list[str]:
    """What of the targets was not reached, one phrase each; none: all were."""
    found, gain = [], faster(runs["1"], runs["2"])
    if row in BOUND and gain < BOUND[row]:
        found.append(f"{gain:.2f} x with two")
    better = runs["2"] if gain > 1.0 else runs["1"]
    if (auto := faster(better, runs["auto"])) < WITHIN:
        found.append(f"auto {auto:.2f} x")
    return found


def measure(row: Row, rounds: int, home: Path) -> dict[str, Any]:
    """One row."""
    files = row.files(home / row.name, row.count).create()
    runs = {name: Series() for name in PROCESSES}
    run_once(Series(), "1", files, row.delay_ms)
    for _ in range(rounds):
        for name, series in runs.items():
            run_once(series, name, files, row.delay_ms)
    gain, missed = faster(runs["1"], runs["2"]), shortfalls(row.name, runs)
    better = runs["2"] if gain > 1.0 else runs["1"]
    print(
        COLUMNS.line(
            [
                row.name, *(f"{median(one.walls_s):.2f}" for one in runs.values()), f"{gain:.2f}",
                f"{faster(better, runs['auto']):.2f}",
                " ".join(f"{median(one.cpus_s):.1f}" for one in runs.values()),
                f"{median(runs['2'].stores_s):.1f}", "MISSED: " + ", ".join(missed) if missed else "reached",
            ]
        ),
        flush=True,
    )  # fmt: skip
    return {"row": row.name, "missed": missed, "runs": {name: vars(one) for name, one in runs.items()}}


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes. Raises `SinkError`, `RunError`."""
    if problem := ours_command().missing:
        raise RunError(problem)
    able = [row.name for row in SUITE if row.sink == STORE and not row.tls]
    check_patterns("--rows", options.rows, able)
    findings.data["cores"] = os.cpu_count()
    print(COLUMNS.head, flush=True)
    for row in chosen(options.rows, quick=options.quick, huge=False):
        if row.name in able:
            with files_home() as home:
                measured = measure(row, options.rounds, home)
            findings.add("rows", measured, missed=len(measured["missed"]))


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_of("processes", __doc__)
    parser.add_argument("--rows", default=ROWS, help=f"of the suite's, over http ({ROWS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"after a warm-up ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="fewer files")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return run_command(lambda findings: measure_all(options, findings), options.json)


if __name__ == "__main__":
    sys.exit(main())
