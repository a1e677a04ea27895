"""What becomes of a request whose attempt has failed.  `control/retrying/retry.py` decides, by the table of
kinds of failure.  A verdict is a `Decision` to go on with, or an exception: `GivenUp`, or what stops the run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from s3_upload.control.retrying.retry import Decision, Failed, Retry, Rng, Verdict
from s3_upload.errors import FailureKind, Remedy, SourceError, UploadError
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, MAKES_OBJECT, Operation
from s3_upload.transfer.attempt import Outcome
from s3_upload.transfer.client import Client
from s3_upload.transfer.messages import remarked, run_error, upload_error
from s3_upload.transfer.outages import Outages
from s3_upload.transfer.rate_line import RateLine
from s3_upload.transfer.record import Record
from s3_upload.transfer.tries import Request
from s3_upload.transfer.waiting import Waiting


class GivenUp(Exception):  # noqa: N818 - it is how a request may end
    """A request, or a way to send an object, is not tried again.

    `error` is what the object fails by, if nothing else helps.  `operation`: what was to be done, without its
    body, which nothing counts any more; None where the source could not be read.  `remedy`: by which the
    object is sent in another way.
    """

    def __init__(
        self, error: UploadError, operation: Operation | None = None, remedy: Remedy = Remedy.NONE
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.operation = operation
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[GivenUp], tuple[UploadError]]:
        return GivenUp, (self.error,)

    @classmethod
    def by_source(cls, problem: SourceError, record: Record) -> GivenUp:
        """The source could not be read."""
        tries = 1 + record.retries if record.attempt_reports else 0
        return cls(UploadError(problem.message, key=record.key, kind=problem.kind, attempts=tries))

    def with_remark(self, remark: str) -> GivenUp:
        """The same, with more to say."""
        # That an object exists already is its whole story.
        exists = self.error.kind is FailureKind.EXISTS
        return self if exists else GivenUp(remarked(self.error, remark), self.operation, self.remedy)


class Notes:
    """What was put right on the way, for the summary: one phrase for each kind of failure."""

    def __init__(self) -> None:
        self._by_kind: dict[FailureKind, str] = {}
        self._left_over = ""

    def add(self, kind: FailureKind, text: str) -> None:
        self._by_kind.setdefault(kind, text)

    def left_over(self, keys: Sequence[str]) -> None:
        """The multipart uploads of these objects could not be aborted."""
        more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
        self._left_over = f"could not abort the multipart upload of {keys[0]}{more}: parts may be left there"

    def all(self) -> Collection[str]:
        return [*self._by_kind.values(), *((self._left_over,) if self._left_over else ())]


class Verdicts(msgspec.Struct, frozen=True):
    """See the module's text. `notes` are for the summary."""

    client: Client
    retry: Retry
    rng: Rng
    rate: RateLine
    outages: Outages
    waiting: Waiting
    notes: Notes = msgspec.field(default_factory=Notes)

    def on(self, request: Request, outcome: Outcome, *, asked: bool = False) -> Decision:
        """What to do with `request` after its attempt `outcome`: try it again, put something right, or ask
        whether it is done (`asked`: that was asked before).  Raises `GivenUp`, and `RunError` where no other
        request would fare better.
        """
        failure = outcome.failure
        assert failure is not None
        kind, operation = failure.kind, request.operation
        # Where the store accepts nothing at all, that says nothing of this request, so it uses up no try.
        # A question that can be done without does use them up: its upload may be what is accepted.
        spared = kind.throttles and not request.expendable and self.rate.blocked(operation.key)
        # Objects that are refused alike, one after the other, stop the run; a 5xx is no refusal.
        refused = kind.is_foreign or 300 <= failure.status < 500
        decision = self.retry.decide(
            Failed(
                kind=kind,
                retries=0 if spared else request.retries,
                corrected=request.corrected.count(kind),
                completing=operation.name == COMPLETE_MULTIPART_UPLOAD,
                asking=request.asking,
                patient=request.patient,
                can_ask=operation.name in MAKES_OBJECT and not asked,
                outwaited=self.outages.outwaited(outcome.report),
                object_seq=request.record.seq,
                alike=f"{failure.status} {failure.code}" if refused else "",
                retry_after_s=failure.retry_after_s,
            ),
            any_answer=self.outages.got_somewhere,
            rng=self.rng,
        )
        if decision.verdict is Verdict.STOP_RUN:
            raise run_error(self.client, request, outcome, decision.in_a_row)
        if decision.verdict is Verdict.FAIL_FILE:
            error = upload_error(request, failure, outcome.report.timer)
            raise GivenUp(error, msgspec.structs.replace(operation, body=b""))
        if decision.verdict in (Verdict.RETRY, Verdict.REREAD):
            request.again(
                cost=decision.cost,
                counts=not spared,
                avoid=outcome.report.address,
                fresh=kind.doubts_connection,
                kind=kind,
            )
        return decision

    async def put_right(self, request: Request, outcome: Outcome) -> bool:
        """Puts right in the client, for all requests, what the failure names; False if it cannot."""
        failure, trace = outcome.failure, outcome.trace
        assert failure is not None
        # It counts even if it is in vain: decided again, this failure is not put right twice.
        request.put_right(failure.kind)
        if not await self.client.correct(request.operation, failure, trace):
            return False
        if remark := self.client.remark(failure, trace):
            self.notes.add(failure.kind, remark)
        return True

    def succeeded(self, request: Request) -> None:
        """A request has succeeded."""
        was_refused = bool(request.corrected) and any(kind.stops_run for kind in request.corrected)
        self.retry.succeeded(request.cost, was_refused=was_refused, asking=request.asking)
        self.waiting.succeeded()
