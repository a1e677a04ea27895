"""What is at the source beside what is in the bucket: pure decisions.

Rules:

* Both sides come in the order of their keys' UTF-8 bytes (which is that of Python's texts), so they are
  joined as they come, with only as much of either in memory as has come ahead of the other.
* Different means, as for `aws s3 sync`: there is none ("new"), another size ("larger", "smaller"), or a file
  that was modified after the object was written ("newer").  With "size" the times do not count; what the
  sizes do not decide is a question for `proof.py` with "checksum", and for `kept_times.py` with "mtime".
* Bytes in memory have no time.  Where no checksum proves that they are the same, they count as different.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from s3_upload.errors import ConfigError
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.sources.source import ObjectSource

CompareBy = Literal["time", "size", "mtime", "checksum"]
COMPARE_BY: tuple[CompareBy, ...] = ("time", "size", "mtime", "checksum")
SAME = ""
NEW, LARGER, SMALLER = "new", "larger", "smaller"
NEWER, OLDER, DIFFERS = "newer", "older", "checksum differs"
"""Why a source is uploaded: what it is, beside its object."""
CANNOT_BE_READ = "cannot be read"
"""A file that shows only when it is read that it cannot be."""
UNKNOWN = "of unknown size"
"""A stream, of which only the upload shows what it is."""
NOT_PROVEN = "not proven to be the same"
"""Bytes in memory that no checksum tells about: they have no time that could."""


def checked_compare(by: object) -> CompareBy:
    """`by`, if it is one of COMPARE_BY. Raises `ConfigError`."""
    for known in COMPARE_BY:
        if by == known:
            return known
    raise ConfigError(f"compare = {by!r}: must be {', '.join(map(repr, COMPARE_BY))}")


class Local(NamedTuple):
    """A source, looked at. `size` in bytes, None where only reading it would show; `mtime_ns` None where it
    has no time of modification."""

    key: str
    size: int | None
    mtime_ns: int | None
    source: ObjectSource


class Pair(NamedTuple):
    """A source and the object of its key; one of them may be missing."""

    local: Local | None
    found: ListedObject | None


class Decision(NamedTuple):
    """What becomes of a pair: `reason` is SAME, or why the source is uploaded.

    `because`: why no checksum tells, where one was asked for, so that size and time have decided, or nothing
    has (NOT_PROVEN); or why the source cannot be read.
    """

    local: Local
    found: ListedObject | None
    reason: str
    because: str = ""


def by_size(local: Local, found: ListedObject | None) -> str:
    """The reason by what is there and how large it is."""
    if found is None:
        return NEW
    if local.size is None:
        return UNKNOWN
    if local.size != found.size:
        return LARGER if local.size > found.size else SMALLER
    return SAME


def by_time(local: Local, found: ListedObject) -> str:
    """The reason by when the object was written."""
    if local.mtime_ns is None:
        return NOT_PROVEN
    if found.last_modified_s is None:
        return NEWER
    return NEWER if local.mtime_ns / 1e9 > found.last_modified_s else SAME


class Joined:
    """Joins two ordered streams as they come: see the module's rules.

    Whoever has one gives `more_local` and `more_found` when these are wanted, and takes `pairs`.
    """

    def __init__(self) -> None:
        self._local: Sequence[Local] = ()
        self._found: Sequence[ListedObject] = ()
        self._at_local = self._at_found = 0
        self._local_ended = self._found_ended = False

    @property
    def wants_local(self) -> bool:
        return self._at_local >= len(self._local) and not self._local_ended

    @property
    def wants_found(self) -> bool:
        return self._at_found >= len(self._found) and not self._found_ended

    @property
    def local_ended(self) -> bool:
        """All sources have been taken."""
        return self._local_ended and self._at_local >= len(self._local)

    @property
    def ended(self) -> bool:
        return self.local_ended and self._found_ended and self._at_found >= len(self._found)

    def more_local(self, batch: Sequence[Local] | None) -> None:
        """The next sources; None: there are no more."""
        self._local, self._at_local, self._local_ended = batch or (), 0, batch is None

    def more_found(self, page: Sequence[ListedObject] | None) -> None:
        """The next objects; None: there are no more."""
        self._found, self._at_found, self._found_ended = page or (), 0, page is None

    def pairs(self) -> list[Pair]:
        """As far as both sides reach, in the order of the keys."""
        made: list[Pair] = []
        local, found, i, j = self._local, self._found, self._at_local, self._at_found
        while i < len(local) and j < len(found):
            ours, theirs = local[i].key, found[j].key
            if ours == theirs:
                made.append(Pair(local[i], found[j]))
                i, j = i + 1, j + 1
            elif ours < theirs:
                made.append(Pair(local[i], None))
                i += 1
            else:
                made.append(Pair(None, found[j]))
                j += 1
        if self._found_ended and j >= len(found):
            made += [Pair(one, None) for one in local[i:]]
            i = len(local)
        if self._local_ended and i >= len(local):
            made += [Pair(None, one) for one in found[j:]]
            j = len(found)
        self._at_local, self._at_found = i, j
        return made
