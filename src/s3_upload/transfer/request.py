"""One request until it has succeeded or is given up: its slot, its attempts, their copies, the verdicts.

`Requests.carry_out` is the whole story, from top to bottom.  It is one coroutine; what is tried, and how
often, is in the `Request`.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable

import msgspec

from s3_upload.control.retrying.outage import by_ingress
from s3_upload.control.retrying.retry import Decision, Verdict
from s3_upload.errors import Fate, RunError, SourceError
from s3_upload.http import Response, held_bytes
from s3_upload.report import AttemptReport
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, CREATE_MULTIPART_UPLOAD, NOT_TWICE
from s3_upload.sources.files import HashedBody
from s3_upload.transfer.attempt import Attempts, Outcome, report_of
from s3_upload.transfer.hedges import Hedges
from s3_upload.transfer.inquiry import Inquiries, question_about, why_not_ours
from s3_upload.transfer.lessons import Lessons
from s3_upload.transfer.line import Place
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.outages import Outages
from s3_upload.transfer.slots import Slots
from s3_upload.transfer.tasks import Tasks
from s3_upload.transfer.teller import Teller
from s3_upload.transfer.tries import Attempt, Read, Request
from s3_upload.transfer.verdicts import GivenUp, Verdicts
from s3_upload.transfer.waiting import Waiting

_SPARE = "the store's answers prove no success (they lack an ETag, say): HeadObject was asked about each"


class Next(enum.Enum):
    """What follows for a request from an attempt that has failed."""

    AT_ONCE = "at-once"
    """It goes again: this was nobody's fault, or is put right."""
    HOLD = "hold"
    """It waits until the store is heard of: what failed may be the store's absence."""
    JUDGE = "judge"


class Requests(msgspec.Struct, eq=False, kw_only=True):
    """The requests of a run. `alive`: how many are begun and not ended; `creating`: of them, those that begin
    an object in parts.  `changed` is called where one has ended and its object has not."""

    attempts: Attempts
    slots: Slots
    memory: Memory
    waiting: Waiting
    outages: Outages
    verdicts: Verdicts
    lessons: Lessons
    hedges: Hedges
    inquiries: Inquiries
    tell: Teller
    tasks: Tasks
    now: Callable[[], float]
    changed: Callable[[], None]
    alive: int = 0
    creating: int = 0

    def begin(self, request: Request) -> None:
        """Counts `request`, and what its body holds, until `carry_out` has ended."""
        self.alive += 1
        self.creating += request.operation.name == CREATE_MULTIPART_UPLOAD
        self.memory.hold(held_bytes(request.operation.body))

    async def make(self, request: Request, place: Place = Place.FIRST) -> Response:
        """`begin` and `carry_out`."""
        self.begin(request)
        return await self.carry_out(request, place)

    async def carry_out(self, request: Request, place: Place | None) -> Response:
        """Returns what a request succeeded with, at last. `place`: where it stands in line for its first
        slot; None: it has that already, and what it has in the end (`Request.has_slot`) the caller leaves.

        Raises `GivenUp`, and `RunError` where no other request would fare better.
        """
        # Its answer may take minutes, or be lost on its way.
        asking = None
        if request.operation.name == COMPLETE_MULTIPART_UPLOAD:
            asking = self.tasks.start(self._ask_beside(request))
        try:
            if place is not None:
                await self.slots.take(request.operation, place)
            while True:
                # It was let in a turn of the loop ago: the store may have been found to be away since.
                if self.slots.overfull:
                    await self.slots.wait_again(request.operation)
                outcome, then, decision = await self._use_slot(request, keeps=place is None)
                # Without a slot from here on: others use it while this one waits, its own copies among them.
                if request.copies and request.answer is None:
                    outcome, then = await self._last_copy(request, outcome, then)
                    decision = await self._judge(request, outcome) if then is Next.JUDGE else None
                if then is Next.HOLD:
                    request.goes_elsewhere(avoid=outcome.report.address)
                    if not await self.outages.hold():
                        decision = await self._judge(request, outcome)
                if request.answer is not None:
                    return request.answer
                if decision is not None:
                    await self._wait(request, outcome, decision)
                await self.slots.take(request.operation, Place.FIRST)
        except GivenUp as given_up:
            # Whoever keeps it would keep the frames that it came through, and what was sent with them.
            given_up.__traceback__ = None
            raise
        finally:
            if asking is not None:
                self.tasks.cancel(asking)
            self.forget(request)

    async def _use_slot(self, request: Request, *, keeps: bool) -> tuple[Outcome, Next, Decision | None]:
        """Attempts in a slot, until `request` has an answer, or has to wait: for a copy, for the store, or as
        decided.  The slot is given back; `keeps`: not that of a success."""
        operation = request.operation
        try:
            while True:
                outcome = await self.attempts.make(request, hedge=False)
                then = self._ended(request, outcome)
                if request.settled or request.copies or then is Next.HOLD:
                    return outcome, then, None
                # In its slot: while tokens are renewed, say, a next request would only fail as well.
                decision = await self._judge(request, outcome) if then is Next.JUDGE else None
                if request.settled or decision is not None:
                    return outcome, then, decision
        except RunError as error:
            # At once: its slot is not for the next, who would fail like it.
            self.tasks.fail(error)
            raise
        finally:
            if keeps and request.answer is not None:
                request.keep_slot()
            else:
                self.slots.leave(operation)

    def forget(self, request: Request) -> None:
        """It is over, or is not carried out after all."""
        request.end()
        self.alive -= 1
        self.creating -= request.operation.name == CREATE_MULTIPART_UPLOAD
        self.memory.release(held_bytes(request.operation.body))

    # --- one attempt, and its copies -----------------------------------------------------------------

    async def _last_copy(self, request: Request, outcome: Outcome, then: Next) -> tuple[Outcome, Next]:
        """While copies of a failed attempt are under way these decide: the first success, a refusal or
        the last failure (`Request.decisive`)."""
        while request.copies and not request.settled:
            ended, _ = await asyncio.wait(tuple(request.copies), return_when=asyncio.FIRST_COMPLETED)
            for copy in ended:
                if (result := copy.result()) is not None:
                    outcome, then = result
        return outcome, then

    def hedge(self, attempt: Attempt) -> bool:
        """Sends a second copy of an attempt that is slow to be answered, where that is safe."""
        if not self.hedges.may(attempt):
            return False
        request = attempt.request
        self.slots.lend(1)
        request.copy_begun(self.tasks.start(self._copy(request)))
        return True

    async def _copy(self, request: Request) -> tuple[Outcome, Next] | None:
        """None: it came too late."""
        operation = request.operation
        try:
            await self.slots.take(operation, Place.FIRST)
            await self.slots.wait_again(operation)
        except asyncio.CancelledError:
            self.slots.lend(-1)
            raise
        try:
            if request.settled:
                self.hedges.not_sent(request)
                self.slots.not_used(operation)
                return None
            outcome = await self.attempts.make(request, hedge=True)
            return outcome, self._ended(request, outcome)
        finally:
            request.copy_ended(asyncio.current_task())
            self.slots.lend(-1)
            self.slots.leave(operation)

    def _ended(self, request: Request, outcome: Outcome) -> Next:
        """Learns from an attempt that has ended, and whether `request` has."""
        report = outcome.report
        # Another one has succeeded, and the report of this one was made then.
        if request.settled:
            return Next.AT_ONCE
        if self.tell.attempts:
            self.tell.attempt(request.record, report)
        if outcome.trace.stale and self._may_have_been_closed(request, report):
            return Next.AT_ONCE
        away = self.lessons.of(request.operation, report)
        if outcome.response is not None:
            if report.hedge:
                self.hedges.won(request)
            self._succeeded(request, outcome.response)
            request.record.attempted(report)
            return Next.AT_ONCE
        request.record.attempted(report)
        assert outcome.failure is not None
        # What never got a connection cannot have been carried out.
        if outcome.failure.kind.ambiguous and report.request_s:
            request.may_be_done()
        if outcome.failure.kind.fate is Fate.FILE:
            request.refused(outcome)
        return Next.HOLD if away else Next.JUDGE

    def _may_have_been_closed(self, request: Request, report: AttemptReport) -> bool:
        """After a connection that had been waiting ended without a byte of an answer: the store had very
        probably closed it before the request came, as stores do.  That says nothing about the store and is
        no retry; the request goes again, on a new connection, where this cannot happen twice.

        A POST does not (RFC 9110 §9.2.2), since one that did arrive may have done its work: a second
        CreateMultipartUpload leaves an upload that nobody aborts.  The client looks before it sends one.
        """
        if request.operation.name in NOT_TWICE or request.in_flight or request.copies:
            return False
        request.record.attempted(report)
        request.may_be_done()  # probably is not certainly
        request.goes_elsewhere(fresh=True)
        return True

    def _succeeded(self, request: Request, response: Response) -> None:
        request.end(response)
        self.hedges.succeeded(request, response)
        self.verdicts.succeeded(request)
        for rival in tuple(request.in_flight):
            # First: it then knows what it has sent.
            rival.trace.cancel("a copy of it has succeeded")
            report = report_of(rival, None, None, ended_s=self.now())
            request.record.attempted(report)
            if self.tell.attempts:
                self.tell.attempt(request.record, report)

    # --- what follows from a failure -----------------------------------------------------------------

    async def _judge(self, request: Request, outcome: Outcome) -> Decision | None:
        """How `request` is tried again; None: at once, or it has succeeded. Raises like `Verdicts.on`."""
        outcome = request.decisive(outcome)
        if request.asks_less(outcome.failure):
            return None
        decision = self.verdicts.on(request, outcome)
        if decision.verdict is Verdict.ASK:
            return await self._ask(request, outcome)
        if decision.verdict is not Verdict.CORRECT:
            return decision
        if await self.verdicts.put_right(request, outcome):
            return None
        return self.verdicts.on(request, outcome)  # it counts as put right, in vain

    async def _ask(self, request: Request, outcome: Outcome) -> Decision | None:
        """While its body is held: whether what was answered for without a proof is there.  Some stores give
        none, and have it; a captive portal gives none, and has nothing."""
        failure = outcome.failure
        assert failure is not None
        found, why_not = await self.inquiries.ask(request)
        if found is not None:
            self.verdicts.notes.add(failure.kind, _SPARE)
            self._succeeded(request, found)
            return None
        failure = msgspec.structs.replace(
            failure, message=f"{failure.message}; HeadObject does not find it ({why_not})"
        )
        return self.verdicts.on(request, msgspec.structs.replace(outcome, failure=failure), asked=True)

    async def _ask_beside(self, request: Request) -> None:
        """For as long as an object is being completed: is it there, though the answer does not come?"""
        found = await self.inquiries.ask_beside(request)
        if not request.settled:
            self._succeeded(request, found)

    async def _wait(self, request: Request, outcome: Outcome, decision: Decision) -> None:
        """Until the next try: for its delay and for the retry budget, and while its body is read again."""
        assert outcome.failure is not None
        asked_s = min(outcome.failure.retry_after_s or 0.0, decision.delay_s)
        unanswered = not outcome.report.status or by_ingress(outcome.report)
        await self.waiting.wait(request, decision.delay_s, asked_s=asked_s, unanswered=unanswered)
        if decision.verdict is Verdict.REREAD and request.read is not None:
            try:
                await self._reread(request, request.read)
            except SourceError as problem:
                raise GivenUp.by_source(problem, request.record) from problem

    async def _reread(self, request: Request, read: Read) -> None:
        """Its body arrived otherwise than it was sent.  What is read from a file again is let go first:
        nothing waits for room that holds some."""
        if not request.record.source.is_file:
            request.carry(await read(request))
            return
        size = held_bytes(request.operation.body)
        self._carry(request, HashedBody(b""))
        async with self.memory.holding(size):
            self._carry(request, await read(request))

    def _carry(self, request: Request, hashed: HashedBody) -> None:
        self.memory.hold(held_bytes(hashed.body))
        self.memory.release(held_bytes(request.operation.body))
        request.carry(hashed)

    async def confirm(self, request: Request, given_up: GivenUp) -> Response:
        """What HeadObject shows of an object whose `request` was given up, though the store may have carried
        it out.  Raises `GivenUp` where it shows nothing, or another."""
        record = request.record
        # Now: nothing counts the body any more, so it is not kept until there is an answer.
        etag = await self.inquiries.etag_of_sent(request.operation)
        request.let_go()
        sent = request.operation
        question = question_about(record, sent, may_be_missing=True)
        self.begin(question)
        self.changed()
        try:
            found = await self.carry_out(question, Place.FIRST)
        except GivenUp:
            raise given_up.with_remark("; HeadObject could not tell") from None
        if found.status == 404:
            raise given_up
        why_not = why_not_ours(record, sent, etag, found)
        if why_not:
            raise given_up.with_remark(
                f"; HeadObject found an object that is not proven to be ours ({why_not})"
            )
        return found
