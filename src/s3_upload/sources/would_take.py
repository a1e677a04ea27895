"""Whether an object's key is one that a selection would have taken, had there been a file for it.

Rules:

* Shares go by the key, patterns by the key's path below its source's root, as for files that are there.
* Sizes and times of a file that is not there are unknown, so its key counts as taken.  A file that is there
  was left out by them: had it been taken, its key would be that of a source.  The same goes for links that
  are not followed.  Whether a file is there is looked up below the directory whose keys lie there, and
  nowhere else; files that are sources are there.
* What else a list might have named is unknown: it takes nothing.
* Blocking: files of patterns are read, and files looked for.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from functools import lru_cache
from typing import NamedTuple

from s3_upload.errors import SourceError
from s3_upload.sources.ordering import Shard
from s3_upload.sources.selecting import Inside, Selection

MAX_DIRECTORIES = 1_024
"""Of which is kept what is taken there."""
STEP_CHARS = 128
"""A key may have 500 levels, too many for Python's stack: in such steps one is come to from the top."""


class Root(NamedTuple):
    """A directory that is a source, at `path`: its keys begin with `prefix`. Without a path: keys that lie
    below no such directory, about which patterns alone decide."""

    path: str | None
    prefix: str
    filters: Selection | None


class WouldTake:
    """See the module's text. `roots`: the last of them that a key lies below counts; `given`: the keys of
    files that are sources, also of those that are left out."""

    def __init__(
        self,
        roots: Sequence[Root],
        shard: Shard | None,
        given: Container[str] = (),
        *,
        follows: bool = True,
        is_list: bool = False,
    ) -> None:
        self._roots = sorted(roots, key=lambda root: -len(root.prefix))
        self._shard = shard
        self._given = given
        self._follows = follows
        self._is_list = is_list
        self._inside = lru_cache(MAX_DIRECTORIES)(self._found_inside)

    def takes(self, key: str) -> bool:
        """Whether it would."""
        if self._is_list or (self._shard is not None and not self._shard.has(key)):
            return False
        if key in self._given:
            return False
        root = next((root for root in self._roots if key.startswith(root.prefix)), None)
        if root is None:
            return True
        path = key[len(root.prefix) :]
        directory, _, name = path.rpartition("/")
        if any(step in {"", ".", ".."} for step in directory.split("/") if directory):
            return True  # no file has that key
        try:
            return self._takes_below(root, directory, name, path)
        except SourceError:  # which the walk tells
            return True

    def _takes_below(self, root: Root, directory: str, name: str, path: str) -> bool:
        filters = root.filters
        if filters is not None:
            for end in range(STEP_CHARS, len(directory), STEP_CHARS):
                self._inside(root, directory[:end].rpartition("/")[0])
            inside = self._inside(root, directory)
            if inside is None or not (
                not name or inside.wants(path, _look, is_directory=False, is_file=False)
            ):
                return False
        if root.path is None:
            return True
        is_looked_for = not self._follows or (filters is not None and filters.limits is not None)
        return not (is_looked_for and os.path.lexists(os.path.join(root.path, path)))  # noqa: PTH118

    def _found_inside(self, root: Root, directory: str) -> Inside | None:
        """What is taken in a directory; None where it is left out. Raises `SourceError`."""
        assert root.filters is not None
        at = root.path or ""  # where there is none, no files of patterns are looked for
        if not directory:
            return root.filters.at_root(at, 0, follows=self._follows)
        above = self._inside(root, directory.rpartition("/")[0])
        if above is None or not above.wants(directory, _look, is_directory=True, is_file=False):
            return None
        return above.below(directory, os.path.join(at, directory))  # noqa: PTH118


def _look() -> os.stat_result:
    raise OSError  # nobody looks at what is no file
