"""How many round trips a long listing takes where it can be divided, and where it cannot: in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing

import pytest

from s3_upload.bucket.asking import Asker
from s3_upload.bucket.fanning import AHEAD, Lane, Span, fanned
from s3_upload.bucket.listing import Lister
from tests.sim.loop import SimLoop
from tests.sync.big import BigBucket, keys_like

ROUND_TRIP_S = 0.1


async def rounds(bucket: BigBucket) -> tuple[int, float]:
    """How many objects came, and in how many round trips."""
    loop = asyncio.get_running_loop()
    began_s, count = loop.time(), 0
    async with aclosing(fanned(Lister(Asker(bucket), "bucket"), Span(""))) as objects:
        async for some in objects:
            count += len(some)
    return count, (loop.time() - began_s) / ROUND_TRIP_S


@pytest.mark.parametrize(
    ("directories", "files", "most_rounds", "most_requests"),
    [
        (100, 1_000, 25, 160),  # a directory is a page: of 100 pages
        (2_000, 50, 25, 130),
        (20_000, 5, 35, 140),
        (10, 10_000, 60, 140),  # few directories: only what waits for its turn is ahead
        (1, 100_000, 103, 104),  # none: one page after the other
    ],
)
def test_a_hundred_pages_take_a_fraction_of_a_hundred_round_trips(
    directories: int, files: int, most_rounds: int, most_requests: int
) -> None:
    bucket = BigBucket(keys_like(directories, files), ROUND_TRIP_S)
    with closing(SimLoop()) as loop:
        count, took = loop.run_until_complete(rounds(bucket))
    assert count == directories * files
    assert took <= most_rounds
    assert bucket.asked.total() <= most_requests


def test_of_a_range_whose_turn_has_not_come_only_so_many_pages_are_asked_for() -> None:
    bucket = BigBucket(keys_like(1, 30_000), ROUND_TRIP_S)

    async def unread() -> None:
        lane = Lane(Lister(Asker(bucket), "bucket"), Span(""), 1)
        await asyncio.sleep(30 * ROUND_TRIP_S)
        await lane.end()

    with closing(SimLoop()) as loop:
        loop.run_until_complete(unread())
    assert bucket.asked.total() == AHEAD
