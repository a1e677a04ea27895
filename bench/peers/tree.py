"""What every peer's script has in common: the files below a directory, with their keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def files(directory: str) -> Iterator[tuple[str, Path]]:
    """Key and path of each, in the order of the file system."""
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            yield path.relative_to(directory).as_posix(), path
