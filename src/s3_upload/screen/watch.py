"""Follows a run and shows how it stands, every so often.

It runs on the run's own loop, so there is no thread, and nothing to lock.  What shows must not block.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from s3_upload.observe.events import BytesAcknowledged, Event, Listening, ObjectEnded
from s3_upload.observe.status import WANTED, Comparing, Status, StatusFold
from s3_upload.report import SUCCESS, UploadReport
from s3_upload.sources.source import size_of

if TYPE_CHECKING:
    from s3_upload.screen.lookahead import Lookahead

FIRST_S, FRAME_S = 0.3, 0.2
"""From the begin to the first look at how the run stands: one that is over by then would only flash up;
between two looks."""


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

    @property
    def listening(self) -> Listening:
        """For the `events` of the run."""
        return Listening(self._hear, WANTED)

    def status(self) -> Status:
        """How the run stands now."""
        status = self._status()
        return status if self._compared is None else replace(status, compared=Comparing(*self._compared()))

    def _status(self) -> Status:
        now, lookahead = self._clock() - self._epoch_s, self._lookahead
        if lookahead is None or now < self._count_after_s:
            return self._fold.status(now)
        lookahead.start()
        return self._fold.status(now, lookahead.total)

    async def run(self) -> None:
        """Shows, until it is cancelled."""
        try:
            await asyncio.sleep(FIRST_S)
            while True:
                self._show(self.status())
                await asyncio.sleep(FRAME_S)
        finally:
            if self._lookahead is not None:
                self._lookahead.stop()

    def _hear(self, event: Event) -> None:
        if type(event) is ObjectEnded:  # nearly all are
            report = event.report
            size = report.bytes if report.outcome == SUCCESS else _size_of(report)
            self._fold.report(report, size)
            if self._lookahead is None:
                return
            if report.seq in self._big:
                self._big.remove(report.seq)
            else:
                self._lookahead.seen(report.seq, size)
            return
        self._fold.hear(event, self._clock() - self._epoch_s)
        if type(event) is BytesAcknowledged and self._lookahead is not None:
            self._see(self._lookahead, event)

    def _see(self, lookahead: Lookahead, event: BytesAcknowledged) -> None:
        if event.size is not None and event.seq not in self._big:
            self._big.add(event.seq)
            lookahead.seen(event.seq, event.size)


def _size_of(report: UploadReport) -> int:
    """What was counted of an object that is not uploaded: it may have ended before anybody knew its size."""
    if report.object is not None and report.object.size is not None:
        return report.object.size
    return report.bytes or (size_of(report.object) if report.object is not None else 0)
