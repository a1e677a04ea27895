"""A staff of tasks of an executor: `concurrent.futures`, Dask's, Ray's, ... alike.

Rules:

* Each task is a shard.  The first ones are small, so that all workers have something soon; later ones take
  about AIM_S each.  There are never more than AHEAD times as many as are done at a time; with a bound on the
  bandwidth no more than these, since each has its part of it, whether it has begun or not.
* Tasks on this machine talk to the job over a socket in a folder that is the user's alone (`task.py`).  Where
  none can be made they are as those elsewhere.
* A shard whose worker ended is done by others; the executor may have seen to that already.  An executor that
  is broken for good leaves its work to the process at home.
* Who is connected is stopped by a frame.  Of all others the futures are cancelled: Dask's workers elsewhere
  go on all the same.
* What a worker cannot read that this process can says that they do not share a file system: the job ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import suppress

from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.fleet.crew import Crew
from s3_upload.fleet.dispenser import AHEAD_BYTES, Hand
from s3_upload.fleet.executors import CANNOT_TRAVEL, cannot_travel, is_closed, slots_of, unsent
from s3_upload.fleet.leases import left_for_home, most_of, of_ticket
from s3_upload.fleet.task import ELSEWHERE, Outcome, Ticket, work
from s3_upload.fleet.wire import Begin, Finish, Frame, Hello, Lease, Stop, framed, unpacked
from s3_upload.fleet.worker import Ear, Worker
from s3_upload.observe.events import ObjectEnded
from s3_upload.observe.journal_rows import KnownUploads
from s3_upload.sources.source import ObjectSource
from s3_upload.threads import in_a_thread
from s3_upload.transfer.guard import guarded

AIM_S = 3.0
FIRST, LARGEST = 256, 20_000
"""Sources of a shard."""
LARGEST_BYTES = 4 << 30
AHEAD = 2
COUNT_S = 2.0
"""How often it is asked how many tasks are done at a time: workers of a cluster come and go."""
MAX_LOSSES = 3
"""After so many tasks in a row that failed and had done nothing, the job ends."""
END_S = 30.0
OUTCOME_S = 2.0
"""So soon after its worker has left the outcome of a stopped task is there, or that worker is no more."""


class Task(Worker):
    """One shard. `bytes`: of all its sources; `is_free`: no worker is connected that has it; `ticket_per_s`:
    the bandwidth of one elsewhere that has it."""

    def __init__(self, number: int, hand: Hand) -> None:
        super().__init__(number, hand)
        self.begun_s = time.monotonic()
        self.bytes = 0
        self.ticket_per_s = 0.0
        self.is_free = asyncio.Event()
        self.is_free.set()
        self.future: Future[Outcome] | None = None
        self.ends_with_its_worker = False
        """The executor has given it to another one, who was refused: the first is still there."""
        self.was_connected = False

    def in_parts(self, from_bytes: int) -> list[str]:
        """The keys of what it has that is so large."""
        return [key for key, taken in tuple(self.hand.has.items()) if taken.size >= from_bytes]


class ExecutorTasks:
    """See the module's rules, and `crew.Staff`. `slots`: how many tasks the executor does at a time, and
    `may_change` where that is not for good."""

    def __init__(self, crew: Crew, executor: Executor, slots: int, *, may_change: bool) -> None:
        self._crew = crew
        self._executor = executor
        self._slots = slots
        self._may_change = may_change
        self._counted_s = crew.now()
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[int, Task] = {}
        self._connected: dict[int, Task] = {}
        self._begun = self._losses = 0
        self._cancelled_s = 0.0
        self._submitting = self._counts = self._stopped = False
        self._has_taken = self._broken = self._is_silent = False
        """It has taken a task; takes none any more; and does not say either what became of those it has."""
        self._per_s = self._bytes_per_s = 0.0
        self._begins = False
        """Whether there is a socket for tasks is known, and they may be submitted."""
        self._folder: str | None = None
        self._address = ELSEWHERE
        self._server: asyncio.Server | None = None
        self._done = asyncio.Event()

    @property
    def workers(self) -> list[Worker]:
        return list(self._connected.values())

    @property
    def held_per_s(self) -> float:
        return sum(task.ticket_per_s for task in self._tasks.values() if task.transport is None)

    def start(self) -> None:
        self._crew.dispenser.spread_out()
        self._crew.begin(self._listen())

    def refill(self) -> None:
        crew = self._crew
        wanted = self._has_room and crew.dispenser.left
        if not self._begins or self._submitting or self._broken or crew.full or not wanted:
            return
        self._submitting = True
        crew.begin(self._submit())

    @property
    def _has_room(self) -> bool:
        """Whether one more task may be submitted."""
        budget_per_s = self._crew.budget_per_s
        if not budget_per_s:
            return len(self._tasks) < AHEAD * self._slots
        # Those that are out may have larger parts, of a time when there were fewer.
        home = left_for_home(budget_per_s, self._paced_slots, has_work=self._crew.dispenser.home_has_work)
        held_per_s = home + self.held_per_s + self._ticket_per_s
        return len(self._tasks) < self._paced_slots and held_per_s < budget_per_s * (1.0 + 1e-9)

    @property
    def _paced_slots(self) -> int:
        """How many tasks there are at most with a bound on the bandwidth."""
        return min(self._slots, most_of(self._crew.budget_per_s))

    @property
    def _ticket_per_s(self) -> float:
        """The lease of one of them."""
        crew = self._crew
        if not crew.budget_per_s:
            return crew.each_of_link_per_s
        has_work = crew.dispenser.home_has_work
        return of_ticket(crew.budget_per_s, self._paced_slots, home_has_work=has_work)

    def tick(self) -> None:
        if is_closed(self._executor):  # also what it has taken while it was being closed
            self._silenced(RuntimeError("its client is closed"))
        now = self._crew.now()
        if self._may_change and not self._counts and now - self._counted_s >= COUNT_S:
            self._counted_s, self._counts = now, True
            self._crew.begin(self._count())

    async def _count(self) -> None:
        with suppress(Exception):  # a scheduler that is gone; what that means its tasks tell
            # Apart from those that pull and submit: an answer may take long.
            slots = await in_a_thread("s3-upload-fleet-slots", lambda: slots_of(self._executor, 0))
            self._slots = slots
            self._crew.counts(slots + 1)
        self._counts = False

    def stop(self, *, at_once: bool) -> None:
        self._stopped = True
        waiting = 0
        for task in self._tasks.values():
            task.send(Stop(at_once))
            waiting += self._withdrawn(task)
        # That many were begun: an executor that says which are (`running`) has withdrawn none of them.
        goes_on = min(waiting, self._slots - (len(self._tasks) - waiting))
        if goes_on > 0:
            what = "a shard" if goes_on == 1 else f"{goes_on:,} shards"
            self._crew.desk.notes.append(
                f"{what} may go on at workers elsewhere, and what they upload is not told"
            )

    @staticmethod
    def _withdrawn(task: Task) -> bool:
        """Whether the executor does not do it any more, or says so: Dask also of one that has begun."""
        if task.transport is not None or task.future is None or task.future.cancelled():
            return False
        return task.future.cancel()

    async def end(self, *, stopped: bool) -> None:
        try:
            while self._tasks:
                self._done.clear()
                await asyncio.wait_for(self._done.wait(), END_S + self._crew.config.grace_s)
        except TimeoutError:
            self._crew.desk.notes.append(f"{len(self._tasks)} tasks of the executor have not ended")
        finally:
            if self._server is not None:
                self._server.close()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    # --- shards ------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        try:
            self._folder = tempfile.mkdtemp(prefix="s3-upload-")
            address = os.path.join(self._folder, "job")  # noqa: PTH118 - a text for a socket
            self._server = await self._loop.create_unix_server(self._ear, address)
        # TMPDIR is not writable, or too long for a socket; Windows has none of that kind.
        except (OSError, NotImplementedError) as error:
            why = str(error) or "this system has none of that kind"
            self._crew.desk.notes.append(
                f"the workers told what they did at the end of each shard: no socket in TMPDIR ({why})"
            )
        else:
            self._address = address
        self._begins = True
        self.refill()

    async def _submit(self) -> None:
        crew = self._crew
        try:
            count = min(max(FIRST, int(AIM_S * self._per_s)), LARGEST)
            size = min(max(AHEAD_BYTES, int(AIM_S * self._bytes_per_s)), LARGEST_BYTES)
            self._begun += 1
            task = Task(self._begun, Hand(count, size))
            crew.dispenser.join(task.hand)
            sources, known = await crew.threads.call(lambda: self._taken(task))
            if not sources or crew.stopping:
                crew.dispenser.lost(task.hand, by_source=False)
                return
            task.bytes = task.hand.bytes
            task.ticket_per_s = self._ticket_per_s
            self._tasks[task.number] = task
            crew.cut()  # before it begins
            ticket = self._ticket(task, sources, known)
            try:
                task.future = await crew.threads.call(lambda: self._executor.submit(work, ticket))
            except Exception as error:
                self._not_submitted(task, ticket.order, error)
                return
            self._has_taken = True
            task.future.add_done_callback(lambda future: self._over_from_thread(task, future))
            if crew.stopping:  # `stop` could not cancel it yet
                self._withdrawn(task)
        finally:
            self._submitting = False
        self.refill()

    def _not_submitted(self, task: Task, order: Begin, error: Exception) -> None:
        """Raises what ends the job."""
        # Closed, its workers are gone, or its scheduler is.
        if isinstance(error, BrokenExecutor | RuntimeError | OSError):
            self._go_home(task, error, by_source=False)
            return
        if self._has_taken and not isinstance(error, CANNOT_TRAVEL):
            self._go_home(task, error, by_source=False)
            self._silenced(error)
            return
        self._part_with(task, error, by_source=False)
        if isinstance(error, CANNOT_TRAVEL):
            raise cannot_travel(unsent(order) or "what is to be done", error) from error
        raise error

    def _silenced(self, error: BaseException) -> None:
        """A client of Dask's that is closed, say: its futures do not end."""
        self._is_silent = True
        for task in tuple(self._tasks.values()):
            if task.transport is None and task.future is not None:
                self._go_home(task, error, by_source=False)

    def _taken(self, task: Task) -> tuple[list[ObjectSource], dict[str, KnownUploads]]:
        """What it is given, and the uploads in parts that are known of it. Blocking."""
        sources = self._crew.dispenser.next_for(task.hand)
        return sources, self._crew.uploads.known_of(task.in_parts(self._crew.config.multipart_threshold))

    def _ticket(self, task: Task, sources: list[ObjectSource], known: Mapping[str, KnownUploads]) -> Ticket:
        crew, told = self._crew, self._crew.work(sources)
        return Ticket(
            number=task.number,
            order=crew.order(task.number),
            items=told.items,
            host=socket.gethostname(),
            address=self._address,
            epoch_wall_s=time.time() - crew.now(),
            lease_per_s=task.ticket_per_s,
            lost=told.lost,
            known=known,
        )

    # --- the socket --------------------------------------------------------------------------------

    def _ear(self) -> Ear:
        caller: list[Task] = []

        def heard(frame: Frame) -> None:
            assert ear.transport is not None
            if isinstance(frame, Hello):
                task = self._tasks.get(frame.number)
                # The executor has begun it once more, and it is over, or another worker has it; or it has
                # begun it only now: what an executor calls running, though it waits, cannot be cancelled.
                if task is None or task.number in self._connected or self._crew.stopping:
                    ear.transport.write(framed(Stop()))
                    return
                caller.append(task)
                self._greet(task, ear.transport)
            elif caller:
                self._crew.hear(caller[0], frame)

        def lost() -> None:
            for task in caller:
                self._connected.pop(task.number, None)
                self._crew.gone(task)
                self._crew.dispenser.doubt(task.hand)
                task.connect(None)
                task.is_free.set()
                if task.ends_with_its_worker or self._is_silent:
                    self._end(task)
                elif self._stopped:
                    self._loop.call_later(OUTCOME_S, self._withdrawn, task)

        ear = Ear(heard, lost, self._crew.fail)
        return ear

    def _greet(self, task: Task, transport: asyncio.Transport) -> None:
        """Says what is left to do: another worker may have begun with it."""
        task.connect(transport)
        task.was_connected = True
        task.is_free.clear()
        self._connected[task.number] = task
        # Its bound first, or what it begins with would know none.
        self._crew.cut()
        task.send(Lease(task.lease_per_s))
        task.send(self._crew.work([taken.source for taken in task.hand.has.values()]))
        task.send(Finish())

    # --- what became of a shard --------------------------------------------------------------------

    def _over_from_thread(self, task: Task, future: Future[Outcome]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self._loop.call_soon_threadsafe(guarded(self._crew.fail, self._over), task, future)

    def _over(self, task: Task, future: Future[Outcome]) -> None:
        crew = self._crew
        if task.number not in self._tasks:
            return  # others have what it had
        try:
            outcome = future.result(0)
        except (CancelledError, asyncio.CancelledError) as error:
            self._cancelled(task, error)
        except BrokenExecutor as error:
            self._go_home(task, error)
        except Exception as error:
            self._fail(task, error)
        else:
            self._crew.begin(self._settle(task, outcome))
            return
        self.refill()
        self._done.set()
        crew.dispenser.wake()

    async def _settle(self, task: Task, outcome: Outcome) -> None:
        if outcome.refused and not task.is_free.is_set():
            task.ends_with_its_worker = True
            return
        # What it has told over the socket comes before its outcome, but may be read after it.
        await task.is_free.wait()
        if task.number not in self._tasks:
            return
        try:
            await self._read(task, outcome)
        except BaseException as error:
            self._part_with(task, error, by_source=False)  # it has ended: nobody is to wait for it
            raise
        if outcome.misses_job:
            # Another host of this name, or a worker with a /tmp of its own.
            self._address = ELSEWHERE
        self._end(task, by_source=not outcome.misses_job)

    async def _read(self, task: Task, outcome: Outcome) -> None:
        crew = self._crew
        for values in outcome.events:
            event = unpacked(values)
            if type(event) is ObjectEnded and not event.report.succeeded:
                await self._look_for(event, outcome.host)
            crew.desk.hear(task, event, crew.now())
        for upload_id in outcome.freed:
            crew.uploads.freed(upload_id)
        crew.desk.ended(task, outcome.ended)
        if outcome.ended.error is not None:
            crew.fail(outcome.ended.error)
        elapsed_s = max(time.monotonic() - task.begun_s, 1e-3)
        self._per_s += 0.5 * (task.done / elapsed_s - self._per_s)
        self._bytes_per_s += 0.5 * (task.bytes / elapsed_s - self._bytes_per_s)
        self._losses = 0

    async def _look_for(self, event: ObjectEnded, host: str) -> None:
        """Raises `RunError` where a worker misses a file that is there."""
        report, crew = event.report, self._crew
        missing = report.attempts == 0 and "No such file" in str(report.error or report.reason)
        # To follow it: a link to nowhere is missed by all.
        if missing and await crew.threads.call(lambda: os.path.exists(report.source)):  # noqa: PTH110 - a text
            raise RunError(
                f"{report.source}: the worker on {host} does not see it: all workers need the files at the "
                "same path",
                FailureKind.SOURCE,
            )

    def _end(self, task: Task, *, by_source: bool = True) -> None:
        self._part_with(task, by_source=by_source)
        self.refill()

    def _part_with(self, task: Task, error: BaseException | None = None, *, by_source: bool = True) -> None:
        """It is over: what it has not done is handed out again, but for what ends each worker, the last by
        `error`. `by_source`: one of its sources may have ended its worker."""
        crew = self._crew
        self._tasks.pop(task.number, None)
        # A worker that still has it, whom the executor believes to be gone, must not go on with it.
        if task.transport is not None:
            task.transport.abort()
        crew.gone(task)
        if not task.was_connected:
            age_s = time.monotonic() - task.begun_s
            crew.uploads.perhaps_begun(task.in_parts(crew.config.multipart_threshold), time.time() - age_s)
        # One that is stopped has ended of that.
        culprits = crew.dispenser.lost(task.hand, by_source=by_source and not crew.stopping)
        if self._broken and not crew.stopping:
            culprits += crew.dispenser.take_home()
        for source in culprits:
            last = f" (the last: {error!r})" if error is not None else ""
            crew.desk.give_up(source, f"each worker that uploads it ends{last}", crew.now())
        self._done.set()

    def _fail(self, task: Task, error: BaseException) -> None:
        """A worker has ended with it, or has raised what is not for an upload to raise."""
        crew = self._crew
        if isinstance(error, ConfigError):
            crew.fail(error)
        # An executor may pack it in a thread of its own, and has no other way to say so.
        elif isinstance(error, CANNOT_TRAVEL) and (what := unsent(crew.order(task.number))):
            crew.fail(cannot_travel(what, error))
        self._part_with(task, error)
        self._losses = 0 if task.done else self._losses + 1
        if self._losses >= MAX_LOSSES:
            crew.fail(RunError(f"the executor's workers fail: {error!r}", FailureKind.SOURCE))

    def _cancelled(self, task: Task, error: BaseException) -> None:
        """By us, or by somebody who clears the executor, of all that it has at once: that counts once."""
        stopping = self._crew.stopping
        if not stopping and task.begun_s > self._cancelled_s:
            self._cancelled_s = time.monotonic()
            self._losses += 1
        if not stopping and self._losses >= MAX_LOSSES:
            self._go_home(task, error, by_source=False)
        else:
            self._part_with(task, error, by_source=False)

    def _go_home(self, task: Task, error: BaseException, *, by_source: bool = True) -> None:
        """There is no executor any more."""
        crew = self._crew
        if not self._broken:
            self._broken = True
            crew.desk.notes.append(f"the executor is broken ({error!r}), and this process went on alone")
            crew.desk.go_on_at_home()
        self._part_with(task, error, by_source=by_source)
