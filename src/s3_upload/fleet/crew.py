"""One job over several processes, seen from the one that has it.

Rules:

* The process at home takes part: its run is an ordinary one, whose sources the `Dispenser` hands out.  So is
  that of each worker, of which the `Staff` sees to it that there are as many as there should be.  What they
  tell is put together by the `Desk`.
* One budget of bandwidth is cut into leases, anew each tick (`leases.py`), and so is the rate that the store
  accepts (`control/concurrency/fleet_rate.py`): what one sees refused slows all of them.
* What stops one run stops the job.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

import msgspec

from s3_upload.api import fields_of, upload_given
from s3_upload.clients.s3 import S3Client
from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.fleet_rate import FleetRates
from s3_upload.control.concurrency.worker_rates import WorkerRates
from s3_upload.errors import attach_summary, foreign, summary_of
from s3_upload.fleet.desk import Desk
from s3_upload.fleet.dispenser import Dispenser
from s3_upload.fleet.job_of_many import JobOfMany
from s3_upload.fleet.kept_uploads import KeptUploads
from s3_upload.fleet.leases import ADDED_READS, as_bandwidth, cut, left_for_home, share_of
from s3_upload.fleet.wire import (
    Answer,
    Begin,
    Frame,
    Hold,
    Noticed,
    Question,
    Rates,
    Told,
    Work,
    numbers_of,
    unpacked,
)
from s3_upload.fleet.worker import Worker
from s3_upload.observe.events import (
    LimitsChanged,
    ObjectEnded,
    PartStored,
    StoreAway,
    StoreBack,
    UploadCreated,
)
from s3_upload.pace import Pace
from s3_upload.report import PaceReport, UploadSummary
from s3_upload.request_fields import NO_FIELDS
from s3_upload.s3.operations import ABORT_MULTIPART_UPLOAD, Operation
from s3_upload.sources.source import Here, ObjectSource
from s3_upload.threads import DaemonThreads
from s3_upload.transfer.abort import abort_all
from s3_upload.transfer.resume import Resume
from s3_upload.transfer.tasks import Tasks
from s3_upload.units import MIN_BYTES_PER_S, Bandwidth

TICK_S = 0.25
WANTED = frozenset({ObjectEnded, UploadCreated, PartStored, LimitsChanged})
"""The events that a job needs of its workers, whoever listens."""
OF_ITSELF = frozenset({StoreAway, StoreBack})
"""What the process at home tells of, where it takes part in all."""


class Staff(Protocol):
    """Those who work for a job."""

    @property
    def workers(self) -> list[Worker]: ...
    @property
    def held_per_s(self) -> float:
        """Of the bandwidth, by others whom nobody can tell a new lease."""

    def start(self) -> None:
        """The job begins."""

    def refill(self) -> None:
        """There may be more to do."""

    def tick(self) -> None:
        """TICK_S have passed."""

    def stop(self, *, at_once: bool) -> None:
        """Nothing new is begun; `at_once`: nothing is waited for."""

    async def end(self, *, stopped: bool) -> None:
        """They come to their end, or are brought to it. `stopped`: they have been told to stop."""


class Crew:
    """See the module's rules. `count`: how many processes there may be; `from_start`: they all are there from
    the beginning.  `home_takes`: the process at home does all kinds of work, and not only what cannot
    travel."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        job: JobOfMany,
        *,
        count: int,
        from_start: bool,
        home_takes: bool = True,
    ) -> None:
        self.count = count
        self.config = job.config
        given = job.given
        self.dispenser = Dispenser(given.files, home_takes=home_takes)  # type: ignore[arg-type]
        self.uploads = KeptUploads(None if given.resume is None else given.resume.before)
        self._client = client
        self._bucket = bucket
        self._job = job
        self._given = given
        self._from_start = from_start
        self._pace = _HomePace(job.pace) if job.pace is not None else None
        self._rates: FleetRates[int] = FleetRates()
        self._rates_at_home = WorkerRates()
        self._epoch_s = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self.desk = Desk(
            given.events, self.dispenser, self.uploads, job.progress, fail=self.fail, more=self._refill
        )
        self.threads = DaemonThreads(2, "s3-upload-fleet")
        # Apart: what an iterable gives next may depend on an upload that has asked something.
        self._answering = DaemonThreads(1, "s3-upload-fleet-answers")
        self.stopping = self._cancelled = False
        self._grace_until_s = 0.0
        """So long a job that is cancelled waits for what is under way."""
        self._tasks = Tasks(self.fail, ended=lambda: None)
        self._staff: Staff | None = None
        self._at_home: UploadSummary | None = None
        """What the run at home came to."""

    # --- the job -----------------------------------------------------------------------------------

    async def run(self, staff: Staff) -> UploadSummary:
        """Until all is done. Raises what stops the job."""
        self._staff = staff
        staff.start()
        home = self._loop.create_task(self._run_at_home())
        self.begin(self._tick_on(staff))
        try:
            return await self._until_done(home, staff)
        except BaseException as error:
            attach_summary(error, self.desk.summary(self._at_home, self.now()))
            raise
        finally:
            home.cancel()
            await self._tasks.close()
            await asyncio.gather(home, return_exceptions=True)
            self.threads.close()
            self._answering.close()
            await self.desk.delivery.close()

    def now(self) -> float:
        """On the clock of the job, and of all its processes on this machine."""
        return time.monotonic() - self._epoch_s

    def fail(self, error: BaseException) -> None:
        """Ends the job: `run` raises the first error that there is."""
        if not self._failed.done():
            self._failed.set_exception(foreign(error))
            self._failed.exception()  # or the loop says that nobody has looked at it, where nobody does

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """What it raises ends the job; it ends with the job."""
        self._tasks.start(work)

    async def _run_at_home(self) -> None:
        given = msgspec.structs.replace(
            self._given,
            files=self.dispenser,
            events=self.desk.at_home(),
            resume=Resume(self.uploads, self._asks_store, self.desk.resumed, self.dispenser.lost_keys),
        )
        try:
            self._at_home = await upload_given(
                self._client,
                self._bucket,
                given,
                self._config_at_home,
                default_request=self._job.default_request,
                pace=self._pace,
                notice=self._job.notice,
                epoch_s=self._epoch_s,
                rates=self._rates_at_home,
            )
        except BaseException as error:
            self._at_home = summary_of(error)
            raise

    @property
    def _asks_store(self) -> bool:
        """Whether another run looks for what is left in the store, though no journal knows of it."""
        return self._given.resume is not None and self._given.resume.asks_store

    @property
    def _config_at_home(self) -> UploadConfig:
        """Where others may never come, the bounds are its own: with half of them it would be slower.  Those
        that somebody has set are kept to by staying alone (`uploading.py`)."""
        if self._from_start:
            return share_of(self.config, self.count)
        return dataclasses.replace(self.config, max_bandwidth="")

    async def _until_done(self, home: asyncio.Task[None], staff: Staff) -> UploadSummary:
        ending = self._loop.create_task(self._to_the_end(home, staff))
        cancelled = False
        while not ending.done():
            try:
                # If this is cancelled, `wait` leaves the task alone: it has much to see to.
                await asyncio.wait((ending,))
            except asyncio.CancelledError:
                self._stop(staff, at_once=cancelled)
                self._grace_until_s = 0.0 if cancelled else self.now() + self.config.grace_s
                cancelled = self._cancelled = True
                home.cancel()
        ending.result()
        if self._failed.done():
            self._failed.result()
        if cancelled:
            raise asyncio.CancelledError
        home.result()
        return self.desk.summary(self._at_home, self.now())

    async def _to_the_end(self, home: asyncio.Task[None], staff: Staff) -> None:
        """All come to their end, and nobody has left anything."""
        await asyncio.wait((home, self._failed), return_when=asyncio.FIRST_COMPLETED)
        while not home.done():
            # At once: what is under way is worth nothing any more.
            self._stop(staff, at_once=True)
            home.cancel()
            await asyncio.wait((home,), timeout=TICK_S)
        while self.desk.delivery.busy and not (self._cancelled or self._failed.done()):
            await asyncio.wait((self._failed,), timeout=TICK_S)
        if not self._cancelled and (self._failed.done() or home.cancelled() or home.exception() is not None):
            self._stop(staff, at_once=True)
        stopped, self.stopping = self.stopping, True
        self.dispenser.close()
        await staff.end(stopped=stopped)
        # Of what is uploaded the caller is to hear, as far as the grace goes.
        while self.desk.delivery.busy and not self._failed.done() and self.now() < self._grace_until_s:
            await asyncio.wait((self._failed,), timeout=min(self.config.grace_s, TICK_S))
        await self._abort_left()

    def _stop(self, staff: Staff, *, at_once: bool) -> None:
        self.stopping = True
        self.dispenser.close()
        staff.stop(at_once=at_once)

    async def _abort_left(self) -> None:
        """What processes that ended before their time have left in the store, and no other run finds."""
        if self.uploads.works:
            return
        said = fields_of(self._job.default_request)
        aborts = [
            Operation(
                name=ABORT_MULTIPART_UPLOAD,
                bucket=self._bucket,
                key=begun.row.key,
                upload_id=begun.row.upload_id,
                fields=NO_FIELDS if begun.source is None else said(begun.source),
            )
            for begun in self.uploads.left(keeps=self._asks_store)
        ]
        left = await abort_all(self._client, self.now, aborts)
        self.desk.notes += [f"parts of {one.key} may be left in the store" for one in left.all]

    # --- workers -----------------------------------------------------------------------------------

    def counts(self, count: int) -> None:
        """So many share what holds for the job as a whole."""
        self.count = count

    def order(self, number: int) -> Begin:
        """What a worker is to do."""
        sees_store = self.dispenser.home_takes
        return Begin(
            recipe=self._client.recipe,
            bucket=self._bucket,
            config=share_of(self.config, self.count, reads=1 if self._from_start else ADDED_READS),
            default_request=self._job.default_request,
            wanted=numbers_of(
                (self._given.events.kinds | WANTED) - (OF_ITSELF if sees_store else frozenset())
            ),
            epoch_s=self._epoch_s,
            keeps=self.uploads.works,
            asks_store=self._asks_store,
            paced=self._pace is not None,
            place=number % self.count / self.count,
            rates=tuple(self._rates.begins()),
            speaks=not sees_store and self._job.notice is not None,
            directory=Here().told,
        )

    def work(self, sources: Iterable[ObjectSource]) -> Work:
        """What a worker is told of them."""
        items = [(one.path, one.key, one.fields) for one in sources]
        return Work(items, tuple(key for _, key, _ in items if key in self.dispenser.lost_keys))

    @property
    def full(self) -> bool:
        """Whether nothing new may be begun by others at the moment."""
        # What a process that ended had is for others alone, and would wait as long as the bound is a share.
        # While home measures, it does: a worker elsewhere keeps to its end what it is given now.
        is_for_home = self._whole_link and (self._measures or not self.dispenser.has_lost)
        return self.stopping or self.desk.delivery.full or is_for_home

    def hear(self, worker: Worker, frame: Frame) -> None:
        """What a worker says of its work."""
        try:
            if isinstance(frame, Told):
                for values in frame.events:
                    self.desk.hear(worker, unpacked(values), self.now())
            elif isinstance(frame, Question):
                self.begin(self._answer(worker, frame))
            elif isinstance(frame, Rates):
                self._rates.report(worker.number, frame.seen, now=self.now())
            elif isinstance(frame, Noticed):
                self._notice(worker, frame.line)
        except Exception as error:
            self.fail(error)

    def gone(self, worker: Worker) -> None:
        """It is no more, and what it did not use up is for the others."""
        self.desk.gone(worker, self.now())
        self._rates.gone(worker.number)

    def _notice(self, worker: Worker, line: str) -> None:
        """One speaks for all: they see the same."""
        assert self._staff is not None
        if self._job.notice is not None and worker in self._staff.workers[:1]:
            self._job.notice(line)

    async def _answer(self, worker: Worker, question: Question) -> None:
        """A journal waits for its disk."""
        asked_by = worker.transport
        answer = await self._answering.call(lambda: self.uploads.answer(question.name, question.argument))
        # Another process may have the shard by now, whose questions have the same numbers.
        if worker.transport is asked_by:
            worker.send(Answer(question.number, answer))

    def _refill(self) -> None:
        if self._staff is not None and not self.full:
            self._staff.refill()

    # --- from time to time -------------------------------------------------------------------------

    async def _tick_on(self, staff: Staff) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for worker in staff.workers:
                worker.measure(TICK_S)
            self.cut()
            self._share_rates(staff)
            staff.tick()
            self.desk.look(self.now())
            self._refill()

    def _share_rates(self, staff: Staff) -> None:
        now = self.now()
        self._rates.report(0, self._rates_at_home.seen(now=now), now=now)
        told = self._rates.told(now=now)
        self._rates_at_home.hear(told.pop(0, ()), now=now)
        for worker in staff.workers:
            if worker.number in told:
                worker.send(Hold(told[worker.number]))

    @property
    def _whole_link(self) -> bool:
        """Whether the bound is a share of what the link carries, which only one process can find out."""
        pace = self._pace
        return pace is not None and pace.whole.bandwidth is not None and bool(pace.whole.bandwidth.share)

    @property
    def _measures(self) -> bool:
        """Whether home will soon know what a share of the link is: where it sends nothing it never does."""
        pace = self._pace
        return pace is not None and not pace.each_per_s and (pace.latest is None or pace.sends)

    @property
    def each_of_link_per_s(self) -> float:
        """What each of the others may send of a share of the link; 0.0 where the bound is none."""
        if self._pace is None or not self._whole_link:
            return 0.0
        return self._pace.each_per_s or MIN_BYTES_PER_S

    @property
    def budget_per_s(self) -> float:
        """The bandwidth of all together, in bytes; 0.0 where there is no bound, or a share of the link."""
        whole = None if self._pace is None else self._pace.whole.bandwidth
        return 0.0 if whole is None else whole.bytes_per_s

    def cut(self) -> None:
        """The bandwidth, anew. Whoever gets less is told first."""
        pace = self._pace
        if pace is None or self._staff is None:
            return
        whole, workers = pace.whole.bandwidth, self._staff.workers
        if whole is None:
            pace.lease(0.0)
            for worker in workers:
                worker.lease(0.0)
            return
        if whole.share:
            self._cut_share(pace, whole.share, workers)
            return
        busy = {worker.number: bool(worker.hand.has) for worker in workers}
        # Those elsewhere may hold more than all, where the bound has been lowered since.
        least_per_s = left_for_home(whole.bytes_per_s, self.count, has_work=False)
        left_per_s = max(whole.bytes_per_s - self._staff.held_per_s, least_per_s)
        leases = cut(left_per_s, busy | {0: self.dispenser.home_has_work})
        for worker in sorted(workers, key=lambda one: leases[one.number] - one.lease_per_s):
            worker.lease(leases[worker.number])
        pace.lease(leases[0])

    def _cut_share(self, pace: _HomePace, share: float, workers: list[Worker]) -> None:
        """Of what the link carries, which home finds out: all that is left is for it.  Each of the others has
        as much as home for what is in its hands."""
        self.dispenser.take_part()
        per_s = pace.lease_share(share, 1 + sum(bool(worker.hand.has) for worker in workers))
        for worker in workers:
            # While home measures the others are not to be in the way; if it sends nothing, nobody measures.
            kept_per_s = 0.0 if pace.sends else worker.lease_per_s
            worker.lease(per_s or kept_per_s or MIN_BYTES_PER_S)


class _HomePace(Pace):
    """The lease of the process at home; what it says is told to `whole`, the caller's. `each_per_s`: what the
    share of the link is that each has, as it was found last; 0.0 before, and where the bound is none."""

    def __init__(self, whole: Pace) -> None:
        super().__init__(whole.share, whole.max_bandwidth)
        self.whole = whole
        self.each_per_s = self._share = 0.0

    @property
    def sends(self) -> bool:
        """Whether something was sent of late: a stream may be silent for hours."""
        return self.latest is not None and self.latest.acked_bytes_per_s > 0.0

    def lease(self, bytes_per_s: float) -> None:
        self.bandwidth = as_bandwidth(bytes_per_s)
        self.each_per_s = self._share = 0.0

    def lease_share(self, share: float, count: int) -> float:
        """One of `count` even parts of that share of the link: what it is now, 0.0 while that is measured."""
        if share != self._share:
            self._share, self.each_per_s = share, 0.0
            self.latest = None  # that is of another bound
            self.bandwidth = Bandwidth(share=share / count)
        per_s = 0.0 if self.latest is None else self.latest.pace_bytes_per_s
        if per_s:  # before, another bandwidth would begin the first measurement anew
            self.each_per_s = per_s
            self.bandwidth = Bandwidth(share=share / count)
        return per_s

    def tell(self, report: PaceReport) -> None:
        super().tell(report)
        self.whole.tell(report)
