"""Blocking calls of other people's code, awaited without trusting them to end.

The event loop's default executor is joined when the loop and the interpreter end, so one call that
hangs (a credential process, an SDK on a dead link) hangs the exit.  Threads here are daemons: a call
that nobody awaits any longer is left to itself and holds its place until it returns.

Starting a thread stops the event loop until the new thread runs, so threads stay for `IDLE_S` and
take the next call.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

IDLE_S = 1.0


class DaemonThreads:
    """Runs at most `limit` calls at a time; more wait in order."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._queued = 0
        self._closed = threading.Event()

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Starts `function` in a thread, or queues it. Cancelling the future drops a queued call and
        abandons a running one."""
        future: Future[T] = Future()
        with self._lock:
            self._queued += 1
            start = self._queued > self._idle and self._threads < self._limit
            if start:
                self._threads += 1
        if start:
            try:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            except RuntimeError:  # the machine is out of threads
                with self._lock:
                    self._threads -= 1
                    if self._threads == 0:  # nobody else would ever take it
                        self._queued -= 1
                        raise
        self._queue.put((future, function))
        return asyncio.wrap_future(future)

    def close(self) -> None:
        """Lets the threads end now instead of after `IDLE_S`, each when its call is done."""
        self._closed.set()
        with self._lock:
            threads = self._threads
        for _ in range(threads):
            self._queue.put(None)

    def pause(self, seconds: float) -> None:
        """Blocks, in a call that may wait for long: `close` ends that, with an `InterruptedError`."""
        if self._closed.wait(seconds):
            raise InterruptedError(errno.EINTR, "nobody waits for it any more")

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            try:
                work = self._queue.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    self._idle -= 1
                    if self._queued == 0:
                        self._threads -= 1
                        return
                continue
            with self._lock:
                self._idle -= 1
                if work is None:
                    self._threads -= 1
                    return
                self._queued -= 1
            _run(*work)
            del work  # it may hold much, and the next call may be long in coming


async def in_a_thread(name: str, function: Callable[[], T]) -> T:
    """What `function` returns, called in a thread of its own."""
    with closing(DaemonThreads(1, name)) as threads:
        return await threads.call(function)


def each(
    items: Iterable[T] | AsyncIterable[T], change: Callable[[T], T], thread: str
) -> Iterator[T] | AsyncIterator[T]:
    """`items`, changed. `change` may block: for those that come on a loop it is called in a `thread`."""
    return _each_async(items, change, thread) if isinstance(items, AsyncIterable) else _each(items, change)


def _each(items: Iterable[T], change: Callable[[T], T]) -> Iterator[T]:
    for item in items:
        yield change(item)


async def _each_async(items: AsyncIterable[T], change: Callable[[T], T], thread: str) -> AsyncIterator[T]:
    with closing(DaemonThreads(1, thread)) as threads:
        async for item in items:
            yield await threads.call(partial(change, item))


def seen(abandoned: asyncio.Future[Any]) -> None:
    """Takes note of how it ended, which asyncio would otherwise report as never retrieved."""
    if not abandoned.cancelled():
        abandoned.exception()


def _run(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
