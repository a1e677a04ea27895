"""The directories that links lead to: each is walked once in a run, through the first link that leads there.

Eight folders with links to each other would else be 100,000 directories: each way through them is another.
A directory at its own place is walked whatever links lead to it, and a file is uploaded under each of its
names.
"""

from __future__ import annotations

import os
from pathlib import Path


class Linked:
    """Of one run: `first` is asked of each link to a directory that is about to be walked."""

    def __init__(self) -> None:
        self._first: dict[object, str] = {}

    def first(self, path: str, info: os.stat_result) -> str:
        """The link that led to the same directory as the one at `path`, of which `info` tells: `path` itself
        if none did before."""
        return self._first.setdefault(_identity(path, info), path)


def _identity(path: str, info: os.stat_result) -> object:
    """Device and inode; the real path where these tell nothing: on some file systems all have one number."""
    here = (info.st_dev, info.st_ino)
    try:
        above = Path(path, os.pardir).stat()
    except OSError:
        return os.path.realpath(path)
    trusted = info.st_ino and here != (above.st_dev, above.st_ino)
    return here if trusted else os.path.realpath(path)
