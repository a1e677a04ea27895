"""The engine's words for work: an `Upload` is one object on its way, a `Unit` one request of it.

An `Upload` is told what became of its units (`accept`, `refuse`) and answers with the units that
follow.  It is `done` when nothing of it is under way and its report can be made.  Retries are not
its business: a unit is accepted or refused only when the scheduler is through with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from s3_upload.engine.watchdog import InFlight
from s3_upload.errors import FailureKind, UploadError
from s3_upload.http import Response
from s3_upload.report import SUCCESS, AttemptReport, UploadReport
from s3_upload.s3.operations import Operation
from s3_upload.source import ObjectSource


class Unit(msgspec.Struct, eq=False):
    """One request to be made until it succeeds or is given up."""

    upload: Upload
    operation: Operation
    retries: int = 0
    retry_cost: float = 0.0
    """What its last retry costs or has cost of the retry budget."""
    avoid: str = ""
    """The address of the last failed attempt: the next one goes elsewhere if it can."""
    corrected: tuple[FailureKind, ...] = ()
    """The kinds of failure that were put right for it."""
    in_flight: list[InFlight] = []
    """The attempts under way: none, one, or one and its hedge."""
    hedge_queued: bool = False
    """Whether a hedge waits for its slot."""
    settled: bool = False
    """Whether it is accepted or refused: what is still under way does not count any more."""


class Upload:
    """One object, sent by a single PutObject. `size` is what there is to send, in bytes."""

    __slots__ = (
        "attempt_reports",
        "done",
        "error",
        "est_MBps",
        "etag",
        "retries",
        "seq",
        "size",
        "source",
        "started_s",
    )

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
        self.done = False

    def accept(self, unit: Unit, response: Response) -> Sequence[Unit]:
        """`unit` has succeeded; returns the units to do next."""
        self.etag = response.etag
        self.done = True
        return ()

    def refuse(self, unit: Unit | None, error: UploadError) -> Sequence[Unit]:
        """`unit` (None: a part that could not be read) is given up; returns the units to do next."""
        self.error = error
        self.done = True
        return ()

    def success_time_s(self) -> float:
        """Seconds of the try that succeeded."""
        return self.attempt_reports[-1].duration_s

    def report(self, now_s: float) -> UploadReport:
        """The report of a done upload."""
        reports = tuple(self.attempt_reports)
        error = self.error
        return UploadReport(
            seq=self.seq,
            key=self.source.key,
            source=self.source.name,
            bytes=self.size,
            outcome=SUCCESS if error is None else error.kind.value,
            total_time_s=now_s - self.started_s,
            success_time_s=0.0 if error is not None else self.success_time_s(),
            attempts=1 + self.retries if reports else 0,
            est_MBps=self.est_MBps,
            attempt_reports=reports,
            etag=self.etag,
            error=error,
        )
