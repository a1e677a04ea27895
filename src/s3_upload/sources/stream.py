"""Cuts what a stream gives, chunk by chunk, into blocks of given sizes.

Rules:

* A block is a copy of its own unless it is exactly one chunk: no block keeps the rest of a big chunk in
  memory, and a caller may fill its buffer again.
* However big or small the chunks are, each byte is copied at most twice: when its chunk is cut, and when
  its block is put together.
* Only as much is read ahead as shows whether a block is the last: one chunk, or of a file one byte.
* An async iterable is asked on the loop.  One that has an async `read`, too (asyncio.StreamReader, aiofiles),
  would give lines, however long, or none: it is read in pieces.
* Plain iterables and files may block, so they are read in threads, a block at a time.
* What a stream raises is a `SourceError` of its object alone; a chunk that is not bytes is a `TypeError`:
  a mistake in the program that calls, and not of this object.
* When no more is wanted before its end, a generator is closed where it is read, never while it is: what it
  has open would stay open for as long as somebody keeps its source.  A file stays whose it is.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from contextlib import suppress
from inspect import iscoroutinefunction, signature
from typing import Any

import msgspec

from s3_upload.checks import as_view
from s3_upload.errors import SourceError, are_we_cancelled
from s3_upload.sources.source import Chunks
from s3_upload.sources.unsized import OpenedFile

PIECE_BYTES = 1 << 18
"""So much an async reader is asked for."""
_END = object()


class BegunStream(msgspec.Struct, eq=False):
    """A stream that is begun; `ahead_bytes` is what counts as read ahead."""

    blocks: BlockStream
    key: str
    ahead_bytes: int = 0


class BlockStream:
    """Reads one source of the kind "stream"; `taken` counts the bytes given out.

    `offload` runs what may block for ever.
    """

    def __init__(
        self, chunks: Chunks, name: str, expected_size: int | None, offload: Callable[..., Awaitable[Any]]
    ) -> None:
        self._chunks = chunks
        self._name = name
        self._expected_size = expected_size
        self._offload = offload
        self._asked: AsyncIterator[Any] | None = None
        self._read: Callable[[int], Any] | None = None
        self._opened: Generator[Any] | OpenedFile | None = None
        self._in_use = threading.Lock()
        self._closed = False
        self._block = _Block()
        self.taken = 0

    @property
    def held_bytes(self) -> int:
        """What was read and not yet given out."""
        return self._block.size + self._block.rest_bytes

    async def next_block(self, size: int) -> tuple[bytes, bool]:
        """The next block and whether it is the last: `size` bytes, fewer only then.

        Raises `SourceError` for whatever the stream raises, and for a stream that is not as long as it
        was said to be; `TypeError` for a chunk that is not bytes.
        """
        if isinstance(self._chunks, AsyncIterable):
            last = await self._fill(self._chunks, size)
        else:
            last = await self._offload(self._fill_in_thread, size)
        block = self._block.take()
        self.taken += len(block)
        return block, last

    async def close(self) -> None:
        """No more of it is wanted. A read that is under way, for which nobody waits any more, closes it when
        it ends.  What a generator raises then is not told: its object has failed before, and says why."""
        if self._closed:
            return
        self._closed = True
        if not isinstance(self._chunks, AsyncIterable):
            await self._offload(self._close_in_thread)
        elif isinstance(self._asked, AsyncGenerator):
            try:
                await self._asked.aclose()
            except (Exception, asyncio.CancelledError) as error:
                if are_we_cancelled(error):
                    raise

    async def _fill(self, chunks: AsyncIterable[Any], size: int) -> bool:
        """Fills the block; whether it is the last."""
        while not self._block.fill(size):
            try:
                if self._asked is None:
                    self._asked = aiter(_pieces(chunks))
                chunk = await anext(self._asked, _END)
            except (Exception, asyncio.CancelledError) as error:
                if are_we_cancelled(error):
                    raise
                raise self._failed(error) from error
            if self._ends_with(chunk):
                return True
        return False

    def _fill_in_thread(self, size: int) -> bool:
        try:
            with self._in_use:
                return self._closed or self._fill_here(size)
        finally:
            if self._closed:
                self._close_in_thread()

    def _close_in_thread(self) -> None:
        if self._in_use.acquire(blocking=False):
            try:
                with suppress(Exception, asyncio.CancelledError):
                    if self._opened is not None:
                        self._opened.close()
            finally:
                self._in_use.release()

    def _fill_here(self, size: int) -> bool:
        while not self._block.fill(size):
            try:
                if self._read is None:
                    self._read, self._opened = _begun(self._chunks)
                chunk = self._read(size + 1 - self._block.size)
            except (Exception, asyncio.CancelledError) as error:
                raise self._failed(error) from error
            if self._ends_with(chunk):
                return True
        return False

    def _ends_with(self, chunk: Any) -> bool:
        if chunk is not _END:
            self._block.add(chunk, self._name)
        length, expected = self.taken + self.held_bytes, self._expected_size
        if expected is not None and (length > expected or (chunk is _END and length < expected)):
            raise SourceError(f"{self._name}: the stream gave {length} bytes instead of {expected}")
        if chunk is _END:
            self._closed = True  # nothing is left to be closed
        return chunk is _END

    def _failed(self, error: BaseException) -> SourceError:
        if isinstance(error, SourceError):  # it says all there is to say
            return error
        return SourceError(f"{self._name}: {type(error).__name__}: {error}")


class _Block:
    """The block being filled: `size` bytes by now, and the `rest` of the last chunk, which did not fit."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes] = []
        self._chunk: bytes | memoryview = b""
        self._cut = 0  # how much of the chunk is in blocks

    @property
    def rest_bytes(self) -> int:
        return len(self._chunk) - self._cut

    def add(self, chunk: Any, name: str) -> None:
        """Takes a chunk; what was there of the last one is in the block by now."""
        if type(chunk) is not bytes:
            view = as_view(f"a chunk of {name!r}", chunk)
            # By bytes, whatever its items are; what lies scattered in memory is collected.
            chunk = view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()
        self._chunk, self._cut = chunk, 0

    def fill(self, size: int) -> bool:
        """Moves what is missing from the chunk to the block; whether more than `size` bytes are there."""
        missing, rest_bytes = size - self.size, self.rest_bytes
        if missing > 0 and rest_bytes:
            if self._cut == 0 and rest_bytes <= missing and type(self._chunk) is bytes:
                piece = self._chunk
            else:
                piece = bytes(memoryview(self._chunk)[self._cut : self._cut + missing])
            self._pieces.append(piece)
            self.size += len(piece)
            self._cut += len(piece)
        if not self.rest_bytes:
            self._chunk, self._cut = b"", 0  # else it would stay in memory until the next one comes
            return False
        return self.size == size

    def take(self) -> bytes:
        """The block; from now on the next one is filled."""
        block = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self.size = [], 0
        return block


def _pieces(chunks: AsyncIterable[Any]) -> AsyncIterable[Any]:
    read: Any = getattr(chunks, "read", None)
    if iscoroutinefunction(read):
        with suppress(TypeError):  # some read all at once, and take no size
            signature(read).bind(PIECE_BYTES)
            return _read(read)
    return chunks


async def _read(read: Callable[[int], Awaitable[Any]]) -> AsyncGenerator[Any]:
    # What is not bytes is no end, but a mistake to be told.
    while (piece := await read(PIECE_BYTES)) or piece is None or isinstance(piece, str):
        yield piece


def _begun(chunks: Any) -> tuple[Callable[[int], Any], Generator[Any] | OpenedFile | None]:
    """What gives a chunk or _END, called with how many bytes are wanted; what is to be closed. May block."""
    read = getattr(chunks, "read", None)
    if read is None:
        iterator = iter(chunks)
        return lambda _: next(iterator, _END), iterator if isinstance(iterator, Generator) else None

    def read_some(size: int) -> Any:
        chunk = read(size)
        is_end = chunk is not None and not isinstance(chunk, str) and not chunk
        return _END if is_end else chunk

    return read_some, chunks if isinstance(chunks, OpenedFile) else None
