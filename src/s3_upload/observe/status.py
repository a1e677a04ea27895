"""How a run stands, for people who watch it: a fold over its events. Pure; `now` is an argument.

Theory of operation.

1. *Bytes* that have arrived: of objects that have ended, and of those with big bodies what was acknowledged,
   or what the parts have that are stored: these may come and go between two looks.
   What failed, or is skipped since the store has it, is done with: its bytes are taken off the total.
2. *Rate*: what arrived over the last RATE_S; not what an earlier run had sent of an object.
3. *Work* is bytes and, since a small file costs about as much as FILE_BYTES, so much for each file.
4. *Time left*: the work that is left over its rate, which is the mean of the middle half of the last
   SAMPLES_S seconds: neither a pause nor a burst moves it far.  Of few seconds at least two at each end are
   left out, and it is the median: a run begins slowly.  Seconds in which the store was away or silent do not
   count.  That shows late, so they are taken out afterwards, and the rate begins again after them.  What
   is shown follows the time left with a time constant of FOLLOW_S, so that it does not jump; it follows
   sooner while little is known.
5. *What limits* is what did so for most of the last LIMIT_S.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import msgspec

from s3_upload.observe.events import (
    BytesAcknowledged,
    Event,
    LimitsChanged,
    ObjectEnded,
    PartStored,
    StoreAway,
    StoreBack,
    UploadCreated,
)
from s3_upload.observe.limits import AWAY
from s3_upload.report import EXISTS, SKIPPED, SUCCESS, UploadReport

RATE_S = 5.0
FILE_BYTES = 64 << 10
SAMPLES_S = 30.0
SAMPLE_S = 1.0
FOLLOW_S, KNOWN = 3.0, 10
"""With fewer than KNOWN samples the time constant is the smaller the fewer there are."""
LIMIT_S = 3.0
MIN_SAMPLES = 3
"""With fewer no rate is known well enough to tell how much time is left."""
MIN_CUT = 2

WANTED = frozenset(
    {BytesAcknowledged, UploadCreated, PartStored, LimitsChanged, StoreAway, StoreBack, ObjectEnded}
)
"""The events that the fold needs: of a small object one."""


class Total(msgspec.Struct, frozen=True):
    """What there is to upload, as far as it has been counted. `estimated`: not every size was looked at."""

    files: int = 0
    bytes: int = 0
    complete: bool = False
    estimated: bool = False


class Comparing(msgspec.Struct, frozen=True):
    """How far sources are compared with a bucket: `objects`, and `bytes` that were read of
    sources for it."""

    objects: int = 0
    bytes: int = 0


class Moving(msgspec.Struct, frozen=True):
    """An object on its way. `size`: None where nobody knows; `resumed_bytes`: sent by an earlier run."""

    seq: int
    key: str
    bytes: int
    size: int | None
    since_s: float
    resumed_bytes: int = 0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the run stands at one moment. `left_s`: None where it cannot be told.

    `files` are uploaded, `done` are done with: what failed and what the store had already are of these too.
    `whole_bytes`: what there is to send, as far as is known; None where nobody knows.
    `away_s`: for how long the store has been away, None where it is there; `next_try_s`: in how many seconds
    it is tried again; `silent_s`: for how long it is there and does not answer, None where it does.
    `last_failure`: of the objects that failed, the last.  `compared`: of a sync.
    """

    elapsed_s: float
    files: int
    bytes: int
    failed: int
    skipped: int
    retried: int
    done: int
    rate_bytes_per_s: float
    rate_files_per_s: float
    total: Total | None = None
    whole_bytes: int | None = None
    left_s: float | None = None
    moving: tuple[Moving, ...] = ()
    requests: int = 0
    limited_by: str = ""
    accepted_per_s: float = 0.0
    away_s: float | None = None
    next_try_s: float = 0.0
    away_cause: str = ""
    silent_s: float | None = None
    last_failure: UploadReport | None = None
    compared: Comparing | None = None

    @property
    def share(self) -> float | None:
        """How much of the work is done, 0 to 1; None where the whole is not known."""
        total = self.total
        if total is None or not total.complete or self.whole_bytes is None:
            return None
        whole = _work(self.whole_bytes, total.files)
        return min(1.0, _work(self.bytes, self.done) / whole) if whole else 1.0


class _Counts:
    """Of objects that have ended. `lost_bytes`: of those that failed or exist."""

    def __init__(self) -> None:
        self.files = self.bytes = self.failed = self.skipped = self.retried = 0
        self.existing = self.lost_bytes = self.resumed_bytes = 0
        self.last_failure: UploadReport | None = None

    @property
    def done(self) -> int:
        return self.files + self.failed + self.existing

    def add(self, report: UploadReport, size: int) -> None:
        if report.outcome == SUCCESS:
            self.files += 1
            self.bytes += report.bytes
            self.resumed_bytes += report.resumed_bytes
            if report.attempts > 1:
                self.retried += 1
        elif report.outcome == SKIPPED:
            self.skipped += 1
            if report.reason == EXISTS:  # else it was not counted: it is nothing to upload
                self.existing += 1
                self.lost_bytes += size
        else:
            self.failed += 1
            self.lost_bytes += size
            self.last_failure = report


class _Limits:
    """Step 5. `last`: the newest."""

    def __init__(self) -> None:
        self.last = LimitsChanged(at_s=0.0, requests=0, max_requests=0, limited_by="")
        self._entries: deque[tuple[float, str]] = deque([(0.0, "")])

    def change(self, event: LimitsChanged, now: float) -> None:
        if self._entries[-1][1] != event.limited_by:
            if self.last.limited_by == AWAY:
                self._entries.clear()  # it is over at once
            self._entries.append((now, event.limited_by))
        self.last = event

    def most(self, now: float) -> str:
        if self.last.limited_by == AWAY:
            return AWAY
        while len(self._entries) > 1 and self._entries[1][0] <= now - LIMIT_S:
            self._entries.popleft()
        lasted_s: dict[str, float] = {}
        ends_s = [*(at_s for at_s, _ in self._entries), now][1:]
        for (at_s, name), end_s in zip(self._entries, ends_s, strict=True):
            lasted_s[name] = lasted_s.get(name, 0.0) + end_s - max(at_s, now - LIMIT_S)
        lasted_s.pop("", None)
        return max(lasted_s, key=lambda name: lasted_s[name], default="")


class _Left:
    """Step 4: the rate of the work, second by second, and the time left."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=int(SAMPLES_S / SAMPLE_S))  # end, rate
        self._sampled = 0.0, 0.0  # when, work
        self._left_s: float | None = None
        self._told_s = 0.0

    def take_back(self, since_s: float) -> None:
        """Nothing came since then, and the way is not to blame."""
        while self._samples and self._samples[-1][0] > since_s:
            self._samples.pop()

    def resume(self, work: float, now: float) -> None:
        """After a time that does not count."""
        self._sampled = now, work

    def add(self, work: float, *, waits: bool, now: float) -> None:
        at_s, before = self._sampled
        if now - at_s < SAMPLE_S:
            return
        if not waits:
            self._samples.append((now, max(0.0, work - before) / (now - at_s)))
        self._sampled = now, work

    def left(self, work: float, *, known: bool, now: float) -> float | None:
        elapsed_s, self._told_s = now - self._told_s, now
        rate = _middle(rate for _, rate in self._samples)
        if not known or len(self._samples) < MIN_SAMPLES or rate <= 0.0:
            self._left_s = None
            return None
        found_s = max(0.0, work) / rate
        if self._left_s is None:
            self._left_s = found_s
        else:
            expected_s = max(0.0, self._left_s - elapsed_s)
            follow_s = FOLLOW_S * min(1.0, len(self._samples) / KNOWN)
            weight = 1.0 - math.exp(-elapsed_s / follow_s)
            self._left_s = expected_s + weight * (found_s - expected_s)
        return self._left_s


class StatusFold:
    """See the module's theory. `hear` takes events, `report` is a quicker way for those that are the most."""

    def __init__(self) -> None:
        self._counts = _Counts()
        self._moving: dict[int, Moving] = {}
        self._stored: dict[int, tuple[int, int | None]] = {}  # bytes of parts, of how many
        self._limits = _Limits()
        self._away: StoreAway | None = None
        self._silent_since_s: float | None = None
        self._resumes = False  # after a time that does not count
        self._recent: deque[tuple[float, int, int]] = deque([(0.0, 0, 0)])  # when, bytes, files
        self._left = _Left()

    def hear(self, event: Event, now: float) -> None:
        """Takes an event of `WANTED`; any other tells it nothing. `now`: on the clock of `status`."""
        if isinstance(event, ObjectEnded):
            self.report(event.report, event.report.bytes)
        elif isinstance(event, BytesAcknowledged):
            self._move(Moving(event.seq, event.key, event.bytes, event.size, now, event.resumed_bytes))
        elif isinstance(event, UploadCreated):
            self._stored[event.seq] = 0, event.size  # perhaps once more
        elif isinstance(event, PartStored):
            self._store(event, now)
        elif isinstance(event, LimitsChanged):
            self._change(event, now)
        elif isinstance(event, StoreAway):
            ago_s = now - event.at_s
            since_s, next_try_s = event.since_s + ago_s, event.next_try_s + ago_s
            self._away = msgspec.structs.replace(event, since_s=since_s, next_try_s=next_try_s)
            self._left.take_back(since_s)
        elif isinstance(event, StoreBack):
            self._away, self._resumes = None, True

    def _change(self, event: LimitsChanged, now: float) -> None:
        self._limits.change(event, now)
        if event.silent_since_s is not None:
            self._silent_since_s = event.silent_since_s + now - event.at_s
            self._left.take_back(self._silent_since_s)
        elif self._silent_since_s is not None:
            self._silent_since_s, self._resumes = None, True

    def _move(self, moving: Moving) -> None:
        begun = self._moving.get(moving.seq)
        if begun is not None:
            moving = msgspec.structs.replace(moving, since_s=begun.since_s)
        self._moving[moving.seq] = moving

    def _store(self, event: PartStored, now: float) -> None:
        had, size = self._stored.get(event.seq, (0, None))
        stored = had + event.bytes
        self._stored[event.seq] = stored, size
        begun = self._moving.get(event.seq)
        size, resumed = (begun.size, begun.resumed_bytes) if begun is not None else (size, 0)
        if begun is None or begun.bytes < stored <= (size or stored):
            self._move(Moving(event.seq, event.key, stored, size, now, resumed))

    def report(self, report: UploadReport, size: int) -> None:
        """An object has ended. `size`: what was counted of it, should it not be uploaded."""
        if self._moving:
            self._moving.pop(report.seq, None)
            self._stored.pop(report.seq, None)
        self._counts.add(report, size)

    def lose(self, size: int) -> None:
        """So much is not uploaded of what was counted, and was not known when that was reported."""
        self._counts.lost_bytes += size

    def status(self, now: float, total: Total | None = None) -> Status:
        """How it stands `now`, in seconds since the run began; `now` only grows."""
        counts, limit = self._counts, self._limits.last
        count = counts.bytes + sum(moving.bytes for moving in self._moving.values())
        sent = count - counts.resumed_bytes - sum(moving.resumed_bytes for moving in self._moving.values())
        done, work = counts.done, _work(sent, counts.done)
        if self._resumes:
            self._resumes = False
            self._recent.clear()
            self._left.resume(work, now)
        self._recent.append((now, sent, counts.files))
        while len(self._recent) > 2 and self._recent[1][0] <= now - RATE_S:
            self._recent.popleft()
        since_s, bytes_then, files_then = self._recent[0]
        span_s = max(now - since_s, 1e-9)
        whole = None if total is None else max(total.bytes - counts.lost_bytes, count)
        away = self._away
        waits = away is not None or self._silent_since_s is not None
        self._left.add(work, waits=waits, now=now)
        known = total is not None and total.complete and not waits
        left = _work((whole or 0) - count, total.files - done if total else 0)
        return Status(
            elapsed_s=now,
            files=counts.files,
            bytes=count,
            failed=counts.failed,
            skipped=counts.skipped,
            retried=counts.retried,
            done=done,
            rate_bytes_per_s=max(0.0, (sent - bytes_then) / span_s),
            rate_files_per_s=(counts.files - files_then) / span_s,
            total=total,
            whole_bytes=whole,
            left_s=self._left.left(left, known=known, now=now),
            moving=tuple(self._moving.values()),
            requests=limit.requests,
            limited_by=AWAY if away is not None else self._limits.most(now),
            accepted_per_s=limit.rate_per_s,
            away_s=None if away is None else now - away.since_s,
            next_try_s=0.0 if away is None else max(0.0, away.next_try_s - now),
            away_cause="" if away is None else away.cause,
            silent_s=None if self._silent_since_s is None or away else now - self._silent_since_s,
            last_failure=counts.last_failure,
        )


def _work(count: int, files: int) -> float:
    return float(count + FILE_BYTES * files)


def _middle(samples: Iterable[float]) -> float:
    """The mean of the middle half, of few the median; 0.0 of nothing."""
    ordered = sorted(samples)
    cut = min((len(ordered) - 1) // 2, max(MIN_CUT, len(ordered) // 4)) if ordered else 0
    middle = ordered[cut : len(ordered) - cut]
    return sum(middle) / len(middle) if middle else 0.0
