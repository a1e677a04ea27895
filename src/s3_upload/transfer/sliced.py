"""Parts of files that are too big to be held in memory: read once to be hashed, and again as they are sent.

Rules:

* What is sent is what was hashed: each slice has its CRC-32 computed as it is read, and the last one is
  given out only if the whole is that of before.  Else the request is aborted one slice short of its end, so
  that no store can take it for complete, and the source has changed.
* Every slice is of the version of the file that is to be sent, by its identity before and after the read.
* At most `SLICES_HELD` slices of one sending are in memory: one that leaves, and one that is read meanwhile.
* A slice is a call of its own in a reader thread, and so is a piece that is hashed: parts of gigabytes do
  not keep the threads from one another.

Theory of operation.  Headers come before the body, and S3 wants its checksum (and over http its SHA-256)
in them.  The other way, checksums in a trailer ("aws-chunked"), needs one reading only, but many stores do
not know it, over http it wants a signature for each chunk, and a retry reads again in any case.  The second
reading comes from the page cache, as only as many parts are hashed ahead as reader threads are there; it
and its CRC-32 take about a second of processor time per GB.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from s3_upload.http import SlicedBody, Slices
from s3_upload.sources.files import HashedBody, Reader
from s3_upload.sources.version import Identity, changed
from s3_upload.transfer.guard import guarded
from s3_upload.transfer.memory import Memory

SLICE_BYTES = 1 << 20
SLICES_HELD = 2
PIECE_BYTES = 8 << 20
"""Hashed by one call."""

ENOUGH_PARTS = 40
"""As many parts of the usual size fit into the usual memory: parts of which so many fit are always held
there, and others where there is room."""
WHOLE_SHARE = 8
"""A part larger than 1 / WHOLE_SHARE of the memory is never held there."""
SLICES_SHARE = 4
"""1 / SLICES_SHARE of the memory is left to slices by parts that could go in such."""

Offload = Callable[..., Awaitable[Any]]
"""`await offload(function, *arguments)` runs a blocking function off the loop."""


class FilePart(SlicedBody):
    """`size` bytes from `offset` of the version of the file at `path` that `identity` names.

    `crc`: the CRC-32 that they had when they were hashed, None where they were not.
    """

    held_bytes = SLICES_HELD * SLICE_BYTES

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

    def __repr__(self) -> str:
        return f"<FilePart {self._path} {self._offset}+{self._size}>"

    async def hashed(self) -> HashedBody:
        """This, and what the client needs to know of it beforehand. Raises `SourceError`."""
        reader = self._reader
        if not (reader.needs_sha256 or reader.checksum_algorithm):
            return HashedBody(self)
        sums = reader.sums()
        for start in range(0, self._size, PIECE_BYTES):
            size = min(PIECE_BYTES, self._size - start)
            await self._offload(
                reader.sum_piece, self._path, self._offset + start, size, self._identity, sums
            )
        self.crc = sums.crc
        return sums.of(self)

    async def read(self, start: int, crc: int) -> tuple[bytes, int]:
        """The slice from `start`, and the CRC-32 up to its end, by that of what comes before it.

        Raises `SourceError`, also where the last slice shows that this is not what was hashed.
        """
        size = min(SLICE_BYTES, self._size - start)
        piece, crc = await self._offload(
            self._reader.read_slice, self._path, self._offset + start, size, self._identity, crc
        )
        if start + size == self._size and self.crc not in (None, crc):
            raise changed(self._path, "its bytes are not those that were hashed before they were sent")
        return piece, crc

    def slices(self, ready: Callable[[], None]) -> Slices:
        return FileSlices(self, ready)

    def read_at(self, offset: int, size: int) -> bytes:
        size = max(0, min(size, self._size - offset))
        return self._reader.read_slice(self._path, self._offset + offset, size, self._identity, 0)[0]

    async def md5_base64(self) -> str:
        md5 = hashlib.md5(usedforsecurity=False)
        for start in range(0, self._size, SLICE_BYTES):
            md5.update(await self._offload(self.read_at, start, SLICE_BYTES))
        return base64.b64encode(md5.digest()).decode()


class PartRoom(msgspec.Struct, frozen=True):
    """How a part of a file goes in a memory of `limit_bytes`: as a whole as long as it fits, which costs one
    reading only; in slices where the memory is full of such and more are wanted."""

    limit_bytes: int

    def of(self, size: int, memory: Memory, *, may_hash: bool) -> int:
        """How many bytes a part of `size` bytes may hold now: all, as many as it does in slices, or 0.

        `may_hash`: what is hashed now is sent before it has left the page cache.
        """
        if size * ENOUGH_PARTS <= self.limit_bytes or size <= FilePart.held_bytes:
            return size if memory.fits(size) else 0
        left = self.limit_bytes // SLICES_SHARE
        if size * WHOLE_SHARE <= self.limit_bytes and memory.fits(size + left):
            return size
        return FilePart.held_bytes if may_hash and memory.fits(FilePart.held_bytes) else 0


async def read_part(
    reader: Reader,
    offload: Offload,
    path: str,
    identity: Identity,
    *,
    offset: int,
    size: int,
    in_slices: bool,
) -> HashedBody:
    """A part of a file: all of it in memory or, where it is too big for that, ready to be sent `in_slices`.

    Raises `SourceError`.
    """
    if in_slices and size > FilePart.held_bytes:
        return await FilePart(reader, offload, path, identity, offset=offset, size=size).hashed()
    part: HashedBody = await offload(reader.read_part, path, offset, size, identity)
    return part


class Part(Protocol):
    """A body that gives its slices one after the other."""

    def __len__(self) -> int: ...
    async def read(self, start: int, crc: int) -> tuple[bytes, int]: ...


class FileSlices(Slices):
    """One sending of a `Part`; reads one slice ahead."""

    def __init__(self, part: Part, ready: Callable[[], None]) -> None:
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
            read.remove_done_callback(self._there)
            read.add_done_callback(guarded(self._lost, _seen))
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


def _seen(read: asyncio.Future[Any]) -> None:
    """Takes note of an abandoned read's end, which asyncio would else report as never retrieved."""
    if not read.cancelled():
        read.exception()
