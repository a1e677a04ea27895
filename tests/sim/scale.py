"""What 10^9 files and 10 PB take, by arithmetic: `python -m tests.sim.scale`.

It makes tables of docs/scale.md, and uploads nothing.  The only thing measured is the size of a journal:
a real one with ROWS real rows.  What is assumed is a constant here, and in docs/scale.md with its source.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from s3_upload.config import MIB, UploadConfig
from s3_upload.observe.journal_file import JournalFile
from s3_upload.observe.journal_rows import DONE, ObjectRow
from tests.sim.scenarios import table, write

MARKS = "<!-- takes: begin -->", "<!-- takes: end -->"
FILES, BYTES = 10**9, 10**16
FILE_BYTES = 10**10
"""10 PB are a million files of so many bytes."""
PREFIX_PER_S, PREFIXES = 3_500, 16
DOLLARS_PER_REQUEST = 0.005 / 1_000
LIST_PAGE, LIST_S = 1_000, 0.1
OBJECTS_PER_S = {"17,000 a core": 17_000, "4,400 a core": 4_400}
NODE_BYTES_PER_S = 1.1e9
NODES = (1, 4, 16, 64, 256)
ROWS, BATCH = 20_000, 100
BIG_PART = 64 * MIB


def journal_bytes() -> tuple[float, float]:
    """Bytes of a row as it is logged, and in its place, which it takes when the job is run again."""
    names = [f"2026/{number // 1_000:06}/IMG_{number:09}.jpg" for number in range(ROWS)]
    rows = [
        ObjectRow(f"photos/{name}", f"/data/photos/{name}", 48_000, 1_795_000_000 * 10**9 + number, DONE,
                  f'"{number:032x}"', "CRC32", f"{number:06}==")
        for number, name in enumerate(names)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        empty = _written(path, [])
        logged = _written(path, rows)
        JournalFile(str(path)).close()
        return (logged - empty) / ROWS, (path.stat().st_size - empty) / ROWS


def _written(path: Path, rows: list[ObjectRow]) -> int:
    """The size of the journal with these rows added."""
    journal = JournalFile(str(path))
    for first in range(0, len(rows), BATCH):
        journal.write(rows[first : first + BATCH])
    journal.close()
    return path.stat().st_size


def lasting(seconds: float) -> str:
    """In words: minutes, hours or days."""
    if seconds < 3 * 3_600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h" if seconds < 100 * 3_600 else f"{seconds / 86_400:.0f} days"


def requests(part_size: int) -> int:
    """Those of 10 PB in files of FILE_BYTES: parts, and for each file one to create and one to complete."""
    return BYTES // FILE_BYTES * (-(-FILE_BYTES // part_size) + 2)


def what() -> str:
    """Requests, cost, listing and journal."""
    logged, placed = journal_bytes()
    usual = UploadConfig().part_size
    counts = {
        "10^9 small files": FILES,
        f"10 PB in {BYTES // FILE_BYTES:,} files, parts of {usual // MIB} MiB": requests(usual),
        f"10 PB in {BYTES // FILE_BYTES:,} files, parts of {BIG_PART // MIB} MiB": requests(BIG_PART),
        f"to list 10^9 keys, {LIST_PAGE:,} a page": FILES // LIST_PAGE,
    }
    rows = [
        (name, f"{count:,}", f"${count * DOLLARS_PER_REQUEST:,.0f}", lasting(count / PREFIX_PER_S))
        for name, count in counts.items()
    ]
    rows[-1] = (*rows[-1][:-1], f"{lasting(FILES / LIST_PAGE * LIST_S)}, a page after the other")
    journal = (
        f"A row of the journal has {logged:.0f} bytes as it is logged, and {placed:.0f} in its place, where"
        f" the job is run again. 10^9 have {FILES * logged / 1e9:.0f} GB, then {FILES * placed / 1e9:.0f} GB."
    )
    return table(rows, ("what", "requests", "cost", "at one prefix")) + f"\n\n{journal}"


def how_long() -> str:
    """The time on so many nodes."""
    rows = []
    for nodes in NODES:
        times = [
            lasting(FILES / min(nodes * per_s, limit))
            for per_s in OBJECTS_PER_S.values()
            for limit in (PREFIX_PER_S, PREFIXES * PREFIX_PER_S)
        ]
        rows.append((str(nodes), *times, lasting(BYTES / (nodes * NODE_BYTES_PER_S))))
    counts = "one prefix", f"{PREFIXES} prefixes"
    headings = [f"{name}, {count}" for name in OBJECTS_PER_S for count in counts]
    return table(rows, ("nodes of one core", *headings, "10 PB"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.scale", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into this Markdown file")
    arguments = parser.parse_args()
    text = f"{what()}\n\n{how_long()}"
    if arguments.write is None:
        print(text)
        return 0
    wrong = write(arguments.write, text, MARKS)
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
