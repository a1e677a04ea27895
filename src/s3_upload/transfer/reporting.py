"""Reports what is done with: each source once, when its key is free again."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from s3_upload.errors import SourceError, UploadError
from s3_upload.report import SKIPPED, SummaryFold, UploadReport
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.keys import Keys
from s3_upload.transfer.prepare import Prepare
from s3_upload.transfer.progress import Delivery
from s3_upload.transfer.record import Record
from s3_upload.transfer.teller import Teller


class Reporting:
    """The reports of one run. `skips_existing`: what the store has already did not fail.  `summary`: the fold
    over all."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        keys: Keys,
        prepare: Prepare,
        tell: Teller,
        delivery: Delivery,
        skips_existing: bool,
    ) -> None:
        self.summary = SummaryFold()
        self._now = now
        self._keys = keys
        self._prepare = prepare
        self._tell = tell
        self._delivery = delivery
        self._skips_existing = skips_existing

    def ended(self, record: Record, *, etag: str = "", error: UploadError | None = None) -> None:
        """An object was sent, with its ETag, or failed."""
        self._keys.free(record.source.key)
        self._report(record.report(self._now(), etag=etag, error=error, skips_existing=self._skips_existing))

    def exists(self, record: Record, error: UploadError) -> None:
        """An object was not sent since the store has it."""
        self._keys.free(record.source.key)
        report = record.report(self._now(), error=error, skips_existing=self._skips_existing)
        self._report(msgspec.structs.replace(report, attempts=0))

    def unread(
        self, seq: int, source: ObjectSource, problem: SourceError | None, *, has_key: bool = False
    ) -> None:
        """A source failed before its first attempt or, without a problem, was skipped. `has_key`: its key was
        taken."""
        if has_key:
            self._keys.free(source.key)
        error = UploadError(str(problem), key=source.key, kind=problem.kind) if problem else None
        self._report(
            UploadReport(
                seq=seq,
                key=source.key,
                source=source.name,
                bytes=0,
                outcome=error.kind if error else SKIPPED,
                error=error,
                reason=str(problem) if problem else source.skip_reason,
                attempt_reports=tuple(self._prepare.asked.pop(seq, ())),
                object=source,
            )
        )

    def _report(self, report: UploadReport) -> None:
        self.summary.add(report)
        if self._tell.ends:
            self._tell.ended(report)
        self._delivery.deliver(report)
