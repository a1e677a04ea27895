"""What a run did, for a page about it: a fold over its records, in bounded memory.

Rules: it takes the records in the order in which they were told, whether they come from a run that is on or
from its `--json`; it has no clock and no randomness; each collection has a bound (`bins.py`, and the
constants here), so that a million uploads take no more memory than a thousand.

Times: a record's times count from the begin of its run.  `perf-data -n 3` makes three runs, of which the
second begins when the first has ended.  `History` notices, and puts them one after the other.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

import msgspec

from s3_upload.errors import FailureKind
from s3_upload.observe.bins import Course, Quantiles, Scatter, Timeline
from s3_upload.observe.events import LimitsChanged, StoreAway
from s3_upload.observe.records import SummaryRecord, UploadRecord
from s3_upload.report import SKIPPED, SUCCESS, SUPERSEDED, PaceReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from s3_upload.observe.changes import Kept
    from s3_upload.observe.records import Record
    from s3_upload.report import AttemptReport, UploadReport, UploadSummary

BODIES = {"PutObject", "UploadPart"}
"""The requests whose time depends on a size."""
BUFFERED_BYTES = 64 << 10
"""A body up to this size is on its way as soon as the kernel has it; a larger one may wait there."""
MAX_CAUSES = 40
"""There are about thirty kinds of failure; a file of records could name any number."""
OTHER = "other"
MAX_SLOWEST = 10
MAX_LIMITS = 1_000
MAX_AWAY = 100
MAX_RUNS = 1_000
SIZES_PER_DECADE = 12


class Cause(msgspec.Struct):
    """What failed for one reason: attempts, files, and what is known of the first file (else attempt)."""

    name: str
    attempts: int = 0
    files: int = 0
    source: str = ""
    message: str = ""


class Slow(msgspec.Struct, frozen=True, order=True):
    """An object and how long it took; the order is that of slowness, and of coming where it is the same."""

    total_s: float
    minus_number: int
    source: str
    bytes: int
    success_s: float
    attempts: int
    outcome: str
    trouble: str


class Allowed(msgspec.Struct):
    """The total times that requests of about one size were allowed: the least and the most."""

    low_s: float
    high_s: float


class Totals(msgspec.Struct):
    """How many objects ended in which way; `resumed_bytes`: what earlier runs had sent of `bytes`; `again`:
    attempts beyond the first of each."""

    uploaded: int = 0
    bytes: int = 0
    resumed_bytes: int = 0
    failed: int = 0
    skipped: int = 0
    again: int = 0
    wasted_bytes: int = 0
    hedges: int = 0


class Ending(msgspec.Struct, frozen=True):
    """What a run says of itself in the end. `broke_off`: why it is not complete."""

    wall_time_s: float = 0.0
    complete: bool = False
    broke_off: str = ""
    pace: tuple[PaceReport, ...] = ()
    notes: tuple[str, ...] = ()
    limited_by: Mapping[str, float] = {}


class _Clock:
    """Runs one after the other on one clock: each begins at 0, by which it is told."""

    def __init__(self) -> None:
        self.offset_s = 0.0
        self._latest_s = self._event_s = 0.0
        self._told, self._last_seq = 0, -1
        self._begins_s: Course[float] = Course(MAX_RUNS)

    @property
    def span_s(self) -> float:
        """From the first begin until the latest moment that is known."""
        return self.offset_s + self._latest_s

    def saw(self, at_s: float) -> None:
        self._latest_s = max(self._latest_s, at_s)

    def another_reports(self, seq: int) -> bool:
        """Whether the report with this number is the first of another run."""
        # Within a run the numbers are dense, and none comes twice; but for what nobody has begun: below 0.
        another = 0 <= seq <= self._last_seq and self._told == self._last_seq + 1
        if another:
            self._begin()
        self._told += seq >= 0
        self._last_seq = max(self._last_seq, seq)
        return another

    def another_tells(self, at_s: float) -> bool:
        """Whether the event of this moment is the first of another run."""
        another = at_s < self._event_s
        if another:
            self._begin()
        self._event_s = at_s
        self.saw(at_s)
        return another

    def _begin(self) -> None:
        self.offset_s += self._latest_s
        self._begins_s.add(self.offset_s)
        self._latest_s = self._event_s = 0.0
        self._told, self._last_seq = 0, -1

    def placed(self, pace: Iterable[PaceReport]) -> Iterator[PaceReport]:
        """These reports of runs one after the other on this clock."""
        begins_s = iter(self._begins_s.entries)
        offset_s = before_s = 0.0
        for report in pace:
            if report.at_s < before_s:
                offset_s = next(begins_s, offset_s)
            before_s = report.at_s
            yield msgspec.structs.replace(report, at_s=offset_s + report.at_s) if offset_s else report


class _Slowest:
    """Objects that took longest, a heap."""

    def __init__(self) -> None:
        self.kept: list[Slow] = []
        self._number = 0

    def add(self, report: UploadReport | UploadRecord) -> None:
        self._number += 1
        is_full = len(self.kept) >= MAX_SLOWEST
        if not report.attempts or (is_full and report.total_time_s <= self.kept[0].total_s):
            return
        troubles = dict.fromkeys(
            _name_of(attempt) for attempt in report.attempt_reports if attempt.outcome != SUCCESS
        )
        slow = Slow(
            report.total_time_s,
            -self._number,
            report.source,
            report.bytes,
            report.success_time_s,
            report.attempts,
            report.outcome,
            ", ".join(list(troubles)[:3]),
        )
        add = heapq.heappushpop if is_full else heapq.heappush
        add(self.kept, slow)


class Told:
    """What events told: what limited, and when the store was away.

    `since_s`: since when, in an outage that has not ended.
    """

    def __init__(self) -> None:
        self.limits: Course[tuple[float, int, str]] = Course(MAX_LIMITS)
        self.away: Course[tuple[float, float]] = Course(MAX_AWAY)
        self.since_s: float | None = None

    def hear(self, event: Kept, offset_s: float) -> None:
        """`offset_s`: when its run began."""
        if isinstance(event, LimitsChanged):
            self.limits.add((offset_s + event.at_s, event.max_requests, event.limited_by))
        elif isinstance(event, StoreAway):
            self.since_s = offset_s + event.since_s
        else:
            self.away.add((offset_s + event.since_s, offset_s + event.at_s))
            self.since_s = None

    def end(self, at_s: float) -> None:
        """Another run has begun; with the last one an outage ended that had no other end."""
        if self.since_s is not None:
            self.away.add((self.since_s, at_s))
            self.since_s = None

    def spans(self, until_s: float) -> list[tuple[float, float]]:
        open_s = self.since_s
        return [*self.away.entries, *([] if open_s is None else [(open_s, max(open_s, until_s))])]


class Bodies:
    """How long bodies took, by their sizes: those that were stored, cut by a timer, or failed otherwise; and
    which times they were allowed."""

    def __init__(self) -> None:
        self.stored, self.cut, self.refused = Scatter(), Scatter(), Scatter()
        self.allowed: dict[int, Allowed] = {}

    def add(self, attempt: AttemptReport) -> None:
        """A body and how long it took. An empty one counts as one byte: the axis is logarithmic."""
        size = max(1, attempt.body_bytes)
        if (time_s := attempt.timeout_s) > 0.0:
            step = math.floor(math.log10(size) * SIZES_PER_DECADE)  # even 48.8 TiB is only the 164th
            allowed = self.allowed.setdefault(step, Allowed(time_s, time_s))
            allowed.low_s, allowed.high_s = min(allowed.low_s, time_s), max(allowed.high_s, time_s)
        took_s = max(1e-6, attempt.ended_s - attempt.request_s)
        failed = self.cut if attempt.timer else self.refused
        (self.stored if attempt.outcome == SUCCESS else failed).add(size, took_s)


class History:
    """The fold. What it has found is in its attributes."""

    def __init__(self) -> None:
        self.totals, self.ending = Totals(), Ending()
        self.flow = Timeline("stored", "vain", "busy", "failed")
        self.bodies = Bodies()
        self.object_s, self.answer_s = Quantiles(), Quantiles()
        self.causes: dict[str, Cause] = {}
        self.told = Told()
        self._slowest = _Slowest()
        self._clock = _Clock()

    @property
    def slowest(self) -> list[Slow]:
        """The slowest first."""
        return sorted(self._slowest.kept, reverse=True)

    @property
    def span_s(self) -> float:
        """How long it took, as far as is known."""
        return max(self.ending.wall_time_s, self._clock.span_s)

    @property
    def away_spans(self) -> list[tuple[float, float]]:
        """When the store was away, from and to: in the end, perhaps, until the end."""
        return self.told.spans(self.span_s)

    def add_record(self, record: Record) -> None:
        """One that was read back."""
        if isinstance(record, UploadRecord):
            self.add(record)
        elif isinstance(record, SummaryRecord):
            self.end(record)
        else:
            self.add_event(record)

    def add(self, report: UploadReport | UploadRecord) -> None:
        if self._clock.another_reports(report.seq):
            self.told.end(self._clock.offset_s)
        for attempt in report.attempt_reports:
            self._clock.saw(attempt.ended_s)
            if report.outcome != SKIPPED or attempt.outcome != FailureKind.EXISTS:
                self._add_attempt(attempt, report)
        self.totals.wasted_bytes += report.dropped_bytes
        if report.outcome == SKIPPED:
            self.totals.skipped += 1
            return
        self.totals.again += max(0, report.attempts - 1)
        self._add_object(report)

    def add_event(self, event: Kept) -> None:
        if self._clock.another_tells(event.at_s):
            self.told.end(self._clock.offset_s)
        self.told.hear(event, self._clock.offset_s)

    def end(self, summary: UploadSummary | SummaryRecord) -> None:
        """The run has come to an end and says so."""
        error = summary.error if isinstance(summary, SummaryRecord) else None
        broke_off = error.message if error is not None else self.ending.broke_off
        self.ending = Ending(
            summary.wall_time_s,
            not broke_off,
            broke_off,
            tuple(self._clock.placed(summary.pace)),
            tuple(summary.notes),
            summary.limits,
        )

    def _add_attempt(self, attempt: AttemptReport, report: UploadReport | UploadRecord) -> None:
        start_s = self._clock.offset_s + (attempt.request_s or attempt.started_s)
        end_s = self._clock.offset_s + attempt.ended_s
        self.flow.add("busy", end_s - start_s, start_s, end_s)
        self.totals.hedges += attempt.hedge
        if attempt.outcome == SUCCESS:
            if attempt.body_bytes:
                # Not `sent_s`: what has left the program may be in the kernel's buffer for long.
                arrived_s = attempt.acked_s or attempt.first_byte_s or attempt.ended_s
                self.flow.add("stored", attempt.body_bytes, start_s, self._clock.offset_s + arrived_s)
            left_s = attempt.acked_s or (attempt.sent_s if attempt.body_bytes <= BUFFERED_BYTES else 0.0)
            if attempt.first_byte_s and left_s:
                self.answer_s.add(max(0.0, attempt.first_byte_s - left_s))
        else:
            self._add_failed(attempt, report, start_s, end_s)
        if attempt.operation in BODIES and attempt.outcome != SUPERSEDED and attempt.request_s:
            self.bodies.add(attempt)

    def _add_failed(
        self, attempt: AttemptReport, report: UploadReport | UploadRecord, start_s: float, end_s: float
    ) -> None:
        self.totals.wasted_bytes += attempt.sent_bytes
        if attempt.sent_bytes:
            self.flow.add("vain", attempt.sent_bytes, start_s, end_s)
        if attempt.outcome != SUPERSEDED:
            self.flow.add("failed", 1.0, end_s, end_s)
        cause = self._cause(_name_of(attempt))
        cause.attempts += 1
        if not cause.message:
            cause.source, cause.message = report.source, _said_by(attempt)

    def _add_object(self, report: UploadReport | UploadRecord) -> None:
        if report.outcome == SUCCESS:
            self.totals.uploaded += 1
            self.totals.bytes += report.bytes
            self.totals.resumed_bytes += report.resumed_bytes
            self.object_s.add(report.total_time_s)
        else:
            self.totals.failed += 1
            cause = self._cause(report.outcome, of_file=True)
            if not cause.files:
                cause.source = report.source
                cause.message = report.error.message if report.error is not None else report.reason
            cause.files += 1
        self._slowest.add(report)

    def _cause(self, name: str, *, of_file: bool = False) -> Cause:
        """An attempt's cause may say more than the file's ("timeout: response"); a file counts beside the
        first of those that begin as it does."""
        if of_file and name not in self.causes:
            name = next((known for known in self.causes if known.startswith(f"{name}:")), name)
        if name not in self.causes and len(self.causes) >= MAX_CAUSES:
            name = OTHER
        return self.causes.setdefault(name, Cause(name))


def _name_of(attempt: AttemptReport) -> str:
    return f"{attempt.outcome}: {attempt.timer}" if attempt.timer else attempt.outcome


def _said_by(attempt: AttemptReport) -> str:
    if attempt.outcome == SUPERSEDED:
        return "a copy of it was answered first"
    said = attempt.message or attempt.code
    return f"{attempt.status} {said}" if attempt.status and not said.startswith(str(attempt.status)) else said
