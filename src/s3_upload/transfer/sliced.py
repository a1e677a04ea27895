"""Parts of files that are too big to be held in memory: read once to be hashed, and again as they are sent.

Rules:

* What is sent is what was hashed.  The CRC-32 is computed again as the slices are read, and the last slice is
  given out only if it agrees.  Otherwise the source has changed: the request is aborted one slice short of
  its end, so no store can take it for complete.
* Every slice is of the version of the file that is to be sent, by its identity before and after the read.
* At most `SLICES_HELD` slices of one sending are in memory: one that leaves, and one that is read meanwhile.
* Each slice, and each piece that is hashed, is a call of its own in a reader thread.  So a part of gigabytes
  does not occupy a thread for long.

Theory of operation.  Headers come before the body, and S3 wants its checksum (and over http its SHA-256)
in them.  Checksums in a trailer ("aws-chunked") would need one reading only.  But many stores do not support
them, over http each chunk needs a signature, and a retry reads again in any case.  The second reading comes
from the page cache, since no more parts are hashed ahead than there are reader threads.  It takes, with its
CRC-32, about a second of processor time per GB.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from s3_upload.http import SlicedBody, Slices
from s3_upload.sources.files import HashedBody, Reader
from s3_upload.sources.version import Identity, changed
from s3_upload.threads import seen
from s3_upload.transfer.guard import guarded
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.parts_line import PartPlan

SLICE_BYTES = 1 << 20
SLICES_HELD = 2
PIECE_BYTES = 8 << 20
"""Hashed by one call."""

ENOUGH_PARTS = 40
"""So many parts of the usual size fit into the usual memory.  Parts of which so many fit are always held
as a whole, larger ones where there is room."""
WHOLE_SHARE = 8
"""A part larger than 1 / WHOLE_SHARE of the memory is never held there."""
SLICES_SHARE = 4
"""Parts that could go in slices leave 1 / SLICES_SHARE of the memory to those that do."""

Offload = Callable[..., Awaitable[Any]]
"""`await offload(function, *arguments)` runs a blocking function off the loop."""


class InSlices(SlicedBody):
    """A body that gives its slices one after the other, by calls of `_offload`. Abstract."""

    held_bytes = SLICES_HELD * SLICE_BYTES
    _offload: Offload

    async def read(self, start: int, crc: int) -> tuple[bytes, int]:
        """The slice from `start`, and the CRC-32 up to its end; `crc`: that up to `start`.

        Raises `SourceError`, also where the last slice shows that this is not what was hashed.
        """
        raise NotImplementedError

    def slices(self, ready: Callable[[], None]) -> Slices:
        return FileSlices(self, ready)

    async def md5_base64(self) -> str:
        md5 = hashlib.md5(usedforsecurity=False)

        def add(start: int) -> None:
            md5.update(self.read_at(start, SLICE_BYTES))

        for start in range(0, len(self), SLICE_BYTES):
            await self._offload(add, start)
        return base64.b64encode(md5.digest()).decode()


class FilePart(InSlices):
    """`size` bytes from `offset` of the version of the file at `path` that `identity` names.

    `crc`: their CRC-32 when they were hashed, None where they were not.
    """

    def __init__(
        self, reader: Reader, offload: Offload, path: str, identity: Identity, *, offset: int, size: int
    ) -> None:
        self.crc: int | None = None
        self._reader = reader
        self._offload = offload
        self._path = path
        self._offset = offset
        self._size = size
        self._identity = identity

    def __len__(self) -> int:
        return self._size

    async def hashed(self) -> HashedBody:
        """This, and what the client needs to know of it beforehand. Raises `SourceError`."""
        reader = self._reader
        # No header says anything of the body, so a first reading would be for nothing.
        if not any(reader.digests):
            return HashedBody(self)
        sums = reader.sums()
        # One call for each piece: between two of them the thread is free for others.
        for start in range(0, self._size, PIECE_BYTES):
            size = min(PIECE_BYTES, self._size - start)
            await self._offload(
                reader.sum_piece, self._path, self._offset + start, size, self._identity, sums
            )
        self.crc = sums.crc
        return sums.of(self)

    async def read(self, start: int, crc: int) -> tuple[bytes, int]:
        size = min(SLICE_BYTES, self._size - start)
        piece, crc = await self._offload(
            self._reader.read_slice, self._path, self._offset + start, size, self._identity, crc
        )
        # Raised in place of the last slice: no store takes a request that lacks it for complete.
        if start + size == self._size and self.crc not in (None, crc):
            raise changed(self._path, "its bytes are not those that were hashed before they were sent")
        return piece, crc

    def read_at(self, offset: int, size: int) -> bytes:
        size = max(0, min(size, self._size - offset))
        return self._reader.read_slice(self._path, self._offset + offset, size, self._identity, 0)[0]


class PartRoom(msgspec.Struct, frozen=True):
    """How a part of a file goes in a memory of `limit_bytes`.  As a whole while it fits, which costs one
    reading only; in slices where the memory is full and more parts are wanted."""

    limit_bytes: int

    def of(self, size: int, memory: Memory, *, may_hash: bool) -> int:
        """How many bytes a part of `size` bytes may hold now: all, as many as it does in slices, or 0.

        `may_hash`: what is hashed now is sent before it leaves the page cache.
        """
        # Of such parts enough fit, or slices would hold as much: they go as a whole, and wait for room.
        if size * ENOUGH_PARTS <= self.limit_bytes or size <= FilePart.held_bytes:
            return size if memory.fits(size) else 0
        # Larger parts leave some memory free, so that others can still go in slices beside them.
        left = self.limit_bytes // SLICES_SHARE
        if size * WHOLE_SHARE <= self.limit_bytes and memory.fits(size + left):
            return size
        # A part hashed too early has left the page cache when it is sent, and comes from the disk twice.
        return FilePart.held_bytes if may_hash and memory.fits(FilePart.held_bytes) else 0


async def read_part(
    reader: Reader,
    offload: Offload,
    path: str,
    identity: Identity,
    plan: PartPlan,
    *,
    in_slices: bool,
) -> HashedBody:
    """A part of a file: all of it in memory, or ready to be sent `in_slices` where it is too big for that.

    Raises `SourceError`.
    """
    if in_slices and plan.size > FilePart.held_bytes:
        return await FilePart(reader, offload, path, identity, offset=plan.offset, size=plan.size).hashed()
    part: HashedBody = await offload(reader.read_part, path, plan.offset, plan.size, identity)
    return part


class FileSlices(Slices):
    """One sending of a part; reads one slice ahead."""

    def __init__(self, part: InSlices, ready: Callable[[], None]) -> None:
        self._part = part
        self._ready = ready
        self._start = 0  # of the slice that is read next
        self._crc = 0
        self._read: asyncio.Future[tuple[bytes, int]] | None = None
        self._error: BaseException | None = None
        self._there = guarded(self._lost, self._done)
        self._read_next()

    def take(self) -> bytes | None:
        read = self._read
        if self._error is not None:
            raise self._error
        if read is None or not read.done():
            return None
        piece, self._crc = read.result()
        self._start += len(piece)
        self._read_next()
        return piece

    def close(self) -> None:
        read, self._read = self._read, None
        if read is not None:
            # Nobody wants what it still reads, so `ready` must not be called for it.
            read.remove_done_callback(self._there)
            read.add_done_callback(guarded(self._lost, seen))
            read.cancel()

    def _read_next(self) -> None:
        self._read = None
        if self._start < len(self._part):
            self._read = asyncio.ensure_future(self._part.read(self._start, self._crc))
            self._read.add_done_callback(self._there)

    def _lost(self, error: BaseException) -> None:
        """A callback raised `error`, which ends the sending."""
        self._error = error

    def _done(self, _read: asyncio.Future[tuple[bytes, int]]) -> None:
        self._ready()
