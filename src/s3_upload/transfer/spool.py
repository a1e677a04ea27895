"""Parts of streams that are too big for the memory: they wait in temporary files until they are through.

Rules:

* A part of a stream may have to be sent twice, and cannot be read twice.  It is held in memory if WHOLE_PARTS
  of its size fit there.  A larger one goes into a file, piece by piece as it comes, and leaves in slices like
  a part of a file (`sliced.py`).
* The files lie where `tempfile` puts them (TMPDIR).  They have no name, so nothing is left whatever becomes
  of this process.  Together they have at most MAX_BYTES, or half of what is free there; one is always
  allowed.

Theory of operation.  10,000 parts that all fit into memory are a stream of 300 GB at best, with the usual
200 MiB; S3 takes 48.8 TiB.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import BinaryIO

from s3_upload.crc import crc32
from s3_upload.descriptors import patiently
from s3_upload.errors import SourceError
from s3_upload.parts import MAX_PART_BYTES
from s3_upload.sources.files import HashedBody, Reader, Sums
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.sliced import SLICE_BYTES, InSlices, Offload

WHOLE_PARTS = 3
PIECE_BYTES = 4 << 20
MAX_BYTES = 2 * MAX_PART_BYTES

ReadBlock = Callable[[int], Awaitable[tuple[bytes, bool]]]
"""`await read(size)` gives the next bytes of a stream, fewer only at its end, and whether that is it."""


class SpooledPart(InSlices):
    """A part in a temporary file of its own, which has `reserved_bytes` of the disk.

    `crc`: the CRC-32 of what came.
    """

    def __init__(self, reader: Reader, offload: Offload, key: str, reserved_bytes: int) -> None:
        """Blocking. Raises `SourceError`."""
        self.crc = 0
        self.reserved_bytes = reserved_bytes
        self._offload = offload
        self._key = key
        # A part and its hedge are read in two threads, and share the file's position.
        self._lock = threading.Lock()
        self._size = 0
        # Set before the file is opened: `__del__` runs also where that fails.
        self._file: BinaryIO | None = None
        try:
            self._file = patiently(_temporary_file, clock=reader.clock, pause=reader.pause)
        except OSError as error:
            raise self._trouble(error) from error

    def __del__(self) -> None:
        self.close()

    def __len__(self) -> int:
        return self._size

    def append(self, piece: bytes, sums: Sums) -> None:
        """Blocking. Raises `SourceError`."""
        assert self._file is not None
        sums.add(piece)
        view = memoryview(piece)
        try:
            # The file has no buffer, so one write may take less than all.
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._trouble(error) from error
        self._size += len(piece)

    @property
    def closed(self) -> bool:
        return self._file is None or self._file.closed

    def close(self) -> None:
        """Gives the disk back. Blocking: for a big file this takes its time."""
        if self._file is not None:
            self._file.close()

    async def read(self, start: int, crc: int) -> tuple[bytes, int]:
        piece, crc = await self._offload(self._read_slice, start, crc)
        if start + len(piece) == self._size and crc != self.crc:
            raise SourceError(f"{self._key}: what came by it was changed in {_place()}")
        return piece, crc

    def read_at(self, offset: int, size: int) -> bytes:
        assert self._file is not None
        missing = max(0, min(size, self._size - offset))
        pieces = []
        try:
            with self._lock:
                self._file.seek(offset)
                while missing and (piece := self._file.read(missing)):
                    pieces.append(piece)
                    missing -= len(piece)
        # ValueError: the file is closed.
        except (OSError, ValueError) as error:
            raise self._trouble(error) from error
        if missing:
            raise SourceError(f"{self._key}: what came by it was cut short in {_place()}")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_slice(self, start: int, crc: int) -> tuple[bytes, int]:
        piece = self.read_at(start, SLICE_BYTES)
        return piece, crc32(piece, crc)

    def _trouble(self, error: Exception) -> SourceError:
        reason = getattr(error, "strerror", None) or str(error)
        return SourceError(
            f"{self._key}: {_place()}: {reason}: parts of a stream that are too big for the "
            "memory wait there; name another place (TMPDIR) or give more memory (max_in_flight_bytes)"
        )


class Spool:
    """The parts of one run's streams, whose blocks may have `memory_bytes` in all."""

    def __init__(self, memory_bytes: int, reader: Reader, offload: Offload) -> None:
        self._memory_bytes = memory_bytes
        self._reader = reader
        self._offload = offload
        self._disk = Memory(MAX_BYTES)
        self._looked = False
        self._looking = asyncio.Lock()

    def room(self, size: int) -> int:
        """How much memory the reading of a block of `size` bytes takes."""
        return size if size * WHOLE_PARTS <= self._memory_bytes else min(size, PIECE_BYTES)

    async def block(self, read: ReadBlock, size: int, key: str) -> tuple[HashedBody, bool]:
        """The next `size` bytes of the stream `key`, and whether they are the last.

        Raises `SourceError`.
        """
        piece, last = await read(self.room(size))
        if last or len(piece) == size:
            hashed: HashedBody = await self._offload(self._reader.hashed, piece)
            return hashed, last
        # Once, before any room is taken: from then on it is counted here.
        async with self._looking:
            if not self._looked:
                self._disk = Memory(await self._offload(_limit_bytes))
                self._looked = True
        # Room for all of it before any is written: where none is left, streams wait for what is sent.
        await self._disk.room(size)
        try:
            part: SpooledPart = await self._offload(SpooledPart, self._reader, self._offload, key, size)
            sums = self._reader.sums()
            await self._offload(part.append, piece, sums)
            while not last and len(part) < size:
                piece, last = await read(min(PIECE_BYTES, size - len(part)))
                await self._offload(part.append, piece, sums)
        # Also where it is cancelled: other streams may wait for this room.
        except BaseException:
            self._disk.release(size)
            raise
        part.crc = sums.crc
        return sums.of(part), last

    async def free(self, part: SpooledPart) -> None:
        """Nobody needs `part` any more."""
        await self._offload(part.close)
        self._disk.release(part.reserved_bytes)


def _temporary_file() -> BinaryIO:
    # Imported here and below, since it brings zlib, bz2 and lzma: every start would pay for them.
    import tempfile

    return tempfile.TemporaryFile(buffering=0, prefix="s3-upload-")


def _place() -> str:
    """Where they lie."""
    import tempfile

    try:
        return tempfile.gettempdir()
    # Nothing can be written, as in a container with a read-only root.
    except OSError:
        return "TMPDIR"


def _limit_bytes() -> int:
    import shutil
    import tempfile

    try:
        return min(MAX_BYTES, shutil.disk_usage(tempfile.gettempdir()).free // 2)
    # The first part will say what is wrong.
    except OSError:
        return MAX_BYTES
