"""What a run has going on: its tasks, the first of which to fail ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from s3_upload.transfer.guard import Fail, guarded

T = TypeVar("T")


class Tasks:
    """`fail` is told what a task raises.  `ended` is called after each that does not."""

    def __init__(self, fail: Fail, ended: Callable[[], None]) -> None:
        self.fail = fail
        self._ended = ended
        self._done = guarded(fail, self._after)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Runs `work`; the run ends with no task unfinished."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """`task` is not wanted any more."""
        # Forgotten first: what it raises, being cancelled, ends no run.
        self._tasks.discard(task)
        task.cancel()

    async def close(self) -> None:
        """Cancels all, and what they start meanwhile, and waits until all have ended."""
        self._closed = True
        # Once more while there are any: those that end may start others.
        while self._tasks:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.difference_update(tasks)

    def _after(self, task: asyncio.Task[Any]) -> None:
        if task not in self._tasks or self._closed:
            return
        self._tasks.discard(task)
        try:
            error = task.exception()
        # By itself: something of the caller's that it awaited was.
        except asyncio.CancelledError as cancelled:
            error = cancelled
        if error is not None:
            self.fail(error)
        else:
            self._ended()
