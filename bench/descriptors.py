"""`python -m bench.descriptors`: how many sockets an upload has open where a store fails now and then.

The store answers 5 % of all requests with 503 and keeps the connections; the s3-upload command may have 1,024
open files, as is usual.  Open sockets are counted on both sides: the process's in /proc, every 20 ms, and the
connections that the store has.  What the window came to is the largest number of requests in flight, by the
command's own reports.

Targets: all objects are stored, and there are never more sockets than twice the window.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import sys
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.command import Findings, files_home, parser_of, run_command
from bench.contenders import environment, ours_command
from bench.gostore import GoStore
from bench.measure import RunError, Workload, run_process
from bench.table import Columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FILES, FILE_BYTES, DELAY_MS = 40_000, 1 << 10, 5
OPEN_FILES, FAILING = 1_024, 0.05
TIMEOUT_S = 600.0
SAMPLE_S = 0.02
NOT_TO_THE_STORE = 4
"""Sockets of a process that lead nowhere: an event loop wakes itself by a pair of them, and so do signals."""

COLUMNS = Columns(
    (
        ("503", -5), ("s", 6), ("stored", 13), ("refused", 8), ("in flight", 9), ("sockets", 8),
        ("at the store", 12), ("connections", 11), ("open files", 10), ("", -1),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Used:
    """What one run came to. `sockets` and `open_files` are the process's, `at_store` the store's; at most."""

    took_s: float
    stored: int
    expected: int
    refused: int
    in_flight: int
    sockets: int
    at_store: int
    connections: int
    open_files: int
    problem: str = ""


class Sampler:
    """Looks at the open files of a process from its start to its end, in a thread."""

    def __init__(self) -> None:
        self.most: Counter[str] = Counter()
        self._ended = threading.Event()

    def watch(self, pid: int) -> None:
        threading.Thread(target=self._look, args=(Path(f"/proc/{pid}/fd"),), daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def _look(self, folder: Path) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.most |= kinds_of(open_files(folder))  # of each kind the larger number


def open_files(folder: Path) -> Iterator[str]:
    """What the entries of a /proc/PID/fd lead to; nothing once the process is gone."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                yield str(entry.readlink())


def kinds_of(targets: Iterable[str]) -> Counter[str]:
    """How many of the open files are sockets, and how many there are."""
    found: Counter[str] = Counter()
    for target in targets:
        found["all"] += 1
        found["sockets"] += target.startswith("socket:")
    return found


def most_in_flight(output: Iterable[str]) -> int:
    """The largest number of attempts at one time, by the lines that the command writes with --json."""
    spans = sorted(
        (attempt["started_s"], attempt["ended_s"])
        for record in map(json.loads, output)
        for attempt in record.get("attempt_reports", ())
    )
    most = 0
    ends_s: list[float] = []
    for started_s, ended_s in spans:
        while ends_s and ends_s[0] <= started_s:
            heapq.heappop(ends_s)
        heapq.heappush(ends_s, ended_s)
        most = max(most, len(ends_s))
    return most


def shortfalls(used: Used) -> list[str]:
    """What of the targets was not reached, one phrase each; none: all were."""
    found = [used.problem] if used.problem else []
    if used.stored < used.expected:
        found.append(f"objects missing: {used.expected - used.stored}")
    if max(used.sockets, used.at_store) > 2 * used.in_flight:
        found.append(f"{max(used.sockets, used.at_store)} sockets, more than twice {used.in_flight}")
    return found


def upload(files: Workload, options: argparse.Namespace, failing: float) -> Used:
    """One run of the command at a store that fails so often."""
    output = files.directory.with_suffix(".json")
    limited = ["/bin/sh", "-c", f'ulimit -n {options.open_files} && exec "$@"', "sh"]
    sampler = Sampler()
    with GoStore("--delay", f"{options.delay_ms}ms", "--fail-503", str(failing)) as store:
        argv = ours_command("--json").command("", files.directory, store.url)
        with output.open("wb") as stdout:
            command = limited + argv
            ended = run_process(command, environment(None), TIMEOUT_S, stdout=stdout, on_start=sampler.watch)
        sampler.end()
        stats, objects = store.stats(), store.objects()
    last = (ended.complaint.splitlines() or [""])[-1]
    problem = f"exit {ended.returncode}: {last[:120]}" if ended.returncode else ""
    keys = files.keys
    with output.open() as lines:
        in_flight = 0 if ended.late else most_in_flight(lines)
    return Used(
        took_s=ended.run.wall_s,
        stored=sum(one.size == files.size and key in keys for key, one in objects.items()),
        expected=files.count,
        refused=stats["failed_503"],
        in_flight=in_flight,
        sockets=max(0, sampler.most["sockets"] - NOT_TO_THE_STORE),
        at_store=stats["max_open"],
        connections=stats["connections"],
        open_files=sampler.most["all"],
        problem=f"not done after {TIMEOUT_S:.0f} s" if ended.late else problem,
    )


def line(failing: float, used: Used) -> str:
    missed = shortfalls(used)
    return COLUMNS.line(
        [
            f"{failing:.0%}", f"{used.took_s:.1f}", f"{used.stored}/{used.expected}", str(used.refused),
            str(used.in_flight), str(used.sockets), str(used.at_store), str(used.connections),
            str(used.open_files), "MISSED: " + "; ".join(missed) if missed else "reached",
        ]
    )  # fmt: skip


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes: without faults, and with. Raises `SinkError`, `RunError`."""
    if problem := ours_command().missing:
        raise RunError(problem)
    if not Path("/proc/self/fd").is_dir():
        raise RunError("the open files of a process are counted in /proc, which is not there")
    print(COLUMNS.head, flush=True)
    with files_home() as home:
        files = Workload("small files", options.files, FILE_BYTES, home / "files").create()
        for failing in (0.0, options.failing):
            used = upload(files, options, failing)
            said = shortfalls(used)
            findings.add("rows", {"failing": failing, **asdict(used), "shortfalls": said}, missed=len(said))
            print(line(failing, used), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_of("descriptors", __doc__)
    parser.add_argument("--files", type=int, default=FILES, help=f"({FILES})")
    parser.add_argument("--open-files", type=int, default=OPEN_FILES, help=f"that are allowed ({OPEN_FILES})")
    parser.add_argument("--failing", type=float, default=FAILING, help=f"share of 503 ({FAILING})")
    parser.add_argument("--delay-ms", type=int, default=DELAY_MS, help=f"from request to answer ({DELAY_MS})")
    options = parser.parse_args(argv)
    if min(options.files, options.open_files) < 1 or options.delay_ms < 0 or not 0 <= options.failing < 1:
        parser.error("--files and --open-files must be at least 1, --delay-ms at least 0, --failing below 1")
    return run_command(lambda findings: measure_all(options, findings), options.json)


if __name__ == "__main__":
    sys.exit(main())
