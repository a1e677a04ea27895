"""How much there is to upload: a walk of its own, ahead of the upload's, in a thread.

Rules:

* It never delays the upload: it works for SLICE_S at a time, and rests for REST of that.
* Of each of the first EXACT files the size is looked at, which costs a system call.  Where files are small
  from there on, only every SAMPLE-th is, and the others count as the mean of these, until the upload comes
  to them (`seen`): so the sum is right at the end.
* A walk that fails tells nothing more: the upload itself says what is wrong.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from s3_upload.observe.status import Total
from s3_upload.source import ObjectSource

SLICE_S, REST = 0.004, 4.0
BATCH = 64
"""Files between two looks at the clock."""
EXACT, SAMPLE = 2_048, 8
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
        self._walked = 0
        """Sources that were looked at, with those that are nothing to upload."""
        self._files = self._bytes = 0
        """Files; bytes of those whose size is known."""
        self._samples = self._sampled_bytes = 0
        self._guessed = 0
        """Files whose size is not known (yet)."""
        self._ahead: dict[int, int] = {}
        """Big ones that the upload came to first."""
        self._complete = self._started = False
        self._exact = EXACT if times == 1 else sys.maxsize  # `seen` tells of the first time only

    @property
    def total(self) -> Total:
        """What has been counted so far."""
        with self._lock:
            mean = self._sampled_bytes / self._samples if self._samples else 0.0
            return Total(
                files=self._files * self._times,
                bytes=(self._bytes + round(self._guessed * mean)) * self._times,
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
        """The upload has come to source number `seq`: it has `size` bytes. Once for each."""
        with self._lock:
            if seq >= self._walked:
                if size > SMALL_BYTES:
                    self._ahead[seq] = size
            elif self._guessed and self._is_guessed(seq):
                self._guessed -= 1
                self._bytes += size

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
        with self._lock:
            self._complete = True

    def _count(self, batch: Sequence[ObjectSource]) -> None:
        """The sizes are looked at before the lock is taken: a slow disk must not hold up who asks."""
        first = self._walked
        sizes: list[int | None] = []
        for seq, source in enumerate(batch, first):
            counts = not source.skip_reason
            sizes.append(size_of(source) if counts and not self._is_guessed(seq) else None)
        with self._lock:
            for seq, (source, size) in enumerate(zip(batch, sizes, strict=True), first):
                if not source.skip_reason:
                    self._add(seq, size)
            self._walked += len(batch)
            if self._walked >= self._exact and self._bytes > self._files * SMALL_BYTES and not self._samples:
                self._exact += EXACT  # they are not small: each matters

    def _add(self, seq: int, size: int | None) -> None:
        if size is not None and seq >= self._exact:
            self._samples += 1
            self._sampled_bytes += size
        if size is None:
            size = self._ahead.pop(seq, None)
        self._files += 1
        if size is None:
            self._guessed += 1
        else:
            self._bytes += size

    def _is_guessed(self, seq: int) -> bool:
        return seq >= self._exact and seq % SAMPLE != 0


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
