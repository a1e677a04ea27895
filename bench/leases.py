"""`python -m bench.leases`: one bandwidth for four processes, and what they take of it together.

The s3-upload command sends files of 50 kB with `--processes 4 --max-bandwidth 20MB/s`, once undisturbed and
once with one of its processes killed in mid-run, which is replaced.  What counts is what the store has
received in the middle of the run: not while the processes begin and end, one after the other.  What each
process took is by the command's own `--json`.

Targets: within 3 % of the bandwidth; within 5 % where one is killed; every object is there.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.command import Findings, files_home, parser_of, run_command
from bench.contenders import environment, ours_command
from bench.gostore import GoStore
from bench.measure import RunError, Workload, run_process
from bench.received import Received, looking_at
from bench.table import Columns
from s3_upload.observe.events import SEQ_OF_WORKER
from s3_upload.observe.records import UploadRecord, read_records

if TYPE_CHECKING:
    from collections.abc import Sequence

PROCESSES, MB_PER_S, FILE_BYTES, SECONDS = 4, 20.0, 50_000, 20.0
WITHIN = {"undisturbed": 0.03, "one is killed": 0.05}
EDGE_S = 2.0
"""Of the run's begin and of its end, which do not count."""
SHORTEST_S = 2 * EDGE_S + 1.0
"""Of a run that has a middle."""
KILL_AT = 0.4
"""Of the time that the run should take."""
PATIENCE = 3.0
"""A run that takes so many times what it should is ended."""

COLUMNS = Columns(
    (
        ("run", -13), ("MB/s", 6), ("off", 6), ("a second", 12), ("of each process", -36), ("objects", 11),
        ("", -1),
    )
)  # fmt: skip


@dataclass
class Found:
    """What one run came to, in MB/s: together, second by second, and of each process by its number, 0 for
    the first.  `problem`: what is wrong with it, "" if nothing."""

    mb_per_s: float
    seconds: list[float]
    by_process: dict[int, float]
    stored: int
    expected: int
    problem: str = ""


@dataclass
class Killer:
    """Kills one process of those that the command has begun, after `at_s`; none with 0. `killed`: its ID."""

    at_s: float
    killed: list[int] = field(default_factory=list)
    _timer: threading.Timer | None = None

    def begin(self, pid: int) -> None:
        """The command has begun, as process `pid`."""
        if self.at_s:
            self._timer = threading.Timer(self.at_s, self._kill, [pid])
            self._timer.start()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def _kill(self, pid: int) -> None:
        self.killed += children_of(pid)[:1]
        for child in self.killed:
            os.kill(child, signal.SIGKILL)


def children_of(parent: int) -> list[int]:
    """The processes of a fleet that `parent` has begun and that have not ended (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):  # it has ended
            state, of = path.joinpath("stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
            if int(of) == parent and state != "Z":
                found += [int(path.name)] * (b"s3_upload.fleet" in path.joinpath("cmdline").read_bytes())
    return found


def upload(files: Workload, kill_at_s: float, timeout_s: float) -> Found:
    """One run of the command."""
    output, killer = files.directory.with_suffix(".json"), Killer(kill_at_s)
    with GoStore() as store:
        argv = [
            *ours_command("--json").command("", files.directory, store.url), "--processes", str(PROCESSES),
            "--max-bandwidth", f"{MB_PER_S:g}MB/s",
        ]  # fmt: skip
        with looking_at(store) as received, output.open("wb") as stdout:
            ended = run_process(argv, environment(None), timeout_s, stdout=stdout, on_start=killer.begin)
        killer.close()
        objects = store.objects()
    stored = sum(key in objects and objects[key].size == size for key, size in files.sizes_by_key())
    if ended.late or ended.returncode:
        last = (ended.complaint.splitlines() or ["it said nothing"])[-1]
        how = f"not done after {timeout_s:.0f} s" if ended.late else f"exit {ended.returncode}: {last[:100]}"
        return Found(0.0, [], {}, stored, files.count, how)
    problem = "nobody was killed" if kill_at_s and not killer.killed else ""
    with output.open("rb") as lines:
        sent = [
            (record.seq // SEQ_OF_WORKER, attempt.ended_s, attempt.body_bytes)
            for record in read_records(lines)
            if isinstance(record, UploadRecord)
            for attempt in record.attempt_reports
        ]
    return Found(*in_the_middle(received), by_process(sent), stored, files.count, problem)


def in_the_middle(received: Received) -> tuple[float, list[float]]:
    """MB/s without the run's begin and end: together, and of each second. Raises `RunError`."""
    from_s, to_s = received.first_s + EDGE_S, received.last_s - EDGE_S
    if to_s - from_s < 1.0:
        raise RunError("the run is too short to have a middle: give more --seconds")
    whole = int(to_s - from_s)
    seconds = [received.per_s(from_s + second, from_s + second + 1.0) / 1e6 for second in range(whole)]
    return received.per_s(from_s, to_s) / 1e6, seconds


def by_process(sent: Sequence[tuple[int, float, int]]) -> dict[int, float]:
    """The same of each process, by what it has sent: its number, when that was through, and its bytes."""
    ends_s = [at_s for _, at_s, _ in sent]
    from_s, to_s = min(ends_s) + EDGE_S, max(ends_s) - EDGE_S
    total = Counter[int]()
    for number, at_s, size in sent:
        if from_s <= at_s < to_s:
            total[number] += size
    return {number: total[number] / (to_s - from_s) / 1e6 for number in sorted(total)}


def shortfalls(run: str, found: Found) -> list[str]:
    """What of the targets was not reached, one phrase each; none: all were."""
    said = [found.problem] if found.problem else []
    if found.stored < found.expected:
        said.append(f"objects missing: {found.expected - found.stored}")
    if not found.problem and abs(found.mb_per_s / MB_PER_S - 1.0) > WITHIN[run]:
        said.append(f"not within {WITHIN[run]:.0%}")
    wanted = PROCESSES + (run == "one is killed")
    if not found.problem and len(found.by_process) < wanted:
        said.append(f"{len(found.by_process)} processes took part")
    return said


def measure(run: str, files: Workload, seconds: float) -> dict[str, Any]:
    kill_at_s = 0.0 if run == "undisturbed" else KILL_AT * seconds
    found = upload(files, kill_at_s, PATIENCE * seconds)
    missed = shortfalls(run, found)
    print(
        COLUMNS.line(
            [
                run, f"{found.mb_per_s:.2f}", f"{found.mb_per_s / MB_PER_S - 1.0:+.1%}",
                f"{min(found.seconds):.1f}..{max(found.seconds):.1f}" if found.seconds else "-",
                " ".join(f"{rate:.1f}" for rate in found.by_process.values()),
                f"{found.stored}/{found.expected}", "MISSED: " + ", ".join(missed) if missed else "reached",
            ]
        ),
        flush=True,
    )  # fmt: skip
    return {"run": run, "missed": missed, **vars(found)}


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes. Raises `SinkError`, `RunError`."""
    if problem := ours_command().missing:
        raise RunError(problem)
    findings.data["seconds"] = options.seconds
    print(COLUMNS.head, flush=True)
    with files_home() as home:
        count = int(options.seconds * MB_PER_S * 1e6 / FILE_BYTES)
        files = Workload("files", count, FILE_BYTES, home / "files").create()
        for run in [*WITHIN] * options.rounds:
            row = measure(run, files, options.seconds)
            findings.add("rows", row, missed=len(row["missed"]))


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_of("leases", __doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of a run ({SECONDS:g})")
    parser.add_argument("--rounds", type=int, default=1, help="of both runs (1)")
    options = parser.parse_args(argv)
    if options.rounds < 1 or options.seconds <= SHORTEST_S:
        parser.error(f"--rounds must be at least 1, --seconds more than {SHORTEST_S:g}")
    return run_command(lambda findings: measure_all(options, findings), options.json)


if __name__ == "__main__":
    sys.exit(main())
