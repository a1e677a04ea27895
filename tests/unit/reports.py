"""Reports of made-up runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from s3_upload.errors import FailureKind, UploadError
from s3_upload.report import AttemptReport, SummaryFold, UploadReport, UploadSummary


def attempt(begin_s: float, took_s: float, size: int, **more: Any) -> AttemptReport:
    values: dict[str, Any] = {
        "operation": "PutObject",
        "started_s": begin_s,
        "request_s": begin_s or 1e-9,  # 0.0 would mean that it never was on a connection
        "sent_s": begin_s + 0.8 * took_s,
        "first_byte_s": begin_s + took_s,
        "ended_s": begin_s + took_s,
        "timeout_s": 5.0,
        "body_bytes": size,
        "sent_bytes": size,
        "outcome": "success",
    }
    return AttemptReport(**(values | more))


def uploaded(seq: int, *attempts: AttemptReport, source: str = "") -> UploadReport:
    last = attempts[-1]
    return UploadReport(
        seq=seq,
        key=f"k/{seq}",
        source=source or f"d/{seq}",
        bytes=last.body_bytes,
        outcome="success",
        total_time_s=last.ended_s - attempts[0].started_s,
        success_time_s=last.ended_s - last.started_s,
        attempts=len(attempts),
        attempt_reports=attempts,
    )


def failed(
    seq: int, *attempts: AttemptReport, kind: FailureKind = FailureKind.REJECTED, source: str = ""
) -> UploadReport:
    return UploadReport(
        seq=seq,
        key=f"k/{seq}",
        source=source or f"d/{seq}",
        bytes=10,
        outcome=kind.value,
        total_time_s=attempts[-1].ended_s if attempts else 0.0,
        attempts=len(attempts),
        attempt_reports=attempts,
        error=UploadError("no: <b>no</b>", key=f"k/{seq}", kind=kind, attempts=len(attempts)),
    )


def many(count: int) -> Iterator[UploadReport]:
    """A run of `count` objects whose sizes and times go through all decades; some come at a second try."""
    for seq in range(count):
        size = int(10 ** (seq % 89 / 11))
        took_s = 0.01 + size / 5e6 * (1 + seq % 7 / 7)
        begin_s = seq * 0.004
        if seq % 50 == 49:
            kind, timer = (("timeout", "response"), ("server", ""))[seq % 100 == 99]
            lost = attempt(begin_s, took_s, size, outcome=kind, timer=timer, message=f"no, said {seq}")
            yield uploaded(seq, lost, attempt(begin_s + took_s, took_s, size))
        else:
            yield uploaded(seq, attempt(begin_s, took_s, size))


def summary_of(reports: list[UploadReport], wall_time_s: float) -> UploadSummary:
    fold = SummaryFold()
    for report in reports:
        fold.add(report)
    return fold.summary(wall_time_s)
