"""`python -m bench.throttled`: uploads to a store that refuses above a rate, beside 256 blind workers.

The store (`bench/store`) has a limiter: fixed one-second windows, a token bucket with one second of burst,
or a sliding second.  A row is one limiter, one rate (or a rate that changes in mid-run) and one delay of
every answer.  In each row take turns: the s3-upload command with its defaults, `bench/blind` (256 workers
that wait and try again) and s5cmd with 256 workers.  Every object must be there afterwards.

Targets: at least 95 % of what is allowed (see `bench.limits`), at most 3 % refused after the first three
seconds, and no slower than the others.  `cores`, `µs`: processor time of ours, by the run's and by object.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.command import Findings, check_patterns, files_home, parser_of, run_command
from bench.contenders import Contender, blind, environment, ours_command, s5cmd
from bench.gostore import GoStore
from bench.limits import QUICK, Outcome, Row, all_rows, chosen, outcome, shortfalls
from bench.measure import Ended, RunError, Workload, run_process
from bench.table import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE_BYTES = 1 << 10
SECONDS, QUICK_SECONDS = 12.0, 8.0
PATIENCE = 3.0
"""An upload that takes so many times what it should is ended."""
START_UP_S = 5.0
WORKERS = {"blind": "256", "s5cmd": "--numworkers 256"}

COLUMNS = Columns(
    (
        ("limiter-rate-ms", -24), ("ours %", 7), ("refused %", 9), ("s", 6), ("cores", 6), ("µs", 5),
        ("blind %", 8), ("refused %", 9), ("s5cmd %", 8), ("refused %", 9), ("", -1),
    )
)  # fmt: skip


class Files:
    """Folders of small files on the RAM disk, one for each number of files, made when first asked for."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._known: dict[int, Workload] = {}

    def of(self, count: int) -> Workload:
        if count not in self._known:
            self._known[count] = Workload("small files", count, FILE_BYTES, self._home / str(count)).create()
        return self._known[count]


def upload(
    contender: Contender, files: Workload, *options: str, timeout_s: float
) -> tuple[dict[str, Any], Ended, str]:
    """One upload into a store of its own: what that counted, how it ended and what is wrong ("": nothing)."""
    with GoStore(*options) as store:
        argv = contender.command(WORKERS.get(contender.name, ""), files.directory, store.url)
        ended = run_process(argv, environment(None), timeout_s)
        stats, objects = store.stats(), store.objects()
    keys = files.keys
    missing = len(keys - objects.keys())
    wrong = sum(objects[key].size != files.size for key in keys & objects.keys())
    problem = ""
    if ended.late:
        problem = f"not done after {timeout_s:.0f} s, {missing:,} missing"
    elif ended.returncode or missing or wrong:
        last = (ended.complaint.splitlines() or [""])[-1]
        problem = f"exit {ended.returncode}, {missing:,} missing, {wrong:,} of wrong size: {last[:100]}"
    return stats, ended, problem


def measure(row: Row, lineup: Sequence[Contender], files: Files, seconds: float) -> dict[str, Any]:
    """One row: every contender once, in turns."""
    seconds = row.lasts_s(seconds)
    workload = files.of(int(row.allowed(seconds)))
    options = ("--limit", row.kind, "--rate", row.rate_option, "--delay", f"{row.delay_ms}ms")
    results: list[Outcome] = []
    for contender in lineup:
        timeout_s = PATIENCE * seconds + START_UP_S
        stats, ended, problem = upload(contender, workload, *options, timeout_s=timeout_s)
        run = ended.run
        results.append(
            outcome(row, contender.name, stats, wall_s=run.wall_s, cpu_s=run.cpu_s, problem=problem)
        )
    ours, *others = results
    return {
        "row": row.name,
        "outcomes": [dataclasses.asdict(result) for result in results],
        "shortfalls": shortfalls(ours, others),
        "remarks": [
            *([f"{ours.share:.0%}: the processor gave no more"] if ours.by_processor else []),
            *(f"{other.name}: {other.problem}" for other in others if other.problem),
        ],
    }


def line(result: dict[str, Any]) -> str:
    """The row of the table."""
    by_name = {one["name"]: one for one in result["outcomes"]}
    ours = result["outcomes"][0]
    cells = [
        result["row"], _percent(ours["share"]), _percent(ours["refused"]), f"{ours['duration_s']:.1f}",
        f"{ours['cpu_s'] / ours['wall_s']:.2f}", f"{ours['cpu_s'] / max(ours['accepted'], 1) * 1e6:.0f}",
    ]  # fmt: skip
    for name in ("blind", "s5cmd"):
        one = by_name.get(name)
        cells += [_percent(one["share"]), _percent(one["refused"])] if one else ["-", "-"]
    verdict = "reached" if not result["shortfalls"] else "MISSED: " + ", ".join(result["shortfalls"])
    return COLUMNS.line([*cells, "; ".join([verdict, *result["remarks"]])])


def _percent(share: float) -> str:
    return f"{share * 100:.1f}"


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes. Raises `SinkError`, `RunError`."""
    if unknown := sorted(set(filter(None, (options.only or "").split(","))) - WORKERS.keys()):
        raise RunError(f"--only {unknown[0]}: there are {', '.join(WORKERS)}")
    pattern = ",".join(QUICK) if options.quick else options.rows
    check_patterns("--rows", pattern, [row.name for row in all_rows()])
    lineup = [one for one in (ours_command(), blind(), s5cmd()) if _wanted(one, options.only)]
    if missing := [one.missing for one in lineup if one.missing]:
        raise RunError(missing[0])
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    findings.data["seconds"] = seconds
    print(COLUMNS.head, flush=True)
    with files_home() as home:
        files = Files(home)
        for row in chosen(pattern) * options.repeat:
            result = measure(row, lineup, files, seconds)
            findings.add("rows", result, missed=len(result["shortfalls"]))
            findings.unjudged += not lineup[1:]  # no slower than whom?
            print(line(result), flush=True)


def _wanted(contender: Contender, only: str | None) -> bool:
    return contender.ours or only is None or contender.name in only.split(",")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("throttled", __doc__)
    parser.add_argument("--quick", action="store_true", help="three rows, in less than three minutes")
    parser.add_argument("--rows", default="*", help="patterns: 'token-3500-*,fixed-*-5' (all: an hour)")
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="of a row, at the allowed rate (12; quick: 8)"
    )
    parser.add_argument("--repeat", type=int, default=1, help="so many times all over (1)")
    parser.add_argument("--only", metavar="NAMES", help="beside s3-upload only these: blind,s5cmd; '': none")
    options = parser.parse_args(argv)
    if options.repeat < 1 or options.seconds < 0:
        parser.error("--repeat must be at least 1, --seconds at least 0")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    return run_command(lambda findings: measure_all(options, findings), options.json)


if __name__ == "__main__":
    sys.exit(main())
