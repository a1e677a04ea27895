"""What Python says of paths; its words differ from version to version."""

from __future__ import annotations

from pathlib import Path


def null_in_path() -> str:
    """Of a path with a null character."""
    try:
        Path("a\0b").stat()
    except ValueError as error:
        return str(error)
    raise AssertionError("there is such a path")
