"""One budget of bandwidth, where some of a job's workers are elsewhere and have what their tickets say."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import Credentials, ObjectSource, S3Client
from s3_upload.config import UploadConfig
from s3_upload.fleet import tasks as tasks_module
from s3_upload.fleet.crew import Crew
from s3_upload.fleet.dispenser import Taken
from s3_upload.fleet.job_of_many import JobOfMany
from s3_upload.fleet.leases import left_for_home
from s3_upload.fleet.task import ELSEWHERE, Outcome, Ticket
from s3_upload.fleet.tasks import FIRST, ExecutorTasks
from s3_upload.fleet.wire import Ended, Finish, Frame, Frames, Hello, Lease, framed
from s3_upload.journaled import Journaled
from s3_upload.observe.events import Events
from s3_upload.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BUDGET = 100e6
SLOTS = 4


class Shelf(Executor):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.futures: list[Future[Any]] = []
        self._loop = asyncio.get_running_loop()
        self._given = asyncio.Condition()

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        self.tickets += arguments
        self.futures.append(Future())
        asyncio.run_coroutine_threadsafe(self._tell(), self._loop)
        return self.futures[-1]

    async def _tell(self) -> None:
        async with self._given:
            self._given.notify_all()

    async def has(self, count: int) -> None:
        async with asyncio.timeout(30.0), self._given:  # bounds a hang
            await self._given.wait_for(lambda: len(self.tickets) >= count)

    def end(self, number: int) -> None:
        """Of the shard that was submitted as that one, all was done elsewhere."""
        self.futures[number].set_result(Outcome("elsewhere", Ended(), []))


class Job:
    """One whose executor has `slots` workers, and with `budget` a second for all."""

    def __init__(
        self, crew: Crew, tasks: ExecutorTasks, shelf: Shelf, pace: Pace, reported: asyncio.Event
    ) -> None:
        self.crew, self.tasks, self.shelf, self.pace, self.reported = crew, tasks, shelf, pace, reported
        self.writers: list[asyncio.StreamWriter] = []

    def home_per_s(self) -> float:
        bandwidth = None if self.crew._pace is None else self.crew._pace.bandwidth
        assert bandwidth is not None
        return bandwidth.bytes_per_s

    def of_all(self) -> float:
        """What all may send: those who are connected by their newest leases, the others by their tickets."""
        leases = {worker.number: worker.lease_per_s for worker in self.tasks.workers}
        out = set(self.tasks._tasks)
        tickets = {one.number: one.lease_per_s for one in self.shelf.tickets if one.number in out}
        return self.home_per_s() + sum((tickets | leases).values())

    async def submitted(self) -> None:
        """What was handed to the executor last is noted here, too."""
        async with asyncio.timeout(30.0):  # bounds a hang
            while self.tasks._submitting:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)

    async def connect(self, number: int) -> float:
        """A worker of this host has that ticket. Its lease."""
        ticket = self.shelf.tickets[number]
        reader, writer = await asyncio.open_unix_connection(ticket.address)
        self.writers.append(writer)
        writer.write(framed(Hello(ticket.number)))
        frames, told = Frames(), list[Frame]()
        while not any(isinstance(frame, Finish) for frame in told):
            told += frames.fed(await reader.read(1 << 16))
        return [frame.bytes_per_s for frame in told if isinstance(frame, Lease)][-1]


def run(test: Callable[[Job], Awaitable[None]], *, slots: int = SLOTS, bound: str = "100MB/s") -> None:
    async def main() -> None:
        known = Credentials("key", "secret")
        async with S3Client(
            endpoint_url="http://127.0.0.1:9", region="us-east-1", credentials=known
        ) as client:
            files = [ObjectSource(key=f"{n}", path=f"/nowhere/{n}", size=1) for n in range(40 * FIRST)]
            pace = Pace("full", bound)
            reported = asyncio.Event()
            job = JobOfMany(
                Journaled(files, Events(), None), UploadConfig(), lambda report: reported.set(), pace=pace
            )
            crew = Crew(client, "bucket", job, count=slots + 1, from_start=True, home_takes=False)
            shelf = Shelf()
            tasks = ExecutorTasks(crew, shelf, slots, may_change=False)
            running = asyncio.create_task(crew.run(tasks))
            of_test = Job(crew, tasks, shelf, pace, reported)
            try:
                await test(of_test)
            finally:
                for writer in of_test.writers:
                    writer.close()
                    await writer.wait_closed()
                running.cancel()
                for future in shelf.futures:
                    future.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


def test_home_and_workers_elsewhere_keep_to_the_budget_together() -> None:
    async def test(job: Job) -> None:
        await job.shelf.has(SLOTS)
        assert job.of_all() == pytest.approx(BUDGET, rel=1e-3)
        assert job.of_all() <= BUDGET * (1.0 + 1e-9)
        assert [one.lease_per_s for one in job.shelf.tickets] == [pytest.approx(BUDGET / SLOTS, rel=1e-3)] * 4

    run(test)


def test_who_is_connected_divides_what_those_elsewhere_do_not_hold() -> None:
    async def test(job: Job) -> None:
        await job.shelf.has(SLOTS)
        assert await job.connect(0) == pytest.approx(BUDGET / SLOTS, rel=1e-3)
        await job.connect(1)
        # An idle home has a lease, and sends nothing.
        assert job.of_all() - job.home_per_s() <= BUDGET
        job.crew.dispenser.home.take([Taken(ObjectSource.data(b"x", "x"), 1)])
        job.crew.cut()
        assert job.of_all() == pytest.approx(BUDGET)

    run(test)


def test_when_nobody_is_elsewhere_those_who_are_connected_have_all() -> None:
    async def test(job: Job) -> None:
        await job.shelf.has(SLOTS)
        for number in range(SLOTS):
            lease_per_s = await job.connect(number)
        assert lease_per_s == BUDGET / SLOTS
        assert sum(worker.lease_per_s for worker in job.tasks.workers) == BUDGET

    run(test)


def test_no_more_tickets_are_out_than_the_budget_has_room_for() -> None:
    """Also where there are more slots than before, and where the bound is lower."""

    async def test(job: Job) -> None:
        await job.shelf.has(SLOTS)
        await job.submitted()
        job.tasks._slots = 4 * SLOTS
        job.tasks.refill()
        assert not job.tasks._submitting
        job.shelf.end(0)
        await job.shelf.has(2 * SLOTS)
        assert job.of_all() <= BUDGET * (1.0 + 1e-9)
        assert job.shelf.tickets[-1].lease_per_s == pytest.approx(BUDGET / (4 * SLOTS), rel=1e-3)
        job.pace.limit("1MB/s")
        job.shelf.end(1)
        job.crew.cut()
        assert job.home_per_s() <= 16_000.0
        assert not job.tasks._has_room

    run(test)


def test_no_more_tickets_are_out_than_can_be_held_to_their_parts() -> None:
    async def test(job: Job) -> None:
        await job.shelf.has(2)
        await job.submitted()
        assert not job.tasks._has_room
        assert job.of_all() <= 130_000.0

    run(test, slots=256, bound="130kB/s")


def test_a_share_of_the_link_has_home_do_what_is_left() -> None:
    """It alone finds out what that is; the others would wait for ever."""

    async def test(job: Job) -> None:
        await job.shelf.has(SLOTS)
        job.pace.limit("10%")
        async with asyncio.timeout(30.0):  # bounds a hang
            await job.reported.wait()

    run(test)


def test_what_a_lost_worker_had_goes_elsewhere_with_a_bound_also_where_that_is_a_share() -> None:
    """Nobody can tell such a worker another."""

    async def test(job: Job) -> None:
        await job.shelf.has(SLOTS)
        await job.submitted()
        assert [one.lease_per_s for one in job.shelf.tickets[:SLOTS]] == [0.0] * SLOTS
        job.tasks._address = ELSEWHERE
        job.pace.limit("10%")
        before = len(job.shelf.tickets)
        job.shelf.futures[0].set_exception(OSError("its worker is gone"))
        await job.shelf.has(before + 1)
        assert all(one.address == ELSEWHERE for one in job.shelf.tickets[before:])
        assert all(one.lease_per_s > 0.0 for one in job.shelf.tickets[before:])

    run(test, bound="")


class Slow:
    """A scheduler that does not answer before it is `free`."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun, self.free = threading.Event(), threading.Event()

    def nthreads(self) -> dict[str, int]:
        self.asked += 1
        self.begun.set()
        self.free.wait(30.0)  # bounds a hang
        return {"worker": SLOTS}


def test_a_scheduler_that_does_not_answer_is_asked_once_and_holds_up_no_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks_module, "COUNT_S", 0.0)
    slow = Slow()

    async def test(job: Job) -> None:
        await job.shelf.has(SLOTS)
        await job.submitted()
        job.shelf._client = slow  # type: ignore[attr-defined]
        job.tasks._may_change = True
        try:
            for _ in range(3):
                job.tasks.tick()
                await asyncio.sleep(0)
            assert await asyncio.to_thread(slow.begun.wait, 30.0)
            before = len(job.shelf.tickets)
            job.shelf.end(0)
            await job.shelf.has(before + 1)
            assert slow.asked == 1
        finally:
            slow.free.set()

    run(test)


def test_home_has_an_even_part_where_it_has_work_and_little_where_it_has_none() -> None:
    assert left_for_home(100e6, 4, has_work=True) == 20e6
    assert left_for_home(100e6, 4, has_work=False) == 16_000.0
    assert left_for_home(16_000.0, 255, has_work=False) == 62.5
