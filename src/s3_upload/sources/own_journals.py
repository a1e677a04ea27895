"""The journals that this process has open: none of them is a source, and none is opened to be read.

Rules:

* A process that closes any descriptor of a file loses all its locks on it (fcntl(2)), and another process
  gets the journal of a run that goes on.  So what turns out to be one when it is open, whatever its name,
  stays open for as long as the journal does.  By the same path it is not opened again, or each read would
  cost one more descriptor.
* A run leaves out its own journal before that, by its name: with what SQLite keeps beside it, and also where
  other processes read.  To look at every file first would cost each of them a system call.
* A forked process has none of its parent's: the parent's locks are not its own, and nobody tells it when they
  are left.  A worker of a pool would skip whatever file gets such a number, for as long as the pool lives.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import msgspec

from s3_upload.errors import SourceError
from s3_upload.sources.source import ObjectSource, info_of, is_same_file
from s3_upload.sources.walk import Entry, PlainFiles

ENDS = ("", "-wal", "-shm", "-journal")
"""Of the names of the files that SQLite may keep: https://sqlite.org/tempfiles.html"""
WHY = "is the journal of an upload"

Identity = tuple[int, int]

_lock = threading.Lock()
_journals: dict[str, Identity | None] = {}
"""Which file each is, by its real path; None: none yet, or numbers of files tell nothing there."""
_left_open: dict[Identity, list[int]] = {}
"""Descriptors of these files that must not be closed yet."""
_paths: dict[str, Identity] = {}
"""By which path one of them was opened to be read."""


class OwnJournalError(SourceError):
    """A source that turned out to be such a journal: it is skipped."""


class Parts:
    """The files of the journal at `path`."""

    def __init__(self, path: str) -> None:
        real_path = os.path.realpath(path)
        self._paths = [real_path + end for end in ENDS]
        self._names = tuple(map(os.path.basename, self._paths))
        self._different = frozenset(self._names)

    def passed_over(self, source: ObjectSource) -> ObjectSource:
        """The same; one that is skipped where it is one of these."""
        if isinstance(source, ObjectSource) and self.has(source.path) and source.is_file:
            return msgspec.structs.replace(source, skip_reason=WHY)
        return source

    def left_of(self, entry: Entry) -> Entry:
        """The same of a walk, without these."""
        if isinstance(entry, ObjectSource) or self._different.isdisjoint(entry.names):
            return entry
        base, prefix, names = entry
        return PlainFiles(base, prefix, [name for name in names if not self.has(base + name)])

    def has(self, path: str) -> bool:
        # Of nearly all their names say no.
        return path.endswith(self._names) and (
            os.path.realpath(path) in self._paths or any(is_same_file(path, each) for each in self._paths)
        )


def take(path: str) -> bool:
    """From now on the caller has the journal at that real path; False: another of this process has it."""
    with _lock:
        identity = identity_of(path)
        if path in _journals or identity in _left_open:
            return False
        _journals[path] = None
        _tell_apart(path, identity)
        return True


def found(path: str) -> None:
    """The file at that path is the one that is locked from now on."""
    with _lock:
        _tell_apart(path, identity_of(path))


def leave(path: str) -> None:
    """It is closed."""
    with _lock:
        identity = _journals.pop(path, None)
        for fd in _left_open.pop(identity, ()) if identity else ():
            os.close(fd)
        for other in [each for each, its in _paths.items() if its not in _left_open]:
            del _paths[other]


def open_source(path: str, flags: int) -> int:
    """As `os.open`, but raises `OwnJournalError` for what was one of them at that path, and still is."""
    if path in _paths and identity_of(path) in _left_open:
        raise OwnJournalError(f"{path}: {WHY}")
    return os.open(path, flags)


def is_one(info: os.stat_result) -> bool:
    """Whether a file is one of them. It is to be closed by `close`."""
    return (info.st_dev, info.st_ino) in _left_open


def close(fd: int, path: str, info: os.stat_result) -> None:
    """Closes a file that was read, but for a journal: that, when it is left."""
    if is_one(info):
        identity = info.st_dev, info.st_ino
        with _lock:
            kept = _left_open.get(identity)
            if kept is not None:
                kept.append(fd)
                _paths[path] = identity
                return
    os.close(fd)


def identity_of(path: str) -> Identity | None:
    """Which file is at `path`, which is not opened; None: there is none."""
    info = info_of(path)
    return None if info is None else (info.st_dev, info.st_ino)


def _tell_apart(path: str, identity: Identity | None) -> None:
    # There are file systems on which all have one number: there it would take every file for the journal.
    if identity is not None and identity == identity_of(path.rpartition(os.sep)[0] or os.sep):
        identity = None
    was = _journals[path]
    if was == identity:
        return
    _journals[path] = identity
    kept = _left_open.pop(was, []) if was else []
    if identity is not None:
        _left_open[identity] = kept


def _forget() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
    for fds in _left_open.values():
        for fd in fds:
            with suppress(OSError):
                os.close(fd)  # which costs the parent no lock
    for known in (_journals, _left_open, _paths):
        known.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
