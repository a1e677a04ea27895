"""Acts on what `control/` decides: what goes when, through which slot, and whether again.

Rules:

* An attempt in flight holds a *slot*; there are as many slots (worker tasks) as the window's limit.
  A unit that waits for its retry holds none.
* An error becomes an action here and nowhere else: `responses.py` and the wire say what happened,
  `retry.py` says what to do.
* The run ends in one way: `_finish()` sets one future, to success when nothing is left, to the first
  error that stops the run; then every task and timer is cancelled, and what the store holds of
  unfinished multipart uploads is aborted.

Theory of operation.  The feed fills `_ready`; idle workers wait on futures in `_idle_workers`.
A worker takes a unit, makes one attempt, and settles it: success and final failure go to the unit's
upload, which names the units that follow; a retry goes back to `_ready` after its delay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from s3_upload.control.budget import SpeculationBudget
from s3_upload.control.retry import Decision, Retry, Rng, Verdict
from s3_upload.control.timeout import Timeout
from s3_upload.control.window import Window
from s3_upload.engine.attempt import Attempts, Outcome, report_of, run_error, timeouts_of, upload_error
from s3_upload.engine.client import Client
from s3_upload.engine.feed import Feed
from s3_upload.engine.multipart import MultipartUpload
from s3_upload.engine.progress import Delivery, Progress
from s3_upload.engine.unit import Unit, Upload
from s3_upload.engine.watchdog import InFlight, Watchdog
from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.report import SummaryFold, UploadReport, UploadSummary
from s3_upload.s3.operations import CREATE_MULTIPART_UPLOAD, PUT_OBJECT, UPLOAD_PART
from s3_upload.s3.responses import Failure
from s3_upload.wire.exchange import Exchange

ABORT_GRACE_S = 5.0
"""How long the end of a stopped run may take to abort its multipart uploads."""
MAX_ABORTS_AT_ONCE = 32
SAFE_TWICE = frozenset({PUT_OBJECT, UPLOAD_PART})
"""Operations of which two at the same time do what one does; CreateMultipartUpload makes two uploads."""


class Scheduler:
    """One run. `attach` gives it its feed, `run` runs it."""

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
    ) -> None:
        self._hedging = hedging
        self._client = client
        self._timeout = timeout
        self._retry = retry
        self._window = window
        self._rng = rng
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._epoch_s = clock()
        self._budget = SpeculationBudget()
        self._watchdog = Watchdog(
            self._loop,
            self.now,
            self._budget,
            lambda attempt: timeouts_of(timeout, attempt.unit),
            self._hedge,
        )
        self._attempts = Attempts(client, timeout, self._watchdog, self.now)
        self._delivery = Delivery(progress, on_error=self.fail, on_empty=self.feed_changed)
        self._summary = SummaryFold()
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._ready: deque[Unit] = deque()
        self._idle_workers: deque[asyncio.Future[None]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._retry_timers: set[asyncio.TimerHandle] = set()
        self._multiparts: dict[MultipartUpload, None] = {}  # a set that keeps its order
        self._budget_wait_s = 0.0
        self._notes: dict[FailureKind, str] = {}
        self._in_flight = 0
        self._hedges = 0
        self._any_success = False
        self._any_answer = False
        self._keeps_versions = False

    def attach(self, feed: Feed) -> None:
        self._feed = feed

    async def run(self) -> UploadSummary:
        """Until everything is uploaded, failed or skipped. Raises what stops the run."""
        self._feed.top_up()
        try:
            await self._end
        finally:
            await self._stop()
        return self._summary.summary(self.now(), self._budget_wait_s, self._notes.values())

    # --- what the feed needs (feed.Sink) -----------------------------------------------------------

    def now(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._epoch_s

    def est_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        return self._timeout.est_MBps

    def window_limit(self) -> int:
        return self._window.limit

    def submit(self, unit: Unit) -> None:
        """Queues a unit for the next free slot."""
        if isinstance(unit.upload, MultipartUpload):
            self._multiparts[unit.upload] = None
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
            self.report(upload.report(self.now()))

    def report(self, report: UploadReport) -> None:
        self._summary.add(report)
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

    def _worker_done(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        # Cancelled by itself: something that the client awaited was.
        error = asyncio.CancelledError() if worker.cancelled() else worker.exception()
        if error is not None:
            self.fail(error)

    def _slots(self) -> int:
        """A first that has a hedge has lent its slot to it, and waits outside of the window."""
        return self._window.limit + self._hedges

    async def _work(self) -> None:
        while not self._end.done() and len(self._workers) <= self._slots():
            if not self._ready:
                waiter = self._loop.create_future()
                self._idle_workers.append(waiter)
                await waiter
                continue
            unit = self._ready.popleft()
            hedge, unit.hedge_queued = unit.hedge_queued, False
            if unit.settled:  # a hedge that comes too late
                self._hedges -= 1
                continue
            self._in_flight += 1
            try:
                outcome = await self._attempts.make(unit, hedge=hedge)
            finally:
                self._in_flight -= 1
            if self._settle(unit, outcome) is Verdict.CORRECT:
                await self._correct(unit, outcome)
            del unit, outcome  # a worker may idle for long, and a body is big
            if self._ready and len(self._workers) < self._window.limit + self._hedges:
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
        if report.status:
            self._any_answer = True
        if report.hedge:
            self._hedges -= 1
        if unit.settled:
            return None
        self._timeout.observe(report)
        self._window.observe(report, now=report.ended_s, in_flight=self._in_flight + 1)
        if outcome.response is None and (unit.in_flight or unit.hedge_queued):
            upload.attempt_reports.append(report)  # its copy is still under way and decides
            return None
        verdict = None
        if outcome.response is not None:
            follow_ups = self._accept(unit, outcome.response)
            upload.attempt_reports.append(report)
        else:
            assert outcome.failure is not None
            upload.attempt_reports.append(report)
            decision = self._decide(unit, outcome.failure)
            verdict = decision.verdict
            if verdict is Verdict.CORRECT:
                return verdict
            if verdict is Verdict.RETRY:
                unit.retries += 1
                unit.avoid = report.address
                upload.retries += 1
                unit.retry_cost = decision.cost
                self._retry_later(unit, decision.delay_s)
                return verdict
            if verdict is Verdict.STOP_RUN:
                self.fail(run_error(self._client, unit, outcome.failure, outcome.exchange))
                return verdict
            follow_ups = upload.refuse(unit, upload_error(unit, outcome.failure))
        unit.settled = True
        self.proceed(upload, follow_ups)
        self._feed.release(unit)
        self._feed.top_up()
        self.feed_changed()
        return verdict

    async def _correct(self, unit: Unit, outcome: Outcome) -> None:
        """In its slot, on purpose: while tokens are renewed, a next request would only fail as well."""
        failure = outcome.failure
        assert failure is not None
        unit.corrected += (failure.kind,)
        if not await self._client.correct(unit.operation, failure, outcome.exchange):
            self.fail(run_error(self._client, unit, failure, outcome.exchange))
            return
        if remark := self._client.remark(failure, outcome.exchange):
            self._notes.setdefault(failure.kind, remark)
        self._ready.appendleft(unit)
        self._wake_one()

    def _accept(self, unit: Unit, response: Response) -> Iterable[Unit]:
        upload = unit.upload
        self._any_success = True
        self._budget.succeeded()
        self._retry.succeeded(unit.retry_cost)
        if not self._keeps_versions and response.headers.get("x-amz-version-id", "null") != "null":
            self._keeps_versions = True
        for rival in tuple(unit.in_flight):
            upload.attempt_reports.append(report_of(rival, None, None, ended_s=self.now()))
            rival.exchange.cancel("a copy of it has succeeded")
        follow_ups = upload.accept(unit, response)
        if unit.operation.name == CREATE_MULTIPART_UPLOAD:
            assert isinstance(upload, MultipartUpload)
            self._feed.begin_parts(upload)
        return follow_ups

    def _decide(self, unit: Unit, failure: Failure) -> Decision:
        return self._retry.decide(
            failure.kind,
            retries=unit.retries,
            corrected=failure.kind in unit.corrected,
            any_success=self._any_success,
            any_answer=self._any_answer or self._watchdog.any_on_its_way,
            retry_after_s=failure.retry_after_s,
            rng=self._rng,
        )

    def _retry_later(self, unit: Unit, delay_s: float) -> None:
        def again() -> None:
            self._retry_timers.discard(timer)
            wait_s = self._retry.pay(unit.retry_cost, now=self.now())
            if wait_s > 0.0:
                self._budget_wait_s += wait_s
                self._retry_later(unit, wait_s)
                return
            self._ready.appendleft(unit)
            self._wake_one()

        timer = self._loop.call_later(delay_s, again)
        self._retry_timers.add(timer)

    # --- the end -------------------------------------------------------------------------------------

    def _finish(self, error: BaseException | None) -> None:
        if self._end.done():
            return
        if error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(error)

    async def _stop(self) -> None:
        """Ends everything, also when it is cancelled meanwhile (a second Ctrl-C): its time is bounded."""
        ending = self._loop.create_task(self._end_all())
        cancelled = False
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError:
                cancelled = True
        ending.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _end_all(self) -> None:
        for timer in self._retry_timers:
            timer.cancel()
        await self._feed.close()  # first: what it has read would make new workers
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._delivery.close()
        self._watchdog.close()
        await self._abort_multiparts()

    async def _abort_multiparts(self) -> None:
        """Best effort, in bounded time: parts left behind are billed until a lifecycle rule ends them."""
        operations = [operation for upload in self._multiparts if (operation := upload.abort_operation())]
        if not operations:
            return
        slots = asyncio.Semaphore(MAX_ABORTS_AT_ONCE)

        async def abort(position: int) -> None:
            async with slots:
                await self._client.send(operations[position], Exchange(self.now, ABORT_GRACE_S))

        tasks = [self._loop.create_task(abort(position)) for position in range(len(operations))]
        await asyncio.wait(tasks, timeout=ABORT_GRACE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
