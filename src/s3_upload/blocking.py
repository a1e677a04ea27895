"""Coroutines for callers that have no event loop, or one that must not wait: a loop of their own.

Where no loop runs in the calling thread, it is the place: what a caller's functions do there (print, thread
locals, breakpoints) works as anywhere.  Where one runs (a notebook, a web server), a thread is.  The thread
is no daemon: an interpreter that ends waits for it, as it does for the threads of `concurrent.futures`.  What
stops a run by then goes to stderr as what stops a thread does, unless another thread has asked.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401 - it cannot be loaded any more once the interpreter ends
import importlib.util
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Main = Callable[[], Coroutine[Any, Any, T]]
LOOK_S = 0.2


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed and stdin, stdout and stderr are open: it aborts the process when it
    closes a descriptor that has one of their numbers."""
    if importlib.util.find_spec("uvloop") is None or not all(map(_is_open, range(3))):
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def run(main: Main[T]) -> T:
    """What `main()` returns, run to its end. Ctrl-C cancels it and raises `KeyboardInterrupt` at its end."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(main())
    return _result_in(asyncio.current_task(), LoopThread(main))


def _result_in(task: asyncio.Task[Any] | None, thread: LoopThread[T]) -> T:
    """What `thread` comes to, for `task`, whose loop stands still meanwhile. It is looked at whether the task
    is cancelled: that is all that `asyncio.run` makes of the first Ctrl-C."""
    asked = task.cancelling() if task is not None else 0
    while True:
        try:
            return thread.result(LOOK_S)
        except TimeoutError:
            if thread.future.done():  # in this moment; or it is an error of its own
                return thread.result()
        if task is not None and task.cancelling() > asked:
            thread.cancel()
            return thread.result()


class LoopThread(Generic[T]):
    """A thread in which `main()` runs at once, in a loop of its own. All methods may be called from any
    thread."""

    def __init__(self, main: Main[T]) -> None:
        self._main = main
        self._lock = threading.Lock()
        self.cancelled = False
        self._is_asked = False
        self._task: asyncio.Task[T] | None = None
        self.future: Future[T] = Future()
        """What `main()` returns or raises; `asyncio.CancelledError` where it was cancelled."""
        threading.Thread(target=self._run, name="s3-upload-loop").start()

    def cancel(self) -> None:
        """Has the task end, as soon as it can; nothing where it has."""
        with self._lock:
            if self.future.done():
                return
            self.cancelled = True
            if self._task is not None:
                with suppress(RuntimeError):  # the loop is closed
                    self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def result(self, timeout_s: float | None = None) -> T:
        """Waits for the end. A Ctrl-C meanwhile cancels the task, and is raised when it has ended; another
        one waits for nothing.  Raises `TimeoutError` when `timeout_s` is over first."""
        self._is_asked = True
        try:
            return self.future.result(timeout_s)
        except KeyboardInterrupt as interrupt:
            self.cancel()
            raise interrupt from self.future.exception()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                result = runner.run(self._begin())
        except BaseException as error:  # whatever it is, it is for those who wait
            self.future.set_exception(error)
            if not (self.cancelled or threading.main_thread().is_alive()):
                atexit.register(self._tell, error)  # other threads may still ask
        else:
            self.future.set_result(result)

    def _tell(self, error: BaseException) -> None:
        if not self._is_asked:
            where = error.__traceback__
            threading.excepthook(threading.ExceptHookArgs((type(error), error, where, None)))

    async def _begin(self) -> T:
        with self._lock:
            self._task = asyncio.current_task()
            if self.cancelled:
                raise asyncio.CancelledError
        return await self._main()
