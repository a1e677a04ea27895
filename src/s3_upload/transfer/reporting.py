"""Reports what is done with: each source once, when its key is free again.

Two objects of one key are never under way at a time.  A store keeps the object whose request came last, and
of two that are under way at once that is chance.  So the second source of a key fails, with the name of the
first.  One that comes when the first is done and reported overwrites it, as the last writer does in S3.  A
run may be told to upload a key again, and to remember all keys would cost memory for every file.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from s3_upload.errors import FailureKind, SourceError, UploadError
from s3_upload.report import SKIPPED, SummaryFold, UploadReport
from s3_upload.sources.source import ObjectSource, same_key
from s3_upload.transfer.prepare import Prepare
from s3_upload.transfer.progress import Delivery
from s3_upload.transfer.record import Record
from s3_upload.transfer.teller import Teller


class Reporting(msgspec.Struct, frozen=True, kw_only=True):
    """The reports of one run. `skips_existing`: what the store has already did not fail.  `summary`: the fold
    over all; `under_way`: sources by their keys."""

    now: Callable[[], float]
    prepare: Prepare
    tell: Teller
    delivery: Delivery
    skips_existing: bool
    summary: SummaryFold = msgspec.field(default_factory=SummaryFold)
    under_way: dict[str, ObjectSource] = {}

    def takes_key(self, seq: int, source: ObjectSource) -> bool:
        """Whether `source` has its key from now on; else it has failed."""
        first = self.under_way.get(source.key)
        if first is not None:
            self.unread(seq, source, same_key(source, first))
            return False
        self.under_way[source.key] = source
        return True

    def frees_key(self, source: ObjectSource) -> None:
        """It is not under way any more."""
        del self.under_way[source.key]

    def ended(self, record: Record, *, etag: str = "", error: UploadError | None = None) -> None:
        """An object was sent, with its ETag, or failed."""
        self.frees_key(record.source)
        self._report(record.report(self.now(), etag=etag, error=error, skips_existing=self.skips_existing))

    def exists(self, record: Record, error: UploadError) -> None:
        """An object was not sent since the store has it."""
        self.frees_key(record.source)
        report = record.report(self.now(), error=error, skips_existing=self.skips_existing)
        self._report(msgspec.structs.replace(report, attempts=0))

    def unread(
        self, seq: int, source: ObjectSource, problem: SourceError | None, *, has_key: bool = False
    ) -> None:
        """A source failed before its first attempt or, without a problem, was skipped. `has_key`: its key was
        taken."""
        if has_key:
            self.frees_key(source)
        error = UploadError(problem.message, key=source.key, kind=problem.kind) if problem else None
        # That was so beside the other one: alone it can be sent.
        if source.problem is not None and source.problem.kind is FailureKind.SAME_KEY:
            source = msgspec.structs.replace(source, problem=None)
        self._report(
            UploadReport(
                seq=seq,
                key=source.key,
                source=source.name,
                bytes=0,
                outcome=error.kind if error else SKIPPED,
                error=error,
                reason=problem.message if problem else source.skip_reason,
                attempt_reports=tuple(self.prepare.asked.pop(seq, ())),
                object=source,
            )
        )

    def _report(self, report: UploadReport) -> None:
        self.summary.add(report)
        if self.tell.ends:
            self.tell.ended(report)
        self.delivery.deliver(report)
