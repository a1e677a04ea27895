"""The pacer: what the connections are told at a tick, and when a body begins between two."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from s3_upload.control.concurrency.window import FixedWindow
from s3_upload.control.share.courtesy import CappedWindow, Courtesy
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.pace import Pace
from s3_upload.s3.operations import Operation
from s3_upload.transfer.gate import SMALL_BYTES, Gate, GatedClient
from s3_upload.transfer.pacer import BEGUN_S, FEW, TICK_S, Pacer
from tests.sim.loop import START_S, SimLoop
from tests.unit.control.test_link import sample
from tests.unit.test_bulk_line import Seen

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from s3_upload.report import ConnectionSample, Paces

MB = 1e6


class Told(Seen):
    """What the kernel would be told, and when; `waiting`: the connections that send."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: tuple[int, ...] = (1,)
        self.told: list[tuple[float, Mapping[int, float]]] = []
        self.ended = False

    def samples(self) -> list[ConnectionSample]:
        return [sample(number, waiting=True) for number in self.waiting]

    def pace(self, paces: Paces) -> bool:
        self.told.append((asyncio.get_running_loop().time() - START_S, paces.apart))
        return True

    def end(self) -> None:
        self.ended = True


def in_virtual_time(main: Coroutine[object, object, None]) -> None:
    loop = SimLoop(60.0)
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


def started(client: Told) -> Pacer:
    pace = Pace("full", "1MB/s")
    courtesy = Courtesy("full", CappedWindow(FixedWindow(10)))
    pacer = Pacer(client, courtesy, Gate(), pace, asyncio.get_running_loop().time)
    pacer.start()
    return pacer


def test_when_bodies_begin_the_rate_is_divided_anew_at_once_and_only_once() -> None:
    async def main() -> None:
        client = Told()
        pacer = started(client)
        await asyncio.sleep(0.4 * TICK_S)
        client.waiting = (1, 2)
        for _ in range(5):
            pacer.begins()
        await asyncio.sleep(0.5 * TICK_S)
        (_, first), (at_s, second) = client.told
        assert list(first) == [1]
        assert list(second) == [1, 2]
        assert sum(second.values()) == pytest.approx(sum(first.values()))
        assert at_s == pytest.approx(0.4 * TICK_S + BEGUN_S)
        pacer.stop()

    in_virtual_time(main())


def test_among_many_connections_it_waits_longer() -> None:
    async def main() -> None:
        client = Told()
        client.waiting = tuple(range(2 * FEW))
        pacer = started(client)
        pacer.begins()
        await asyncio.sleep(0.5 * TICK_S)
        assert [at_s for at_s, _ in client.told] == pytest.approx([0.0, 2.0 * BEGUN_S])
        pacer.stop()

    in_virtual_time(main())


def test_a_bound_that_is_set_or_lifted_meanwhile_counts_from_the_next_tick() -> None:
    async def main() -> None:
        client = Told()
        client.waiting = (1, 2)
        pace = Pace()
        courtesy = Courtesy("full", CappedWindow(FixedWindow(10)))
        pacer = Pacer(client, courtesy, Gate(), pace, asyncio.get_running_loop().time)
        pacer.start()
        await asyncio.sleep(1.5 * TICK_S)
        assert client.told[-1][1] == {}
        pace.max_bandwidth = "20MB/s"
        await asyncio.sleep(TICK_S)
        assert sum(client.told[-1][1].values()) == pytest.approx(20 * MB, rel=0.05)
        pace.max_bandwidth = ""
        await asyncio.sleep(TICK_S)
        assert client.told[-1][1] == {}
        pacer.stop()

    in_virtual_time(main())


def test_after_the_run_connections_are_free_and_nothing_is_due() -> None:
    async def main() -> None:
        client = Told()
        pacer = started(client)
        pacer.begins()
        pacer.stop()
        told = len(client.told)
        pacer.begins()
        await asyncio.sleep(10.0 * TICK_S)
        assert client.told[told:] == []
        assert client.ended

    in_virtual_time(main())


class Breaks(Told):
    """One whose looks fail, from a moment on."""

    broken = False

    def samples(self) -> list[ConnectionSample]:
        if self.broken:
            raise RuntimeError("out of order")
        return super().samples()


@pytest.mark.parametrize("begins", [False, True], ids=["tick", "body that begins"])
def test_what_goes_wrong_in_a_timer_of_the_pacer_ends_the_run(begins: bool) -> None:
    async def main() -> None:
        client = Breaks()
        pacer = started(client)
        errors: list[BaseException] = []
        pacer.on_error = errors.append
        client.broken = True
        if begins:
            pacer.begins()
        await asyncio.sleep((0.5 if begins else 1.5) * TICK_S)
        pacer.stop()
        assert [str(error) for error in errors] == ["out of order"]

    in_virtual_time(main())


@pytest.mark.parametrize(("size", "called"), [(SMALL_BYTES, 0), (SMALL_BYTES + 1, 1)])
def test_only_what_is_not_small_counts_as_a_body_that_begins(size: int, called: int) -> None:
    begun: list[float] = []

    async def main() -> None:
        client = GatedClient(Seen(), Gate(), lambda: begun.append(math.nan))
        operation = Operation(name="PutObject", bucket="b", key="k", body=bytes(size))
        await client.send(operation, Trace(SendOptions(1.0), lambda: 0.0))

    asyncio.run(main())
    assert len(begun) == called
