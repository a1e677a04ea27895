"""One run: joins what it consists of, and ends it in one way.

`_finish` sets one future, to success when nothing is left, to the first error that stops the run; then every
task and timer is cancelled, and unfinished uploads are aborted (or left to the next run, which knows of
them).  A run that is cancelled first lets what is under way end, for a while.

Theory of operation.  `ReadAhead` fills the line of `Slots` with what it has read.  What gets a slot is a
task: an object (`put.py`), or a part of one (`multipart.py`).  It makes its requests by `Requests`, one after
the other, and ends with its report.  When a task has ended, more is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from s3_upload.errors import attach_summary, foreign
from s3_upload.observe.limits import Standing
from s3_upload.report import UploadSummary
from s3_upload.s3.operations import CREATE_MULTIPART_UPLOAD
from s3_upload.sources.files import Reader
from s3_upload.sources.local_disk import Nearby
from s3_upload.sources.version import Versions
from s3_upload.transfer.abort import Unfinished
from s3_upload.transfer.client import Client
from s3_upload.transfer.existing import Existing
from s3_upload.transfer.given import Given
from s3_upload.transfer.guard import Timers, undisturbed
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.observer import Observer
from s3_upload.transfer.parts_line import PartsLine
from s3_upload.transfer.prepare import Prepare
from s3_upload.transfer.progress import Delivery
from s3_upload.transfer.pulling import Begun, Pulling, Sources, begun
from s3_upload.transfer.read_ahead import ReadAhead
from s3_upload.transfer.reading import WholeBodies
from s3_upload.transfer.reporting import Reporting
from s3_upload.transfer.resume import Resumption
from s3_upload.transfer.resume_search import Sides
from s3_upload.transfer.senders import Senders
from s3_upload.transfer.sending import Surroundings, sending_of
from s3_upload.transfer.spool import Spool
from s3_upload.transfer.streams import Streams
from s3_upload.transfer.tasks import Tasks
from s3_upload.transfer.teller import Teller
from s3_upload.transfer.tools import Tools

STOP_TICK_S = 0.05
"""How often a run that is cancelled looks whether something is still under way."""
CREATE_GRACE_S = 1.0
"""How long a run that an error ends waits for the IDs of uploads in parts that are being begun."""


class Leftovers:
    """Uploads in parts that the run, or one before it, has begun and not ended."""

    def __init__(self, given: Given, unfinished: Unfinished) -> None:
        self._given = given
        self.unfinished = unfinished
        self.resumption: Resumption | None = None
        """Where some are gone on with."""

    def notes(self) -> Sequence[str]:
        return () if self.resumption is None else self.resumption.notes(self.unfinished.kept)

    async def finish(self) -> Sequence[str]:
        """Aborts those that nobody will go on with; what is left."""
        resumption = self.resumption
        if resumption is None:
            return await self.unfinished.finish()
        outlived = resumption.outlived(self._given.bucket, self._given.said)
        for abort in outlived:
            self.unfinished.try_at_end(abort)
        left = await self.unfinished.finish(keeps=resumption.keeps)
        resumption.freed(abort for abort in outlived if abort.key not in left)
        return left


class Run:
    """One run with `client`, of what `given` says. It is made on its loop, and runs once."""

    def __init__(self, client: Client, files: Sources, given: Given) -> None:
        sources = begun(files)
        clock = given.runtime.clock
        epoch_s = clock() if given.runtime.epoch_s is None else given.runtime.epoch_s
        self.now: Callable[[], float] = lambda: clock() - epoch_s
        """Seconds since the run began."""
        loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = loop.create_future()
        self._tasks = Tasks(self.fail, self._changed)
        self._delivery = Delivery(given.progress, on_error=self.fail, on_empty=self._reports_are_out)
        self._grace_s = given.config.grace_s
        self._leftovers = Leftovers(given, Unfinished(client, self.now))
        surroundings = Surroundings(
            client,
            given,
            loop,
            self.now,
            self._tasks,
            Teller(given.events, self.now, self.fail),
            Memory(given.config.max_in_flight_bytes),
            self._leftovers.unfinished,
            fail=self.fail,
            changed=self._changed,
            more_room=self._more_room,
            reports=self._delivery,
        )
        self._sending = sending_of(surroundings)
        self._join_reading(surroundings, sources)
        timers = Timers(loop, self.now, self.fail)
        self._observer = Observer(given, self._sending.watchdog, timers, self._standing)

    def _join_reading(self, run: Surroundings, files: Begun) -> None:
        given, client, config, runtime = run.given, run.client, run.given.config, run.given.runtime
        reader = Reader(
            single_limit_bytes=config.multipart_threshold,
            digests=client.digests,
            clock=runtime.clock,
            pause=runtime.pause,
            versions=Versions(config.source_check),
        )
        prepare = Prepare(
            now=self.now,
            est_MBps=lambda: given.controls.timeout.est_MBps,
            part_size=config.part_size,
            store_parts=client.parts,
            fields_of=given.fields_of,
            tell=run.tell,
            lost=frozenset() if given.resume is None else given.resume.lost,
        )
        nearby = Nearby(runtime.local_devices)
        self._reporting = Reporting(
            now=self.now,
            prepare=prepare,
            tell=run.tell,
            delivery=self._delivery,
            skips_existing=config.if_exists == "skip",
        )
        self._join_resumption(run, reader)
        tools = Tools(
            bucket=given.bucket,
            reader=reader,
            whole_bodies=WholeBodies(reader, runtime.offload),
            offload=runtime.offload,
            memory=run.memory,
            requests=self._sending.requests,
            tasks=run.tasks,
            tell=run.tell,
            prepare=prepare,
            parts_line=PartsLine(self._changed),
            unfinished=run.unfinished,
            reporting=self._reporting,
            notes=self._sending.verdicts.notes,
            resumption=self._leftovers.resumption,
        )
        existing = Existing(config, runtime.offload_source, is_aws=getattr(client, "is_aws", False))
        pulling = Pulling(
            files, reader, nearby, existing, offload_source=runtime.offload_source, came=self._changed
        )
        spool = Spool(config.max_in_flight_bytes, reader, runtime.offload)
        self._reading = ReadAhead(
            tools,
            config=config,
            pulling=pulling,
            existing=existing,
            nearby=nearby,
            senders=Senders(tools, self._sending.slots, self._changed),
            streams=Streams(tools, spool, runtime.offload_source, self._changed),
            slots=self._sending.slots,
            bulk=self._sending.bulk,
            delivery=self._delivery,
        )

    def _join_resumption(self, run: Surroundings, reader: Reader) -> None:
        resume, offload = run.given.resume, run.given.runtime.offload
        if resume is not None:
            sides = Sides(reader, offload, run.memory, self._sending.requests, run.unfinished)
            self._leftovers.resumption = Resumption(resume, sides)

    async def run(self) -> UploadSummary:
        """Until everything is uploaded, failed or skipped. Raises what stops the run."""
        try:
            with self._paced():
                # Not before: of a run that cannot be made no timer is left.
                self._sending.outages.start()
                self._reading.top_up()
                try:
                    await self._until_end()
                    self._observer.finish()
                finally:
                    await undisturbed(self._end_all())  # its time is bounded
        except BaseException as error:
            attach_summary(error, self._so_far())
            raise
        return self._so_far()

    @contextmanager
    def _paced(self) -> Iterator[None]:
        """Nothing is held back behind it, also where the run is cancelled once more while it ends."""
        pacer = self._sending.pacer
        if pacer is None:
            yield
            return
        pacer.start()
        try:
            yield
        finally:
            pacer.stop()

    async def _until_end(self) -> None:
        try:
            # Not awaited itself: who is cancelled would cancel it.
            await asyncio.wait((self._end,))
        except asyncio.CancelledError:
            await self._stop()
            raise
        self._end.result()

    async def _stop(self) -> None:
        """Begins nothing new, and waits until what is under way is through, or `grace_s` are over."""
        self._sending.slots.begin_nothing()
        self._reading.close()
        until_s, quiet = self.now() + self._grace_s, 0
        # Twice: between two requests of one object there is nothing to see for a moment.
        while self.now() < until_s and quiet < 2 and not self._end.done():
            await asyncio.wait((self._end,), timeout=STOP_TICK_S)
            quiet = 0 if self._under_way else quiet + 1

    @property
    def _under_way(self) -> bool:
        """Whether it is worth waiting for."""
        sending = self._sending
        begun = sending.slots.in_use + len(sending.waiting) + self._leftovers.unfinished.completing
        return self._delivery.busy or (begun > 0 and not sending.outages.away)

    def fail(self, error: BaseException) -> None:
        """Stops the run: `error` is raised from `run`. Only the first call counts."""
        self._finish(error)

    def _so_far(self) -> UploadSummary:
        waiting, notes, pacer = self._sending.waiting, self._sending.verdicts.notes, self._sending.pacer
        return self._reporting.summary.summary(
            self.now(),
            waiting.budget_wait_s,
            (*notes.all(), *self._leftovers.notes()),
            pace=pacer.kept.reports if pacer is not None else (),
            limits=self._observer.shares(),
        )

    def _standing(self) -> Standing:
        sending, slots = self._sending, self._sending.slots
        return Standing(
            requests=slots.in_use,
            max_requests=int(min(slots.capacity, sending.bulk.max_requests)),
            ready=slots.anybody_stands,
            listing=self._reading.listing,
            reading=self._reading.reading,
            away=sending.outages.away,
            throttled=sending.rate.waits,
            rate_per_s=sending.rate.per_s,
            retries=len(sending.waiting),
            silent_s=sending.outages.silent_s,
        )

    # --- what follows from what has ended ----------------------------------------------------------------

    def _changed(self) -> None:
        """Something has ended: more may be read, or nothing is left to do."""
        if self._end.done():
            return
        self._reading.top_up()
        busy = len(self._tasks) > self._reading.senders.idle or self._delivery.busy
        if not busy and self._reading.drained and not self._sending.requests.alive:
            self._finish(None)

    def _reports_are_out(self) -> None:
        """Nothing waits for the user's callable: what was not begun for that is."""
        if not self._end.done():
            self._sending.slots.let_in()
            self._changed()

    def _more_room(self) -> None:
        """More may be in flight, and read."""
        if not self._end.done():
            self._sending.slots.let_in()
            self._reading.top_up()

    # --- the end -------------------------------------------------------------------------------------

    def _finish(self, error: BaseException | None) -> None:
        if self._end.done():
            return
        # At once: what is cancelled in a moment must not let others in.
        self._sending.slots.close()
        if error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(foreign(error))
        if error is not None:
            self._end.exception()  # looked at, or the loop prints it where the run is cancelled meanwhile

    async def _creates_are_heard(self) -> None:
        """By its ID alone an upload in parts can be aborted."""
        until_s, under_way = self.now() + CREATE_GRACE_S, self._sending.watchdog.in_flight

        def any_is_sent() -> bool:
            names = {one.request.operation.name for one in under_way if one.trace.request_s}
            return CREATE_MULTIPART_UPLOAD in names

        while any_is_sent() and self.now() < until_s:  # noqa: ASYNC110 - once, and seldom
            await asyncio.sleep(STOP_TICK_S)

    async def _end_all(self) -> None:
        self._observer.close()
        self._reading.close()
        await self._sending.close()
        # Who is cancelled has waited for that, or is not to wait.
        if self._end.done():
            await self._creates_are_heard()
        await self._tasks.close()
        await self._delivery.close()
        self._sending.watchdog.close()
        left = await self._leftovers.finish()
        if left:
            self._sending.verdicts.notes.left_over(left)
