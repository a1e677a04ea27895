"""Reads what is sent next: a little ahead of the slots, and no more than the memory holds.

Rules:

* Bodies that are read or about to be read and not yet sent to the end never exceed
  `max_in_flight_bytes` together (`Memory`), and their requests `MAX_READ_AHEAD` plus twice the window, except
  that one read is always allowed when nothing is held.
* Parts of files begun come before new files: what is begun is finished first.  Bytes bound them, and that
  no more wait than may be in flight (`BulkLine.full`).
* A stream is begun, which is to say asked for its first bytes, when there is room for its first block.
* While the reports of what has ended wait for the user's callable, nothing is pulled or read: sources that
  end unread, skipped or failed, make reports without any request.

Theory of operation.  `top_up` is called when something has changed; it starts to pull, to read a batch of
small files or a part, or to ask whether objects exist, as long as there is room.  A thread hop for each small
file would cost more than reading it, hence the batches.  Of few files a batch takes only its part: nobody
knows yet how large they are, and one thread would read them all, one after the other.
"""

from __future__ import annotations

import msgspec

from s3_upload.config import UploadConfig
from s3_upload.errors import SourceError
from s3_upload.sources.files import BigFile, HashedBody, UnsizedFile
from s3_upload.sources.local_disk import Nearby
from s3_upload.sources.own_journals import WHY, OwnJournalError
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.unsized import as_stream
from s3_upload.sources.version import told_apart
from s3_upload.transfer.bulk import BulkLine
from s3_upload.transfer.existing import Existing, Numbered
from s3_upload.transfer.parts_line import PartPlan, PartsToRead
from s3_upload.transfer.progress import Delivery
from s3_upload.transfer.pulling import Pulling
from s3_upload.transfer.put import put, way_in_parts, whole_request
from s3_upload.transfer.senders import Senders
from s3_upload.transfer.sliced import FilePart, PartRoom, read_part
from s3_upload.transfer.slots import Slots
from s3_upload.transfer.streams import Streams
from s3_upload.transfer.tools import Tools
from s3_upload.transfer.verdicts import GivenUp

BATCH_COUNT = 32
BATCH_BYTES = 1 << 20
READS_QUEUED = 2
"""Reads beyond one for each thread: a thread that is done begins the next one at once, and not when the loop
has come round to it."""
MAX_READ_AHEAD = 64
MAX_CREATES = 8
"""Objects in parts that are being begun: each takes a connection, and its parts keep the link busy."""


def bytes_of_read(config: UploadConfig) -> int:
    """What one read may hold: a batch, whose last file may be the largest that goes in one request."""
    return BATCH_BYTES + config.multipart_threshold


class ReadAhead:
    def __init__(
        self,
        tools: Tools,
        *,
        config: UploadConfig,
        pulling: Pulling,
        existing: Existing,
        nearby: Nearby,
        streams: Streams,
        senders: Senders,
        slots: Slots,
        bulk: BulkLine,
        delivery: Delivery,
    ) -> None:
        self._tools = tools
        self._reader_threads = config.reader_threads
        self._batch_reserve_bytes = bytes_of_read(config)
        most = int(config.max_in_flight_bytes) // self._batch_reserve_bytes
        self._batches_at_once = max(1, min(config.reader_threads, most))
        self._part_room = PartRoom(config.max_in_flight_bytes)
        self._pulling = pulling
        self._existing = existing
        self._nearby = nearby
        self._streams = streams
        self.senders = senders
        self._slots = slots
        self._bulk = bulk
        self._delivery = delivery
        self._reads = 0
        self._catching_up = False
        self._closed = False

    @property
    def drained(self) -> bool:
        """Whether nothing is left to pull, to ask or to read."""
        pulling = self._pulling
        return pulling.exhausted and not (pulling.sources or self._existing.waiting)

    @property
    def reading(self) -> bool:
        """Whether files or streams are being read."""
        return self._reads > 0 or self._streams.begun > 0

    @property
    def listing(self) -> bool:
        """Whether nothing is left to read of the sources that are there, and more are being asked for."""
        return self._pulling.under_way and not self._pulling.sources and not self._tools.parts_line

    def top_up(self) -> None:
        """Starts whatever pulling, asking and reading there is room for."""
        if self._closed or self._catching_up:
            return
        # Sources that end unread make reports: in here the backlog may become full.
        while not self._delivery.full:
            if self._existing.waiting:
                self._existing.ask(self._tools, self._slots.window_limit, self._goes_on)
            # While the others are read: a walk waits for its disk, too.
            if self._pulling.due:
                self._tools.tasks.start(self._pulling.pull())
            parts = self._tools.parts_line
            if not (parts or self._pulling.sources) or self._reads >= self._reader_threads + READS_QUEUED:
                return
            if not self._has_room():
                return
            if parts:
                self._start_part(parts.first)
            else:
                self._start_batch()
        self._catching_up = True
        self._tools.tasks.start(self._catch_up())

    def close(self) -> None:
        """Nothing is begun any more."""
        self._closed = True

    def _has_room(self) -> bool:
        """Whether what comes next may be read: a part of a file begun, a stream, or a batch of files."""
        tools, alive = self._tools, self._tools.requests.alive
        if not tools.parts_line and self._pulling.sources[0][1].chunks is not None:
            return self._streams.has_room(self._pulling.sources[0][1])
        # Streams may be begun, hold memory, and never give anything: one read is always allowed.
        if alive == 0 and self._reads == 0:
            return True
        if tools.parts_line:
            return not self._bulk.full and self._room_for_part(tools.parts_line.first) > 0
        ahead = MAX_READ_AHEAD + 2 * self._slots.window_limit + self._existing.under_way
        fits = tools.memory.fits(self._batch_reserve_bytes)
        return fits and alive < ahead and tools.requests.creating < MAX_CREATES

    def _room_for_part(self, parts: PartsToRead) -> int:
        """How many bytes the next of `parts` may hold, 0 for none: fewer than it has, if it is to go in
        slices."""
        ahead = self._tools.requests.alive - self._slots.window_limit
        return self._part_room.of(parts.part_size, self._tools.memory, may_hash=ahead < self._reader_threads)

    async def _catch_up(self) -> None:
        """Its end tops up."""
        await self._delivery.catch_up()
        self._catching_up = False
        self._slots.let_in()

    def _goes_on(self, seq: int, source: ObjectSource) -> None:
        """The object of `source`, which was asked about, does not exist, as far as is known."""
        self._tools.reporting.frees_key(source)
        self._pulling.sources.append((seq, source))

    # --- whole objects ---------------------------------------------------------------------------

    def _start_batch(self) -> None:
        """Starts reading what is next: some files, or a stream; or reports the next, if it is none."""
        sources = self._pulling.sources
        batch: list[Numbered] = []
        most_files = max(1, len(sources) // self._batches_at_once)
        held = files = 0
        # Bodies in memory that this reading would not come to stay with `pulling`, which counts them.
        while sources and len(batch) < BATCH_COUNT and held < BATCH_BYTES and files < most_files:
            seq, source = sources[0]
            wanted = source.problem is None and not source.skip_reason
            if source.chunks is None and wanted:
                batch.append(sources.popleft())
                held += len(source.body or b"")
                files += source.body is None
            elif batch:
                break
            elif wanted:
                sources.popleft()
                self._begin_stream(seq, source)
                return
            else:
                sources.popleft()
                self._tools.reporting.unread(seq, source, source.problem)
                return
        if batch:
            self._reads += 1
            self._tools.memory.hold(self._batch_reserve_bytes)
            self._tools.tasks.start(self._read_batch(batch))

    async def _read_batch(self, batch: list[Numbered]) -> None:
        tools = self._tools
        sources = [source for _, source in batch]
        try:
            if self._nearby.allows(sources):
                results = self._nearby.read(tools.reader, sources)
            else:
                results = await tools.offload(tools.reader.read_batch, sources, BATCH_BYTES)
            self._nearby.saw(results)
        finally:
            self._reads -= 1
            tools.memory.release(self._batch_reserve_bytes)
        # Enough bytes came before these: they are read with the next.
        self._pulling.sources.extendleft(reversed(batch[len(results) :]))
        later = []
        for (seq, source), result in zip(batch, results, strict=False):
            if isinstance(result, HashedBody):
                self._begin_whole(seq, source, result)
            elif isinstance(result, BigFile) and tools.requests.creating < MAX_CREATES:
                self._begin_in_parts(seq, source, result)
            elif isinstance(result, BigFile | UnsizedFile):
                later.append((seq, source if isinstance(result, BigFile) else as_stream(source)))
            elif isinstance(result, OwnJournalError):
                tools.reporting.unread(seq, msgspec.structs.replace(source, skip_reason=WHY), None)
            else:
                tools.reporting.unread(seq, source, result)
        self._pulling.sources.extendleft(reversed(later))

    def _begin_whole(self, seq: int, source: ObjectSource, hashed: HashedBody) -> None:
        if not self._tools.reporting.takes_key(seq, source):
            return
        tools = self._tools
        record = tools.prepare.record(
            seq, source, len(hashed.body), mtime_ns=hashed.mtime_ns, checksum=hashed.checksum
        )
        request = whole_request(tools, record, hashed)
        tools.requests.begin(request)
        self.senders.send(request)

    def _begin_in_parts(self, seq: int, source: ObjectSource, file: BigFile) -> None:
        tools = self._tools
        try:
            sizes = tools.prepare.sizes(source, file.identity.size)
        except SourceError as problem:
            tools.reporting.unread(seq, source, problem)
            return
        if self._tools.reporting.takes_key(seq, source):
            mtime_ns = told_apart(file.identity.mtime_ns, file.identity.ctime_ns)
            record = tools.prepare.record(seq, source, file.identity.size, mtime_ns=mtime_ns)
            tools.tasks.start(put(tools, record, way_in_parts(tools, record, file, sizes)))

    def _begin_stream(self, seq: int, source: ObjectSource) -> None:
        # Its key comes before its bytes: a stream cannot be read twice.
        if self._tools.reporting.takes_key(seq, source):
            try:
                self._streams.begin(seq, source)
            except SourceError as problem:
                self._tools.reporting.unread(seq, source, problem, has_key=True)

    # --- parts of a file -------------------------------------------------------------------------

    def _start_part(self, parts: PartsToRead) -> None:
        plan = parts.take()
        self._reads += 1
        # Where nothing is held one read is always allowed: what does not fit goes in slices if it can.
        room = min(plan.size, self._room_for_part(parts) or FilePart.held_bytes)
        self._tools.memory.hold(room)
        self._tools.tasks.start(self._put_part(parts, plan, room))

    async def _put_part(self, parts: PartsToRead, plan: PartPlan, room: int) -> None:
        """Reads a part, and has it sent."""
        request = None
        try:
            part = await read_part(
                self._tools.reader,
                self._tools.offload,
                parts.record.source.path,
                parts.identity,
                plan,
                in_slices=room < plan.size,
            )
            request = parts.begin_request(plan, part)
        except SourceError as problem:
            parts.fail(GivenUp.by_source(problem, parts.record))
        finally:
            self._reads -= 1
            self._tools.memory.release(room)
        # Its task goes on with the part, and what was released is for others now.
        self.top_up()
        if request is not None:
            await parts.send(request, parts)
        parts.end()
