"""What an upload reports: the only way anything about it is observed.

Progress bars, tables, JSON lines and the controllers of `control/` are folds over these frozen
records.  Times are seconds on the run's own monotonic clock, which starts at 0 with the run; sizes
are bytes; `MBps` is 10^6 bytes per second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from s3_upload.errors import FailureKind, UploadError, UploadsFailed, attach_summary, summary_of
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import NO_TIME_NS
from s3_upload.text import printable
from s3_upload.units import show_bytes, show_rate

SUCCESS = "success"
"""The `outcome` of an attempt or upload that succeeded; else it is a `FailureKind`, which is a text."""
SKIPPED = "skipped"
"""The `outcome` of a source that is nothing to upload (a socket, a device, a FIFO)."""
SUPERSEDED = "superseded"
"""The `outcome` of an attempt that was cut short because a copy of it had succeeded."""
EXISTS = "the store has an object of that name"
"""Why an object is skipped or, with `if_exists="fail"`, fails."""
_KINDS: Mapping[str, FailureKind] = {kind: kind for kind in FailureKind}
FAILED_BODY_BYTES = 200 * (1 << 20)
"""So many bytes of bodies in memory a summary keeps for those who try once more what failed."""


MAX_DURATIONS = 4_096
MAX_CAUSES, OTHER_CAUSES = 20, "other"


class ConnectionSample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the kernel says of one connection at one moment.

    `number` tells connections apart.  `rtt_s`: its SRTT (RFC 6298); `min_rtt_s`: the least of late.  Sums
    since its begin: `acks` (segments received), `acked_bytes` (acknowledged, selectively too),
    `sent_segments`, `retransmits`.  Over loopback, where acknowledgements come late and nothing is lost,
    `rtt_s` is `min_rtt_s`, and `retransmits` is 0.  `window_bytes_per_s`: its congestion window per
    `min_rtt_s`.  `busy`: a request is under way on it; `waiting`: not all of what the kernel was given has
    been sent.
    """

    number: int
    rtt_s: float
    min_rtt_s: float
    acks: int
    acked_bytes: int
    sent_segments: int
    retransmits: int
    window_bytes_per_s: float
    busy: bool
    waiting: bool


class Paces(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How fast connections may send.

    `each_bytes_per_s`: every one (math.inf: as fast as it likes), also those opened later; `apart`: but
    these, by the numbers of their samples.  `heedless`: their TCP need not slow down for losses, where the
    system lets it do so.
    """

    each_bytes_per_s: float = math.inf
    apart: Mapping[int, float] = {}
    heedless: bool = False


class PaceReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much of the link a run takes at one moment, and why.

    `state`: "growing", "cruising", "probing", "draining", "wary" (others may be coming) or "yielding" (to
    others) in the shares "background" and "fair", "full" else; "capped" in all of them where `max_bandwidth`
    allows less than the share does.  `queue_s`: how long a packet waits for the link, as far as the
    connections tell; `base_s`: the round trip without that.  `pace_bytes_per_s`: what all connections
    together may send (0.0: as much as they like); `acked_bytes_per_s`: what was acknowledged of late.
    `requests`: how many may be in flight (0: as many as the window says).
    """

    at_s: float
    share: str
    state: str
    queue_s: float = 0.0
    base_s: float = 0.0
    pace_bytes_per_s: float = 0.0
    acked_bytes_per_s: float = 0.0
    connections: int = 0
    requests: int = 0


class AttemptReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One try of one request.

    `timeout_s` is the total time it was allowed, from `request_s` on; `timer` names the timer that
    cut it, if one did ("connect", "stall", "response", "total"; "outage": the store had been away
    meanwhile).  `connect_s` is how long its handshake took (0.0: the connection was there).
    `request_s` (the request began on a connection), `sent_s` (its last byte had left the client),
    `acked_s` (the other side had all of it, where that is known) and `first_byte_s` are 0.0 where the
    attempt did not get that far.  `body_bytes` is what it had to send, `sent_bytes` how much of that
    left this machine, as far as is known.  `hedge`: it was a second copy beside a first; `hedged`: it was
    such a first.
    """

    operation: str
    started_s: float
    ended_s: float
    timeout_s: float
    body_bytes: int
    outcome: str
    sent_bytes: int = 0
    connect_s: float = 0.0
    request_s: float = 0.0
    sent_s: float = 0.0
    acked_s: float = 0.0
    first_byte_s: float = 0.0
    part_number: int = 0
    retries: int = 0
    status: int = 0
    code: str = ""
    message: str = ""
    request_id: str = ""
    address: str = ""
    new_connection: bool = False
    timer: str = ""
    hedge: bool = False
    hedged: bool = False

    def __str__(self) -> str:
        part = f" of part {self.part_number}" if self.part_number else ""
        copy = " (a second copy)" if self.hedge else ""
        said = " ".join(filter(None, (str(self.status or ""), self.code, self.message)))
        why = f" ({said})" if said and self.outcome != SUCCESS else ""
        size = f" of {show_bytes(self.body_bytes)}" if self.body_bytes else ""
        return f"{self.operation}{part}{size}{copy}: {self.outcome}{why} after {self.duration_s:.3f} s"

    @property
    def duration_s(self) -> float:
        return self.ended_s - self.started_s

    @property
    def succeeded(self) -> bool:
        return self.outcome == SUCCESS

    @property
    def kind(self) -> FailureKind | None:
        """Why it failed; None if it did not."""
        return _KINDS.get(self.outcome)


class UploadReport(msgspec.Struct, frozen=True, kw_only=True):
    """One source, done with: uploaded, failed or skipped.

    `source` is a path, "data" or "stream".  `bytes` is the size of the object, of which an earlier run had
    sent `resumed_bytes`.  `dropped_bytes` had arrived as parts and were given up: the file had changed, the
    store had lost them, or the object failed.  `attempts` is 1 plus the retries (for a multipart upload:
    the retries of all its requests), 0 where nothing was tried; sending again after a region, a clock or a
    token was put right is no retry, nor is asking (HeadObject, ListParts).  `total_time_s` spans all tries
    and the waits between them; `success_time_s` is the last try alone (for a multipart upload: from its
    first request to its last answer).  `est_MBps` is the speed estimate when the upload began.  `checksum`
    (base64, by `checksum_algorithm`; "" for none) is that of what was sent, and `mtime_ns` the time of
    modification of the version of the file that was read; -1 for what is no file, and for one that was
    modified in that very moment, so that a later change need not show.  `object` is the very `ObjectSource`,
    to be given to another run, say; it is not in the JSON.  (A stream that was begun cannot be read again
    unless it is an iterable that starts again.)
    """

    seq: int
    key: str
    source: str
    bytes: int
    outcome: str
    resumed_bytes: int = 0
    dropped_bytes: int = 0
    total_time_s: float = 0.0
    success_time_s: float = 0.0
    attempts: int = 0
    est_MBps: float = 0.0
    attempt_reports: tuple[AttemptReport, ...] = ()
    etag: str = ""
    checksum: str = ""
    checksum_algorithm: str = ""
    mtime_ns: int = NO_TIME_NS
    error: UploadError | None = None
    reason: str = ""
    object: ObjectSource | None = None

    def __str__(self) -> str:
        return printable(self._text())  # or a name that is no text could not be printed

    def _text(self) -> str:
        if self.outcome == SUCCESS:
            again = f", {self.attempts} attempts" if self.attempts > 1 else ""
            took = f"{show_bytes(self.bytes)} in {self.total_time_s:.3f} s"
            return f"uploaded {self.source} to {self.key} ({took}{again})"
        if self.outcome == SKIPPED:
            return f"skipped {self.source}: {self.reason}"
        # an UploadError begins with its key
        what = self.error if self.error is not None else f"{self.key}: {self.reason or self.outcome}"
        return f"failed {self.source} to {what}"

    @property
    def succeeded(self) -> bool:
        return self.outcome == SUCCESS

    @property
    def MBps(self) -> float:  # noqa: N802 - the unit's spelling
        """Speed of the successful try, by what this run has sent; 0.0 for a failed or empty upload."""
        sent_bytes = self.bytes - self.resumed_bytes
        return sent_bytes / 1e6 / self.success_time_s if self.success_time_s > 0 else 0.0


class UploadSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run.

    `sources = uploaded + len(failed) + len(skipped)`.  `bytes` counts acknowledged payload only, of which
    earlier runs had sent `resumed_bytes`;
    `wasted_bytes` are body bytes that left in attempts that failed or were superseded, and `dropped_bytes` of
    the reports.  `hedges` counts
    the second copies sent beside a slow first.  `budget_wait_s` is for how much of the run's time some
    retry waited for want of a retry budget: above 0 the store had trouble and the run was slowed.
    `failed` and `skipped` hold the reports; those of bodies in memory have no `object` any more when such
    bodies are more than `FAILED_BODY_BYTES` together.  `notes` are phrases about what had to be put right on
    the way (a region, a clock, checksums that the store does not take), one of a kind.  `pace` tells how much
    of the link was taken over time, in at most `transfer.pacer.MAX_REPORTS` reports; empty where nothing held
    the run back.  `limits` tells what limited the run, by the names of `observe.limits`, and for which share
    of its time; the largest first.  `causes` counts the attempts that failed, by what the store said
    ("503 SlowDown") or what happened ("timeout"), the most frequent first.  `median_s` and `p99_s`: of how
    long an object that was uploaded took, waits between tries included.  `unchanged`: of a sync, the sources
    whose objects are as they are; they are not among `sources`.
    """

    sources: int
    uploaded: int
    bytes: int
    wall_time_s: float
    attempts: int
    wasted_bytes: int
    hedges: int
    budget_wait_s: float
    failed: tuple[UploadReport, ...]
    skipped: tuple[UploadReport, ...]
    notes: tuple[str, ...] = ()
    pace: tuple[PaceReport, ...] = ()
    limits: Mapping[str, float] = {}
    causes: Mapping[str, int] = {}
    median_s: float = 0.0
    p99_s: float = 0.0
    unchanged: int = 0
    resumed_bytes: int = 0

    def __str__(self) -> str:
        files = "1 object" if self.uploaded == 1 else f"{self.uploaded:,} objects"
        parts = [
            f"uploaded {files}, {show_bytes(self.bytes)} in {self.wall_time_s:.2f} s"
            f" ({show_rate(self.goodput_MBps * 1e6, 2)})"
        ]
        if self.failed:
            first = self.failed[0].error or self.failed[0].reason
            parts.append(f"{len(self.failed):,} failed, the first: {first}")
        if self.skipped:
            parts.append(f"{len(self.skipped):,} skipped")
        if self.unchanged:
            parts.append(f"{self.unchanged:,} unchanged")
        return printable("; ".join(parts))

    @property
    def goodput_MBps(self) -> float:  # noqa: N802 - the unit's spelling
        """Acknowledged payload that this run has sent, per second of wall time, in 10^6 bytes."""
        sent_bytes = self.bytes - self.resumed_bytes
        return sent_bytes / 1e6 / self.wall_time_s if self.wall_time_s > 0 else 0.0

    def raise_for_failures(self) -> None:
        """Raises `UploadsFailed` if any object failed."""
        errors = [report.error for report in self.failed if report.error is not None]
        if errors:
            raise UploadsFailed(errors)


class Durations:
    """A sample of durations, evenly over time, from which quantiles come: at most MAX_DURATIONS of them."""

    def __init__(self) -> None:
        self._kept: list[float] = []
        self._every = 1
        self.until_next = 1
        """So many are left out: whoever has one counts down, and calls `keep` at 0."""

    def keep(self, seconds: float) -> None:
        self.until_next = self._every
        self._kept.append(seconds)
        if len(self._kept) >= MAX_DURATIONS:
            del self._kept[1::2]
            self._every *= 2

    def quantile(self, share: float) -> float:
        """0.0 where there is none."""
        ordered = sorted(self._kept)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


class Counts(msgspec.Struct, frozen=True):
    """What has ended so far."""

    uploaded: int
    bytes: int
    failed: int
    skipped: int


def _without_attempts(report: UploadReport) -> UploadReport:
    return msgspec.structs.replace(report, attempt_reports=()) if report.attempt_reports else report


class SummaryFold:
    """Folds `UploadReport`s into an `UploadSummary`, keeping only what failed or was skipped."""

    def __init__(self) -> None:
        self._uploaded = 0
        self._bytes = self._resumed_bytes = 0
        self._attempts = 0
        self._wasted_bytes = 0
        self._hedges = 0
        self._failed: list[UploadReport] = []
        self._failed_bytes = 0
        self._skipped: list[UploadReport] = []
        self._durations = Durations()
        self._causes: dict[str, int] = {}

    def add(self, report: UploadReport) -> None:
        self._attempts += report.attempts
        if report.outcome == SUCCESS:
            self._uploaded += 1
            self._bytes += report.bytes
            self._resumed_bytes += report.resumed_bytes
            durations = self._durations
            durations.until_next -= 1
            if not durations.until_next:
                durations.keep(report.total_time_s)
            if len(report.attempt_reports) == 1:  # the hot path: nothing can have been wasted
                return
        elif report.outcome == SKIPPED:
            # Of what was only asked about there may be a million.
            self._skipped.append(report if report.attempts else _without_attempts(report))
        else:
            self._failed.append(self._bounded(report))
        self._wasted_bytes += report.dropped_bytes
        self._wasted_bytes += sum(a.sent_bytes for a in report.attempt_reports if a.outcome != SUCCESS)
        self._hedges += sum(a.hedge for a in report.attempt_reports)
        for attempt in report.attempt_reports:
            if attempt.outcome not in {SUCCESS, SUPERSEDED}:
                self._count(attempt)

    @property
    def counts(self) -> Counts:
        """Until now."""
        return Counts(self._uploaded, self._bytes, len(self._failed), len(self._skipped))

    def _count(self, attempt: AttemptReport) -> None:
        cause = f"{attempt.status} {attempt.code}".rstrip() if attempt.status else attempt.outcome
        if cause not in self._causes and len(self._causes) >= MAX_CAUSES:
            cause = OTHER_CAUSES
        self._causes[cause] = self._causes.get(cause, 0) + 1

    def _bounded(self, report: UploadReport) -> UploadReport:
        """The report as it is kept: not with any number of bodies."""
        if report.object is None or report.object.body is None:
            return report
        self._failed_bytes += len(report.object.body)
        if self._failed_bytes <= FAILED_BODY_BYTES:
            return report
        return msgspec.structs.replace(report, object=None)

    def summary(
        self,
        wall_time_s: float,
        budget_wait_s: float = 0.0,
        notes: Iterable[str] = (),
        pace: Iterable[PaceReport] = (),
        limits: Mapping[str, float] | None = None,
    ) -> UploadSummary:
        return UploadSummary(
            sources=self._uploaded + len(self._failed) + len(self._skipped),
            uploaded=self._uploaded,
            bytes=self._bytes,
            wall_time_s=wall_time_s,
            attempts=self._attempts,
            wasted_bytes=self._wasted_bytes,
            hedges=self._hedges,
            budget_wait_s=budget_wait_s,
            failed=tuple(self._failed),
            skipped=tuple(self._skipped),
            notes=tuple(notes),
            pace=tuple(pace),
            limits=limits or {},
            causes=dict(sorted(self._causes.items(), key=lambda item: -item[1])),
            median_s=self._durations.quantile(0.5),
            p99_s=self._durations.quantile(0.99),
            resumed_bytes=self._resumed_bytes,
        )


@contextmanager
def broken_off(told: Callable[[UploadSummary], UploadSummary]) -> Iterator[None]:
    """Where something ends what is within before it is through, its summary is as `told` makes it."""
    try:
        yield
    except BaseException as error:
        summary = summary_of(error)
        if isinstance(summary, UploadSummary):
            attach_summary(error, told(summary))
        raise
