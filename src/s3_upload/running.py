"""`Running`: the handle of an upload that goes on in a thread of its own.

The run's events wait here until they are read.  Nobody has to read them: then the newest `MAX_UNREAD` are
kept.  While somebody reads, none is lost: the run waits for a reader who is so far behind.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self

from s3_upload.blocking import LoopThread
from s3_upload.errors import attach_summary, summary_of
from s3_upload.job import Job, Progress
from s3_upload.observe.events import Event, Listening, ObjectEnded
from s3_upload.pace import Pace
from s3_upload.report import SummaryFold, UploadReport, UploadSummary

MAX_UNREAD = 10_000


class Running:
    """An upload under way, made by `start_upload`. All methods may be called from any thread.

    A context manager, plain and async: leaving it waits for the end, and raises what stopped the run; leaving
    it by an exception cancels the run.  Iterating over it, plain or async, gives the events of the run
    until it ends (where several read, each event goes to one of them).  `await running` is `wait` for
    coroutines.
    """

    def __init__(self, job: Job) -> None:
        self._pace = Pace(job.config.share, job.config.max_bandwidth)
        self._unread = _Unread()
        self._fold = SummaryFold()
        self._fold_lock = threading.Lock()
        self._started_s = time.monotonic()
        self._cancelled = False
        job = dataclasses.replace(job, listening=(*job.listening, Listening(self._hear)))
        job = dataclasses.replace(job, progress=self._progress(job.progress))
        self._thread = LoopThread(lambda: job.run(pace=self._pace))
        self._thread.future.add_done_callback(lambda _: self._unread.end())

    def __repr__(self) -> str:
        return f"<Running {self.summary()}{'' if self.done else ' so far'}>"

    @property
    def done(self) -> bool:
        """Whether the run has ended, in whatever way."""
        return self._thread.future.done()

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, by `cancel` or by an exception that left the `with`."""
        return self._cancelled

    def limit(self, max_bandwidth: str | None) -> None:
        """From now on no more than "20MB/s", "100Mbit/s" or "80%"; "" or None: as much as there is. Raises
        `ConfigError`."""
        self._pace.limit("" if max_bandwidth is None else max_bandwidth)

    def cancel(self) -> None:
        """Has the run end as soon as it can; `wait` then returns what was done by then."""
        if not self.done:
            self._cancelled = True
            self._thread.cancel()

    def summary(self) -> UploadSummary:
        """What has been done so far; of a run that has ended, all."""
        future = self._thread.future
        if future.done() and future.exception() is None:
            return future.result()
        partial = summary_of(future.exception()) if future.done() else None
        if isinstance(partial, UploadSummary):
            return partial
        with self._fold_lock:
            return self._fold.summary(time.monotonic() - self._started_s)

    def wait(self, timeout_s: float | None = None) -> UploadSummary:
        """Waits for the end and returns the summary; of a cancelled run, what was done by then.

        Raises what stopped the run (`RunError`, …), and `TimeoutError` when `timeout_s` is over first.
        Ctrl-C cancels the run.
        """
        self._unread.nobody_reads()
        try:
            return self._thread.result(timeout_s)
        except asyncio.CancelledError:
            return self.summary()
        except KeyboardInterrupt as interrupt:
            self._cancelled = True
            attach_summary(interrupt, self.summary())
            raise

    def __await__(self) -> Generator[Any, None, UploadSummary]:
        return self._wait().__await__()

    async def _wait(self) -> UploadSummary:
        self._unread.nobody_reads()
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._thread.future.add_done_callback(lambda _: _call_soon(loop, ended.set))
        await ended.wait()
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.wait()
            return
        self.cancel()
        self._unread.nobody_reads()
        self._thread.future.exception()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.cancel()
        try:
            await self
        except BaseException:
            if error is None:
                self.cancel()
                raise

    def __iter__(self) -> Iterator[Event]:
        unread = self._unread
        unread.somebody_reads()
        try:
            while (event := unread.take()) is not _END:
                if event is not None:
                    yield event  # type: ignore[misc]
                else:
                    arrived = threading.Event()
                    if unread.call_on_arrival(arrived.set):
                        arrived.wait()
        finally:
            unread.nobody_reads()

    async def __aiter__(self) -> AsyncIterator[Event]:
        loop, unread = asyncio.get_running_loop(), self._unread
        unread.somebody_reads()
        try:
            while (event := unread.take()) is not _END:
                if event is not None:
                    yield event  # type: ignore[misc]
                else:
                    arrived = asyncio.Event()
                    if unread.call_on_arrival(partial(_call_soon, loop, arrived.set)):
                        await arrived.wait()
        finally:
            unread.nobody_reads()

    # --- in the run's thread -----------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        if type(event) is ObjectEnded:
            with self._fold_lock:
                self._fold.add(event.report)
        self._unread.put(event)

    def _progress(self, given: Progress | None) -> Progress:
        """The caller's, and a wait where the reader of the events is far behind."""

        def progress(report: UploadReport) -> object:
            returned = None if given is None else given(report)
            room = self._unread.room()
            if room is None:
                return returned
            return _both(returned, room)

        return progress


async def _both(returned: object, room: Awaitable[None]) -> None:
    if isawaitable(returned):
        await returned
    await room


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits in it
        loop.call_soon_threadsafe(function)


def _resolve(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)


class _End:
    """What `_Unread.take` gives when nothing will come any more."""


_END = _End()


class _Unread:
    """Events between the run's thread, which puts them, and its readers. It takes no lock: an event is put
    before its readers are looked for, and a reader looks once more when it has said whom to call."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._is_read = self._ended = False
        self._on_arrival: deque[Callable[[], object]] = deque()
        self._on_room: Callable[[], object] | None = None

    def put(self, event: Event) -> None:
        self._events.append(event)
        if not self._is_read and len(self._events) > MAX_UNREAD:
            self._events.popleft()
        self._call_readers()

    def end(self) -> None:
        self._ended = True
        self._call_readers()

    def room(self) -> Awaitable[None] | None:
        """What to await before there are more events; None where there is room."""
        if not self._is_read or len(self._events) < MAX_UNREAD:
            return None
        loop = asyncio.get_running_loop()
        room: asyncio.Future[None] = loop.create_future()
        self._on_room = partial(_call_soon, loop, partial(_resolve, room))
        if not self._is_read:
            self._call_writer()
        return room

    def somebody_reads(self) -> None:
        self._is_read = True

    def nobody_reads(self) -> None:
        self._is_read = False
        self._call_writer()

    def take(self) -> Event | _End | None:
        """The next event, None where there is none yet."""
        ended = self._ended  # before the look: what is put before the end is taken
        try:
            event = self._events.popleft()
        except IndexError:
            return _END if ended else None
        if self._on_room is not None and len(self._events) < MAX_UNREAD // 2:
            self._call_writer()
        return event

    def call_on_arrival(self, call: Callable[[], object]) -> bool:
        """Calls `call` once, when there is something to take; False where there is already."""
        self._on_arrival.append(call)
        return not self._events and not self._ended

    def _call_readers(self) -> None:
        """All of them: who of them takes it is not known."""
        while self._on_arrival:
            self._on_arrival.popleft()()

    def _call_writer(self) -> None:
        call, self._on_room = self._on_room, None
        if call is not None:
            call()
