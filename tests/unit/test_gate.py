"""The gate: who may begin when, tick by tick."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from s3_upload.transfer.gate import HEAD_BYTES, SMALL_BYTES, Gate

KB = 1000


class Crowd:
    """Requests at a gate; `inside`: the numbers of those that got through, in their order."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, *sizes: int) -> None:
        for size in sizes:
            self.tasks.append(asyncio.create_task(self._one(len(self.tasks), size)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _one(self, number: int, size: int) -> None:
        await self.gate.enter(size - HEAD_BYTES)
        self.inside.append(number)

    async def tick(self, rate: float, now: float, *, small_only: bool = False) -> None:
        self.gate.refill(rate, now=now, small_only=small_only)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def run(main: Callable[[Crowd], Awaitable[None]]) -> Crowd:
    async def in_loop() -> Crowd:
        crowd = Crowd(Gate())
        await main(crowd)
        for task in crowd.tasks:
            task.cancel()
        return crowd

    return asyncio.run(in_loop())


def test_it_stands_open_at_first() -> None:
    async def main(crowd: Crowd) -> None:
        await crowd.come(*[10**9] * 5)

    assert run(main).inside == [0, 1, 2, 3, 4]


def test_tokens_come_with_time_and_nobody_overtakes() -> None:
    async def main(crowd: Crowd) -> None:
        await crowd.tick(100 * KB, 0.0)  # a burst of 10 kB
        await crowd.come(6 * KB, 6 * KB, 6 * KB, 1 * KB)
        assert crowd.inside == [0, 1], "the second takes more than there is"
        await crowd.tick(100 * KB, 0.01)
        assert crowd.inside == [0, 1], "2 kB are owed, 1 kB came"
        await crowd.tick(100 * KB, 0.05)
        assert crowd.inside == [0, 1, 2]
        await crowd.tick(100 * KB, 0.1)
        assert crowd.inside == [0, 1, 2, 3]

    run(main)


def test_what_is_not_used_is_a_tenth_of_a_second_at_most() -> None:
    async def main(crowd: Crowd) -> None:
        await crowd.tick(100 * KB, 0.0)
        await crowd.tick(100 * KB, 60.0)
        await crowd.come(*[5 * KB] * 9)
        assert crowd.inside == [0, 1]

    run(main)


@pytest.mark.parametrize(("small_only", "inside"), [(True, [0, 2]), (False, [0])])
def test_big_ones_are_the_kernels_where_it_paces(small_only: bool, inside: list[int]) -> None:
    async def main(crowd: Crowd) -> None:
        await crowd.tick(100 * KB, 0.0, small_only=small_only)
        await crowd.come(SMALL_BYTES + HEAD_BYTES, SMALL_BYTES + HEAD_BYTES, SMALL_BYTES + HEAD_BYTES + 1)

    assert run(main).inside == inside


def test_opened_it_keeps_nobody() -> None:
    async def main(crowd: Crowd) -> None:
        await crowd.tick(100 * KB, 0.0)
        await crowd.come(*[50 * KB] * 4)
        await crowd.tick(math.inf, 0.05)
        assert crowd.inside == [0, 1, 2, 3]

    run(main)


def test_one_that_was_cancelled_takes_nothing() -> None:
    async def main(crowd: Crowd) -> None:
        await crowd.tick(100 * KB, 0.0)
        await crowd.come(11 * KB, 50 * KB, 1 * KB)
        crowd.tasks[1].cancel()
        await crowd.tick(100 * KB, 0.05)
        assert crowd.inside == [0, 2]

    run(main)
