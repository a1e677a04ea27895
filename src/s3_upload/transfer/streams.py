"""Streams: begun when there is room for their first block, and sent in one request or, block by block, in
parts.

Rules:

* At most MAX_STREAMS are begun and not read to their end.  Between two blocks a stream holds what it read
  ahead.
* If the first block is all, it goes as a PutObject.  Else it goes in parts, each read when the one before it
  is begun and there is room.
* A block that is too large for the memory waits in a temporary file until it is through (`spool.py`).
* One that fails is closed before others are begun; at the end of a run that is waited for CLOSE_S at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from s3_upload.errors import SourceError
from s3_upload.http import Body
from s3_upload.parts import PartSizes
from s3_upload.sources.files import HashedBody
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.stream import BegunStream, BlockStream
from s3_upload.transfer.line import Place
from s3_upload.transfer.multipart import MultipartUpload
from s3_upload.transfer.parts_line import PartsUnderWay
from s3_upload.transfer.put import put, put_whole, whole_request
from s3_upload.transfer.reading import Offload
from s3_upload.transfer.spool import Spool, SpooledPart
from s3_upload.transfer.tools import Tools
from s3_upload.transfer.tries import Request
from s3_upload.transfer.verdicts import GivenUp

MAX_STREAMS = 128
"""Streams that are begun and not yet read to their end: each may hold a thread, and something of its own."""
CLOSE_S = 1.0
"""For what a caller's generator does at its end, where a run ends before it."""


class Streams:
    """See the module's rules. `offload_source` runs what is the caller's and may block for ever.
    `changed`: others may be begun."""

    def __init__(
        self, tools: Tools, spool: Spool, offload_source: Offload, changed: Callable[[], None]
    ) -> None:
        self._tools = tools
        self._changed = changed
        self.spool = spool
        self._offload_source = offload_source
        self.begun = 0

    def has_room(self, source: ObjectSource) -> bool:
        """Whether `source` may be begun."""
        if self.begun >= MAX_STREAMS:
            return False
        # What is too large for the store is begun all the same, and fails.
        try:
            sizes = self._tools.prepare.sizes(source, source.size)
        except SourceError:
            return True
        return self._tools.memory.fits(self._first_room(source, sizes))

    def begin(self, seq: int, source: ObjectSource) -> None:
        """Begins to read and to send a stream. Raises `SourceError`."""
        sizes = self._tools.prepare.sizes(source, source.size)
        assert source.chunks is not None
        blocks = BlockStream(source.chunks, source.key, source.size, self._offload_source)
        room = self._first_room(source, sizes)
        self.begun += 1
        self._tools.memory.hold(room)
        self._tools.tasks.start(self._put(seq, source, BegunStream(blocks, source.key), sizes, room))

    async def _put(
        self, seq: int, source: ObjectSource, stream: BegunStream, sizes: PartSizes, room: int
    ) -> None:
        try:
            await self._send(seq, source, stream, sizes, room)
        except (Exception, asyncio.CancelledError):
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await stream.blocks.close()
            raise

    async def _send(
        self, seq: int, source: ObjectSource, stream: BegunStream, sizes: PartSizes, room: int
    ) -> None:
        tools = self._tools
        try:
            first, is_all = await self.read_block(stream, sizes.first)
        except SourceError as problem:
            await self.end(stream, room)
            tools.reporting.unread(seq, source, problem, has_key=True)
            return
        # How long a stream is shows at its end: only one that has ended can go in one request.
        if not is_all:
            record = tools.prepare.record(seq, source, source.size or 0, grows=True)
            parts = StreamParts(tools, self, stream, first, room)
            await put(tools, record, partial(MultipartUpload(tools, record, sizes).put, parts))
            # Where its Create was given up nobody has asked for a part.
            await parts.close()
            return
        record = tools.prepare.record(seq, source, len(first.body), checksum=first.checksum)
        request = whole_request(tools, record, first)
        # Its bytes are counted twice for a moment, and not for a moment not at all.
        tools.requests.begin(request)
        await self.end(stream, room)
        # Of a body in memory nothing is held here, while HeadObject is asked, say.
        spooled = first.body if isinstance(first.body, SpooledPart) else b""
        del first
        await put(tools, record, partial(put_whole, tools, request, Place.NEW))
        await self.drop(spooled)

    async def read_block(self, stream: BegunStream, size: int) -> tuple[HashedBody, bool]:
        """The next block of a stream, for which there is room, and whether it is the last. Raises
        `SourceError`."""

        async def read(size: int) -> tuple[bytes, bool]:
            block = await stream.blocks.next_block(size)
            ahead_bytes = stream.blocks.held_bytes
            self._tools.memory.read_ahead(ahead_bytes - stream.ahead_bytes)
            stream.ahead_bytes = ahead_bytes
            return block

        return await self.spool.block(read, size, stream.key)

    async def end(self, stream: BegunStream, room: int | None) -> None:
        """It is read to its end, or no more of it is wanted. `room`: what is still held for a block of it."""
        self._tools.memory.read_ahead(-stream.ahead_bytes)
        if room is not None:
            self._tools.memory.release(room)
        await stream.blocks.close()
        self.begun -= 1
        self._changed()

    async def drop(self, body: Body) -> None:
        """Nobody needs `body` any more."""
        if isinstance(body, SpooledPart):
            await self.spool.free(body)

    def _first_room(self, source: ObjectSource, sizes: PartSizes) -> int:
        room = self.spool.room(sizes.first)
        return room if source.size is None else min(source.size, room)


class StreamParts:
    """The parts of a stream, whose `first` block is read: `room` is held for it."""

    send_again = version = None

    def __init__(
        self, tools: Tools, streams: Streams, stream: BegunStream, first: HashedBody, room: int
    ) -> None:
        self._tools = tools
        self._streams = streams
        self._stream = stream
        self._first: HashedBody | None = first
        self._room: int | None = room  # what is held for a block that is read, or about to be
        self._open = True

    async def send_all(self, upload: MultipartUpload) -> None:
        parts, record, number, last = PartsUnderWay(), upload.record, 1, False
        try:
            while True:
                block, last = await self._next_block(upload, number)
                record.came(self._stream.blocks.taken)
                # A part was given up while this one was read.
                if parts.given_up is not None:
                    await self._streams.drop(block.body)
                    break
                self._send(upload, number, block, parts)
                if last or parts.given_up is not None:
                    break
                number += 1
        except SourceError as problem:
            parts.fail(GivenUp.by_source(problem, record))
        await self.close()
        parts.no_more()
        await parts.through()

    async def look_once_more(self, upload: MultipartUpload) -> None:
        """Each of its bytes was read once: there is nothing to compare."""

    async def close(self) -> None:
        """No more of the stream is wanted."""
        if self._open:
            self._open = False
            await self._streams.end(self._stream, self._room)
        if self._first is not None:
            first, self._first = self._first, None
            await self._streams.drop(first.body)

    async def _next_block(self, upload: MultipartUpload, number: int) -> tuple[HashedBody, bool]:
        """For which `self._room` is held. Raises `SourceError`."""
        if self._first is not None:
            first, self._first = self._first, None
            return first, False
        sizes = upload.sizes
        if number > sizes.max_count:
            raise SourceError(
                f"{upload.record.key}: the stream is longer than {sizes.most_bytes:,} bytes, all that the "
                f"store's {sizes.max_count:,} parts can hold as they were chosen: start again with a "
                "larger part_size (--expected-size)"
            )
        size = sizes.size_of(number)
        room = self._streams.spool.room(size)
        await self._tools.memory.room(room)
        self._room = room
        return await self._streams.read_block(self._stream, size)

    def _send(self, upload: MultipartUpload, number: int, block: HashedBody, parts: PartsUnderWay) -> None:
        """Sends a block, beside those that follow."""
        request = upload.begin_part(number, block, self._tools.whole_bodies.read)
        assert self._room is not None
        self._tools.memory.release(self._room)
        self._room = None
        parts.begin()
        self._tools.tasks.start(self._sent(upload, request, parts))

    async def _sent(self, upload: MultipartUpload, request: Request, parts: PartsUnderWay) -> None:
        body = request.operation.body
        await upload.send_part(request, parts)
        parts.end()
        await self._streams.drop(body)
