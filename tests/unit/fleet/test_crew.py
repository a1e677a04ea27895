"""What a job does with what its workers say."""

from __future__ import annotations

import asyncio

from s3_upload import Credentials, S3Client
from s3_upload.config import UploadConfig
from s3_upload.fleet.crew import Crew
from s3_upload.fleet.dispenser import Hand
from s3_upload.fleet.job_of_many import JobOfMany
from s3_upload.fleet.wire import Noticed
from s3_upload.fleet.worker import Worker
from s3_upload.journaled import Journaled
from s3_upload.observe.events import Events


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


def test_where_home_takes_nothing_one_worker_says_for_all_what_there_is_to_say_of_the_store() -> None:
    said: list[str] = []

    async def main() -> None:
        known = Credentials("key", "secret")
        async with S3Client(
            endpoint_url="http://127.0.0.1:9", region="us-east-1", credentials=known
        ) as client:
            job = JobOfMany(Journaled([], Events(), None), UploadConfig(), notice=said.append)
            crew = Crew(client, "bucket", job, count=3, from_start=True, home_takes=False)
            await crew.run(Two(crew))

    asyncio.run(main())
    assert said == ["away, says 1"]
