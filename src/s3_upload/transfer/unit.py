"""The engine's words for work: an `Upload` is one object on its way, a `Unit` one request of it.

An `Upload` is told what became of its units (`accept`, `refuse`) and answers with the units that
follow.  It is `done` when nothing of it is under way and its report can be made.  Retries are not
its business: a unit is accepted or refused only when the scheduler is through with it.

Before an object fails it may have a second chance; what was tried is in its `History`:

* Where an attempt of the request that makes the object was ambiguous, HeadObject asks what the store
  has, and what is proven to be ours (`s3/proof.py`) is a success after all.
* Where `control.retrying.retry.remedy` knows one, the object is begun anew (`starts_again`): another `Upload`
  of the same source takes over, with this one's reports and history.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from s3_upload.control.retrying.retry import remedy
from s3_upload.errors import FailureKind, Remedy, UploadError
from s3_upload.http import Response, SlicedBody
from s3_upload.report import EXISTS, SKIPPED, SUCCESS, AttemptReport, UploadReport
from s3_upload.s3.operations import (
    COMPLETE_MULTIPART_UPLOAD,
    HEAD_OBJECT,
    PUT_OBJECT,
    Operation,
)
from s3_upload.s3.proof import disproof, etag_of
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.watchdog import InFlight

MAKES_THE_OBJECT = frozenset({PUT_OBJECT, COMPLETE_MULTIPART_UPLOAD})


class Unit(msgspec.Struct, eq=False):
    """One request to be made until it succeeds or is given up."""

    upload: Upload
    operation: Operation
    retries: int = 0
    retry_cost: float = 0.0
    """What its last retry costs or has cost of the retry budget."""
    avoid: str = ""
    """The address of the last failed attempt: the next one goes elsewhere if it can."""
    fresh: bool = False
    """Whether the next attempt takes a new connection, though one may be idle."""
    corrected: tuple[FailureKind, ...] = ()
    """The kinds of failure after which something was put right for it, one for each time."""
    in_flight: list[InFlight] = []
    """The attempts under way: none, one, or one and its hedge."""
    hedge_queued: bool = False
    """Whether a hedge waits for its slot."""
    ambiguous: bool = False
    """Whether the store may have done what it asks, though no attempt has succeeded."""
    settled: bool = False
    """Whether it is accepted or refused: what is still under way does not count any more."""


class History(msgspec.Struct):
    """What was tried for an object in trouble.

    `tried`: the kinds of failure for which a remedy was tried.  `next`: the remedy by which it is to be
    begun anew.  `doubt`: what HeadObject is to settle.
    """

    tried: tuple[FailureKind, ...] = ()
    next: Remedy = Remedy.NONE
    doubt: Doubt | None = None


class Doubt(msgspec.Struct, frozen=True):
    """A unit that was given up by `error` and may have succeeded: without its body, which is not held
    any more, but with the `etag` that S3 would make of it."""

    unit: Unit
    error: UploadError
    etag: str


class Upload:
    """One object, sent by a single PutObject. `size` is what there is to send, in bytes."""

    __slots__ = (
        "attempt_reports",
        "done",
        "error",
        "est_MBps",
        "etag",
        "history",
        "retries",
        "seq",
        "size",
        "source",
        "started_s",
    )
    parts_wanted = False
    """Whether there are parts for the feed to read (again): only of an object in parts."""
    upload_id = ""
    """What the store calls an object in parts that it has begun."""
    may_be_missing = False
    """Whether 404 is an answer to what it asks, and no failure."""

    def __init__(
        self, seq: int, source: ObjectSource, size: int, *, started_s: float, est_MBps: float
    ) -> None:
        self.seq = seq
        self.source = source
        self.size = size
        self.started_s = started_s
        self.est_MBps = est_MBps
        self.retries = 0
        self.attempt_reports: list[AttemptReport] = []
        self.etag = ""
        self.error: UploadError | None = None
        self.history: History | None = None
        self.done = False

    def accept(self, unit: Unit, response: Response) -> Sequence[Unit]:
        """`unit` has succeeded; returns the units to do next."""
        if unit.operation.name != PUT_OBJECT:
            return self._found(response)
        self.etag = response.etag
        self.done = True
        return ()

    def question_about(self, unit: Unit) -> Unit:
        """Asks HeadObject, at once and beside `unit`, whether what `unit` sent is there."""
        sent = unit.operation
        head = Operation(name=HEAD_OBJECT, bucket=sent.bucket, key=sent.key, fields=sent.fields)
        return Unit(self, head)

    def disproof(self, unit: Unit, response: Response) -> str:
        """Why HeadObject's `response` does not prove that what `unit` sent is there, "" where it does."""
        return self._disproof(unit.operation, self._etag_of(unit.operation), response)

    def refuse(self, unit: Unit | None, error: UploadError) -> Sequence[Unit]:
        """`unit` (None: a part that could not be read) is given up; returns the units to do next."""
        if unit is not None:
            name = unit.operation.name
            if name == HEAD_OBJECT:
                return self._unsettled("" if error.status == 404 else "; HeadObject could not tell")
            if unit.ambiguous and name in MAKES_THE_OBJECT:
                return (self._question(unit, error),)
        return self._give_up(unit, error)

    @property
    def starts_again(self) -> bool:
        """Whether another is to take over from this one, which is done, instead of its report."""
        return self.history is not None and self.history.next is not Remedy.NONE

    def take_over(self, other: Upload) -> None:
        """This one continues what `other` began."""
        self.attempt_reports = other.attempt_reports
        self.retries = other.retries
        self.started_s = other.started_s
        self.est_MBps = other.est_MBps
        self.history = History(tried=other.history.tried if other.history else ())

    def success_time_s(self) -> float:
        """Seconds of the try that succeeded: of the last, with what came after it to prove it."""
        last = self.attempt_reports[-1]
        if last.operation == PUT_OBJECT:
            return last.duration_s
        sent = next(report for report in reversed(self.attempt_reports) if report.operation == PUT_OBJECT)
        return last.ended_s - sent.started_s

    def report(self, now_s: float, *, skips_existing: bool = False) -> UploadReport:
        """The report of a done upload. `skips_existing`: what the store has already did not fail."""
        reports = tuple(self.attempt_reports)
        error = self.error
        outcome = SUCCESS if error is None else error.kind.value
        reason = ""
        if skips_existing and error is not None and error.kind is FailureKind.EXISTS:
            outcome, reason, error = SKIPPED, EXISTS, None
        return UploadReport(
            seq=self.seq,
            key=self.source.key,
            source=self.source.name,
            bytes=self.size,
            outcome=outcome,
            reason=reason,
            total_time_s=now_s - self.started_s,
            success_time_s=self.success_time_s() if outcome == SUCCESS else 0.0,
            attempts=1 + self.retries if reports else 0,
            est_MBps=self.est_MBps,
            attempt_reports=reports,
            etag=self.etag,
            error=error,
            object=self.source,
        )

    # --- what a subclass does otherwise ------------------------------------------------------------

    def _give_up(self, unit: Unit | None, error: UploadError) -> Sequence[Unit]:
        """There is no doubt: the object failed, or is begun anew."""
        self.error = error
        self._plan(error.kind, {Remedy.IN_PARTS, Remedy.NEW_VERSION}, completing=False)
        self.done = True
        return ()

    def _proven(self) -> Sequence[Unit]:
        """The object is there though nobody said so."""
        self.done = True
        return ()

    def _unit(self, name: str, sent: Operation) -> Unit:
        """A unit that asks about what `sent` has or may have made."""
        return Unit(self, Operation(name=name, bucket=sent.bucket, key=sent.key, fields=sent.fields))

    def _etag_of(self, sent: Operation) -> str:
        """What S3 makes of what was sent, "" where that cannot be known."""
        return "" if isinstance(sent.body, SlicedBody) else etag_of(sent.body)

    # --- second chances ----------------------------------------------------------------------------

    def _plan(self, kind: FailureKind, possible: set[Remedy], *, completing: bool) -> None:
        """Has the object begun anew, where that is a remedy and its source is a file."""
        history = self._history()
        found = remedy(kind, completing=completing, tried=history.tried)
        if found in possible and self.source.is_file:
            history.tried += (kind,)
            history.next = found

    def _history(self) -> History:
        if self.history is None:
            self.history = History()
        return self.history

    def _question(self, unit: Unit, error: UploadError) -> Unit:
        bodiless = Unit(self, msgspec.structs.replace(unit.operation, body=b""))
        self._history().doubt = Doubt(bodiless, error, self._etag_of(unit.operation))
        return self._unit(HEAD_OBJECT, unit.operation)

    def _found(self, response: Response) -> Sequence[Unit]:
        doubt = self._history().doubt
        assert doubt is not None
        why_not = self._disproof(doubt.unit.operation, doubt.etag, response)
        if why_not:
            return self._unsettled(f"; HeadObject found an object that is not proven to be ours ({why_not})")
        self.etag = response.etag
        return self._proven()

    def _disproof(self, sent: Operation, etag: str, response: Response) -> str:
        return disproof(
            response,
            size=self.size,
            checksum=sent.checksum,
            etag=etag,
            age_s=self.attempt_reports[-1].ended_s - self.started_s,
            fields=sent.fields,
        )

    def _unsettled(self, remark: str) -> Sequence[Unit]:
        history = self._history()
        doubt, history.doubt = history.doubt, None
        assert doubt is not None
        if doubt.error.kind is not FailureKind.EXISTS:
            doubt.error.message += remark
        return self._give_up(doubt.unit, doubt.error)
