"""One process of a fleet: a run like any other, whose sources come from the process that has begun it.

Rules:

* All that happens is told, in batches, TELL_S at the latest.
* It ends when it is told to, or when the one that has begun it is gone: at once, and leaves its uploads in
  parts to the next run, as that one does.
* Signals that stop a job are not for it: it is stopped by a frame.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import msgspec

from s3_upload.api import upload_given
from s3_upload.blocking import loop_factory
from s3_upload.clients.s3 import S3Client
from s3_upload.control.concurrency.worker_rates import WorkerRates
from s3_upload.errors import ConfigError, S3UploadError, summary_of
from s3_upload.fleet.leases import as_bandwidth
from s3_upload.fleet.wire import (
    Answer,
    Begin,
    Ended,
    Finish,
    Frame,
    Frames,
    GiveBack,
    GivenBack,
    Hold,
    Item,
    Lease,
    Noticed,
    Question,
    Rates,
    Ready,
    Stop,
    Told,
    Work,
    cannot_travel,
    framed,
    kinds_of,
    packed,
)
from s3_upload.fleet.worker import Ear
from s3_upload.journaled import Journaled
from s3_upload.observe.events import Event, Events, Listening
from s3_upload.observe.journal_rows import KnownUploads
from s3_upload.own_process import settle
from s3_upload.pace import Pace
from s3_upload.report import UploadSummary
from s3_upload.sources.source import Bunches, Here, ObjectSource
from s3_upload.transfer.resume import Resume, Resumed, UploadsBefore

TELL_S = 0.02
TELL_COUNT = 256
"""So many events are told at once."""
TICK_S = 0.25
"""How often it tells of rates."""
GONE = 3
"""The exit code of one whose fleet is gone."""


class Given(Bunches):
    """Sources as they come from the fleet; asked in a thread. `directory`: where that begins with relative
    paths, "" where this process does, too.  `lost`: see `Work`."""

    def __init__(self, directory: str = "") -> None:
        # Only where it has to be: an error names the path as its user has given it.
        self._there = Here(directory) if directory not in {"", Here().told} else None
        self.lost: set[str] = set()
        self._items: deque[Item] = deque()
        self._more = threading.Condition()
        self._ended = False

    def add(self, work: Work) -> None:
        self.lost.update(work.lost)
        with self._more:
            self._items.extend(work.items)
            self._more.notify_all()

    def give_back(self, count: int) -> list[str]:
        """The keys of up to `count` that nobody has asked for yet, the last first: they are for others."""
        with self._more:
            return [self._items.pop()[1] for _ in range(min(count, len(self._items)))]

    def end(self) -> None:
        """There will be no more."""
        with self._more:
            self._ended = True
            self._more.notify_all()

    def next_bunch(self, count: int) -> list[ObjectSource]:
        with self._more:
            self._more.wait_for(lambda: self._items or self._ended)
            taken = [self._items.popleft() for _ in range(min(count, len(self._items)))]
        if self._there is not None:
            # Or it would be another file, which lies at that path in the directory of this process.
            taken = [(self._there.whole(path), key, fields) for path, key, fields in taken]
        return [ObjectSource(key=key, path=path, fields=fields) for path, key, fields in taken]


class Asked:
    """`UploadsBefore` of the fleet: each call is a question. For threads; `send` is for the loop."""

    def __init__(self, keeps: bool, send: Callable[[Frame], None]) -> None:
        self.works = keeps
        self._tell = send
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, Future[Any]] = {}
        self._count = 0

    def known_uploads(self, key: str) -> KnownUploads:
        known: KnownUploads = self._ask("known_uploads", key)
        return known

    def begin_creating(self, key: str) -> None:
        self._ask("begin_creating", key)

    def end_upload(self, upload_id: str) -> None:
        self._ask("end_upload", upload_id)

    def outlived(self) -> tuple[()]:
        """The job sees to these at its own end."""
        return ()

    def freed(self, upload_id: str) -> None:
        """On the loop, so nobody waits for the answer."""
        self._send(Future(), "freed", upload_id)

    def answered(self, answer: Answer) -> None:
        self._waiting.pop(answer.number).set_result(answer.answer)

    def _ask(self, name: str, argument: str) -> Any:
        future: Future[Any] = Future()
        self._loop.call_soon_threadsafe(self._send, future, name, argument)
        return future.result()

    def _send(self, future: Future[Any], name: str, argument: str) -> None:
        self._count += 1
        self._waiting[self._count] = future
        self._tell(Question(self._count, name, argument))


class Telling:
    """Gathers events, and has `send` tell them soon."""

    def __init__(self, send: Callable[[Frame], None]) -> None:
        self.send = send
        self._events: list[tuple[Any, ...]] = []

    def hear(self, event: Event) -> None:
        events = self._events
        if not events:
            asyncio.get_running_loop().call_later(TELL_S, self.flush)
        events.append(packed(event))
        if len(events) >= TELL_COUNT:
            self.flush()

    def flush(self) -> None:
        """Tells what there is."""
        if self._events:
            events, self._events = self._events, []
            self.send(Told(events))

    def tell_now(self, frame: Frame) -> None:
        """After all that was heard before it."""
        self.flush()
        self.send(frame)


class Line:
    """The socket to the job. `lost` is called when the job is gone; frames that come before somebody listens
    wait for it."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self.first: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self.ear = Ear(self._hear, lost, self._fail)
        self._heard: Callable[[Frame], None] | None = None
        self._early: list[Frame] = []

    def listen(self, heard: Callable[[Frame], None]) -> None:
        self._heard = heard
        for frame in self._early:
            heard(frame)
        self._early.clear()

    def send(self, frame: Frame) -> None:
        if self.ear.transport is not None and not self.ear.transport.is_closing():
            self.ear.transport.write(framed(frame))

    def _fail(self, error: BaseException) -> None:
        """A frame could not be read."""
        if not self.first.done():
            self.first.set_exception(error)
        else:
            self.send(travelling(Ended(error=error)))

    def _hear(self, frame: Frame) -> None:
        if self._heard is not None:
            self._heard(frame)
        elif not self.first.done():
            self.first.set_result(frame)
        else:
            self._early.append(frame)


class Member:
    """A run, as `begin` says. `before`: where those at the other end of `send` answer no questions."""

    def __init__(
        self, begin: Begin, send: Callable[[Frame], None], before: UploadsBefore | None = None
    ) -> None:
        self._begin = begin
        self._telling = Telling(send)
        self._given = Given(begin.directory)
        self._uploads = Asked(begin.keeps, self._telling.tell_now)
        self._before = before or self._uploads
        self._resumed = Resumed()
        self._pace = Pace() if begin.paced else None
        self._rates = WorkerRates(begin.place)
        self._rates.hear(begin.rates, now=self._now())
        self._task = asyncio.create_task(self._run())

    async def ended(self) -> Ended:
        """What it comes to; all that happened is told by then."""
        error: BaseException | None = None
        try:
            summary = await self._task
        except BaseException as raised:
            # That it was stopped is no error; what there is to say of it is told whatever has ended it.
            error = None if isinstance(raised, asyncio.CancelledError) else raised
            summary = summary_of(raised)
        self._telling.flush()
        if not isinstance(summary, UploadSummary):
            return Ended(error=error)
        return Ended(summary.notes, summary.budget_wait_s, error, self._resumed)

    def stop(self, *, at_once: bool) -> None:
        """See `Stop`."""
        self._task.cancel()
        if at_once:
            # Once more when it has seen that: two in one turn of the loop are one.
            asyncio.get_running_loop().call_soon(self._task.cancel)

    def hear(self, frame: Frame) -> None:
        """Does what it is told."""
        if isinstance(frame, Work):
            self._given.add(frame)
        elif isinstance(frame, GiveBack):
            self._telling.send(GivenBack(self._given.give_back(frame.count)))
        elif isinstance(frame, Lease):
            if self._pace is not None:
                self._pace.bandwidth = as_bandwidth(frame.bytes_per_s)
        elif isinstance(frame, Hold):
            self._rates.hear(frame.rates, now=self._now())
        elif isinstance(frame, Answer):
            self._uploads.answered(frame)
        elif isinstance(frame, Finish):
            self._given.end()
        elif isinstance(frame, Stop):
            self.stop(at_once=frame.at_once)

    def _now(self) -> float:
        """On the clock of all."""
        return time.monotonic() - self._begin.epoch_s

    async def _run(self) -> UploadSummary:
        begin = self._begin
        listening = Listening(self._telling.hear, kinds_of(begin.wanted))
        resume = Resume(self._before, begin.asks_store, self._resumed, self._given.lost)
        given = Journaled(self._given, Events([listening]), resume)
        async with S3Client(**begin.recipe) as client:
            ticks = asyncio.create_task(self._tick_on())
            try:
                return await upload_given(
                    client, begin.bucket, given, begin.config,
                    default_request=begin.default_request, pace=self._pace, epoch_s=begin.epoch_s,
                    rates=self._rates, notice=self._notice if begin.speaks else None,
                )  # fmt: skip
            finally:
                ticks.cancel()

    def _notice(self, line: str) -> None:
        self._telling.send(Noticed(line))

    async def _tick_on(self) -> None:
        counts = False
        while True:
            await asyncio.sleep(TICK_S)
            seen = self._rates.seen(now=self._now())
            # Also where nothing is refused: who is not known would not be held back with the others.  That it
            # is over has to be said.
            did, counts = counts, self._rates.limited or any(one.accepted or one.refused for one in seen)
            if counts or did:
                self._telling.send(Rates(seen))


async def _serve(descriptor: int) -> None:
    # Nobody is there any more who could be told, and nothing may go on that nobody knows of.
    line = Line(lost=lambda: os._exit(GONE))
    await asyncio.get_running_loop().create_connection(
        lambda: line.ear, sock=socket.socket(fileno=descriptor)
    )
    try:
        begin = await line.first
    except Exception as error:
        line.send(Ended(error=ConfigError(cannot_travel("what is to be done", error))))
    else:
        assert isinstance(begin, Begin)
        member = Member(begin, line.send)
        line.listen(member.hear)
        line.send(Ready())
        line.send(travelling(await member.ended()))
    # Until the other side has read it, and closes.
    await asyncio.Event().wait()


def travelling(ended: Ended) -> Ended:
    """What cannot travel is told in words."""
    try:
        Frames().fed(framed(ended))  # some can be packed, but not unpacked
    except Exception:
        return msgspec.structs.replace(ended, error=S3UploadError(repr(ended.error)))
    return ended


def main(descriptor: int) -> None:
    """Runs until the fleet closes the socket `descriptor`."""
    # Those that the system sends to all processes at its end would take what is under way its grace.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    settle()
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(descriptor))
