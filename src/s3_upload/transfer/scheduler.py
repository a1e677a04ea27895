"""Acts on what `control/` decides: what goes when, through which slot, and whether again.

Rules:

* An attempt in flight holds a *slot*; there are as many slots (worker tasks) as the window's limit.
  A unit that waits for its retry holds none.
* `responses.py` and the wire say what went wrong, `retry.py` what to do about it, `failures.py` does it.
* The run ends in one way: `_finish()` sets one future, to success when nothing is left, to the first
  error that stops the run; then every task and timer is cancelled, and unfinished uploads are aborted.

Theory of operation.  Feed and uploads fill `_ready`; a worker takes a unit, makes one attempt and settles it.
Success and final failure go to its upload, which names what follows; a retry is ready again after its delay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from s3_upload.control.concurrency.big_bodies import BULK_BYTES, BulkBound
from s3_upload.control.concurrency.prefixes import AcceptedRates
from s3_upload.control.concurrency.window import Window
from s3_upload.control.retrying.budget import SpeculationBudget
from s3_upload.control.retrying.outage import Outage
from s3_upload.control.retrying.retry import Retry, Rng, Verdict
from s3_upload.control.share.courtesy import CappedWindow
from s3_upload.control.waiting.timeouts import Timeout
from s3_upload.errors import UploadError, attach_summary
from s3_upload.http import Response
from s3_upload.observe.events import Events
from s3_upload.observe.limits import Standing
from s3_upload.report import AttemptReport, SummaryFold, UploadReport, UploadSummary
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, NOT_TWICE, PUT_OBJECT, UPLOAD_PART
from s3_upload.transfer.abort import Leftovers
from s3_upload.transfer.again import Again
from s3_upload.transfer.attempt import Attempts, Outcome, report_of, timeouts_of
from s3_upload.transfer.bulk import BulkLine
from s3_upload.transfer.client import Client
from s3_upload.transfer.failures import Failures
from s3_upload.transfer.guard import guarded, undisturbed
from s3_upload.transfer.inquiry import Inquiries
from s3_upload.transfer.multipart import MultipartUpload
from s3_upload.transfer.observer import Gauges, Observer
from s3_upload.transfer.outages import Notice, Outages
from s3_upload.transfer.progress import Delivery, Progress
from s3_upload.transfer.rate_line import RateLine
from s3_upload.transfer.read_ahead import Feed
from s3_upload.transfer.ready import Ready
from s3_upload.transfer.teller import Teller
from s3_upload.transfer.unit import Unit, Upload
from s3_upload.transfer.watchdog import InFlight, Watchdog

SAFE_TWICE = frozenset({PUT_OBJECT, UPLOAD_PART})
"""Operations of which two at the same time do what one does; CreateMultipartUpload makes two uploads."""
_SPARE = "the store's answers prove no success (they lack an ETag, say): HeadObject was asked about each"


class Scheduler:
    """One run. `attach` gives it what brings it work, `run` runs it."""

    skips_existing = False

    def __init__(
        self,
        *,
        client: Client,
        timeout: Timeout,
        retry: Retry,
        window: Window,
        rng: Rng,
        clock: Callable[[], float],
        progress: Progress | None,
        hedging: bool,
        bulk: BulkBound | None,
        outage: Outage,
        notice: Notice | None,
        rates: AcceptedRates | None,
        events: Events,
    ) -> None:
        self._events, self._tell = events, Teller(events, self.now)
        self._hedging = hedging
        self._client, self._timeout, self._window = client, timeout, window
        self._clock, self._epoch_s = clock, clock()
        self._loop = asyncio.get_running_loop()
        self._budget = SpeculationBudget()
        self._watchdog = Watchdog(
            self._loop,
            self.now,
            self._budget,
            timeouts_of=lambda attempt: timeouts_of(timeout, attempt.unit),
            hedge=self._hedge,
            fail=self.fail,
        )
        self._rate = RateLine(rates, self.now, self._loop, self.resume, self.fail)
        self._failures = Failures(client, retry, rng, self._loop, self, self._rate)
        self._outages = Outages(
            client,
            outage,
            rng=rng,
            loop=self._loop,
            sink=self,
            waiting=self._failures.waiting,
            watchdog=self._watchdog,
            observe=timeout.observe,
            judge=self._judge,
            notice=notice,
            events=events,
        )
        self._attempts = Attempts(client, timeout, self._watchdog, self.now)
        self._inquiries = Inquiries(self._attempts, self._loop, self, self._answered, self._proven)
        self._bulk = BulkLine(client, bulk, self.now, resume=self.resume, room=self.more_room, fail=self.fail)
        self._delivery = Delivery(progress, on_error=self.fail, on_empty=self.feed_changed)
        self._summary = SummaryFold()
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._ready = Ready()
        self._idle_workers: deque[asyncio.Future[None]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._leftovers = Leftovers(client, self.now)
        self._multiparts: dict[MultipartUpload, None] = {}  # a set that keeps its order
        self._in_flight = self._hedges = 0
        self._keeps_versions = False

    def attach(self, feed: Feed, again: Again, gauges: Gauges) -> None:
        self._feed, self._again = feed, again
        self._worker_done = guarded(self.fail, self._after_worker)
        if isinstance(self._window, CappedWindow):
            self._window.on_growth = self.more_room
        self._observer = Observer(
            self._events,
            gauges,
            self._watchdog,
            now=self.now,
            stand=self._standing,
            loop=self._loop,
            fail=self.fail,
        )

    async def run(self) -> UploadSummary:
        """Until everything is uploaded, failed or skipped. Raises what stops the run."""
        self._feed.top_up()
        try:
            try:
                await self._end
                self._observer.finish()
            finally:
                await undisturbed(self._end_all())  # its time is bounded
        except BaseException as error:
            attach_summary(error, self._so_far())
            raise
        return self._so_far()

    def _so_far(self) -> UploadSummary:
        wait_s, notes = self._failures.budget_wait_s, self._failures.notes
        return self._summary.summary(self.now(), wait_s, notes, limits=self._observer.shares())

    # --- what the feed needs (feed.Sink) -----------------------------------------------------------

    def now(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._epoch_s

    def est_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        return self._timeout.est_MBps

    def window_limit(self) -> int:
        return self._window.limit

    def bulk_full(self) -> bool:
        return self._bulk.full

    def submit(self, unit: Unit) -> None:
        """Queues a unit for the next free slot."""
        if self._tell.objects:
            self._tell.begun(unit)
        if isinstance(unit.upload, MultipartUpload):
            self._multiparts[unit.upload] = None
            if unit.operation.name == COMPLETE_MULTIPART_UPLOAD:
                self._inquiries.watch(unit)
        if unit.upload.upload_id:
            self._ready.put_begun(unit)
        else:
            self._ready.append(unit)
        self._wake_one()

    def proceed(self, upload: Upload, follow_ups: Iterable[Unit]) -> None:
        """Does what an upload says comes next."""
        for unit in follow_ups:
            self._feed.hold(unit)
            self.submit(unit)
        if upload.done:
            if isinstance(upload, MultipartUpload):
                self._multiparts.pop(upload, None)
                if upload.left_over is not None:
                    self._leftovers.add(upload.left_over)
            if upload.error is not None and upload.starts_again:
                self._again.begin(upload)
            else:
                self._feed.keys.free(upload.source.key)
                self.report(upload.report(self.now(), skips_existing=self.skips_existing))

    def report(self, report: UploadReport) -> None:
        self._summary.add(report)
        if self._tell.ends:
            self._tell.ended(report)
        self._delivery.deliver(report)

    def backlogged(self) -> bool:
        return self._delivery.full

    async def catch_up(self) -> None:
        await self._delivery.catch_up()

    def feed_changed(self) -> None:
        """Ends the run if nothing is left to do."""
        if self._feed.drained and not self._delivery.busy:
            assert not self._multiparts, "a multipart upload was begun and never ended"
            self._finish(None)

    def fail(self, error: BaseException) -> None:
        """Stops the run: `error` is raised from `run`."""
        self._finish(error)

    # --- slots ---------------------------------------------------------------------------------------

    def _wake_one(self) -> None:
        while self._idle_workers:
            waiter = self._idle_workers.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        if len(self._workers) < self._slots():
            worker = self._loop.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._worker_done)

    def _after_worker(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        # Cancelled by itself: something that the client awaited was.
        error = asyncio.CancelledError() if worker.cancelled() else worker.exception()
        if error is not None:
            self.fail(error)

    def _slots(self) -> float:
        """A first that has lent its slot to its hedge is outside of the window. An outage leaves few."""
        return min(self._window.limit + self._hedges, self._outages.room)

    async def _work(self) -> None:
        while not self._end.done() and len(self._workers) <= self._slots():
            if not self._ready:
                waiter = self._loop.create_future()
                self._idle_workers.append(waiter)
                await waiter
                continue
            unit = self._ready.popleft()
            if unit.settled:  # a hedge that comes too late
                unit.hedge_queued = False
                self._hedges -= 1
                self._budget.give_back_hedge(len(unit.operation.body))
                continue
            paced = self._rate.limited
            if paced and not self._rate.admit(unit):
                continue
            hedge, unit.hedge_queued = unit.hedge_queued, False
            is_bulk = len(unit.operation.body) > BULK_BYTES
            if is_bulk and not self._bulk.admit(unit):
                if paced:
                    self._rate.give_back(unit)
                continue
            self._in_flight += 1
            try:
                outcome = await self._attempts.make(unit, hedge=hedge)
            finally:
                self._in_flight -= 1
                if is_bulk:
                    self._bulk.leave()
            verdict = self._settle(unit, outcome)
            if verdict is Verdict.CORRECT:
                await self._failures.correct(unit, outcome)
            elif verdict is Verdict.ASK:
                await self._ask(unit, outcome)
            del unit, outcome  # a worker may idle for long, and a body is big
            if self._ready and len(self._workers) < self._slots():
                self._wake_one()  # the window has grown
            if self._delivery.full:
                await self._delivery.catch_up()
        self._leave()

    def _leave(self) -> None:
        """A worker ends because the window has shrunk (or the run ended): at once and not when its task
        is done, or all that look in the same moment would leave; and what it was woken for needs another."""
        worker = asyncio.current_task()
        assert worker is not None
        self._workers.discard(worker)
        if self._ready and not self._end.done():
            self._wake_one()

    def _hedge(self, attempt: InFlight) -> bool:
        """Queues a second copy of an attempt that is slow to be answered, where that is safe.

        A part sent twice is one part.  An object sent twice is one object, except that a bucket with
        versioning keeps both: such a bucket shows by the version ID in its answers.
        """
        if not self._hedging or attempt.unit.operation.name not in SAFE_TWICE:
            return False
        if self._keeps_versions and attempt.unit.operation.name == PUT_OBJECT:
            return False
        self._hedges += 1
        attempt.unit.hedge_queued = True
        self._ready.appendleft(attempt.unit)
        self._wake_one()
        return True

    # --- what becomes of an attempt ----------------------------------------------------------------

    def _settle(self, unit: Unit, outcome: Outcome) -> Verdict | None:
        """Returns what was decided, None where there was nothing to decide."""
        report, upload = outcome.report, unit.upload
        if report.hedge:
            self._hedges -= 1
        if unit.settled:
            return None
        if self._tell.attempts:
            self._tell.attempt(unit, report)
        if outcome.exchange.stale and self._goes_again(unit, report):
            return None
        self._outages.saw(unit.operation, report)
        held = self._outages.holds(report)
        if not (held and self._outages.away):  # an outage says nothing of how long to wait, or of how many
            self._learn(unit, report)
        if outcome.response is not None:
            if report.hedge and all(rival.acked_s for rival in unit.in_flight):  # it was lost in the store
                self._budget.give_back_hedge(report.body_bytes)
            self._succeeded(unit, outcome.response)
            upload.attempt_reports.append(report)
            follow_ups = upload.accept(unit, outcome.response)
            if self._tell.parts:
                self._tell.accepted(unit)
            self._end_unit(unit, follow_ups)
            return None
        upload.attempt_reports.append(report)
        failure = outcome.failure
        assert failure is not None
        if failure.kind.ambiguous and report.request_s:
            unit.ambiguous = True
        if unit.in_flight or unit.hedge_queued:
            return None  # its copy is still under way and decides
        if held:
            self._outages.hold(unit, outcome)
            return None
        return self._judge(unit, outcome)

    def _judge(self, unit: Unit, outcome: Outcome) -> Verdict:
        """Decides what becomes of a unit whose attempt has failed."""
        outages = self._outages
        return self._failures.settle(
            unit,
            outcome,
            any_answer=outages.got_somewhere,
            outwaited=outages.outwaited(outcome.report),
        )

    def _learn(self, unit: Unit, report: AttemptReport) -> None:
        self._timeout.observe(report)
        self._rate.observe(unit, report)
        self._window.observe(report, now=report.ended_s, in_flight=self._in_flight + 1)

    async def _ask(self, unit: Unit, outcome: Outcome) -> None:
        """In its slot, and while its body is held: whether what was answered for without a proof is there.
        Some stores give none, and have it; a captive portal gives none, and has nothing."""
        assert outcome.failure is not None
        found, why_not = await self._inquiries.ask(unit)
        if found is not None:
            self._failures.note(outcome.failure.kind, _SPARE)
            self._proven(unit, found)
            return
        message = f"{outcome.failure.message}; HeadObject does not find it ({why_not})"
        failure = msgspec.structs.replace(outcome.failure, message=message)
        self._failures.settle(unit, msgspec.structs.replace(outcome, failure=failure), asked=True)

    def _answered(self, unit: Unit, report: AttemptReport) -> None:
        """HeadObject was asked about what `unit` sent."""
        self._outages.saw(unit.operation, report)
        self._learn(unit, report)

    def _proven(self, unit: Unit, found: Response) -> None:
        """What `unit` sent is there."""
        self._succeeded(unit, found)
        follow_ups = unit.upload.accept(unit, found)
        if self._tell.parts:
            self._tell.accepted(unit)
        self._end_unit(unit, follow_ups)

    def _goes_again(self, unit: Unit, report: AttemptReport) -> bool:
        """After a connection that had been waiting ended without a byte of an answer: the store had very
        probably closed it before the request came, as stores do.  That says nothing about the store and is
        no retry; the request goes again, on a new connection, where this cannot happen twice.

        A POST does not (RFC 9110 §9.2.2), since one that did arrive may have done its work: a second
        CreateMultipartUpload leaves an upload that nobody aborts.  The client looks before it sends one.
        """
        if unit.operation.name in NOT_TWICE or unit.in_flight or unit.hedge_queued:
            return False
        unit.upload.attempt_reports.append(report)
        unit.ambiguous = True  # probably is not certainly
        unit.fresh = True
        self.resume(unit)
        return True

    def _succeeded(self, unit: Unit, response: Response) -> None:
        self._budget.succeeded(len(unit.operation.body))
        self._failures.succeeded(unit)
        self._leftovers.answered()
        if not self._keeps_versions and response.headers.get("x-amz-version-id", "null") != "null":
            self._keeps_versions = True
        for rival in tuple(unit.in_flight):
            rival.exchange.cancel("a copy of it has succeeded")  # first: it then knows what it has sent
            unit.upload.attempt_reports.append(report_of(rival, None, None, ended_s=self.now()))
            if self._tell.attempts:
                self._tell.attempt(unit, unit.upload.attempt_reports[-1])

    def give_up(self, unit: Unit, error: UploadError) -> None:
        """No more tries of `unit`."""
        self._end_unit(unit, unit.upload.refuse(unit, error))

    def _end_unit(self, unit: Unit, follow_ups: Iterable[Unit]) -> None:
        upload = unit.upload
        unit.settled = True
        if upload.parts_wanted:
            assert isinstance(upload, MultipartUpload)
            upload.parts_wanted = False
            self._feed.begin_parts(upload)
        self.proceed(upload, follow_ups)
        self._feed.release(unit)
        self._feed.top_up()
        self.feed_changed()

    def resume(self, unit: Unit) -> None:
        """Tries `unit` again, before all that waits."""
        self._ready.appendleft(unit)
        self._wake_one()

    def more_room(self) -> None:
        """More may be in flight, and read."""
        if self._end.done():
            return
        for _ in self._ready:
            self._wake_one()
        self._feed.top_up()

    def reread(self, unit: Unit) -> None:
        """Tries `unit` again when its body has been read anew."""
        self._again.reread(unit)

    def _standing(self) -> Standing:
        return Standing(
            requests=self._in_flight,
            max_requests=int(min(self._slots(), self._bulk.max_requests)),
            ready=bool(self._ready) or self._bulk.waits,
            listing=self._feed.listing,
            reading=self._feed.reading,
            away=self._outages.away,
            throttled=self._rate.waits,
            rate_per_s=self._rate.per_s,
            retries=len(self._failures.waiting),
            silent_s=self._outages.silent_s,
        )

    # --- the end -------------------------------------------------------------------------------------

    def _finish(self, error: BaseException | None) -> None:
        if self._end.done():
            return
        if error is None:
            self._end.set_result(None)
        elif isinstance(error, StopIteration):  # which no future takes, as no generator does (PEP 479)
            wrapped = RuntimeError("something of the caller's raised StopIteration")
            wrapped.__cause__ = error
            self._end.set_exception(wrapped)
        else:
            self._end.set_exception(error)

    async def _end_all(self) -> None:
        self._observer.close()
        self._failures.close()
        self._bulk.close()
        await self._outages.close()
        await self._inquiries.close()
        await self._feed.close()  # first: what it has read would make new workers
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._delivery.close()
        self._watchdog.close()
        open_uploads = [upload.abort_operation() for upload in self._multiparts]
        left = await self._leftovers.finish([abort for abort in open_uploads if abort is not None])
        if left:
            self._failures.note_left_over(left)
