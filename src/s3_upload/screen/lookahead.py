"""How much there is to upload: a walk of its own, ahead of the upload's, in a thread.

Rules:

* It never delays the upload: it works for SLICE_S at a time, and rests for REST of that.
* Of each of the first EXACT files the size is looked at, which costs a system call.  Where files are small
  from there on, only every SAMPLE-th is, and the others count as the mean; one that turns out to be big while
  it is uploaded is put right (`seen`).
* A walk that fails tells nothing more: the upload itself says what is wrong.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable

from s3_upload.observe.status import Total
from s3_upload.source import ObjectSource

SLICE_S, REST = 0.004, 4.0
BATCH = 64
"""Files between two looks at the clock."""
EXACT, SAMPLE = 2_000, 8
SMALL_BYTES = 64 << 10


class Lookahead:
    """See the module's rules. `walk` gives the sources once more; `times`: how often they are uploaded."""

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
        self._lock = threading.Lock()
        self._files = self._bytes = self._looked = self._guessed = self._corrected = 0
        self._complete = self._started = False
        self._exact = EXACT

    @property
    def total(self) -> Total:
        """What has been counted so far."""
        with self._lock:
            files, sized = self._files, self._bytes + self._corrected
            guessed = self._guessed * (self._bytes // self._looked if self._looked else 0)
            return Total(
                files=files * self._times,
                bytes=(sized + guessed) * self._times,
                complete=self._complete,
                estimated=self._guessed > 0,
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
        """The upload has come to source number `seq`, which is big: `size` bytes."""
        with self._lock:
            if self._is_guessed(seq) and self._looked:
                self._corrected += max(0, size - self._bytes // self._looked)

    def run(self) -> None:
        """Counts, until all is counted or `stop`."""
        until_s = self._clock() + SLICE_S
        try:
            for seq, source in enumerate(self._walk()):
                if self._ended.is_set():
                    return
                self._count(seq, source)
                if seq % BATCH == 0 and self._clock() >= until_s:
                    self._rest(SLICE_S * REST)
                    until_s = self._clock() + SLICE_S
        except Exception:
            return
        with self._lock:
            self._complete = True

    def _count(self, seq: int, source: ObjectSource) -> None:
        if source.skip_reason:
            return
        size = None
        if seq < self._exact or not self._is_guessed(seq):
            size = _size_of(source)
        with self._lock:
            self._files += 1
            if size is None:
                self._guessed += 1
                return
            self._looked += 1
            self._bytes += size
            if seq == self._exact - 1 and self._bytes > self._looked * SMALL_BYTES:
                self._exact += EXACT  # they are not small: each matters

    def _is_guessed(self, seq: int) -> bool:
        return seq >= self._exact and seq % SAMPLE != 0


def _size_of(source: ObjectSource) -> int:
    if source.size is not None:
        return source.size
    if not source.path or source.problem is not None:
        return 0
    try:
        return os.stat(source.path).st_size  # noqa: PTH116 - quicker
    except OSError:
        return 0
