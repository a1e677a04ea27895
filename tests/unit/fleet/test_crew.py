"""What a job does with what its workers say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from s3_upload import Credentials, ObjectSource, S3Client
from s3_upload.config import UploadConfig
from s3_upload.fleet.crew import Crew
from s3_upload.fleet.dispenser import Hand, Taken
from s3_upload.fleet.job_of_many import JobOfMany
from s3_upload.fleet.wire import Lease, Noticed
from s3_upload.fleet.worker import Worker
from s3_upload.journaled import Journaled
from s3_upload.observe.events import Events
from s3_upload.pace import Pace
from s3_upload.report import SUCCESS, PaceReport, UploadReport
from s3_upload.transfer.read_ahead import BATCH_BYTES
from s3_upload.units import MIN_BYTES_PER_S, Bandwidth
from tests.unit.fleet.test_worker import Written


class Two:
    """A staff of two workers, who have nothing to do and say something of the store."""

    held_per_s = 0.0

    def __init__(self, crew: Crew) -> None:
        self.workers = [Worker(1, Hand()), Worker(2, Hand())]
        self._crew = crew

    def start(self) -> None:
        for worker in self.workers:
            assert self._crew.order(worker.number).speaks
            self._crew.hear(worker, Noticed(f"away, says {worker.number}"))
            self._crew.dispenser.join(worker.hand)
            assert self._crew.dispenser.next_for(worker.hand) == []

    def refill(self) -> None: ...
    def tick(self) -> None: ...
    def stop(self, *, at_once: bool) -> None: ...
    async def end(self, *, stopped: bool) -> None: ...


def with_crew(test: Callable[[Crew], Any], *, home_takes: bool = True, **given: Any) -> None:
    async def main() -> None:
        known = Credentials("key", "secret")
        async with S3Client(
            endpoint_url="http://127.0.0.1:9", region="us-east-1", credentials=known
        ) as client:
            job = JobOfMany(Journaled([], Events(), None), UploadConfig(), **given)
            crew = Crew(client, "bucket", job, count=3, from_start=True, home_takes=home_takes)
            if (result := test(crew)) is not None:
                await result

    asyncio.run(main())


def connected(crew: Crew) -> tuple[list[Worker], Written]:
    """Two workers of `crew`, and what they are told."""
    staff, transport = Two(crew), Written()
    crew._staff = staff
    for worker in staff.workers:
        worker.connect(transport)
    return staff.workers, transport


def paced(bytes_per_s: float, acked_per_s: float = 1.0) -> PaceReport:
    return PaceReport(
        at_s=0.0, share="full", state="capped", queue_s=0.0, base_s=0.0, pace_bytes_per_s=bytes_per_s,
        acked_bytes_per_s=acked_per_s, connections=1, requests=1,
    )  # fmt: skip


def test_an_added_process_has_room_for_three_reads_and_one_of_a_fixed_number_an_even_part() -> None:
    def test(crew: Crew) -> None:
        config = UploadConfig()
        crew.counts(8)
        assert crew.order(1).config.max_in_flight_bytes == int(config.max_in_flight_bytes) // 8
        crew._from_start = False
        read_bytes = BATCH_BYTES + config.multipart_threshold
        assert crew.order(1).config.max_in_flight_bytes == 3 * read_bytes

    with_crew(test)


@pytest.mark.parametrize("bound", ["1MB/s", ""])
def test_of_a_share_of_the_link_others_have_as_much_as_home_and_little_while_it_measures(bound: str) -> None:
    """What is in their hands would take the whole link, and home would measure what that leaves."""
    pace = Pace("full", bound)

    def test(crew: Crew) -> None:
        workers, transport = connected(crew)
        for worker in workers:
            worker.hand.take([Taken(ObjectSource(key="k", path="/nowhere/k"), 1)])
        crew.dispenser.home.take([Taken(ObjectSource(key="h", path="/nowhere/h"), 1)])
        crew.cut()
        transport.told.clear()
        pace.limit("30%")
        assert crew._pace is not None
        crew._pace.tell(paced(900_000.0))  # of the bound before
        crew.cut()
        assert Lease(900_000.0) not in transport.told
        transport.told.clear()
        for per_s in (0.0, 700_000.0, 0.0):
            crew._pace.tell(paced(per_s))
            crew.cut()
            assert crew._pace.bandwidth == Bandwidth(share=0.3 / 3)
        small = Lease(float(MIN_BYTES_PER_S))
        first = [] if not bound else [small, small]
        assert transport.told == [*first, Lease(700_000.0), Lease(700_000.0), small, small]

    with_crew(test, pace=pace)


@pytest.mark.parametrize(
    ("before", "told"), [("3MB/s", [Lease(1e6)] * 2), ("", [Lease(float(MIN_BYTES_PER_S))] * 2)]
)
def test_where_home_has_nothing_to_measure_with_the_others_keep_their_bound(
    before: str, told: list[Lease]
) -> None:
    """Little, where they had none: without a bound they would take the whole link."""
    pace = Pace("full", before)

    def test(crew: Crew) -> None:
        _, transport = connected(crew)
        crew.cut()
        pace.limit("10%")
        crew.cut()
        crew.cut()
        assert transport.told == told

    with_crew(test, pace=pace)


def test_while_a_stream_at_home_is_silent_the_others_keep_their_bound() -> None:
    """It has work, and sends nothing that could be measured, for hours."""
    pace = Pace("full", "3MB/s")

    def test(crew: Crew) -> None:
        staff, transport = Two(crew), Written()
        crew._staff = staff
        assert crew._pace is not None
        for worker in staff.workers:
            worker.connect(transport)
            worker.hand.take([Taken(ObjectSource(key="k", path="/nowhere/k"), 1)])
        crew.cut()
        before = [worker.lease_per_s for worker in staff.workers]
        crew.dispenser.home.take([Taken(ObjectSource.data(b"s", "s"), 1)])
        pace.limit("80%")
        for _ in range(3):
            crew._pace.tell(paced(0.0, acked_per_s=0.0))
            crew.cut()
        assert [worker.lease_per_s for worker in staff.workers] == before
        crew._pace.tell(paced(0.0))
        crew.cut()
        assert [worker.lease_per_s for worker in staff.workers] == [MIN_BYTES_PER_S] * 2

    with_crew(test, pace=pace)


def test_who_begins_or_ends_something_does_not_begin_the_measurement_anew() -> None:
    pace = Pace("full", "")

    def test(crew: Crew) -> None:
        crew._staff = staff = Two(crew)
        assert crew._pace is not None
        pace.limit("30%")
        crew.cut()
        crew._pace.tell(paced(0.0))
        crew.cut()
        assert crew._pace.bandwidth == Bandwidth(share=0.3)
        staff.workers[0].hand.take([Taken(ObjectSource(key="k", path="/nowhere/k"), 1)])
        crew.cut()
        assert crew._pace.bandwidth == Bandwidth(share=0.3)
        crew._pace.tell(paced(300_000.0))
        crew.cut()
        assert crew._pace.bandwidth == Bandwidth(share=0.3 / 2)
        crew._pace.tell(paced(0.0))
        pace.limit("10%")  # another bound counts at once
        crew.cut()
        assert crew._pace.bandwidth == Bandwidth(share=0.1 / 2)

    with_crew(test, pace=pace)


def test_what_a_lost_worker_had_is_done_by_others_also_where_the_bound_is_a_share() -> None:
    """It is not for home, which it may have ended, and the run would not end."""
    pace = Pace("full", "10%")

    def test(crew: Crew) -> None:
        lost, other = Hand(), Hand()
        crew.dispenser.join(lost)
        crew.dispenser.join(other)
        assert crew.full
        lost.take([Taken(ObjectSource(key="k", path="/nowhere/k"), 1)])
        crew.dispenser.lost(lost)
        crew._staff = Two(crew)
        assert crew._pace is not None
        crew.cut()
        # A worker elsewhere would keep to its end the little it may send while home measures.
        assert crew.full
        for report, full, per_s in (
            (paced(0.0), True, MIN_BYTES_PER_S),
            (paced(0.0, acked_per_s=0.0), False, MIN_BYTES_PER_S),
            (paced(5e5), False, 5e5),
            (paced(0.0), False, 5e5),
        ):
            crew._pace.tell(report)
            crew.cut()
            assert (crew.full, crew.each_of_link_per_s) == (full, per_s)
        assert [source.key for source in crew.dispenser.next_for(other)] == ["k"]
        assert crew.full

    with_crew(test, pace=pace)


class SaysItsEnd(Two):
    """`ends`: it has been waited for."""

    def __init__(self, crew: Crew) -> None:
        super().__init__(crew)
        self.ends = asyncio.Event()

    def start(self) -> None: ...

    async def end(self, *, stopped: bool) -> None:
        self.ends.set()


def test_cancelled_it_waits_until_what_is_uploaded_is_delivered() -> None:
    """Whoever removes files by their reports would keep what the store has."""
    delivered: list[str] = []
    staffs: list[SaysItsEnd] = []

    async def progress(report: UploadReport) -> None:
        await staffs[0].ends.wait()
        for _ in range(100):  # turns of the loop, many more than the end takes
            await asyncio.sleep(0)
        delivered.append(report.key)

    async def test(crew: Crew) -> None:
        staffs.append(SaysItsEnd(crew))
        job = asyncio.create_task(crew.run(staffs[0]))
        for key in "abc":
            crew.desk.report(UploadReport(seq=1, key=key, source=key, bytes=1, outcome=SUCCESS), 0.0)
        await asyncio.sleep(0)  # it begins
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert delivered == ["a", "b", "c"]

    with_crew(test, progress=progress)


def test_where_home_takes_nothing_one_worker_says_for_all_what_there_is_to_say_of_the_store() -> None:
    said: list[str] = []

    with_crew(lambda crew: crew.run(Two(crew)), home_takes=False, notice=said.append)
    assert said == ["away, says 1"]
