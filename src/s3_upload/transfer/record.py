"""What is known of one object on its way, from its first request to its report."""

from __future__ import annotations

import msgspec

from s3_upload.errors import FailureKind, UploadError
from s3_upload.report import EXISTS, SKIPPED, SUCCESS, AttemptReport, UploadReport
from s3_upload.s3.operations import HEAD_OBJECT, PUT_OBJECT, Checksum
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import NO_TIME_NS


class Record(msgspec.Struct, eq=False):
    """One object on its way; only its own methods write to it.

    `seq`: its number in the run, from 0.  `size`: bytes there are to send, as far as is known; `grows`: it is
    a stream, and its size shows at its end.  `started_s`, `est_MBps`: the clock and the estimated speed when
    it began.  `attempt_reports`: of every request.  `retries`: tries that did not count as the first.
    `tried`: the kinds of failure after which it was sent in another way.  `stored_bytes`: of parts that the
    store has, of which an earlier run had sent `resumed_bytes`.  `dropped_bytes`: of parts that this run sent
    and the object does not consist of.  `mtime_ns`, `checksum`: of the version that is sent, as far as they
    are known.  `perhaps_sent`: by a process of this job that has ended.
    """

    seq: int
    source: ObjectSource
    size: int
    started_s: float
    est_MBps: float
    attempt_reports: list[AttemptReport]
    grows: bool = False
    retries: int = 0
    tried: tuple[FailureKind, ...] = ()
    stored_bytes: int = 0
    resumed_bytes: int = 0
    dropped_bytes: int = 0
    mtime_ns: int = NO_TIME_NS
    checksum: Checksum | None = None
    perhaps_sent: bool = False

    @property
    def since_s(self) -> float:
        """Since when there may have been a request of it: where others had it, since the job began."""
        return 0.0 if self.perhaps_sent else self.started_s

    @property
    def key(self) -> str:
        return self.source.key

    @property
    def known_size(self) -> int | None:
        """Of the whole object; None for a stream of which nobody has said it."""
        return self.source.size if self.grows else self.size

    def attempted(self, report: AttemptReport) -> None:
        self.attempt_reports.append(report)

    def retried(self, times: int = 1) -> None:
        """It takes `times` tries more; -1 gives one back."""
        self.retries += times

    def stored(self, size: int) -> None:
        """The store has a part of `size` bytes."""
        self.stored_bytes += size

    def resumed(self, size: int) -> None:
        """So much of what is stored an earlier run had sent."""
        self.resumed_bytes += size

    def lost(self, size: int, *, resumed: bool) -> None:
        """The store does not have a part of `size` bytes after all; `resumed`: an earlier run had sent it."""
        self.stored_bytes -= size
        if resumed:
            self.resumed_bytes -= size
        else:
            self.dropped_bytes += size

    def dropped(self) -> None:
        """None of its parts that are stored is kept."""
        self.dropped_bytes += self.stored_bytes - self.resumed_bytes

    def sized(self, size: int, mtime_ns: int, checksum: Checksum | None = None) -> None:
        """It is sent as it is now: what it was sent as before does not count."""
        self.size, self.stored_bytes, self.resumed_bytes = size, 0, 0
        self.mtime_ns, self.checksum = mtime_ns, checksum

    def summed(self, checksum: Checksum | None) -> None:
        """`checksum` is that of all its parts."""
        self.checksum = checksum

    def came(self, size: int) -> None:
        """So much of a stream has come by now."""
        self.size = size

    def takes_another_way(self, kind: FailureKind) -> None:
        """It is sent in another way, after a failure of `kind`."""
        self.tried += (kind,)

    def report(
        self, now_s: float, *, etag: str = "", error: UploadError | None = None, skips_existing: bool = False
    ) -> UploadReport:
        """`skips_existing`: what the store has already did not fail."""
        outcome: str = SUCCESS if error is None else error.kind
        reason = ""
        if skips_existing and error is not None and error.kind is FailureKind.EXISTS:
            outcome, reason, error = SKIPPED, EXISTS, None
        reports = tuple(self.attempt_reports)
        return UploadReport(
            seq=self.seq,
            key=self.source.key,
            source=self.source.name,
            bytes=self.size,
            resumed_bytes=self.resumed_bytes,
            dropped_bytes=self.dropped_bytes,
            outcome=outcome,
            reason=reason,
            total_time_s=now_s - self.started_s,
            success_time_s=_success_time_s(reports) if outcome == SUCCESS else 0.0,
            attempts=1 + self.retries if reports else 0,
            est_MBps=self.est_MBps,
            attempt_reports=reports,
            etag=etag,
            checksum=self.checksum.value if self.checksum is not None else "",
            checksum_algorithm=self.checksum.algorithm if self.checksum is not None else "",
            mtime_ns=self.mtime_ns,
            error=error,
            object=self.source,
        )


def _success_time_s(reports: tuple[AttemptReport, ...]) -> float:
    """Of one request: of the try that succeeded, with what came after it to prove it.  Of parts: from the
    first request's start to the last answer's end; whether the object exists may have been asked long
    before."""
    last = reports[-1]
    if last.operation == PUT_OBJECT:
        return last.duration_s
    sent = next(report for report in reversed(reports) if report.operation != HEAD_OBJECT)
    if sent.operation != PUT_OBJECT:
        sent = next(report for report in reports if report.operation != HEAD_OBJECT)
    return last.ended_s - sent.started_s
