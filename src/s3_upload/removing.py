"""`remove_source`: files that are uploaded are removed, each when its report is there.

Rules:

* Only what the store has proved to have: the report says success, with an ETag, and as many bytes as the file
  had when it was found.
* Never a file that changed meanwhile.  Each is looked at before it is read, and compared when it is uploaded,
  as readers compare versions (`sources/version.py`).
* The last look opens it: else NFS may tell what it remembers of a file that another host has changed.
* The version that was sent has to be that one, by size and time of modification: on another host another file
  may lie at the same path.  Where its report has no time, what was sent elsewhere is not known, and it stays.
* Two writes within one tick of a file system's clock leave the same times.  So a file that was written to
  just now is looked at again when that tick is over, and read after that.  One that is written to even then
  may change unseen, and stays.
* A link stays, and so does what was found behind one: neither is the file that the source names.
* Of a file that is under way to several keys, the last to end removes it, if all are there; a path in two
  spellings is one file.  Sources that lie in one another are refused: what is removed cannot go again.
* Under the key of a file that is removed no other file, and no bytes or stream, goes in the same run: they
  would overwrite the only copy.  Such a second source fails; the same file may go once more.  Of each key
  sixteen bytes are kept for that, where sources bring keys of their own: paths are refused with two files for
  one key.
* Directories stay.
* What stays is told in a note; nothing is tried twice.
* What an earlier run uploaded is removed when the store has proved once more to have it (`moved.py`).
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import blake2b
from inspect import isawaitable
from typing import Any

import msgspec

from s3_upload.errors import ConfigError, FailureKind, SourceError
from s3_upload.report import SUCCESS, UploadReport
from s3_upload.sources.files import opened_and_looked_at
from s3_upload.sources.preserving import FieldsOf, Files, preserving
from s3_upload.sources.source import ObjectSource, is_sent
from s3_upload.sources.version import COARSE_TICK_NS, NO_TIME_NS, Identity, Versions
from s3_upload.threads import DaemonThreads, each

Progress = Callable[[UploadReport], Any]
MAX_TOLD = 20
"""What stays is told by name up to here."""
JUST_WRITTEN = "it was written to just before it was read"
_HASH_BYTES = 8
_ROWS = 4_096
"""Of a hundred million keys 24,000 are in each, which are searched in some microseconds."""


def looked_at(files: Files, preserves_beside: FieldsOf | None, remover: Remover | None) -> Files:
    """The files, looked at for what is to be known of each before it is read. `preserves_beside`: their times
    are kept beside these fields."""
    if preserves_beside is not None:
        files = preserving(files, preserves_beside)
    return files if remover is None else remover.noting(files)


def refuse_overlap(paths: Sequence[str]) -> None:
    """Raises `ConfigError` where one of the sources is another, or lies in it."""
    last_real = last = ""
    for real, path in sorted((os.path.join(os.path.realpath(path), ""), path) for path in paths):  # noqa: PTH118
        if last_real and real.startswith(last_real):
            how = "is the same as" if real == last_real else "lies in"
            raise ConfigError(
                f"{path}: {how} {last}, which is a source too, and what is removed cannot be uploaded again: "
                "leave one out"
            )
        last_real, last = real, path


class _Found(msgspec.Struct):
    """A file that was found: what it was first, and when that was seen; its name and all spellings of its
    path, how many of its uploads have not ended, and whether all that have are proved; size and time of
    modification of what they sent."""

    identity: Identity
    seen_ns: int
    name: str
    paths: list[str] = []
    uploads: int = 0
    is_there: bool = True
    sent: set[tuple[int, int]] = set()


class _Files:
    """Those that were found and have not ended.  Noted in one thread, ended in another."""

    def __init__(self) -> None:
        self._by_path: dict[str, _Found] = {}
        self._by_name: dict[str, _Found] = {}  # the directory's without links, so each file is there once
        self._directory = lru_cache(256)(os.path.realpath)
        self._lock = threading.Lock()

    def name_of(self, path: str) -> str:
        """The same in all spellings of the path. May block, and raises ValueError for what is no path."""
        directory, name = os.path.split(path)
        return os.path.join(self._directory(directory), name)  # noqa: PTH118 - quicker

    def note(self, path: str, name: str, identity: Identity, seen_ns: int) -> None:
        """It is to be uploaded, once more if it is there already."""
        with self._lock:
            found = self._by_path.get(path)
            if found is None:
                first = _Found(identity, seen_ns, name)
                found = self._by_path[path] = self._by_name.setdefault(name, first)
                found.paths.append(path)
            found.uploads += 1

    def ended(self, path: str, size: int, mtime_ns: int, *, is_there: bool) -> _Found | None:
        """What was noted of a file that is to be removed now. `size`, `mtime_ns`: of what was sent."""
        with self._lock:
            found = self._by_path.get(path)
            if found is None:
                return None
            found.uploads -= 1
            found.sent.add((size, mtime_ns))
            found.is_there = found.is_there and is_there
            if found.uploads:
                return None
            del self._by_name[found.name]
            for each in found.paths:
                del self._by_path[each]
        return found if found.is_there else None


class _Keys:
    """Which file went under which key: of both eight bytes of a hash. A dict of them would take many times as
    much, for each file of a run."""

    def __init__(self) -> None:
        self._rows: defaultdict[int, bytearray] = defaultdict(bytearray)

    def takes(self, key: str, name: str) -> bool:
        """Whether no other file than that of this `name` has `key`; that has it from now on. "": no file."""
        of_key, of_file = _hash(key), _hash(name)
        row = self._rows[int.from_bytes(of_key[:2]) % _ROWS]
        at = row.find(of_key)
        while at > 0 and at % (2 * _HASH_BYTES):  # lies across two hashes
            at = row.find(of_key, at + 1)
        if at >= 0:
            return row[at + _HASH_BYTES : at + 2 * _HASH_BYTES] == of_file
        if name:
            row += of_key + of_file
        return True


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).digest()


class Remover:
    """For one run. `roots`: the paths that were given. `check`: as in `UploadConfig.source_check`."""

    def __init__(self, roots: Sequence[str] = (), check: str = "version") -> None:
        self.removed = 0
        self.stays = 0
        """Files that were uploaded, and not removed."""
        self.failed = 0
        """Those of them that changed, or may have, or could not be removed."""
        self._just_written = 0
        self._roots = [root.rstrip(os.sep) + os.sep for root in roots]
        self._versions = Versions(check)
        self._elsewhere = False
        self._found = _Files()
        self._keys = None if roots else _Keys()
        self._told: list[str] = []
        self._threads = DaemonThreads(1, "s3-upload-remove")

    def noting(self, files: Files) -> Files:
        """The same files; what they are before they are read is noted."""
        return each(files, self._noted, "s3-upload-look")

    def beside(self, progress: Progress | None, *, elsewhere: bool = False) -> Progress:
        """`progress`, and then what was uploaded is removed. `elsewhere`: it may be, by other hosts."""
        self._elsewhere = elsewhere

        def both(report: UploadReport) -> Any:
            returned = None if progress is None else progress(report)
            source = report.object
            if source is None:
                return returned
            is_there = report.outcome == SUCCESS and report.etag != ""
            found = self._found.ended(source.path, report.bytes, report.mtime_ns, is_there=is_there)
            return returned if found is None else self._after(returned, found)

        return both

    async def uploaded_before(self, source: ObjectSource, size: int, mtime_ns: int) -> None:
        """An earlier run has uploaded it, which is proved: the version of that size and time."""
        found = self._found.ended(source.path, size, mtime_ns, is_there=True)
        if found is not None:
            await self._after(None, found)

    def notes(self) -> list[str]:
        """What is to be known at the end."""
        just = self._just_written
        notes = [f"removed {self.removed:,} {'file' if self.removed == 1 else 'files'} here"]
        if just == 1:
            notes.append(f"1 file stays, though it is uploaded: {JUST_WRITTEN}: the next run removes it")
        elif just:
            notes.append(
                f"{just:,} files stay, though they are uploaded: they were written to just before they were "
                "read: the next run removes them"
            )
        more = self.stays - just - len(self._told)
        return [*notes, *self._told, *([f"{more:,} more stay"] if more else [])]

    def close(self) -> None:
        """Nothing comes any more."""
        self._threads.close()

    # --- before ---------------------------------------------------------------------------------------

    def _noted(self, source: ObjectSource) -> ObjectSource:
        if not is_sent(source):
            return source
        name = ""
        if source.is_file:
            with suppress(OSError, ValueError):  # its report will tell
                name = self._found.name_of(source.path)
                self._found.note(source.path, name, *self._look(source.path))
        if self._keys is None or self._keys.takes(source.key, name):
            return source
        why = "has the same key as a file that is removed when it is uploaded, and would overwrite it"
        problem = SourceError(f"{source.name}: {why}", FailureKind.SAME_KEY)
        return msgspec.structs.replace(source, problem=problem)

    def _look(self, path: str) -> tuple[Identity, int]:
        """What the file is, and when that was seen. Waits for the end of the tick in which it was written."""
        seen_ns = time.time_ns()
        identity = self._versions.identity(os.stat(path))  # noqa: PTH116 - quicker
        wait_ns = self._versions.settles_ns(identity, seen_ns)
        if not 0 <= wait_ns <= COARSE_TICK_NS:  # longer: its times are those of another clock
            return identity, seen_ns
        time.sleep((wait_ns + 1_000) / 1e9)
        seen_ns, info = time.time_ns(), os.stat(path)  # noqa: PTH116
        # Finds out where times are made up: there each file would be waited for.
        with suppress(SourceError):
            self._versions.verify(path, identity, info, partial(os.stat, path))
        return self._versions.identity(info), seen_ns

    # --- after ----------------------------------------------------------------------------------------

    async def _after(self, returned: Any, found: _Found) -> None:
        if isawaitable(returned):
            await returned
        why, is_failure = await self._threads.call(partial(self._remove, found))
        if not why:
            self.removed += 1
            return
        self.stays += 1
        self.failed += is_failure
        if why == JUST_WRITTEN:
            self._just_written += 1
        elif len(self._told) < MAX_TOLD:
            self._told.append(f"stays, though it is uploaded: {why}")

    def _remove(self, found: _Found) -> tuple[str, bool]:
        """Why it stays ("": it is gone), and whether that is a failure."""
        path = found.paths[0]
        try:
            real = next((each for each in found.paths if not self._is_behind_a_link(each)), None)
            if real is None:
                return f"{path}: is a link, or lies behind one", False
            path = real
            times_ns = {mtime_ns for _, mtime_ns in found.sent}
            if any(size != found.identity.size for size, _ in found.sent):
                raise SourceError(f"{path}: changed before it was read")
            if self._elsewhere and NO_TIME_NS in times_ns and self._versions.counts_mtime(found.identity):
                raise SourceError(f"{path}: it is not known which version of it was read")
            info = opened_and_looked_at(path)
            for mtime_ns in (found.identity.mtime_ns, *(times_ns - {NO_TIME_NS})):
                was = msgspec.structs.replace(found.identity, mtime_ns=mtime_ns)
                self._versions.verify(path, was, info, partial(opened_and_looked_at, path))
            if self._versions.settles_ns(found.identity, found.seen_ns) >= 0:
                return JUST_WRITTEN, True
            os.unlink(path)  # noqa: PTH108
        except SourceError as error:
            return str(error).replace("source changed while it was read", "changed meanwhile"), True
        except (OSError, ValueError) as error:
            return f"{path}: {getattr(error, 'strerror', None) or error}", True
        return "", False

    def _is_behind_a_link(self, path: str) -> bool:
        """Looked at for each file: a link may have come in the place of a directory."""
        start = max((len(root) for root in self._roots if path.startswith(root)), default=len(path))
        # Nobody has said where its tree begins, so no link on its way is known to be meant.
        if not self._roots:
            start = 1
        ends = [at for at in range(start, len(path)) if path[at] == os.sep]
        return any(os.path.islink(path[:end]) for end in (*ends, len(path)))  # noqa: PTH114
