"""Follows a run and shows how it stands, every so often.

It runs on the run's own loop, so there is nothing to lock.  What shows must not block.  Of what is not
uploaded the size may have to be looked at, which does: a thread does it, between two frames.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from s3_upload.observe.events import BytesAcknowledged, Event, Listening, ObjectEnded
from s3_upload.observe.status import WANTED, Comparing, Status, StatusFold, Total
from s3_upload.report import EXISTS, SKIPPED, SUCCESS, UploadReport
from s3_upload.sources.source import ObjectSource, size_of
from s3_upload.threads import DaemonThreads

if TYPE_CHECKING:
    from s3_upload.screen.lookahead import Lookahead

FIRST_S, FRAME_S = 0.3, 0.2
"""From the begin to the first look at how the run stands: one that is over by then would only flash up;
between two looks."""
MAX_UNSIZED = 4_096
"""As many files as a thread may be told to look at at once: what comes of it is told on the loop, and while a
network drive hangs they are kept.  Those beyond count as the mean of what was counted."""


class Watch:
    """See the module's text. `lookahead`: what counts what there is, from `count_after_s` on; None where
    nobody can know it.  `compared`: objects that are compared so far, and bytes read for it.  `began_s`: when
    the run did, on `clock`; now if it is not said."""

    def __init__(
        self,
        show: Callable[[Status], None],
        lookahead: Lookahead | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        compared: Callable[[], tuple[int, int]] | None = None,
        began_s: float | None = None,
        count_after_s: float = 0.0,
    ) -> None:
        self._show = show
        self._lookahead = lookahead
        self._compared = compared
        self._clock = clock
        self._count_after_s = count_after_s
        self._epoch_s = clock() if began_s is None else began_s
        self._fold = StatusFold()
        self._big: set[int] = set()
        self._unsized: list[tuple[int, ObjectSource]] = []
        """What is not uploaded, with its number, whose size nobody knows yet."""

    @property
    def listening(self) -> Listening:
        """For the `events` of the run."""
        return Listening(self._hear, WANTED)

    def status(self) -> Status:
        """How the run stands now."""
        now = self._clock() - self._epoch_s
        total: Total | None = None
        if self._lookahead is not None and now >= self._count_after_s:
            self._lookahead.start()
            total = self._lookahead.total
        status = self._fold.status(now, total)
        return status if self._compared is None else replace(status, compared=Comparing(*self._compared()))

    async def run(self) -> None:
        """Shows, until it is cancelled."""
        threads = DaemonThreads(1, "s3-upload-sizes")
        looking: asyncio.Task[None] | None = None
        try:
            await asyncio.sleep(FIRST_S)
            while True:
                if self._unsized and (looking is None or looking.done()):
                    looking = asyncio.create_task(self._look(threads))
                self._show(self.status())
                await asyncio.sleep(FRAME_S)
        finally:
            threads.close()
            if looking is not None:
                looking.cancel()
            if self._lookahead is not None:
                self._lookahead.stop()

    async def _look(self, threads: DaemonThreads) -> None:
        unsized = self._unsized
        try:
            looked = threads.call(lambda: [size_of(source) for _, source in unsized])
        except RuntimeError:  # there is no thread to be had: perhaps at the next frame
            return
        self._unsized = []
        sizes = await looked
        for (seq, _), size in zip(unsized, sizes, strict=True):
            self._fold.lose(size)
            self._see_ended(seq, size)

    def _hear(self, event: Event) -> None:
        if type(event) is ObjectEnded:  # nearly all are
            report = event.report
            if report.outcome == SKIPPED and report.reason != EXISTS:  # it was never counted
                self._fold.report(report, 0)
                return
            size = report.bytes if report.outcome == SUCCESS else self._size_of(report)
            self._fold.report(report, size or 0)
            if size is not None:
                self._see_ended(report.seq, size)
            return
        self._fold.hear(event, self._clock() - self._epoch_s)
        if type(event) is not BytesAcknowledged or self._lookahead is None or event.size is None:
            return
        if event.seq not in self._big:
            self._big.add(event.seq)
            self._lookahead.seen(event.seq, event.size)

    def _size_of(self, report: UploadReport) -> int | None:
        """What was counted of an object that is not uploaded; None where its file is put down to be
        looked at: it may have ended before anybody knew its size."""
        source = report.object
        if source is not None and source.size is not None:
            return source.size
        if self._lookahead is None or report.bytes or source is None or not source.path:
            return report.bytes
        if len(self._unsized) < MAX_UNSIZED:
            self._unsized.append((report.seq, source))
            return None
        total = self._lookahead.total
        return total.bytes // max(1, total.files)

    def _see_ended(self, seq: int, size: int) -> None:
        if self._lookahead is None:
            return
        if seq in self._big:
            self._big.remove(seq)
        else:
            self._lookahead.seen(seq, size)
