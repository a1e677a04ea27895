"""The table of docs/reliability.md, and the differences that are known."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.stores.suite import DIGESTS, NOT_ASKED

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- stores: begin -->", "<!-- stores: end -->"

NORMALIZED = "takes the key for a path and normalizes it: the object is there under another key"
REFUSED = "refuses the key, and so the file is reported as failed"
ANYONE = "takes what is not signed, into any bucket"
KNOWN: dict[str, dict[str, str]] = {
    "MinIO": {
        "keys with `//`": REFUSED,
        "keys with a leading `/`": NORMALIZED,
        "keys with `/../`": REFUSED,
        "tags outside ASCII": "refuses them, though S3 takes all letters; the file is reported as failed",
    },
    "MinIO over TLS": {
        "keys with `//`": REFUSED,
        "keys with a leading `/`": NORMALIZED,
        "keys with `/../`": REFUSED,
        "tags outside ASCII": "as over http",
    },
    "VersityGW": {
        "keys with `//`": NORMALIZED,
        "keys with a leading `/`": NORMALIZED,
        "keys with `/../`": NORMALIZED,
        "storage class": "has one class only, and does not say so when asked for another",
    },
    "rclone": {
        "keys with `//`": REFUSED,
        "keys with a leading `/`": REFUSED,
        "keys with `/../`": REFUSED,
        "tags": "keeps no tags, and does not say so",
        "tags outside ASCII": "keeps no tags, and does not say so",
        "`if-none-match`: what exists is not overwritten": "overwrites, and does not say so",
        "unsigned, into a bucket open to all": ANYONE,
    },
    "moto": {
        **{
            f"checksum {algorithm} is kept": "keeps one only for requests that say twice which it is"
            for algorithm in DIGESTS
        },
        "a wrong secret stops the run": "checks no signatures",
        "unsigned, into a bucket open to all": ANYONE,
    },
}
"""Store -> check -> why it is the store's own way and no fault of ours."""


class Column(NamedTuple):
    """What one store made of each check: "" or what it did otherwise."""

    name: str
    version: str
    differences: dict[str, str]


def table(columns: list[Column]) -> str:
    """Markdown: a row for each check, a numbered note for each difference."""
    if not columns:
        return "No store ran.\n"
    notes: list[str] = []
    lines = [
        "| | " + " | ".join(f"{column.name} {column.version}" for column in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for check in columns[0].differences:
        cells = [_cell(column, check, notes) for column in columns]
        lines.append(f"| {check} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def _cell(column: Column, check: str, notes: list[str]) -> str:
    difference = column.differences[check]
    if not difference:
        return "yes"
    if difference == NOT_ASKED:
        return "-"
    known = KNOWN.get(column.name, {}).get(check, "**unexpected**")
    notes.append(f"{len(notes) + 1}. {column.name}, {check}: {known} (seen: {difference})")
    return f"no ({len(notes)})"


def write(document: Path, text: str) -> None:
    """Puts `text` between the markers of `document`."""
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document}: has no {BEGIN} … {END}")
    document.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
