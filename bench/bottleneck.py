"""`python -m bench.bottleneck`: whether a run says what limits it, where that is known.

Each row makes one thing scarce, on real sockets, and reads from the summary of the s3-upload command what the
time went to (`limits`, with --json): a link of 20 MB/s, a store that refuses above 200 requests a second or
answers late, a slow disk and a slow pipe, directories that take long to list, a processor that two others
want, a cap, a store that is away for some seconds.  The slow disk is a file system of ours (`slowfs.py`),
which needs root; without, its rows are left out.

Targets: what is scarce comes first, and is most of the time; of a store that was away, the share is as long
as it was away, give or take 30 %.  Everything is stored.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.command import Findings, files_home, parser_of, run_command
from bench.contenders import environment, ours_command
from bench.gostore import GoStore, Link
from bench.measure import RunError, Workload, last_record, run_process
from bench.nginx import BUCKET
from bench.sinks import wrong_sizes
from bench.slowfs import SlowFiles, Tree
from bench.table import Columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SLOW_BYTES_PER_S = 20_000_000
BUFFER_BYTES = 32 << 10
"""What the link takes in of a connection. With more, small bodies have left us and wait for their answers."""
DISK_BYTES_PER_S = 10_000_000
PIPED_BLOCKS = 800
"""Of a hundredth of a second each."""
DELAY_MS, MAX_IN_FLIGHT = 200, 16
REFUSED_ABOVE_PER_S = 200
LIST_S = 0.1
GONE_S, PULLED_S, AWAY_FROM_S, AWAY_SLACK = 6.0, 12.0, 4.0, 0.3
HOGS = 2
MOST = 0.5
"""What limits has to be named for so much of the time."""
TIMEOUT_S = 120.0

COLUMNS = Columns((("row", -24), ("expected", -9), ("found", -9), ("run s", 6), ("", -9), ("shares", -1)))


class Kind(NamedTuple):
    """So many files of one size."""

    files: int
    size: int


BIG, MIDDLE, SMALL, TINY = (
    Kind(8, 20_000_000),
    Kind(1500, 100_000),
    Kind(15_000, 4 << 10),
    Kind(2000, 1 << 10),
)


@dataclass(frozen=True)
class Found:
    """What a run said. `away_s`: for how long the store was away, 0 where it was not."""

    name: str
    expected: str
    wall_s: float = 0.0
    limits: dict[str, float] = field(default_factory=dict)
    uploaded: int = 0
    sources: int = 0
    problem: str = ""
    away_s: float = 0.0

    @property
    def first(self) -> str:
        return next(iter(self.limits), "nothing")


def shortfalls(found: Found) -> list[str]:
    """What of the targets was not reached, one phrase each; none: all were."""
    if found.problem:
        return [found.problem]
    said = []
    if found.uploaded < found.sources:
        said.append(f"objects missing: {found.sources - found.uploaded}")
    share = found.limits.get(found.expected, 0.0)
    if found.away_s:
        named_s = share * found.wall_s
        if abs(named_s - found.away_s) > AWAY_SLACK * found.away_s:
            said.append(f"away for {named_s:.1f} s instead of {found.away_s:.1f}")
    elif found.first != found.expected:
        said.append(f"names {found.first}")
    elif share < MOST:
        said.append(f"only {share:.0%}")
    return said


class Source(NamedTuple):
    """What is uploaded, and of what size each object is to be that comes of it."""

    path: Path
    sizes: Mapping[str, int]


class Files:
    """Files on the RAM disk, each kind made when first asked for."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._known: dict[Kind, Source] = {}

    def of(self, kind: Kind) -> Source:
        if kind not in self._known:
            made = Workload("files", *kind, self.home / f"{kind.files}x{kind.size}").create()
            self._known[kind] = Source(made.directory, dict(made.sizes_by_key()))
        return self._known[kind]


@dataclass(frozen=True)
class Row:
    """`upload` runs the command once, and gives what it wrote last."""

    name: str
    expected: str
    upload: Callable[[Files], Ran]
    away_s: float = 0.0
    needs_disk: bool = False


class Ran(NamedTuple):
    summary: dict[str, Any]
    problem: str


def run(
    source: Source,
    store: GoStore,
    home: Path,
    *options: str,
    url: str = "",
    before: Sequence[str] = (),
    stdin: int | None = None,
) -> Ran:
    """The command; `before` is what starts it, and `url` the way to the store where that is another."""
    output = home / "run.json"
    argv = [*before, *ours_command("--json", *options).command("", source.path, url or store.url)]
    if stdin is not None:
        argv[argv.index(f"s3://{BUCKET}/")] = f"s3://{BUCKET}/stdin"
    with output.open("wb") as stdout:
        ended = run_process(
            argv,
            environment(None),
            TIMEOUT_S,
            stdout=stdout,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
        )
    problem = wrong_sizes(source.sizes, store.objects())
    if ended.late:
        problem = f"not done after {TIMEOUT_S:.0f} s"
    elif ended.returncode:
        problem = f"exit {ended.returncode}: {(ended.complaint.splitlines() or [''])[-1][:120]}"
    return Ran(last_record(output.read_text()), problem)


# --- the rows -------------------------------------------------------------------------------------


def at_store(
    kind: Kind, *options: str, store: Sequence[str] = (), before: Sequence[str] = ()
) -> Callable[[Files], Ran]:
    """Files of a kind to a store with flags."""

    def upload(files: Files) -> Ran:
        with GoStore(*store) as there:
            return run(files.of(kind), there, files.home, *options, before=before)

    return upload


def through_link(kind: Kind) -> Callable[[Files], Ran]:
    def upload(files: Files) -> Ran:
        with GoStore() as store, Link(store, SLOW_BYTES_PER_S, BUFFER_BYTES) as link:
            return run(files.of(kind), store, files.home, url=link.url)

    return upload


def from_disk(tree: Tree, bytes_per_s: float = 0.0, list_s: float = 0.0) -> Callable[[Files], Ran]:
    def upload(files: Files) -> Ran:
        at = files.home / "slow"
        with GoStore() as store, SlowFiles(at, tree, bytes_per_s=bytes_per_s, list_s=list_s):
            return run(Source(at, tree.sizes()), store, files.home)

    return upload


def from_pipe(files: Files) -> Ran:
    """Something that writes DISK_BYTES_PER_S to our stdin."""
    read_end, write_end = os.pipe()
    block = bytes(DISK_BYTES_PER_S // 100)

    def write() -> None:
        started = time.monotonic()
        with os.fdopen(write_end, "wb", buffering=0) as pipe, contextlib.suppress(BrokenPipeError):
            for number in range(PIPED_BLOCKS):
                time.sleep(max(0.0, started + number / 100 - time.monotonic()))
                for at in range(0, len(block), 1 << 14):
                    pipe.write(block[at : at + (1 << 14)])

    writer = threading.Thread(target=write)
    writer.start()
    source = Source(Path("-"), {"stdin": PIPED_BLOCKS * len(block)})
    try:
        with GoStore() as store:
            return run(source, store, files.home, stdin=read_end)
    finally:
        os.close(read_end)
        writer.join()


@contextlib.contextmanager
def hogs(core: str) -> Iterator[None]:
    """Processes that do nothing, without a pause, on one core."""
    spin = ["taskset", "-c", core, sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(spin) for _ in range(HOGS)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def beside_hogs(files: Files) -> Ran:
    core = str(max(os.sched_getaffinity(0)))
    with GoStore() as store, hogs(core):
        return run(files.of(SMALL), store, files.home, before=("taskset", "-c", core))


def while_away(kind: str, away_s: float) -> Callable[[Files], Ran]:
    """The link is cut for so long."""

    def upload(files: Files) -> Ran:
        with GoStore() as store, Link(store, SLOW_BYTES_PER_S, BUFFER_BYTES) as link:
            cuts = [
                threading.Timer(AWAY_FROM_S, link.tell, [kind]),
                threading.Timer(AWAY_FROM_S + away_s, link.tell, ["heal"]),
            ]
            for cut in cuts:
                cut.start()
            try:
                return run(files.of(BIG), store, files.home, url=link.url)
            finally:
                for cut in cuts:
                    cut.cancel()

    return upload


def rows() -> list[Row]:
    late = ("--delay", f"{DELAY_MS}ms")
    few = ("--max-in-flight", str(MAX_IN_FLIGHT))
    refusing = ("--limit", "token", "--rate", str(REFUSED_ABOVE_PER_S))
    capped = ("--max-bandwidth", f"{DISK_BYTES_PER_S // 1_000_000}MB/s")
    return [
        Row("link: big", "link", through_link(BIG)),
        Row("link: small", "link", through_link(MIDDLE)),
        Row("refusals", "throttled", at_store(TINY, store=refusing)),
        Row("refusals, late", "throttled", at_store(TINY, store=(*refusing, "--delay", "40ms"))),
        Row("late answers", "answers", at_store(Kind(600, 1 << 10), *few, store=late)),
        Row("late answers: big", "answers", at_store(Kind(200, 500_000), *few, store=late)),
        Row("pipe", "reading", from_pipe),
        Row("disk: big", "reading", from_disk(Tree(1, 4, 20_000_000), DISK_BYTES_PER_S), needs_disk=True),
        Row("disk: small", "reading", from_disk(Tree(8, 100, 100_000), DISK_BYTES_PER_S), needs_disk=True),
        Row("listing", "listing", from_disk(Tree(60, 5, 1000), list_s=LIST_S), needs_disk=True),
        Row("small files", "cpu", at_store(SMALL)),
        Row("big files", "cpu", at_store(Kind(12, 100_000_000))),
        Row("middling files", "cpu", at_store(Kind(1500, 1_000_000))),
        Row("beside two busy loops", "cpu", beside_hogs),
        Row("cap: big", "cap", at_store(Kind(4, 20_000_000), *capped)),
        Row("cap: small", "cap", at_store(Kind(800, 100_000), *capped)),
        Row("store gone", "away", while_away("refuse", GONE_S), GONE_S),
        Row("cable pulled", "away", while_away("blackhole", PULLED_S), PULLED_S),
    ]


# --- the command ----------------------------------------------------------------------------------


def measure(row: Row, files: Files) -> Found:
    ran = row.upload(files)
    summary = ran.summary
    return Found(
        row.name,
        row.expected,
        summary.get("wall_time_s", 0.0),
        summary.get("limits", {}),
        summary.get("uploaded", 0),
        summary.get("sources", 0),
        ran.problem or ("" if summary.get("sources") else "it wrote no summary"),
        row.away_s,
    )


def line(found: Found, said: Sequence[str]) -> str:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in found.limits.items())
    verdict = f"MISSED: {'; '.join(said)}: " if said else "reached"
    cells = [found.name, found.expected, found.first, f"{found.wall_s:.1f}", verdict, shares]
    return COLUMNS.line(cells)


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes. Raises `SinkError`, `RunError`."""
    if problem := ours_command().missing:
        raise RunError(problem)
    everything, begins = rows(), options.row or [""]
    for one in begins:
        if not any(row.name.startswith(one) for row in everything):
            raise RunError(f"--row {one}: there are {'; '.join(row.name for row in everything)}")
    wanted = [row for row in everything if any(row.name.startswith(one) for one in begins)]
    print(COLUMNS.head, flush=True)
    with files_home() as home:
        files = Files(home)
        for row in wanted:
            if row.needs_disk and SlowFiles.missing:
                findings.unjudged += 1
                print(
                    COLUMNS.line([row.name, row.expected, "", "", "left out", SlowFiles.missing]), flush=True
                )
                continue
            found = measure(row, files)
            said = shortfalls(found)
            findings.add("rows", {**dataclasses.asdict(found), "shortfalls": said}, missed=bool(said))
            print(line(found, said), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_of("bottleneck", __doc__)
    parser.add_argument("--row", action="append", metavar="NAME", help="only rows whose names begin so")
    options = parser.parse_args(argv)
    return run_command(lambda findings: measure_all(options, findings), options.json)


if __name__ == "__main__":
    sys.exit(main())
