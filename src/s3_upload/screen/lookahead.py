"""How much there is to upload: a walk of its own, ahead of the upload's, in a thread.

Rules:

* It never delays the upload: it works for SLICE_S at a time, and rests for REST of that.
* Of each of the first EXACT files the size is looked at, which costs a system call.  Where files are small
  from there on, only every SAMPLE-th is, and the others count as the mean of these, until the upload comes
  to them (`seen`): so the sum comes right as it goes on.  Where several processes upload, nobody knows which
  of them it has come to: then all that it has not come to count as the mean.
* A walk that fails tells nothing more: the upload itself says what is wrong.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from s3_upload.observe.events import SEQ_OF_WORKER
from s3_upload.observe.status import Total
from s3_upload.sources.source import ObjectSource, size_at, size_of
from s3_upload.sources.walk import Entry, PlainFiles

SLICE_S, REST = 0.004, 4.0
BATCH, MANY = 64, 512
"""Files between two looks at the clock, and where most of them are only counted."""
EXACT, SAMPLE = 256, 32
SMALL_BYTES = 64 << 10


class _Counted(msgspec.Struct, frozen=True):
    """What the walk has found.

    `walked`: sources, with those that are nothing to upload; `bytes`: of the files whose size was looked at;
    `samples`: those of them that the `guessed` are guessed from.
    """

    walked: int = 0
    files: int = 0
    bytes: int = 0
    samples: int = 0
    sampled_bytes: int = 0
    guessed: int = 0


class _Known:
    """Of those that were guessed, what the upload has come to; `ahead`: big ones to which it came before the
    walk.  `all_count`, `all_bytes`: all that it has come to; `unplaced`: of some only that is known."""

    def __init__(self) -> None:
        self.count = self.bytes = 0
        self.all_count = self.all_bytes = 0
        self.unplaced = False
        self.ahead: dict[int, int] = {}


class Lookahead:
    """See the module's rules. `walk` gives once more what is uploaded; `times`: how often they are uploaded.

    The thread only replaces `_counted`, and one other calls `seen` and `total`: so there is nothing to lock.
    """

    def __init__(
        self,
        walk: Callable[[], Iterable[Entry]],
        *,
        times: int = 1,
        rest: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._walk = walk
        self._times = times
        self._ended = threading.Event()
        self._rest = rest or self._ended.wait
        self._clock = clock
        self._counted = _Counted()
        self._complete = self._started = False
        self._exact = EXACT if times == 1 else sys.maxsize  # `seen` tells of the first time only
        self._known = _Known()

    @property
    def total(self) -> Total:
        """What has been counted so far."""
        complete, found, known = self._complete, self._counted, self._known  # in this order
        for seq in [seq for seq in known.ahead if seq < found.walked]:
            self._known_of_guessed(known.ahead.pop(seq))
        mean = found.sampled_bytes / found.samples if found.samples else 0.0
        if known.unplaced and found.guessed:
            exact, guessed = known.all_bytes, max(0, found.files - known.all_count)
        else:
            exact, guessed = found.bytes + known.bytes, max(0, found.guessed - known.count)
        return Total(
            files=found.files * self._times,
            bytes=(exact + round(guessed * mean)) * self._times,
            complete=complete,
            estimated=guessed > 0,
        )

    def start(self) -> None:
        """Once; what comes after does nothing."""
        if self._started:
            return
        self._started = True
        threading.Thread(target=self.run, name="s3-upload-lookahead", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def seen(self, seq: int, size: int) -> None:
        """The upload has come to source number `seq`: it has `size` bytes. Once for each."""
        known = self._known
        known.all_count += 1
        known.all_bytes += size
        if not 0 <= seq < SEQ_OF_WORKER:
            known.unplaced = True
            known.ahead.clear()
        if known.unplaced or seq < self._exact or seq % SAMPLE == 0:
            return
        if seq < self._counted.walked:
            self._known_of_guessed(size)
        elif size > SMALL_BYTES:
            known.ahead[seq] = size

    def _known_of_guessed(self, size: int) -> None:
        self._known.count += 1
        self._known.bytes += size

    def run(self) -> None:
        """Counts, until all is counted or `stop`."""
        self._started = True
        until_s = self._clock() + SLICE_S
        try:
            for batch in self._batches(self._walk()):
                if self._ended.is_set():
                    return
                self._count(batch)
                if self._clock() >= until_s:
                    self._rest(SLICE_S * REST)
                    until_s = self._clock() + SLICE_S
        except Exception:
            return
        self._complete = True

    def _batches(self, entries: Iterable[Entry]) -> Iterator[_Batch]:
        singles: list[ObjectSource] = []
        for entry in entries:
            if isinstance(entry, ObjectSource):
                singles.append(entry)
                if len(singles) < BATCH:
                    continue
            if singles:
                yield from self._cut(_Batch(singles))
                singles = []
            if isinstance(entry, PlainFiles):
                yield from self._cut(_Batch(entry.names, entry.base))
        if singles:
            yield from self._cut(_Batch(singles))

    def _cut(self, whole: _Batch) -> Iterator[_Batch]:
        """In pieces, of which each is counted before the next; none lies on both sides of `_exact`."""
        start = 0
        while start < len(whole.items):
            exact = self._exact - self._counted.walked
            end = start + (min(BATCH, exact) if exact > 0 else MANY)
            yield whole._replace(items=whole.items[start:end])
            start = end

    def _count(self, batch: _Batch) -> None:
        before = self._counted
        guesses = before.walked >= self._exact
        sizes = batch.sizes(slice(-before.walked % SAMPLE, None, SAMPLE) if guesses else slice(None))
        files = batch.files
        found = _Counted(
            walked=before.walked + len(batch.items),
            files=before.files + files,
            bytes=before.bytes + sum(sizes),
            samples=before.samples + (len(sizes) if guesses else 0),
            sampled_bytes=before.sampled_bytes + (sum(sizes) if guesses else 0),
            guessed=before.guessed + files - len(sizes),
        )
        if found.walked == self._exact and found.bytes > found.files * SMALL_BYTES:
            self._exact += EXACT  # they are not small: each matters
        self._counted = found


class _Batch(NamedTuple):
    """Sources; or, where there is a `base`, the names of plain files, whose paths begin with it."""

    items: Sequence[Any]
    base: str | None = None

    @property
    def files(self) -> int:
        return len(self.items) if self.base is not None else sum(not one.skip_reason for one in self.items)

    def sizes(self, chosen: slice) -> list[int]:
        if self.base is not None:
            return [size_at(self.base + name) for name in self.items[chosen]]
        return [size_of(source) for source in self.items[chosen] if not source.skip_reason]
