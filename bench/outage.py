"""`python -m bench.outage`: the link to the store is cut in mid-run, and comes back.

The files go to `bench/store` through `bench/proxy`, a link of 20 MB/s.  They are "mixed": small ones, some of
8 MB that go with one request, and some of 40 MB that go in parts; or "small": 20,000, so that many retries
wait when the link is back.  The s3-upload command runs with its defaults, first with the link whole, then
with the link cut for some seconds: "refuse" resets all connections and refuses new ones, as a store that
restarts; "blackhole" has nothing go through and says nothing, as a cable that was pulled.

Targets: every object is stored, with the right content; no multipart upload is left over; and the time
beyond the outage is at most 20 % of the run without it, plus 3 s.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.command import Findings, files_home, parser_of, run_command
from bench.contenders import environment, ours_command
from bench.gostore import GoStore, Link, Stored
from bench.measure import FailedUploadError, RunError, etag_of, last_record, run_process
from bench.table import Columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KINDS = ("refuse", "blackhole")
OUTAGES_S = {"mixed": (3.0, 12.0, 30.0, 90.0), "small": (3.0, 12.0)}
LINK_BYTES_PER_S = 20_000_000
DELAY_MS = 20
FOLDERS = 10
SMALL_PER_FOLDER, SMALL_BYTES = 150, 16 << 10
MIDDLE_BYTES, LARGE_BYTES = 8_000_000, 40_000_000
"""A folder has small files, and by turns one of the middle or a large one."""
TINY_PER_FOLDER, TINY_BYTES = 2_000, 4 << 10
CUT_AT = 0.4
"""Of the time without an outage: when the link is cut."""
MAX_EXTRA_SHARE, MAX_EXTRA_S = 0.2, 3.0
PATIENCE_S = 180.0
"""An upload that takes so much longer than it should is ended."""

COLUMNS = Columns(
    (
        ("files", -5), ("outage", -9), ("for s", 5), ("without s", 9), ("with s", 7), ("beyond s", 8),
        ("at most s", 9), ("stored", 11), ("left over", 9), ("retries", 7), ("", -1),
    )
)  # fmt: skip


class Files(NamedTuple):
    """A folder and its files, by key."""

    folder: Path
    by_key: Mapping[str, Path]


class Cut(NamedTuple):
    """When the link is cut, how, and for how long; times since the upload began."""

    kind: str
    at_s: float
    for_s: float


@dataclass(frozen=True)
class Uploaded:
    """What one run came to. `problem`: what is wrong with it, "" if nothing."""

    took_s: float
    stored: int
    expected: int
    left_over: int
    retries: int
    problem: str = ""


def create(home: Path, name: str) -> Files:
    """The files called "mixed" or "small" below `home`."""
    noise = random.Random(name)
    few = name == "mixed"
    count, size = (SMALL_PER_FOLDER, SMALL_BYTES) if few else (TINY_PER_FOLDER, TINY_BYTES)
    sizes = {f"d{number}/s{one:04}": size for number in range(FOLDERS) for one in range(count)}
    if few:
        sizes |= {f"d{number}/m": LARGE_BYTES if number % 2 else MIDDLE_BYTES for number in range(FOLDERS)}
    for key, size in sizes.items():
        path = home / name / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise.randbytes(size))
    return Files(home / name, {key: home / name / key for key in sizes})


def differing(files: Mapping[str, Path], objects: Mapping[str, Stored]) -> list[str]:
    """The keys of objects that are not what was sent, and of those that nobody sent."""
    return [
        key
        for key, found in objects.items()
        if key not in files
        or found.size != files[key].stat().st_size
        or found.etag != etag_of(files[key], found.part_bytes)
    ]


def upload(files: Files, cut: Cut | None, timeout_s: float) -> Uploaded:
    """One run of the command; with the link cut in mid-run, if `cut` says so."""
    output = files.folder.with_suffix(".json")
    with GoStore("--delay", f"{DELAY_MS}ms", "--md5") as store, Link(store, LINK_BYTES_PER_S) as link:
        argv = ours_command("--json").command("", files.folder, link.url)
        timers = []
        if cut is not None:
            timers = [
                threading.Timer(cut.at_s, link.tell, [cut.kind]),
                threading.Timer(cut.at_s + cut.for_s, link.tell, ["heal"]),
            ]
        for timer in timers:
            timer.start()
        with output.open("wb") as stdout:
            ended = run_process(argv, environment(None), timeout_s, stdout=stdout)
        for timer in timers:
            timer.cancel()
        stats, objects = store.stats(), store.objects()
    wrong = differing(files.by_key, objects)
    problem = ""
    if ended.late:
        problem = f"not done after {timeout_s:.0f} s"
    elif ended.returncode:
        problem = f"exit {ended.returncode}: {(ended.complaint.splitlines() or [''])[-1][:120]}"
    elif wrong:
        problem = f"{len(wrong)} objects with wrong content, first: {min(wrong)}"
    return Uploaded(
        ended.run.wall_s,
        len(objects),
        len(files.by_key),
        stats["open_uploads"],
        retries(output.read_text()),
        problem,
    )


def retries(output: str) -> int:
    """Of a run, by what it wrote with --json; -1 where it wrote no summary."""
    summary = last_record(output)
    if summary.get("type") != "summary":
        return -1
    return int(summary["attempts"]) - int(summary["sources"])


def shortfalls(without_s: float, outage_s: float, found: Uploaded) -> list[str]:
    """What of the targets was not reached, one phrase each; none: all were."""
    said = [found.problem] if found.problem else []
    if found.stored < found.expected:
        said.append(f"objects missing: {found.expected - found.stored}")
    if found.left_over:
        said.append(f"multipart uploads left over: {found.left_over}")
    if not found.problem and beyond_s(without_s, outage_s, found) > limit_s(without_s):
        said.append("too slow")
    return said


def beyond_s(without_s: float, outage_s: float, found: Uploaded) -> float:
    """How much longer a run took than one without an outage and the outage together."""
    return found.took_s - without_s - outage_s


def limit_s(without_s: float) -> float:
    return MAX_EXTRA_SHARE * without_s + MAX_EXTRA_S


def measure(files: Files, kind: str, outage_s: float) -> dict[str, Any]:
    """A run without an outage, and one with. Raises `FailedUploadError` if even the first fails."""
    whole = upload(files, None, PATIENCE_S)
    if whole.problem or whole.stored != whole.expected:
        raise FailedUploadError(f"without an outage: {whole.problem or 'objects are missing'}")
    patience_s = whole.took_s + outage_s + PATIENCE_S
    cut = upload(files, Cut(kind, CUT_AT * whole.took_s, outage_s), patience_s)
    return {
        "files": files.folder.name,
        "kind": kind,
        "outage_s": outage_s,
        "without_s": whole.took_s,
        "with": dataclasses.asdict(cut),
        "beyond_s": beyond_s(whole.took_s, outage_s, cut),
        "limit_s": limit_s(whole.took_s),
        "shortfalls": shortfalls(whole.took_s, outage_s, cut),
    }


def line(row: Mapping[str, Any]) -> str:
    found = row["with"]
    verdict = "MISSED: " + "; ".join(row["shortfalls"]) if row["shortfalls"] else "reached"
    return COLUMNS.line(
        [
            row["files"], row["kind"], f"{row['outage_s']:g}", f"{row['without_s']:.1f}",
            f"{found['took_s']:.1f}", f"{row['beyond_s']:.1f}", f"{row['limit_s']:.1f}",
            f"{found['stored']}/{found['expected']}", str(found["left_over"]), str(found["retries"]), verdict,
        ]
    )  # fmt: skip


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes. Raises `SinkError`, `RunError`."""
    if problem := ours_command().missing:
        raise RunError(problem)
    print(COLUMNS.head, flush=True)
    with files_home() as home:
        for name in options.files or OUTAGES_S:
            files = create(home, name)
            usual = OUTAGES_S[name][:1] if options.quick else OUTAGES_S[name]
            for outage_s in options.seconds or usual:
                for kind in options.kind or KINDS:
                    row = measure(files, kind, outage_s)
                    findings.add("rows", row, missed=bool(row["shortfalls"]))
                    print(line(row), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_of("outage", __doc__)
    parser.add_argument("--quick", action="store_true", help="only the outage of 3 s")
    parser.add_argument(
        "--seconds", type=float, action="append", help="of an outage; more than once for more"
    )
    parser.add_argument("--files", choices=[*OUTAGES_S], action="append", help="only these")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind")
    options = parser.parse_args(argv)
    if min(options.seconds or (1,)) <= 0:
        parser.error("--seconds must be more than 0")
    return run_command(lambda findings: measure_all(options, findings), options.json)


if __name__ == "__main__":
    sys.exit(main())
