"""Blocking calls of other people's code, awaited without trusting them to end.

The event loop's default executor is joined when the loop and the interpreter end, so one call that
hangs (a credential process, an SDK on a dead link) hangs the exit.  Threads here are daemons: a call
that nobody awaits any longer is left to itself and holds its slot until it returns.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class DaemonThreads:
    """Runs at most `limit` calls at a time; more wait in order. No thread outlives its work."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._lock = threading.Lock()
        self._running = 0
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Starts `function` in a thread, or queues it. Cancelling the future drops a queued call and
        abandons a running one."""
        future: Future[T] = Future()
        with self._lock:
            start = self._running < self._limit
            if start:
                self._running += 1
            else:
                self._waiting.append((future, function))
        if start:
            thread = threading.Thread(
                target=self._work, args=(future, function), name=self._name, daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the machine is out of threads
                with self._lock:
                    self._running -= 1
                raise
        return asyncio.wrap_future(future)

    def _work(self, future: Future[Any], function: Callable[[], Any]) -> None:
        while True:
            if future.set_running_or_notify_cancel():
                try:
                    result = function()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                future, function = self._waiting.popleft()
