"""Follows a run and shows how it stands, every so often.

The loop of the run is what it lives on: no thread, and nothing to lock.  What shows must not block.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from s3_upload.observe.events import BytesAcknowledged, Event, Listening
from s3_upload.observe.status import WANTED, Status, StatusFold

if TYPE_CHECKING:
    from s3_upload.screen.lookahead import Lookahead

FRAME_S = 0.2
"""Between two looks at how the run stands."""


class Watch:
    """See the module's text. `lookahead`: what counts what there is, from `count_after_s` on; None where
    nobody can know it.  `began_s`: when the run did, on `clock`; now if it is not said."""

    def __init__(
        self,
        show: Callable[[Status], None],
        lookahead: Lookahead | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        began_s: float | None = None,
        count_after_s: float = 0.0,
    ) -> None:
        self._show = show
        self._lookahead = lookahead
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
        now, lookahead = self._clock() - self._epoch_s, self._lookahead
        if lookahead is None or now < self._count_after_s:
            return self._fold.status(now)
        lookahead.start()
        return self._fold.status(now, lookahead.total)

    async def run(self) -> None:
        """Shows, until it is cancelled."""
        try:
            while True:
                self._show(self.status())
                await asyncio.sleep(FRAME_S)
        finally:
            if self._lookahead is not None:
                self._lookahead.stop()

    def _hear(self, event: Event) -> None:
        self._fold.hear(event, self._clock() - self._epoch_s)
        if isinstance(event, BytesAcknowledged) and self._lookahead is not None:
            self._see(self._lookahead, event)

    def _see(self, lookahead: Lookahead, event: BytesAcknowledged) -> None:
        if event.size is not None and event.seq not in self._big:
            self._big.add(event.seq)
            lookahead.seen(event.seq, event.size)
