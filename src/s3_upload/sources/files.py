"""Reads and hashes bodies. Blocking: everything here runs in reader threads, off the loop.

Rules:

* What is hashed is the very buffer that is sent; or, where a part is too big to be held, what is sent is
  known by its CRC-32 to be what was hashed (`sliced.py`).
* A file is one version or an error: its size and times are compared before and after a read, and for parts
  with what they were at first (`version.py`).
* No mmap: a file truncated under a map kills the process.
* Opening never blocks: a FIFO or device that slipped in is refused, not waited for.  But where there is no
  file descriptor left, it waits for one (`descriptors.py`).
* A journal that this process has open is not read, and not closed (`own_journals.py`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import msgspec

from s3_upload.crc import crc32
from s3_upload.descriptors import EXHAUSTED, patiently
from s3_upload.errors import FailureKind, SourceError
from s3_upload.http import Body, Buffer
from s3_upload.s3.checksum import Digests, Running, checksum_from, checksum_of, running
from s3_upload.s3.operations import Checksum
from s3_upload.sources import own_journals
from s3_upload.sources.source import Bunches, ObjectSource, checked, info_of
from s3_upload.sources.version import NO_TIME_NS, Identity, Versions, changed, told_apart

_OPEN_FLAGS = (
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)

PULL_BUDGET_S = 0.02
"""A generator that takes its time (a slow disk, a crawl) gives what it has by then."""
PULL_BYTES = 8 << 20
"""Bodies that are in memory (`ObjectSource.data`) are pulled until they hold this many bytes."""
SUM_BYTES = 1 << 20
"""Read at a time of what is only hashed."""
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
"""A flag for opening: what is a link is not followed."""


class HashedBody(msgspec.Struct, frozen=True, gc=False):
    """A buffer to send and what was computed from it (`sha256` is "" where nobody needs it).

    `mtime_ns`: of the file that was read whole; see `sources.version.told_apart`.
    """

    body: Body
    sha256: str = ""
    checksum: Checksum | None = None
    mtime_ns: int = NO_TIME_NS


class Sums:
    """What is computed of a body that comes in pieces: what the client needs and, in any case, its CRC-32, by
    which what is read again later is known to be the same."""

    def __init__(self, wanted: Digests) -> None:
        algorithm = wanted.algorithm
        self._crc = running("CRC32")
        self._sha256: Running | None = sha256() if wanted.sha256 else None
        self._algorithm = algorithm
        self._checksum = self._crc if algorithm == "CRC32" else running(algorithm) if algorithm else None
        every = (self._crc, self._sha256, self._checksum)
        self._different = list(dict.fromkeys(each for each in every if each is not None))

    def add(self, piece: Buffer) -> None:
        for each in self._different:
            each.update(piece)

    @property
    def crc(self) -> int:
        return int.from_bytes(self._crc.digest(), "big")

    def of(self, body: Body) -> HashedBody:
        """`body`, which these are the sums of."""
        return HashedBody(
            body,
            self._sha256.digest().hex() if self._sha256 is not None else "",
            checksum_from(self._algorithm, self._checksum) if self._checksum is not None else None,
        )


class BigFile(msgspec.Struct, frozen=True):
    """A file too big for one request, not yet read."""

    identity: Identity


class UnsizedFile(msgspec.Struct, frozen=True):
    """A file that claims to be empty and is not, or is of sysfs, where all claim to have a page: only reading
    it to its end shows how long it is."""


Read = HashedBody | BigFile | UnsizedFile
"""What may come of reading a file."""


class Reader(msgspec.Struct, frozen=True):
    """Blocking reads for one run: `single_limit_bytes` is the most that goes as one request."""

    single_limit_bytes: int
    digests: Digests
    clock: Callable[[], float]
    pause: Callable[[float], None]
    versions: Versions

    def pull(self, sources: Iterator[ObjectSource] | Bunches, count: int) -> tuple[list[ObjectSource], bool]:
        """Up to `count` sources, and whether that was all; what a slow iterable has after a moment."""
        if isinstance(sources, Bunches):
            bunch = sources.next_bunch(count)
            return bunch, not bunch
        pulled: list[ObjectSource] = []
        held, until_s = 0, self.clock() + PULL_BUDGET_S
        for source in sources:
            pulled.append(checked(source))
            held += len(source.body or b"")
            if len(pulled) >= count or held >= PULL_BYTES or self.clock() > until_s:
                return pulled, False
        return pulled, True

    def read_batch(
        self, sources: Iterable[ObjectSource], stop_bytes: int, flags: int = 0
    ) -> list[Read | SourceError]:
        """Reads files in turn until `stop_bytes` or more have been read; one result for each read.

        With the flag NO_LINKS it also stops before a file that is a symbolic link, and before one for which
        it would have to wait.
        """
        results: list[Read | SourceError] = []
        total = 0
        for source in sources:
            result: Read | SourceError
            try:
                result = self._read(source, flags)
            except _NotHereError:
                break
            except SourceError as error:
                result = self._once_more(source, flags, error)
            results.append(result)
            if isinstance(result, HashedBody):
                total += len(result.body)
                if total >= stop_bytes:
                    break
        return results

    def read_part(self, path: str, offset: int, size: int, identity: Identity) -> HashedBody:
        """`size` bytes from `offset` of the version of the file that `identity` names.

        Raises `SourceError`, of kind SOURCE_CHANGED if it is another version by now.
        """
        return self.hashed(self._read_version(path, offset, size, identity))

    def read_slice(
        self, path: str, offset: int, size: int, identity: Identity, crc: int
    ) -> tuple[bytes, int]:
        """As `read_part`, with the CRC-32 of it and, by `crc`, of what came before it."""
        body = self._read_version(path, offset, size, identity)
        return body, crc32(body, crc)

    def sum_piece(self, path: str, offset: int, size: int, identity: Identity, sums: Sums) -> None:
        """Adds `size` bytes from `offset` to `sums`; reads SUM_BYTES at a time."""
        end = offset + size
        for start in range(offset, end, SUM_BYTES):
            sums.add(self._read_version(path, start, min(SUM_BYTES, end - start), identity))

    def sums(self) -> Sums:
        """Nothing yet."""
        return Sums(self.digests)

    def hashed(self, body: Buffer, mtime_ns: int = NO_TIME_NS) -> HashedBody:
        """`body` with the digests that the client needs."""
        wanted, algorithm = self.digests
        return HashedBody(
            body,
            sha256(body).hexdigest() if wanted else "",
            checksum_of(algorithm, body) if algorithm else None,
            mtime_ns,
        )

    def _once_more(self, source: ObjectSource, flags: int, error: SourceError) -> Read | SourceError:
        """What has changed while it was read is read again, as it is now, once."""
        if error.kind is not FailureKind.SOURCE_CHANGED:
            return error
        try:
            return self._read(source, flags)
        except (SourceError, _NotHereError) as again:
            return again if isinstance(again, SourceError) else error

    def _read(self, source: ObjectSource, flags: int) -> Read:
        if source.body is not None:
            return self.hashed(source.body)
        path = source.path
        fd, before = self._opened(path, flags)
        try:
            size = before.st_size
            if size > self.single_limit_bytes:
                return BigFile(self.versions.identity(before))
            # What has grown meanwhile shows by its size; what claims to be empty is asked for a byte.
            body = _read_at(fd, 0, size or 1)
            after = self.versions.stat(fd)
            is_same = after.st_mtime_ns == before.st_mtime_ns and after.st_ctime_ns == before.st_ctime_ns
            if after.st_size != size or not is_same:
                self._verify(path, self.versions.identity(before), after, flags)
            if (body and not size and not after.st_size) or (len(body) < size and _is_of_sysfs(before)):
                return UnsizedFile()
            if len(body) != size:
                raise changed(path, f"{len(body)} bytes could be read, its size is {size}")
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            own_journals.close(fd, path, before)
        return self.hashed(body, told_apart(before.st_mtime_ns, before.st_ctime_ns))

    def _read_version(self, path: str, offset: int, size: int, identity: Identity) -> bytes:
        fd, before = self._opened(path)
        try:
            self._verify(path, identity, before)
            body = _read_at(fd, offset, size)
            self._verify(path, identity, self.versions.stat(fd))
            if len(body) != size:
                raise changed(path, f"{len(body)} of {size} bytes could be read at {offset}")
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            own_journals.close(fd, path, before)
        return body

    def _verify(self, path: str, identity: Identity, info: os.stat_result, flags: int = 0) -> None:
        self.versions.verify(path, identity, info, lambda: self._look(path, flags))

    def _look(self, path: str, flags: int) -> os.stat_result:
        fd, info = self._opened(path, flags)
        own_journals.close(fd, path, info)
        return info

    def _opened(self, path: str, flags: int = 0) -> tuple[int, os.stat_result]:
        """An open file, and what it is at the moment. Raises `SourceError`."""
        fd = self._open(path, flags)
        return fd, _looked_at(fd, path, self.versions.stat)

    def _open(self, path: str, flags: int = 0) -> int:
        try:
            return own_journals.open_source(path, _OPEN_FLAGS | flags)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            number = getattr(error, "errno", 0)
            if flags and (number == errno.ELOOP or number in EXHAUSTED):
                raise _NotHereError from None
            if number in EXHAUSTED:
                return self._open_patiently(path)
            raise _unreadable(path, error) from error

    def _open_patiently(self, path: str) -> int:
        """Waits for a descriptor, in its thread."""
        try:
            return patiently(lambda: os.open(path, _OPEN_FLAGS), clock=self.clock, pause=self.pause)
        except OSError as error:
            raise _unreadable(path, error) from error


def opened_and_looked_at(path: str) -> os.stat_result:
    """What the file at `path`, which is no link, is at the moment. Raises `SourceError`."""
    fd, info = _opened_patiently(path, NO_LINKS)
    own_journals.close(fd, path, info)
    return info


def _opened_patiently(path: str, flags: int = 0) -> tuple[int, os.stat_result]:
    """In a thread that may wait."""
    try:
        fd = patiently(lambda: own_journals.open_source(path, _OPEN_FLAGS | flags))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return fd, _looked_at(fd, path, os.fstat)


def pieces_of(path: str, size: int) -> Iterator[bytes]:
    """The `size` bytes of a file, SUM_BYTES at a time and the rest, in a thread that may wait.

    Raises `SourceError` where it cannot be read, or has another size by now: the latter, for one that has
    grown, when it is asked for what comes behind the last piece.
    """
    fd, info = _opened_patiently(path)
    try:
        left = size
        while left:
            wanted = min(left, SUM_BYTES)
            piece = _read_at(fd, 0, wanted)
            if len(piece) < wanted:
                break
            left -= wanted
            yield piece
        if left or os.fstat(fd).st_size != size:
            raise changed(path, f"its size was {size}, is {os.fstat(fd).st_size}")
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        own_journals.close(fd, path, info)


class _NotHereError(Exception):
    """The file is a symbolic link, and none was to be followed; or it cannot be opened without a wait."""


def _read_at(fd: int, offset: int, size: int) -> bytes:
    """Up to `size` bytes from `offset`, 0 for where it stands; fewer only at the end of the file."""
    if offset:
        os.lseek(fd, offset, os.SEEK_SET)
    chunk = os.read(fd, size)
    missing = size - len(chunk)
    if not missing or not chunk:
        return chunk
    chunks = [chunk]
    while missing and (chunk := os.read(fd, missing)):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


def _looked_at(fd: int, path: str, look: Callable[[int], os.stat_result]) -> os.stat_result:
    """What a file is that was just opened. Closes what is not read, and raises `SourceError`."""
    try:
        info = look(fd)
    except OSError as error:
        os.close(fd)
        raise _unreadable(path, error) from error
    if stat.S_ISREG(info.st_mode) and not own_journals.is_one(info):
        return info
    own_journals.close(fd, path, info)
    if stat.S_ISREG(info.st_mode):
        raise own_journals.OwnJournalError(f"{path}: {own_journals.WHY}")
    what = "is a directory" if stat.S_ISDIR(info.st_mode) else "is not a regular file"
    raise SourceError(f"{path}: {what}")


def _is_of_sysfs(info: os.stat_result) -> bool:
    sysfs = info_of("/sys")
    return sysfs is not None and info.st_dev == sysfs.st_dev


def _unreadable(path: str, error: Exception) -> SourceError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return SourceError(f"{path}: {reason}")
