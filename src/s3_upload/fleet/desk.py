"""What those who take part in a job tell of it, put together: as if it had all happened in one process.

Rules:

* The number of an object (`seq`) is that of its process; those of worker n begin at n * SEQ_OF_WORKER.  One
  that goes on elsewhere, since its process has ended, keeps its number.
* A worker's object is told with the source that was handed out, which never left, and with its name.
* Reports are delivered in the order in which they come, one at a time; while too many wait, nothing new is
  handed out.
* What limits the job is what limits the process with the most requests under way.  One at home that takes
  nothing of what travels says nothing about the job.
* What limits it, and whether the store is away, is told in the order of time: one whose time is before that
  of the last would be the first of another run (`observe.changes`).  Workers elsewhere tell at the end of a
  shard of an outage that may be long over: it is told with the time of the last, unless it began before the
  end of one that was told, and is most likely that.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from s3_upload.errors import FailureKind, SourceError, UploadError
from s3_upload.fleet.dispenser import Dispenser
from s3_upload.fleet.kept_uploads import KeptUploads
from s3_upload.fleet.wire import Ended
from s3_upload.fleet.worker import Worker
from s3_upload.observe.events import (
    SEQ_OF_WORKER,
    Event,
    Events,
    LimitsChanged,
    Listening,
    ObjectBegun,
    ObjectEnded,
    StoreAway,
    StoreBack,
    UploadCreated,
)
from s3_upload.observe.limits import ANSWERS, LISTING, Shares
from s3_upload.report import SummaryFold, UploadReport, UploadSummary
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.progress import Delivery, Progress
from s3_upload.transfer.resume import Resumed

_UNKNOWN = ""
"""What limits, where nobody says so: workers elsewhere tell at the end of a shard what was."""


class Desk:
    """See the module's rules. `more`: there is room for more again.  `fail` ends the job.  `limits`: the
    newest of each process, 0 for the one at home.  `delivery`: of the reports.  `notes`: what there is to say
    at the end, and `resumed` at home, where uploads in parts are gone on with."""

    def __init__(
        self,
        events: Events,
        dispenser: Dispenser,
        uploads: KeptUploads,
        progress: Progress | None,
        *,
        fail: Callable[[BaseException], None],
        more: Callable[[], None],
    ) -> None:
        self.limits: dict[int, LimitsChanged] = {}
        self.notes: list[str] = []
        self.resumed = Resumed()
        self._events = events
        self._dispenser = dispenser
        self._uploads = uploads
        self._more = more
        self._fold = SummaryFold()
        self._shares = Shares()
        self._told: LimitsChanged | None = None
        self._told_s = self._back_s = 0.0
        """The newest time that was told, of what is told in order; and of the end of an outage."""
        self._says_away: int | None = None
        self._budget_wait_s = 0.0
        self._resumed_by_workers = Resumed()
        self._given_up = 0
        self._seqs: dict[str, int] = {}
        """Of workers' objects that somebody has been told of, by their keys."""
        self._unbegun: set[str] = set()
        """Of these, the keys of those of which only questions were told so far."""
        self._may_go_on_at_home = False
        self.delivery = Delivery(progress, on_error=fail, on_empty=self._delivered)

    def at_home(self) -> Events:
        """For the run at home."""
        mine = Listening(self._hear_at_home, frozenset({ObjectEnded, LimitsChanged}))
        others = self._events.kinds - {ObjectEnded, LimitsChanged}
        return Events([Listening(self._tell_of_home, others), mine])

    def go_on_at_home(self) -> None:
        """What workers have begun may be uploaded at home."""
        self._may_go_on_at_home = True

    def hear(self, worker: Worker, event: Event, now: float) -> None:
        """An event of a worker's, `now` on the clock of the job."""
        if type(event) is LimitsChanged:
            self.limits[worker.number] = event
            return
        if type(event) is StoreAway or type(event) is StoreBack:
            self._hear_of_store(worker.number, _at_latest(now, event))
            return
        taken = worker.hand.has.get(event.key) if type(event) is UploadCreated else None
        self._uploads.hear(event, None if taken is None else taken.source)
        seq_before = SEQ_OF_WORKER * worker.number
        if type(event) is ObjectEnded:
            report = event.report
            source = self._dispenser.ended(worker.hand, report.key)
            if source is None:
                return  # it has been told of: an executor may begin a shard once more
            worker.done += 1
            seq = self._seq_at_end(report.key, seq_before + report.seq)
            told = msgspec.structs.replace(report, seq=seq, source=source.name, object=source)
            self.report(told, event.at_s)
        elif self._events.wants(type(event)):
            taken = worker.hand.has.get(event.key)  # type: ignore[union-attr]
            if taken is not None:
                if event.key not in self._seqs:  # type: ignore[union-attr]
                    self._seqs[event.key] = seq_before + event.seq  # type: ignore[union-attr]
                    self._unbegun.add(event.key)  # type: ignore[union-attr]
                if type(event) is ObjectBegun and event.source != taken.source.name:
                    event = msgspec.structs.replace(event, source=taken.source.name)
            self._tell(event, seq_before)

    def _hear_of_store(self, number: int, event: StoreAway | StoreBack) -> None:
        """The first who says so speaks for all, until the store answers it again. `number`: of the process, 0
        for the one at home."""
        if self._says_away not in {None, number}:
            return
        # What is told late is not told twice; who finds the store away still says so at its next try.
        is_told = number and event.at_s < self._told_s and event.since_s < self._back_s
        if self._says_away is None and (type(event) is StoreBack or is_told):
            return
        self._says_away = number if type(event) is StoreAway else None
        self._tell_in_order(event)
        if type(event) is StoreBack:
            self._back_s = max(self._back_s, event.at_s)

    def _tell_in_order(self, event: LimitsChanged | StoreAway | StoreBack) -> None:
        self._told_s = max(self._told_s, event.at_s)
        if self._events.wants(type(event)):
            self._events.tell(msgspec.structs.replace(event, at_s=self._told_s))

    def gone(self, worker: Worker, now: float) -> None:
        """It says nothing any more, and what it has said of now counts no more."""
        self.limits.pop(worker.number, None)
        if self._says_away == worker.number:
            # If the store is still away, another one says so at its next try.
            self._hear_of_store(worker.number, StoreBack(at_s=now, since_s=now))

    def ended(self, worker: Worker, ended: Ended) -> None:
        """A worker has said what it came to."""
        worker.ended = ended
        self.notes += ended.notes
        self._budget_wait_s = max(self._budget_wait_s, ended.budget_wait_s)
        self._resumed_by_workers.add(ended.resumed)

    def give_up(self, source: ObjectSource, why: str, now: float) -> None:
        """A source that nobody can upload."""
        self._given_up += 1
        seq = self._seq_at_end(source.key, -self._given_up)
        text = f"{source.name}: {why}"
        error = UploadError(text, key=source.key, kind=FailureKind.SOURCE)
        error.__cause__ = SourceError(text, FailureKind.SOURCE)
        self.report(
            UploadReport(
                seq=seq, key=source.key, source=source.name, bytes=0, outcome=FailureKind.SOURCE,
                error=error, reason=text, object=source,
            ),
            now,
        )  # fmt: skip

    def report(self, report: UploadReport, at_s: float) -> None:
        if self._events.wants(ObjectEnded):
            self._events.tell(ObjectEnded(at_s=at_s, report=report))
        self._fold.add(report)
        self.delivery.deliver(report)
        self._dispenser.hold(self.delivery.full)

    def look(self, now: float) -> None:
        """What limits the job since the last look; called from time to time."""
        found = self._limits_of_all()
        self._shares.add(found.limited_by if found is not None else _UNKNOWN, now=now)
        # Compared without its time: what has not changed is not told again.
        if found is not None and found != self._told and self._events.wants(LimitsChanged):
            self._told = found
            self._tell_in_order(msgspec.structs.replace(found, at_s=now))

    def summary(self, home: UploadSummary | None, now: float) -> UploadSummary:
        """Of the whole job, once. `home`: of the run at home, where that has come to its end."""
        self.look(now)  # a job may have ended before the first
        resumed = Resumed()
        resumed.add(self.resumed)
        resumed.add(self._resumed_by_workers)
        notes = dict.fromkeys([*(home.notes if home is not None else ()), *self.notes, *resumed.notes()])
        return self._fold.summary(
            now,
            max(self._budget_wait_s, home.budget_wait_s if home is not None else 0.0),
            notes,
            home.pace if home is not None else (),
            {name: share for name, share in self._shares.of(now).items() if name != _UNKNOWN},
        )

    def _tell(self, event: Event, seq_before: int) -> None:
        seq = seq_before + event.seq  # type: ignore[union-attr]
        known = self._seqs.get(event.key, seq)  # type: ignore[union-attr]
        if type(event) is ObjectBegun:
            if known != seq and event.key not in self._unbegun:
                return  # it goes on
            self._unbegun.discard(event.key)
        self._events.tell(msgspec.structs.replace(event, seq=known))

    def _seq_at_end(self, key: str, unless_told: int) -> int:
        self._unbegun.discard(key)
        return self._seqs.pop(key, unless_told)

    def _tell_of_home(self, event: Event) -> None:
        if type(event) is StoreAway or type(event) is StoreBack:
            self._hear_of_store(0, event)
        elif self._may_go_on_at_home and getattr(event, "key", None) in self._seqs:
            self._tell(event, 0)  # its own number counts no more
        else:
            self._events.tell(event)

    def _hear_at_home(self, event: Event) -> None:
        if type(event) is ObjectEnded:
            report = event.report
            if self._may_go_on_at_home and report.key in self._seqs:
                report = msgspec.structs.replace(report, seq=self._seq_at_end(report.key, 0))
            self._dispenser.ended_at_home(report.key, report.object)
            self.report(report, event.at_s)
        elif type(event) is LimitsChanged:
            self.limits[0] = event

    def _limits_of_all(self) -> LimitsChanged | None:
        """None where nobody has said anything."""
        all_of = [
            event
            for number, event in self.limits.items()
            if number or event.requests or self._dispenser.home_takes
        ]
        if not all_of:
            return None
        busiest = max(all_of, key=lambda one: one.requests)
        # Each waits for more, but there is no more: few are left.
        is_end = busiest.limited_by == LISTING and self._dispenser.exhausted
        return msgspec.structs.replace(
            busiest,
            at_s=0.0,
            limited_by=ANSWERS if is_end else busiest.limited_by,
            requests=sum(one.requests for one in all_of),
            max_requests=sum(one.max_requests for one in all_of),
            rate_per_s=sum(one.rate_per_s for one in all_of),
            bytes_per_s=sum(one.bytes_per_s for one in all_of),
        )

    def _delivered(self) -> None:
        self._dispenser.hold(False)
        self._more()


def _at_latest(now: float, event: StoreAway | StoreBack) -> StoreAway | StoreBack:
    """The same, and not of the future: the clock of another machine may be ahead."""
    ahead_s = event.at_s - now
    if ahead_s <= 0.0:
        return event
    times = {name: at - ahead_s for name, at in msgspec.structs.asdict(event).items() if name.endswith("_s")}
    return msgspec.structs.replace(event, **times)
