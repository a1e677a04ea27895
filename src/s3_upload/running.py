"""`Running`: the handle of an upload that goes on in a thread of its own.

The run's events wait here until they are read.  Nobody has to read them: then the newest `MAX_UNREAD` are
kept.  While somebody reads and is so far behind, none is lost but those that are said anew soon (`PASSING`),
and the run waits from the end of the next object on, as for any slow `progress`.  What is under way tells two
events for each of its parts all the same.

Somebody reads from the first event that is asked for to the end of the iteration: a `break` is one, unless
the iterator is kept.  The end of the thread or task that reads is one, too, and nobody reads while waiting
for the run.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self

from s3_upload.blocking import LoopThread
from s3_upload.errors import attach_summary, foreign, summary_of
from s3_upload.job import Job, Progress
from s3_upload.observe.events import BytesAcknowledged, Event, LimitsChanged, Listening, ObjectEnded
from s3_upload.pace import Pace
from s3_upload.report import SummaryFold, UploadReport, UploadSummary

MAX_UNREAD = 10_000
PASSING = (BytesAcknowledged, LimitsChanged)
LOOK_S = 0.5
"""A run that waits for its readers looks so often whether there still are any."""


class Running:
    """An upload under way, made by `start_upload`. All methods may be called from any thread.

    A context manager, plain and async: leaving it waits for the end, and raises what stopped the run; leaving
    it by an exception cancels the run.  Iterating over it, plain or async, gives the events of the run
    until it ends (where several read, each event goes to one of them).  The run waits for a reader that is
    far behind: a thread that reads no more, while another one waits for the run, closes its iterator.
    `await running` is `wait` for coroutines.
    """

    def __init__(self, job: Job) -> None:
        self._pace = Pace(job.config.share, job.config.max_bandwidth)
        self._unread = _Unread()
        self._fold = SummaryFold()
        self._fold_lock = threading.Lock()
        self._started_s = time.monotonic()
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
        return self._thread.cancelled

    def limit(self, max_bandwidth: str | None) -> None:
        """From now on no more than "20MB/s", "100Mbit/s" or "80%"; "" or None: as much as there is. Raises
        `ConfigError`."""
        self._pace.limit("" if max_bandwidth is None else max_bandwidth)

    def cancel(self) -> None:
        """Has the run end as soon as it can; `wait` then returns what was done by then."""
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
        self._unread.waits()
        try:
            return self._thread.result(timeout_s)
        except asyncio.CancelledError as error:
            if not self.cancelled:
                raise foreign(error) from error
            return self.summary()
        except KeyboardInterrupt as interrupt:
            attach_summary(interrupt, self.summary())
            raise

    def __await__(self) -> Generator[Any, None, UploadSummary]:
        return self._wait().__await__()

    async def _wait(self) -> UploadSummary:
        self._unread.waits(asyncio.current_task())
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
        self._unread.waits()
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
        with unread.reading() as reader:
            while (event := unread.take(reader)) is not _END:
                if event is not None:
                    yield event  # type: ignore[misc]
                else:
                    arrived = threading.Event()
                    if unread.call_on_arrival(arrived.set):
                        arrived.wait()

    async def __aiter__(self) -> AsyncIterator[Event]:
        loop, unread = asyncio.get_running_loop(), self._unread
        with unread.reading() as reader:
            while (event := unread.take(reader)) is not _END:
                if event is not None:
                    yield event  # type: ignore[misc]
                else:
                    arrived = asyncio.Event()
                    if unread.call_on_arrival(partial(_call_soon, loop, arrived.set)):
                        await arrived.wait()

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
            return _both(returned, self._unread) if self._unread.full else returned

        return progress


async def _both(returned: object, unread: _Unread) -> None:
    if isawaitable(returned):
        await returned
    await unread.room()


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits in it
        loop.call_soon_threadsafe(function)


class _End:
    """What `_Unread.take` gives when nothing will come any more."""


_END = _End()


class _Reader:
    """Who iterates: the thread and the task that took the last event. `waits`: for the run, and takes nothing
    meanwhile."""

    def __init__(self) -> None:
        self.takes()

    def takes(self) -> None:
        """An event, here and now."""
        self.thread = threading.current_thread()
        self.task = _current_task()
        self.waits = False

    @property
    def reads(self) -> bool:
        """Whether it may take another event."""
        has_ended = not self.thread.is_alive() or (self.task is not None and self.task.done())
        return not (self.waits or has_ended)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs here
        return None


class _Unread:
    """Events between the run's thread, which puts them, and its readers. It takes no lock: an event is put
    before its readers are looked for, and a reader looks once more when it has said whom to call."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._limits: Event | None = None
        """The last ones, where they were dropped."""
        self._ended = False
        self._readers: set[_Reader] = set()
        self._on_arrival: deque[Callable[[], object]] = deque()
        self._on_room: Callable[[], object] | None = None

    def put(self, event: Event) -> None:
        # One big object tells these ten times a second for hours before it ends, and the run would wait.
        if type(event) in PASSING and self.full:
            # Of the limits the newest is kept, or a reader who comes back would believe the old ones.
            self._limits = event if type(event) is LimitsChanged else self._limits
            return
        if self._limits is not None:
            self._events.append(self._limits)
            self._limits = None
        self._events.append(event)
        if len(self._events) > MAX_UNREAD and not self._is_read:
            self._events.popleft()
        self._call_readers()

    def end(self) -> None:
        self._ended = True
        self._call_readers()

    @property
    def full(self) -> bool:
        """Whether those who read are so far behind that there are to be no more events."""
        return len(self._events) >= MAX_UNREAD and self._is_read

    async def room(self) -> None:
        """Waits while that is so."""
        loop = asyncio.get_running_loop()
        while True:
            room = asyncio.Event()
            self._on_room = partial(_call_soon, loop, room.set)
            if not self.full:
                return
            # A thread or a task that ends does not say so.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await room.wait()

    @contextmanager
    def reading(self) -> Iterator[_Reader]:
        """Somebody reads, for as long as that."""
        reader = _Reader()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            self._call_writer()

    def waits(self, task: asyncio.Task[Any] | None = None) -> None:
        """This thread waits for the run, or only this task of it: it reads nothing meanwhile."""
        thread = threading.current_thread()
        for reader in tuple(self._readers):
            # What was begun outside of all tasks is read by none of the others.
            if reader.thread is thread and (task is None or reader.task in (None, task)):
                reader.waits = True
        self._call_writer()

    @property
    def _is_read(self) -> bool:
        return any(reader.reads for reader in tuple(self._readers))

    def take(self, reader: _Reader) -> Event | _End | None:
        """The next event, None where there is none yet."""
        reader.takes()
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
