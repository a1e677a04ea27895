"""What several tools send of the same trees, as a table, with a reason where they differ."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.sync.tools import PEERS, command, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store import Store

OURS = "s3-upload sync"
EARLY_S, LATE_S = 1_500_000_000, 4_000_000_000
"""Before and after any object of now was written."""


def _file(root: Path, name: str, body: bytes = b"12", mtime_s: int = EARLY_S) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (mtime_s, mtime_s))
    return path


def _linked(root: Path, name: str, target: str) -> Path:
    (root / name).symlink_to(target)
    return root / name


@dataclass(frozen=True)
class Case:
    """`files`: makes the tree; `there`: key -> body of what is below the prefix already; `sent`: what we send
    of it; `others`: who sends something else: what, and why that is right for us."""

    name: str
    files: Callable[[Path], object]
    there: dict[str, bytes] = field(default_factory=dict)
    sent: frozenset[str] = frozenset()
    size_only: bool = False
    others: dict[str, tuple[frozenset[str], str]] = field(default_factory=dict)


def _tree(**named: tuple[bytes, int]) -> Callable[[Path], object]:
    return lambda root: [_file(root, name, body, mtime_s) for name, (body, mtime_s) in named.items()]


def _named(*names: str) -> Callable[[Path], object]:
    return lambda root: [_file(root, name) for name in names]


A = frozenset({"a"})
NOTHING: frozenset[str] = frozenset()
ODD = (
    "a b",
    "a+b",
    "a%20b",
    "ä",
    "e\u0301",
    "\U0001f600",
    "a&b",
    "a'b",
    "a#b",
    "a=b;c",
    "[x]",
    "~",
    "a..b",
    "$x",
)
ORDER = ("a-b/c", "a.txt", "a/b", "a/b.c", "a0", "a")
RCLONE_TIME = (
    "rclone keeps a file's own time with the object and compares that; where it differs it compares checksums"
)
CASES = (
    Case("missing", _tree(a=(b"12", EARLY_S)), {}, A),
    Case("there, and older here", _tree(a=(b"12", EARLY_S)), {"a": b"12"}, NOTHING),
    Case("larger", _tree(a=(b"123", EARLY_S)), {"a": b"12"}, A),
    Case("smaller", _tree(a=(b"1", EARLY_S)), {"a": b"12"}, A),
    Case("empty here", _tree(a=(b"", EARLY_S)), {"a": b"12"}, A),
    Case("empty on both sides", _tree(a=(b"", EARLY_S)), {"a": b""}, NOTHING),
    Case("newer, the same bytes", _tree(a=(b"12", LATE_S)), {"a": b"12"}, A,
         others={"rclone copy": (NOTHING, RCLONE_TIME)}),
    Case("newer, other bytes", _tree(a=(b"12", LATE_S)), {"a": b"21"}, A),
    Case("older, other bytes of the same size", _tree(a=(b"12", EARLY_S)), {"a": b"21"}, NOTHING,
         others={"rclone copy": (A, f"{RCLONE_TIME}; with us --compare checksum finds it")}),
    Case("newer, by size alone", _tree(a=(b"12", LATE_S)), {"a": b"21"}, NOTHING, size_only=True),
    Case("larger, by size alone", _tree(a=(b"123", EARLY_S)), {"a": b"12"}, A, size_only=True),
    Case("only in the bucket", _tree(a=(b"12", EARLY_S)), {"a": b"12", "b": b"1", "0": b"1"}, NOTHING),
    Case("odd names, missing", _named(*ODD), {}, frozenset(ODD)),
    Case("odd names, there", _named(*ODD), dict.fromkeys(ODD, b"12"), NOTHING),
    Case("names around a slash, there", _named(*(n for n in ORDER if n != "a")),
         {name: b"12" for name in ORDER if name != "a"}, NOTHING),
    Case("names around a slash, one missing", _named(*(n for n in ORDER if n != "a")),
         {name: b"12" for name in ORDER if name not in {"a", "a/b"}}, frozenset({"a/b"})),
    Case("a link to a file", lambda root: (_file(root, "a"), _linked(root, "l", "a")), {"a": b"12"},
         frozenset({"l"}), others={"rclone copy": (NOTHING, "rclone follows no links unless -L says so")}),
    Case("a link to a directory", lambda root: (_file(root, "d/a"), _linked(root, "l", "d")), {"d/a": b"12"},
         frozenset({"l/a"}), others={"rclone copy": (NOTHING, "rclone follows no links unless -L says so")}),
    Case("a link to nothing", lambda root: (_file(root, "a"), _linked(root, "l", "none")), {"a": b"12"},
         NOTHING),
)  # fmt: skip


def table(store: Store, folder: Path) -> int:
    """Prints a row for each case; how many have a difference without a reason."""
    wrong = 0
    reasons: list[str] = []
    print("| case | we send | " + " | ".join(PEERS) + " |")
    print("|---|---|" + "---|" * len(PEERS))
    for number, case in enumerate(CASES):
        root = folder / f"case{number}"
        root.mkdir()
        case.files(root)
        cells = []
        for tool in (OURS, *PEERS):
            sent = sent_by(tool, case, store, root)
            expected, why = case.others.get(tool, (case.sent, ""))
            if sent != expected:
                wrong += 1
                cells.append(f"UNEXPECTED: {shown(sent, case)}")
            elif why:
                reasons += [] if why in reasons else [why]
                cells.append(f"{shown(sent, case)} ({reasons.index(why) + 1})")
            else:
                cells.append(shown(sent, case) if tool == OURS else "the same")
        print(f"| {case.name} | " + " | ".join(cells) + " |", flush=True)
    for number, why in enumerate(reasons, start=1):
        print(f"\n({number}) {why}.")
    return wrong


def shown(sent: frozenset[str], case: Case) -> str:
    if len(sent) > 1 and sent == case.sent:
        return "all"
    return ", ".join(f"`{key}`" for key in sorted(sent)) or "nothing"


def sent_by(tool: str, case: Case, store: Store, root: Path) -> frozenset[str]:
    """The keys that the tool has written, without the prefix."""
    bucket = store.new_bucket()
    for key, body in case.there.items():
        store.client.put_object(Bucket=bucket, Key=f"p/{key}", Body=body)
    before = versions(store, bucket)
    run(store, command(tool, root, bucket, "p", size_only=case.size_only))
    after = versions(store, bucket)
    assert before.keys() <= after.keys(), f"{tool} has deleted something"
    return frozenset(key.removeprefix("p/") for key, what in after.items() if before.get(key) != what)


def versions(store: Store, bucket: str) -> dict[str, tuple[str, str]]:
    pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {
        entry["Key"]: (entry["ETag"], entry["LastModified"].isoformat())
        for page in pages
        for entry in page.get("Contents", [])
    }
