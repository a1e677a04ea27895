"""How much there is to upload: a walk of its own, ahead of the upload's, in a thread.

Rules:

* It never delays the upload: it works for SLICE_S at a time, and rests for REST of that.
* Of each of the first EXACT files the size is looked at, which costs a system call.  Where files are small
  from there on, only every SAMPLE-th is, and the others count as the mean of these, until the upload comes
  to them (`seen`): so the sum comes right as it goes on.
* A walk that fails tells nothing more: the upload itself says what is wrong.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import msgspec

from s3_upload.observe.status import Total
from s3_upload.source import ObjectSource

SLICE_S, REST = 0.004, 4.0
BATCH = 64
"""Files between two looks at the clock: a multiple of SAMPLE, of which EXACT is one."""
EXACT, SAMPLE = 1_024, 16
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


class Lookahead:
    """See the module's rules. `walk` gives the sources once more; `times`: how often they are uploaded.

    The thread only replaces `_counted`, and one other calls `seen` and `total`: so there is nothing to lock.
    """

    def __init__(
        self,
        walk: Callable[[], Iterable[ObjectSource]],
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
        self._known = self._known_bytes = 0
        """Of those that were guessed, what the upload has come to."""
        self._ahead: dict[int, int] = {}
        """Big ones that the upload came to before the walk."""

    @property
    def total(self) -> Total:
        """What has been counted so far."""
        complete, found = self._complete, self._counted  # in this order
        for seq in [seq for seq in self._ahead if seq < found.walked]:
            self.seen(seq, self._ahead.pop(seq))
        mean = found.sampled_bytes / found.samples if found.samples else 0.0
        guessed = max(0, found.guessed - self._known)
        return Total(
            files=found.files * self._times,
            bytes=(found.bytes + self._known_bytes + round(guessed * mean)) * self._times,
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
        if seq < self._exact or seq % SAMPLE == 0:
            return
        if seq < self._counted.walked:
            self._known += 1
            self._known_bytes += size
        elif size > SMALL_BYTES:
            self._ahead[seq] = size

    def run(self) -> None:
        """Counts, until all is counted or `stop`."""
        self._started = True
        until_s = self._clock() + SLICE_S
        try:
            sources = iter(self._walk())
            while batch := list(islice(sources, BATCH)):
                if self._ended.is_set():
                    return
                self._count(batch)
                if self._clock() >= until_s:
                    self._rest(SLICE_S * REST)
                    until_s = self._clock() + SLICE_S
        except Exception:
            return
        self._complete = True

    def _count(self, batch: Sequence[ObjectSource]) -> None:
        before = self._counted
        guesses = before.walked >= self._exact
        sizes = [size_of(source) for source in batch[:: SAMPLE if guesses else 1] if not source.skip_reason]
        files = sum(not source.skip_reason for source in batch)
        found = _Counted(
            walked=before.walked + len(batch),
            files=before.files + files,
            bytes=before.bytes + sum(sizes),
            samples=before.samples + (len(sizes) if guesses else 0),
            sampled_bytes=before.sampled_bytes + (sum(sizes) if guesses else 0),
            guessed=before.guessed + files - len(sizes),
        )
        if found.walked == self._exact and found.bytes > found.files * SMALL_BYTES:
            self._exact += EXACT  # they are not small: each matters
        self._counted = found


def size_of(source: ObjectSource) -> int:
    """Bytes, as far as can be known at once; 0 of what cannot be uploaded."""
    if source.size is not None:
        return source.size
    if not source.path or source.problem is not None:
        return 0
    try:
        return os.stat(source.path).st_size  # noqa: PTH116 - quicker
    except OSError:
        return 0
