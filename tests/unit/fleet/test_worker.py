"""One who takes part in a job, as the job sees it."""

from __future__ import annotations

import asyncio

from s3_upload.fleet.dispenser import Hand
from s3_upload.fleet.wire import Frames, Lease
from s3_upload.fleet.worker import Worker


class Written(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = Frames()
        self.told: list[object] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told += self.frames.fed(bytes(data))

    def is_closing(self) -> bool:
        return False


def test_a_lease_that_could_not_be_told_is_told_when_it_can_be() -> None:
    """Or the worker would have no bound as long as its lease does not change."""
    worker, transport = Worker(1, Hand()), Written()
    worker.lease(5e6)
    worker.connect(transport)
    worker.lease(5e6)
    worker.lease(5e6)
    assert transport.told == [Lease(5e6)]
