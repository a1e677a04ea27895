"""Delivers reports to the user's callable, in order, one at a time.

A plain callable is called at once, and what it returns does not matter (tqdm's `update` returns True).
What an async one returns is awaited in a task of its own, behind a bounded queue.  When `MAX_BACKLOG` reports
wait, nothing new is begun or read until `catch_up()` returns: sources that end unread make reports too.
Whatever the callable raises stops the run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from inspect import isawaitable

from s3_upload.report import UploadReport
from s3_upload.transfer.guard import guarded

MAX_BACKLOG = 256

Progress = Callable[[UploadReport], object]


class Delivery:
    """See the module's text. `on_error` is told what the callable raised; `on_empty`: all is delivered."""

    def __init__(
        self,
        progress: Progress | None,
        *,
        on_error: Callable[[BaseException], None],
        on_empty: Callable[[], None],
    ) -> None:
        self._progress = progress
        self._on_error = on_error
        self._on_empty = guarded(on_error, on_empty)
        self._backlog: deque[UploadReport] = deque()
        self._task: asyncio.Task[None] | None = None
        self._delivered = asyncio.Event()  # one more

    @property
    def busy(self) -> bool:
        """Whether a report is still being delivered."""
        return self._task is not None

    @property
    def full(self) -> bool:
        """Whether so many reports wait that whatever makes new ones has to wait, too."""
        return len(self._backlog) >= MAX_BACKLOG

    async def catch_up(self) -> None:
        """Waits while that is so."""
        # Asked again after each wait: others have woken at the same time, and made reports.
        while self.full:
            self._delivered.clear()
            await self._delivered.wait()

    def deliver(self, report: UploadReport) -> None:
        if self._progress is None:
            return
        # The one before is still being delivered: reports keep their order, one at a time.
        if self._task is not None:
            self._backlog.append(report)
            return
        try:
            returned = self._progress(report)
        except (Exception, asyncio.CancelledError) as error:
            self._stop(error)
            return
        if returned is not None and isawaitable(returned):
            self._task = asyncio.get_running_loop().create_task(self._await_all(returned))

    async def close(self) -> None:
        """Cancels a delivery under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _await_all(self, returned: object) -> None:
        assert self._progress is not None
        try:
            while True:
                if isawaitable(returned):
                    await returned
                self._delivered.set()
                if not self._backlog:
                    break
                returned = self._progress(self._backlog.popleft())
        # A cancellation may be the callable's own.
        except (Exception, asyncio.CancelledError) as error:
            self._stop(error)
            return
        # Not busy any more, before anybody is told: the run ends only when nothing is being delivered.
        finally:
            self._task = None
        self._on_empty()

    def _stop(self, error: BaseException) -> None:
        """A callable that has raised is not called again."""
        self._progress = None
        self._on_error(error)
