"""`python -m bench`: s3-upload beside other uploaders, row by row, and the page about it.

Without a choice all rows but "huge" are measured, which takes an hour.  `--write` makes
docs/benchmarks.md of them; with `--from FILE` rows that were measured before are in it, too, unless they are
measured again.

Targets: one file takes at most 1.6 x as long as with s5cmd; 100 files are as fast as with s5cmd, or faster.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import page, sinks
from bench.command import Findings, check_patterns, files_home, output_file, run_command
from bench.contenders import ROOT, Contender, contenders
from bench.figures import (
    MISSED,
    NOT_ASKED,
    UNJUDGED,
    RowData,
    cells,
    floor_text,
    lines,
    standing,
    target_text,
    verdict,
)
from bench.measure import RunError
from bench.rows import QUICK_PEERS, ROWS, chosen, is_complete
from bench.suite import RowRun
from bench.table import Columns, is_same, surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCS = ROOT / "docs"
ROUNDS, QUICK_ROUNDS = 5, 3
NOTHING = "none"
COLUMNS = Columns(
    (
        ("uploader", -10), ("s", 7), ("min..max", 15), ("ratio", 6), ("rate", 18), ("CPU", 16),
        ("peak MiB", 8), ("rounds", 6), ("setting", -1),
    )
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    options = options_of(argv)
    return run_command(lambda findings: measure_all(options, findings), None)


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes and writing the JSON after each row. Raises `SinkError`, `RunError`."""
    everyone = contenders()
    lineup = _lineup(options, everyone)
    now = _now(lineup)
    results = _results(options, now)
    rows = [] if options.rows == NOTHING else chosen(options.rows, quick=options.quick, huge=options.huge)
    if options.rows not in {"", NOTHING}:
        check_patterns("--rows", options.rows, [row.name for row in ROWS])
    planned = {row["name"] for row in results["rows"]} | {row.name for row in rows} | set(results["skipped"])
    if options.write == DOCS and (results["quick"] or not is_complete(planned)):
        raise RunError("--write: a quick run, or not all rows: name a folder for this page, not docs")
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    for row in rows:
        if problem := sinks.missing(row.sink):
            results["skipped"][row.name] = problem
            print(f"\n{row.title}: left out: {problem}", flush=True)
        else:
            with files_home() as home:
                measured = RowRun(row, home, _say).measure(lineup, rounds)
            results["skipped"].pop(row.name, None)
            measured["left_out"] |= {one.name: NOT_ASKED for one in everyone if one not in lineup}
            _join(results, measured, now)
            print("\n" + as_text(measured), flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.write is not None:
        print(f"\nwrote {page.write(results, options.write)}")
    ends = [standing(row) for row in results["rows"]]
    findings.missed, findings.unjudged = ends.count(MISSED), ends.count(UNJUDGED)
    findings.judged = len(ends) - findings.unjudged - ends.count("")


def _lineup(options: argparse.Namespace, everyone: Sequence[Contender]) -> list[Contender]:
    wanted = [one.name for one in everyone] if not options.quick else list(QUICK_PEERS)
    if options.only is not None:
        wanted = [name for name in options.only.split(",") if name]
    if unknown := [name for name in wanted if not any(name in one.name for one in everyone)]:
        raise RunError(f"--only {unknown[0]}: there are {', '.join(one.name for one in everyone)}")
    found = [one for one in everyone if one.ours or any(name in one.name for name in wanted)]
    if unable := next((one.missing for one in found if one.ours and one.missing), ""):
        raise RunError(unable)
    return found


def _read(file: Path) -> dict[str, Any]:
    """What --json has written."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.keys() >= {"quick", "rows", "skipped"}:
            return found
    raise RunError(f"--from {file}: is no file that --json has written")


def _now(lineup: Sequence[Contender]) -> dict[str, Any]:
    """When, where and with whom this run measures."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": surroundings(),
        "contenders": [
            {"name": one.name, "version": one.version, "missing": one.missing, "how": one.how}
            for one in lineup
        ],
    }


def _results(options: argparse.Namespace, now: dict[str, Any]) -> dict[str, Any]:
    """What has been measured before, or the beginning of something new."""
    if options.before is not None:
        before = _read(options.before)
        return {**before, "quick": before["quick"] or options.quick}
    return {
        "date": now["date"], "machine": now["machine"], "quick": options.quick,
        "contenders": now["contenders"], "rows": [], "skipped": {},
    }  # fmt: skip


def _join(results: dict[str, Any], measured: RowData, now: dict[str, Any]) -> None:
    """Puts a row among those before it, which may be of another day, machine and versions."""
    known = {one["name"]: one for one in results["contenders"]}
    for one in now["contenders"]:
        if known.setdefault(one["name"], one)["missing"]:
            known[one["name"]] = one
    results["contenders"] = [*known.values()]
    if own := own_of(measured, now, results):
        measured["own"] = own
    results["rows"] = _in_order([*results["rows"], measured])


def own_of(row: RowData, now: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
    """What of a row measured `now` is not as the head of its results says for all."""
    own = {}
    if now["date"] != head["date"]:
        own["date"] = now["date"]
    if not is_same(now["machine"], head["machine"]):
        own["machine"] = now["machine"]
    took_part = {one["name"] for one in row["contenders"]}
    said = {one["name"]: one["version"] for one in head["contenders"]}
    versions = {one["name"]: one["version"] for one in now["contenders"] if one["name"] in took_part}
    if others := {name: version for name, version in versions.items() if version != said[name]}:
        own["versions"] = others
    return own


def _in_order(rows: Sequence[RowData]) -> list[RowData]:
    """Of rows with one name the last one stays."""
    by_name = {row["name"]: row for row in rows}
    return [by_name[row.name] for row in ROWS if row.name in by_name]


def as_text(row: RowData) -> str:
    """A row of the suite as a table."""
    said = [row["title"], COLUMNS.head]
    for line in lines(row):
        if not line.measured:
            said.append(f"{line.name}: failed: {line.failed}")
            continue
        said.append(COLUMNS.line([*cells(row, line), line.setting]))
    left_out = row["left_out"].items()
    said += [f"{name} takes no part: {why}" for name, why in left_out if why != NOT_ASKED]
    return "\n".join([*said, *filter(None, (floor_text(row), verdict(row), target_text(row)))])


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def options_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits with 2 where it makes no sense."""
    names = ", ".join(row.name for row in ROWS)
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=(__doc__ or "").partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rows", metavar="NAMES", default="", help=f"of {names}; or patterns: 'small*'; or none"
    )
    parser.add_argument("--huge", action="store_true", help="also a million files, which takes an hour more")
    parser.add_argument("--quick", action="store_true", help="fewer rows, files, rounds and uploaders")
    parser.add_argument("--rounds", type=int, help="counted, after a warm-up (5; quick: 3)")
    parser.add_argument("--only", metavar="NAMES", help="beside s3-upload only these: s5cmd,aws; '': none")
    parser.add_argument(
        "--json", metavar="FILE", type=output_file, help="write everything measured, after each row"
    )
    parser.add_argument("--from", metavar="FILE", type=Path, dest="before", help="go on from such a file")
    parser.add_argument(
        "--write",
        metavar="FOLDER",
        type=Path,
        nargs="?",
        const=DOCS,
        help="make the page (docs, if not said)",
    )
    options = parser.parse_args(argv)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.before is not None and not options.before.is_file():
        parser.error(f"--from {options.before}: there is no such file")
    return options


if __name__ == "__main__":
    sys.exit(main())
