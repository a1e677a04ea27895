"""Shows the screens of made-up runs; `--write` keeps them beside this file, where a test compares them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from tests.screens.stories import STORIES, WIDTHS

HERE = Path(__file__).parent


def screens(names: Iterable[str] = STORIES) -> dict[str, str]:
    """What is kept of the stories with these names, by the name of its file."""
    return {
        f"{name}.{columns}.txt": "\n\n".join(STORIES[name](columns).shots) + "\n"
        for name in names
        for columns in WIDTHS[name]
    }


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--write"]):
        print("usage: python -m tests.screens [--write]", file=sys.stderr)
        return 2
    found = screens()
    if not arguments:
        print("\n".join(f"--- {name}\n{text}" for name, text in found.items()))
        return 0
    for old in HERE.glob("*.txt"):
        old.unlink()
    for name, text in found.items():
        (HERE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
