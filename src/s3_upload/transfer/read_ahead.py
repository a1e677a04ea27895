"""Turns sources into units ready to be sent: pulls lazily, reads ahead a little, bounds the memory.

Rules:

* Sources are pulled from their iterable only as they are needed: a plain iterable in a reader thread
  (it may block on a disk), an async one on the loop.
* Bodies that are read or about to be read and not yet sent to the end never exceed
  `max_in_flight_bytes` together (`Memory`), and their units `MAX_READ_AHEAD` plus twice the window, except
  that one read is always allowed when nothing is held.
* A stream is begun, which is to say asked for its first bytes, when there is room for its first block, and
  at most MAX_STREAMS are begun and not read to their end.  Between two blocks it holds what it read ahead.
* Parts of files begun come before new files: what is begun is finished first.  Bytes bound them, and that
  no more wait than may be in flight (`Sink.bulk_full`).
* While the reports of what has ended wait for the user's callable (`Sink.backlogged`), nothing is
  pulled or read: sources that end unread, skipped or failed, make reports without any request.

Theory of operation.  Three queues: `_sources` (pulled, unread), `_multiparts` (begun, with parts to
read) and the scheduler's ready units, which this module fills by `submit`.  `top_up()` is called when
something changes; it starts jobs (a pull, the reading of a batch of small files or of one part) while
there is room.  A thread hop per small file would cost more than reading it, hence the batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any

from s3_upload.config import UploadConfig
from s3_upload.errors import SourceError, UploadError
from s3_upload.http import Body, held_bytes
from s3_upload.parts import PartSizes, StoreParts
from s3_upload.request_fields import RequestFields
from s3_upload.s3.operations import CREATE_MULTIPART_UPLOAD
from s3_upload.sources.files import BigFile, HashedBody, Reader, UnsizedFile
from s3_upload.sources.local_disk import Nearby
from s3_upload.sources.source import ObjectSource, checked
from s3_upload.sources.stream import BegunStream, BlockStream
from s3_upload.sources.unsized import as_stream
from s3_upload.sources.version import Identity
from s3_upload.transfer.existing import Existing, Numbered, Question
from s3_upload.transfer.guard import guarded
from s3_upload.transfer.keys import Keys
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.multipart import MultipartUpload, PartPlan
from s3_upload.transfer.objects import Objects
from s3_upload.transfer.sink import Sink
from s3_upload.transfer.sliced import PartRoom, read_part
from s3_upload.transfer.spool import Spool, SpooledPart
from s3_upload.transfer.unit import Unit, Upload

PULL_COUNT = 256
BATCH_COUNT = 32
BATCH_BYTES = 1 << 20
MAX_READ_AHEAD = 64
MAX_CREATES = 8
"""Objects in parts that are being begun: each takes a connection, and its parts keep the link busy."""
MAX_STREAMS = 128
"""Streams that are begun and not yet read to their end: each may hold a thread, and something of its own."""

Sources = Iterable[ObjectSource] | AsyncIterable[ObjectSource]
Offload = Callable[..., Awaitable[Any]]
"""`await offload(function, *arguments)` runs a blocking function off the loop."""


class Feed:
    """See the module's rules."""

    def __init__(
        self,
        files: Sources,
        *,
        sink: Sink,
        bucket: str,
        config: UploadConfig,
        reader: Reader,
        offload: Offload,
        offload_source: Offload,
        nearby: Nearby,
        parts: StoreParts,
        fields_of: Callable[[ObjectSource], RequestFields],
        existing: Existing,
    ) -> None:
        self.keys = Keys()
        self._existing = existing
        self._sink = sink
        self._config = config
        self._reader = reader
        self._offload = offload
        self._offload_source = offload_source
        self._nearby = nearby
        self._objects = Objects(
            sink=sink,
            bucket=bucket,
            config=config,
            parts=parts,
            checksum_algorithm=reader.checksum_algorithm,
            fields_of=fields_of,
            attempts_of=existing.attempts_of if existing.asks else None,
        )
        self._iterator = aiter(files) if isinstance(files, AsyncIterable) else iter(files)
        self._sources: deque[Numbered] = deque()
        self._multiparts: deque[MultipartUpload] = deque()
        self._streams: dict[MultipartUpload, tuple[BegunStream, HashedBody]] = {}
        self._begun_streams = 0
        self._memory = Memory(config.max_in_flight_bytes)
        self._part_room = PartRoom(config.max_in_flight_bytes)
        self._spool = Spool(config.max_in_flight_bytes, reader, offload)
        self._tasks: set[asyncio.Task[None]] = set()
        self._job_done = guarded(sink.fail, self._after_job)
        self._pulling = False
        self._catching_up = False
        self._exhausted = False
        self._closed = False
        self._reads = 0
        self._held_units = 0
        self._creates = 0  # units under way that begin an object in parts
        self._batch_reserve_bytes = BATCH_BYTES + config.multipart_threshold

    @property
    def drained(self) -> bool:
        """Whether nothing is left to pull or to read, and every unit handed out has been released."""
        waiting = self._sources or self._multiparts or self._tasks or self._existing.waiting
        return self._exhausted and not waiting and self._held_units == 0

    @property
    def reading(self) -> bool:
        """Whether files or streams are being read."""
        return self._reads > 0 or self._begun_streams > 0

    @property
    def listing(self) -> bool:
        """Whether nothing is left to read of the sources that are there, and more are being asked for."""
        return self._pulling and not self._sources and not self._multiparts

    def top_up(self) -> None:
        """Starts whatever pulling and reading there is room for."""
        if self._closed or self._catching_up:
            return
        while not self._sink.backlogged():
            if self._existing.waiting:
                self._existing.ask(self.keys, self._objects, self._sink, self._hand_out)
            may_pull = not self._pulling and not self._exhausted
            if may_pull and len(self._sources) + self._existing.count <= PULL_COUNT // 2:
                self._pulling = True
                self._start(self._pull())
            waiting = self._multiparts or self._sources
            if not waiting or self._reads >= self._config.reader_threads or not self._has_room():
                return
            if self._multiparts:
                self._start_part()
            else:
                self._start_batch()
        self._catching_up = True
        self._start(self._catch_up())

    def hold(self, unit: Unit) -> None:
        """Counts `unit` and its body as held until it is released."""
        self._memory.hold(held_bytes(unit.operation.body))
        self._held_units += 1

    def release(self, unit: Unit) -> None:
        """`unit` is through and its body is free."""
        self._held_units -= 1
        if self._existing.under_way and isinstance(unit.upload, Question):
            self._existing.under_way -= 1
        if self._creates and unit.operation.name == CREATE_MULTIPART_UPLOAD:
            self._creates -= 1
        upload = unit.upload
        if self._streams and upload.done and isinstance(upload, MultipartUpload) and upload in self._streams:
            stream, first = self._streams.pop(upload)  # never begun: nobody will send its first block
            self._end_stream(stream)
            self._memory.release(self._spool.room(upload.sizes.first))
            self._drop(first.body)
        self._memory.release(held_bytes(unit.operation.body))
        self._drop(unit.operation.body)

    def _drop(self, body: Body) -> None:
        """Nobody needs `body` any more."""
        if isinstance(body, SpooledPart):
            self._start(self._spool.free(body))

    def begin_parts(self, upload: MultipartUpload) -> None:
        """The store has given `upload` its ID: its parts may be read; or something of it is to be read once
        more, before parts that never were."""
        if upload in self._streams:
            self._start(self._send_stream(upload, *self._streams.pop(upload)))
        elif upload.all_planned:  # its last look, without which it is not completed, or parts once more
            self._multiparts.appendleft(upload)
        else:
            self._multiparts.append(upload)

    def begin_again(self, upload: Upload, read: HashedBody | BigFile) -> None:
        """Hands out the first unit of the upload that takes over from `upload`."""
        if isinstance(read, HashedBody):
            unit = self._objects.single(upload.seq, upload.source, read, upload.started_s)
        else:
            identity = read.identity
            unit = self._multipart(upload.seq, upload.source, identity).begin()
            self._creates += 1
        unit.upload.take_over(upload)
        self._hand_out(unit)

    async def close(self) -> None:
        """Cancels all reading; a read that is done already starts no other."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _has_room(self) -> bool:
        """Whether what comes next may be read: a part of a file begun, a stream, or a batch of files."""
        if not self._multiparts and self._sources[0][1].chunks is not None:
            return self._begun_streams < MAX_STREAMS and self._stream_fits(self._sources[0][1])
        if self._held_units == 0 and self._reads == 0:  # streams may be begun, and never give anything
            return True
        if self._multiparts:
            return not self._sink.bulk_full() and self._room_for_part(self._multiparts[0]) > 0
        ahead = MAX_READ_AHEAD + 2 * self._sink.window_limit() + self._existing.under_way
        fits = self._memory.fits(self._batch_reserve_bytes)
        return fits and self._held_units < ahead and self._creates < MAX_CREATES

    def _room_for_part(self, upload: MultipartUpload) -> int:
        """How many bytes the next part of `upload` may hold, 0 for none: fewer than it has, if it is to go in
        slices."""
        ahead = self._held_units - self._sink.window_limit()
        return self._part_room.of(
            upload.sizes.first, self._memory, may_hash=ahead < self._config.reader_threads
        )

    def run(self, job: Coroutine[Any, Any, None]) -> None:
        """Runs `job` beside its own reading; the run ends with neither of them unfinished."""
        self._start(job)

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._job_done)

    def _after_job(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._closed:
            return
        # Cancelled by itself: something that the user's iterable awaited was.
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._sink.fail(error)
        else:
            self.top_up()
            self._sink.feed_changed()

    async def _catch_up(self) -> None:
        """Its end tops up."""
        await self._sink.catch_up()
        self._catching_up = False

    def _hand_out(self, unit: Unit) -> None:
        self.hold(unit)
        self._sink.submit(unit)

    # --- pulling ---------------------------------------------------------------------------------

    async def _pull(self) -> None:
        iterator = self._iterator
        if isinstance(iterator, AsyncIterator):
            for _ in range(PULL_COUNT):
                try:
                    source = checked(await anext(iterator))
                    self._sources.extend(await self._existing.sort_out([source]))
                except StopAsyncIteration:
                    self._exhausted = True
                    break
                self.top_up()
        else:
            sources, self._exhausted = await self._offload_source(
                self._nearby.pull_in_thread, self._reader, iterator, PULL_COUNT
            )
            self._sources.extend(await self._existing.sort_out(sources))
        self._pulling = False

    def answered(self, question: Question) -> None:
        """What was asked about does not exist, as far as is known."""
        self._existing.answered(question)
        self.keys.free(question.source.key)
        self._sources.append((question.seq, question.source))

    # --- whole objects ---------------------------------------------------------------------------

    def _start_batch(self) -> None:
        """Starts reading what is next: some files, or a stream; or reports the next, if it is none."""
        batch: list[Numbered] = []
        while self._sources and len(batch) < BATCH_COUNT:
            seq, source = self._sources[0]
            wanted = source.problem is None and not source.skip_reason
            if source.chunks is None and wanted:
                batch.append(self._sources.popleft())
            elif batch:
                break
            elif wanted:
                self._begin_stream()
                return
            else:
                self._sources.popleft()
                self._sink.report(self._objects.unread(seq, source, source.problem))
                return
        if batch:
            self._reads += 1
            self._memory.hold(self._batch_reserve_bytes)
            self._start(self._read_batch(batch))

    async def _read_batch(self, batch: list[Numbered]) -> None:
        sources = [source for _, source in batch]
        try:
            if self._nearby.allows(sources):
                results = self._nearby.read(self._reader, sources)
            else:
                results = await self._offload(self._reader.read_batch, sources, BATCH_BYTES)
            self._nearby.saw(results)
        finally:
            self._reads -= 1
            self._memory.release(self._batch_reserve_bytes)
        self._sources.extendleft(reversed(batch[len(results) :]))  # enough bytes came before them
        now, later = self._sink.now(), []
        for (seq, source), result in zip(batch, results, strict=False):
            if isinstance(result, HashedBody):
                try:
                    self.keys.take(source)
                except SourceError as problem:
                    self._sink.report(self._objects.unread(seq, source, problem))
                else:
                    self._hand_out(self._objects.single(seq, source, result, now))
            elif isinstance(result, BigFile) and self._creates < MAX_CREATES:
                self._begin_file(seq, source, result.identity)
            elif isinstance(result, BigFile | UnsizedFile):
                later.append((seq, source if isinstance(result, BigFile) else as_stream(source)))
            else:
                self._sink.report(self._objects.unread(seq, source, result))
        self._sources.extendleft(reversed(later))

    def _begin_file(self, seq: int, source: ObjectSource, identity: Identity) -> None:
        try:
            upload = self._multipart(seq, source, identity)
            self.keys.take(source)
        except SourceError as problem:
            self._sink.report(self._objects.unread(seq, source, problem))
        else:
            self._begin(upload)

    def _multipart(self, seq: int, source: ObjectSource, identity: Identity) -> MultipartUpload:
        """Raises `SourceError` for a file that is larger than a store takes."""
        sizes = self._objects.part_sizes(source, identity.size)
        return self._objects.multipart(seq, source, identity.size, identity, sizes)

    def _begin(self, upload: MultipartUpload) -> None:
        self._creates += 1
        self._hand_out(upload.begin())

    # --- parts of a file -------------------------------------------------------------------------

    def _start_part(self) -> None:
        upload = self._multiparts[0]
        plan = upload.next_part()
        if upload.all_read or plan is None:
            self._multiparts.popleft()
        if plan is not None:
            self._reads += 1
            # Where nothing is held one read is always allowed: what does not fit goes in slices if it can.
            room = min(plan.size, self._room_for_part(upload) or upload.sizes.first)
            self._memory.hold(room)
            self._start(self._read_part(upload, plan, room))

    async def _read_part(self, upload: MultipartUpload, plan: PartPlan, room: int) -> None:
        assert upload.identity is not None
        try:
            part = await read_part(
                self._reader,
                self._offload,
                upload.source.path,
                upload.identity,
                offset=plan.offset,
                size=plan.size,
                in_slices=room < plan.size,
            )
        except SourceError as problem:
            self._refuse_part(upload, problem)
        else:
            self._hand_out_part(upload, plan, part)
        finally:
            self._reads -= 1
            self._memory.release(room)

    def _hand_out_part(self, upload: MultipartUpload, plan: PartPlan, part: HashedBody) -> None:
        if upload.error is None:
            self._hand_out(upload.part_unit(plan, part))
        else:
            self._drop(part.body)
            self._sink.proceed(upload, upload.part_dropped())

    def _refuse_part(self, upload: MultipartUpload, problem: SourceError) -> None:
        error = UploadError(str(problem), key=upload.source.key, kind=problem.kind)
        self._sink.proceed(upload, upload.refuse(None, error))

    # --- streams ---------------------------------------------------------------------------------

    def _stream_fits(self, source: ObjectSource) -> bool:
        try:
            sizes = self._objects.part_sizes(source, source.size)
        except SourceError:
            return True  # to be begun, and to fail
        return self._memory.fits(self._first_room(source, sizes))

    def _first_room(self, source: ObjectSource, sizes: PartSizes) -> int:
        room = self._spool.room(sizes.first)
        return room if source.size is None else min(source.size, room)

    def _begin_stream(self) -> None:
        seq, source = self._sources.popleft()
        assert source.chunks is not None
        try:
            sizes = self._objects.part_sizes(source, source.size)
            self.keys.take(source)  # before it is read: it cannot be read twice
        except SourceError as problem:
            self._sink.report(self._objects.unread(seq, source, problem))
            return
        blocks = BlockStream(source.chunks, source.key, source.size, self._offload_source)
        stream = BegunStream(blocks, source.key)
        self._begun_streams += 1
        room = self._first_room(source, sizes)
        self._memory.hold(room)
        self._start(self._read_stream(seq, source, stream, sizes, room))

    async def _read_stream(
        self, seq: int, source: ObjectSource, stream: BegunStream, sizes: PartSizes, room: int
    ) -> None:
        """Reads the first block: if it is all, the object goes as one PUT, else by multipart."""
        try:
            hashed, last = await self._read_block(stream, sizes.first)
        except SourceError as problem:
            self.keys.free(source.key)
            self._memory.release(room)
            self._end_stream(stream)
            self._sink.report(self._objects.unread(seq, source, problem))
            return
        if last:
            self._hand_out(self._objects.single(seq, source, hashed, self._sink.now()))
            self._memory.release(room)
            self._end_stream(stream)
        else:
            upload = self._objects.multipart(seq, source, source.size or 0, None, sizes)
            self._streams[upload] = stream, hashed
            self._begin(upload)

    async def _send_stream(self, upload: MultipartUpload, stream: BegunStream, first: HashedBody) -> None:
        """Hands out a stream's parts, each read when the one before it has been handed out."""
        hashed, last = first, False
        try:
            while (plan := upload.next_part()) is not None:
                if plan.number > 1:
                    await self._memory.room(self._spool.room(plan.size))
                    try:
                        hashed, last = await self._read_block(stream, plan.size)
                    except SourceError:
                        self._memory.release(self._spool.room(plan.size))
                        raise
                upload.all_planned = last
                upload.size = stream.blocks.taken
                self._hand_out_part(upload, plan, hashed)
                self._memory.release(self._spool.room(plan.size))
        except SourceError as problem:
            self._refuse_part(upload, problem)
        self._end_stream(stream)

    async def _read_block(self, stream: BegunStream, size: int) -> tuple[HashedBody, bool]:
        """The next block of a stream, for which there is room, and whether it is the last."""

        async def read(size: int) -> tuple[bytes, bool]:
            block = await stream.blocks.next_block(size)
            ahead_bytes = stream.blocks.held_bytes
            self._memory.read_ahead(ahead_bytes - stream.ahead_bytes)
            stream.ahead_bytes = ahead_bytes
            return block

        return await self._spool.block(read, size, stream.key)

    def _end_stream(self, stream: BegunStream) -> None:
        """It is read to its end, or no more of it is wanted."""
        self._begun_streams -= 1
        self._memory.read_ahead(-stream.ahead_bytes)

    # --- what is read once more (Again) ------------------------------------------------------------

    async def take_room(self, size: int) -> None:
        """Waits for room for a body of `size` bytes, which counts as held until it is given back."""
        await self._memory.room(size)

    def give_back(self, size: int) -> None:
        self._memory.release(size)
