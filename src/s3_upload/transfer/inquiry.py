"""Asks the store by HeadObject whether an object is there that nothing else proves.

Rules:

* Where an answer proves no success (`Verdict.ASK`), the store is asked at once, in the slot of the attempt.
* Where CompleteMultipartUpload is not answered, the store is asked beside the open request, after ASK_AFTER_S
  and then in waits that double.  A store may need minutes for a large object, so the request is not cut.  But
  an answer that was lost on the way never comes.
* Where a request is given up that the store may have carried out (`Request.ambiguous`), the store is asked by
  a request like any other.
* Each such question is an attempt of its object's: in its report, and told of as one.
* What is proven (`s3/proof.py`) is a success.  Anything else leaves all as it was.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec

from s3_upload.http import Response, SlicedBody
from s3_upload.report import AttemptReport
from s3_upload.s3.checksum import OFF_LOOP_BYTES
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, HEAD_OBJECT, Operation
from s3_upload.s3.proof import checksum_shown, disproof, etag_of, etag_of_parts
from s3_upload.transfer.attempt import Attempts
from s3_upload.transfer.reading import Offload
from s3_upload.transfer.record import Record
from s3_upload.transfer.teller import Teller
from s3_upload.transfer.tries import Request

ASK_AFTER_S = 8.0
"""After the request was sent.  S3 answers most CompleteMultipartUploads in a second or two."""
ROUNDING_S = 1e-3
"""A shorter rest is a rounding error, and a timer for it would not move the clock."""


def question_about(
    record: Record,
    sent: Operation,
    *,
    may_be_missing: bool = False,
    patient: bool = False,
    asks_checksums: bool | None = None,
) -> Request:
    """Asks whether what `sent` makes is there. `asks_checksums`: where that has none of its own."""
    head = Operation(
        name=HEAD_OBJECT,
        bucket=sent.bucket,
        key=sent.key,
        fields=sent.fields,
        asks_checksums=sent.checksum is not None if asks_checksums is None else asks_checksums,
    )
    return Request(record, head, may_be_missing=may_be_missing, patient=patient)


def why_not_ours(record: Record, sent: Operation, etag: str, found: Response) -> str:
    """Why HeadObject's answer `found` does not prove that what was `sent`, of which S3 would make `etag`, is
    there; "" where it does."""
    return disproof(
        found,
        size=record.size,
        checksum=sent.checksum,
        etag=etag,
        age_s=math.inf if record.resumed_bytes else record.attempt_reports[-1].ended_s - record.since_s,
        fields=sent.fields,
    )


class Inquiries(msgspec.Struct, frozen=True):
    """See the module's rules. `learn` is told of each answer; `offload` runs a function off the loop."""

    attempts: Attempts
    now: Callable[[], float]
    learn: Callable[[Request, AttemptReport], None]
    tell: Teller
    offload: Offload

    async def etag_of_sent(self, sent: Operation) -> str:
        """The ETag that S3 makes of what was sent, without quotes; "" where that cannot be known."""
        if sent.name == COMPLETE_MULTIPART_UPLOAD:
            return etag_of_parts(sent.parts)
        # A body in slices is not in memory, and would have to be read again for its MD5.
        if isinstance(sent.body, SlicedBody):
            return ""
        if len(sent.body) < OFF_LOOP_BYTES:
            return etag_of(sent.body)
        etag: str = await self.offload(etag_of, sent.body)
        return etag

    async def ask(self, request: Request) -> tuple[Response | None, str]:
        """What proves that what `request` sent is there; or None, and why nothing does."""
        record, sent = request.record, request.operation
        question = question_about(record, sent)
        answer = await self.attempts.make(question, hedge=False)
        # The store had closed an idle connection: that says nothing of the object, and is no try.
        if answer.trace.stale:
            self._record(request, answer.report)
            question.goes_elsewhere(fresh=True)
            answer = await self.attempts.make(question, hedge=False)
        if question.asks_less(answer.failure):
            self._record(request, answer.report)
            answer = await self.attempts.make(question, hedge=False)
        self.learn(request, answer.report)
        self._record(request, answer.report)
        if answer.response is not None:
            has_checksum = checksum_shown(answer.response, sent.checksum) != ""
            etag = "" if has_checksum else await self.etag_of_sent(sent)
            why_not = why_not_ours(record, sent, etag, answer.response)
            return (None, why_not) if why_not else (Response(200, answer.response.headers), "")
        assert answer.failure is not None
        return None, f"it answered {answer.failure.status}" if answer.failure.status else "no answer"

    def _record(self, request: Request, report: AttemptReport) -> None:
        # What ends after the request has no place in its object's report.
        if not request.settled:
            request.record.attempted(report)
            if self.tell.attempts:
                self.tell.attempt(request.record, report)

    async def ask_beside(self, request: Request) -> Response:
        """Asks whenever `request` has waited for long, until what it sent is proven to be there."""
        patience_s = ASK_AFTER_S
        while True:
            await asyncio.sleep(self._rest_s(request, patience_s))
            # It was sent once more meanwhile, and the wait counts from then.
            if self._rest_s(request, patience_s) > ROUNDING_S:
                continue
            found, _ = await self.ask(request)
            if found is not None and request.in_flight:
                return found
            await asyncio.sleep(patience_s)
            patience_s *= 2.0

    def _rest_s(self, request: Request, patience_s: float) -> float:
        """How much longer it may be unanswered before it is asked."""
        now = self.now()
        sent_s = min((one.trace.request_s or now for one in request.in_flight), default=now)
        return sent_s + patience_s - now
