"""Which room of the house may import which: the arrows of docs/architecture.md, as a table and a rule.

`test_tidy.py` holds the house to it, and `python -m tests.figures` counts what breaks it.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LEAVES = {"checks", "config", "crc", "descriptors", "errors", "http", "own_process", "pace", "parts"}
LEAVES |= {"processor", "proxy", "report", "request_fields", "text", "threads", "units", "urls"}
ARROWS: dict[str, set[str]] = {
    "checks": set(),
    "crc": {"http"},
    "descriptors": set(),
    "errors": {"text"},
    "http": set(),
    "own_process": set(),
    "processor": set(),
    "text": set(),
    "threads": set(),
    "units": set(),
    "urls": set(),
    "proxy": {"errors", "urls"},
    "config": {"errors", "units"},
    "pace": {"errors", "report", "units"},
    "parts": {"config"},
    "report": {"errors", "sources", "text", "units"},
    "request_fields": {"checks", "errors"},
    "s3": LEAVES - {"pace", "report"},
    "sources": LEAVES - {"pace", "report"} | {"s3"},
    "control": LEAVES,
    "http1": LEAVES,
    "observe": LEAVES | {"sources"},
    "screen": LEAVES | {"observe", "sources"},
    "transfer": LEAVES | {"control", "http1", "observe", "s3", "sources"},
    "bucket": LEAVES | {"control", "http1", "s3", "sources", "transfer"},
    "account": LEAVES | {"s3"},
    "embedded": LEAVES,
    "clients": LEAVES | {"account", "http1", "s3", "sources"},
    "adapters": LEAVES | {"http1", "s3", "sources", "transfer"},
    "journaled": LEAVES | {"observe", "sources", "transfer"},
    "api": LEAVES | {"control", "journaled", "observe", "s3", "sources", "transfer"},
    "blocking": set(),
    "fleet": LEAVES
    | {"api", "blocking", "clients", "control", "journaled", "observe", "s3", "sources", "transfer"},
    "removing": {"errors", "report", "sources", "threads"},
    "moved": LEAVES | {"api", "bucket", "observe", "removing", "s3", "sources", "transfer"},
    "showing": LEAVES | {"observe", "screen", "sources"},
    "given": {"checks", "errors", "showing", "sources"},
    "job": LEAVES
    | {
        "account",
        "api",
        "clients",
        "fleet",
        "given",
        "moved",
        "observe",
        "removing",
        "s3",
        "showing",
        "sources",
        "transfer",
    },
    "syncing": LEAVES | {"api", "bucket", "clients", "given", "job", "observe", "s3", "sources", "transfer"},
    "running": LEAVES | {"blocking", "job", "observe"},
    "calls": LEAVES | {"api", "blocking", "given", "job", "observe", "running", "s3", "sources", "transfer"},
    "cli": LEAVES
    | {
        "__init__",
        "account",
        "api",
        "blocking",
        "bucket",
        "clients",
        "embedded",
        "fleet",
        "journaled",
        "moved",
        "observe",
        "removing",
        "s3",
        "screen",
        "sources",
    },
    "__main__": {"cli"},
    "__init__": LEAVES
    | {"account", "api", "bucket", "calls", "clients", "given", "http1", "job", "observe", "running", "s3"}
    | {"sources", "syncing", "transfer"},
}
"""What each folder or module of the package may import of the package, types included."""


def imported(text: str) -> Iterator[str]:
    """The dotted names of all modules and members that a source imports."""
    return imported_in(ast.walk(ast.parse(text)))


def imported_in(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)


def unit_of(module: str) -> str:
    """The folder or module below s3_upload that a dotted name lies in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ARROWS else "__init__"


def wrong_arrows(unit: str, text: str) -> list[str]:
    return wrong_names(unit, list(imported(text)))


def wrong_names(unit: str, names: Sequence[str]) -> list[str]:
    """What is wrong with a module of `unit` that imports `names`."""
    if unit not in ARROWS:
        return [f"{unit} is new: say in ARROWS what it may import"]
    complaints = [f"{name}: relative" for name in names if name.startswith(".")]
    ours = (name for name in names if name.split(".")[0] == "s3_upload")
    allowed = ARROWS[unit] | {unit}
    return complaints + [f"{unit} must not import {name}" for name in ours if unit_of(name) not in allowed]
