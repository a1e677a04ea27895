"""The directories that links lead to: each is walked once in a run, through the first link that leads there.

Rules:

* Eight folders with links to each other would else be 100,000 directories: each way through them is another.
* A directory at its own place is walked whatever links lead to it, and a file is uploaded under each of its
  names.
* A link is passed over only if all that would be taken behind it has been, behind the first.  What patterns
  take there may depend on the path, as with "first/*": then it is walked once more, through each link.
* The bound is then for links behind links alone, of which there may be 100,000: MAX_WAYS of them are walked
  to each directory, and the others fail, since nobody knows whether what is behind them has been taken.
"""

from __future__ import annotations

import os
from pathlib import Path

from s3_upload.errors import SourceError

MAX_WAYS = 100
"""To one directory, through links behind links, where the path decides what is taken there."""


class Linked:
    """Of one run: `first` is asked of each link to a directory that is about to be walked."""

    def __init__(self) -> None:
        self._first: dict[object, str] = {}
        self._ways: dict[object, int] = {}

    def first(self, path: str, info: os.stat_result, taken: object = None, *, is_nested: bool = False) -> str:
        """The link that led to the same directory as the one at `path`, of which `info` tells: `path` itself
        if none did before.

        `taken`: what is taken there, as `Inside.tells_apart` has it; where it is another, no other link led
        there.  `is_nested`: the link lies behind a link.  Raises `SourceError` for the one after MAX_WAYS
        such.
        """
        identity = _identity(path, info)
        first = self._first.setdefault((identity, taken), path)
        if first == path and is_nested:
            ways = self._ways[identity] = self._ways.get(identity, 0) + 1
            if ways > MAX_WAYS:
                raise SourceError(
                    f"{path}: {MAX_WAYS} links behind links have led to this directory, and with patterns of "
                    "paths what is taken may differ: exclude this link"
                )
        return first


def _identity(path: str, info: os.stat_result) -> object:
    """Device and inode; the real path where these tell nothing: on some file systems all have one number."""
    here = (info.st_dev, info.st_ino)
    try:
        above = Path(path, os.pardir).stat()
    except OSError:
        return os.path.realpath(path)
    trusted = info.st_ino and here != (above.st_dev, above.st_ino)
    return here if trusted else os.path.realpath(path)
