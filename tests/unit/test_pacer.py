"""The pacer: what the connections are told at a tick, and when a body begins between two."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from s3_upload.control.concurrency.window import FixedWindow
from s3_upload.control.share.courtesy import Courtesy, Decision
from s3_upload.pace import Pace
from s3_upload.report import PaceReport, Paces
from s3_upload.s3.operations import Operation
from s3_upload.transfer.gate import BURST_S, SHORT_BURST_S, SMALL_BYTES, Gate
from s3_upload.transfer.line import Stander
from s3_upload.transfer.pacer import BEGUN_S, FEW, TICK_S, Pacer
from tests.sim.loop import START_S, SimLoop
from tests.unit.control.test_link import sample
from tests.unit.test_bulk_line import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from s3_upload.report import ConnectionSample

MB = 1e6


def reraise(error: BaseException) -> None:
    raise error


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


def started(
    client: Told,
    pace: Pace | None = None,
    fail: Callable[[BaseException], None] = reraise,
    put_back: Callable[[list[Stander]], None] = lambda _: None,
    share: str = "full",
) -> Pacer:
    pace = pace or Pace("full", "1MB/s")
    courtesy = Courtesy(share, FixedWindow(10))
    now = asyncio.get_running_loop().time
    gate = Gate(put_back, SHORT_BURST_S if share != "full" else BURST_S)
    pacer = Pacer(client, courtesy, gate, pace, now, room=lambda: None, fail=fail)
    pacer.start()
    return pacer


def begin(pacer: Pacer, size: int = SMALL_BYTES + 1) -> None:
    """A request with a body of `size` is let in."""
    operation = Operation(name="PutObject", bucket="b", key="k", body=bytes(size))
    assert pacer.admit(Stander(operation, lambda: True))


def test_when_bodies_begin_the_rate_is_divided_anew_at_once_and_only_once() -> None:
    async def main() -> None:
        client = Told()
        pacer = started(client)
        await asyncio.sleep(0.4 * TICK_S)
        client.waiting = (1, 2)
        for _ in range(5):
            begin(pacer)
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
        begin(pacer)
        await asyncio.sleep(0.5 * TICK_S)
        assert [at_s for at_s, _ in client.told] == pytest.approx([0.0, 2.0 * BEGUN_S])
        pacer.stop()

    in_virtual_time(main())


def test_a_bound_that_is_set_or_lifted_meanwhile_counts_from_the_next_tick() -> None:
    async def main() -> None:
        client = Told()
        client.waiting = (1, 2)
        pace = Pace()
        pacer = started(client, pace)
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


def test_who_waits_hears_of_a_bound_that_rises_and_of_no_other() -> None:
    class Decides(Courtesy):
        bounds = iter((4.0, 4.0, 6.0, 5.0, math.inf, math.inf))

        def decide(self, *_: object, now: float) -> Decision:
            return Decision(math.inf, Paces(), next(self.bounds), PaceReport(at_s=now, share="", state=""))

    async def main() -> None:
        heard: list[float] = []
        pacer = Pacer(
            Told(),
            Decides("full", FixedWindow(10)),
            Gate(lambda _: None),
            Pace(),
            asyncio.get_running_loop().time,
            room=lambda: heard.append(pacer.max_requests),
            fail=reraise,
        )
        pacer.start()
        await asyncio.sleep(5.5 * TICK_S)
        pacer.stop()
        assert heard == [6.0, math.inf]

    in_virtual_time(main())


def test_after_the_run_connections_are_free_and_nothing_is_due() -> None:
    async def main() -> None:
        client = Told()
        pacer = started(client)
        begin(pacer)
        pacer.stop()
        told = len(client.told)
        begin(pacer)
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
        errors: list[BaseException] = []
        pacer = started(client, fail=errors.append)
        client.broken = True
        if begins:
            begin(pacer)
        await asyncio.sleep((0.5 if begins else 1.5) * TICK_S)
        pacer.stop()
        assert [str(error) for error in errors] == ["out of order"]

    in_virtual_time(main())


@pytest.mark.parametrize(
    ("share", "size", "divisions"),
    [
        ("full", SMALL_BYTES, 0),
        ("full", SMALL_BYTES + 1, 1),
        ("background", 0, 0),
        ("background", 1, 1),
        ("background", SMALL_BYTES + 1, 1),
    ],
)
def test_a_body_that_begins_takes_its_part_at_once_but_a_small_one_where_no_queue_is_looked_for(
    share: str, size: int, divisions: int
) -> None:
    async def main() -> None:
        client = Told()
        pacer = started(client, share=share)
        told = len(client.told)
        begin(pacer, size)
        await asyncio.sleep(0.5 * TICK_S)
        assert len(client.told) == told + divisions
        pacer.stop()

    in_virtual_time(main())


def test_small_bodies_begin_when_their_turn_comes_and_not_together_at_a_tick() -> None:
    async def main() -> None:
        begun: list[float] = []

        def come(standers: list[Stander]) -> None:
            begun.extend(loop.time() - START_S for stander in standers if pacer.admit(stander))

        loop = asyncio.get_running_loop()
        pacer = started(Told(), put_back=come, share="background")
        body = Operation(name="PutObject", bucket="b", key="k", body=bytes(1_900))
        come([Stander(body, lambda: True) for _ in range(20)])
        await asyncio.sleep(0.9 * TICK_S)
        pacer.stop()
        # At 250 kB/s each takes 10 ms, with its head.
        assert 5 <= len(begun) <= 7
        gaps = [later - earlier for earlier, later in pairwise(begun)]
        assert max(gaps) < 0.015
        assert sum(gap < 0.005 for gap in gaps) <= 1, "a burst at first"

    in_virtual_time(main())
