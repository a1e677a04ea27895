"""The line in which requests with big bodies wait: who goes, who waits, and who never does."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.big_bodies import BULK_BYTES, BulkBound
from s3_upload.control.concurrency.window import FixedWindow
from s3_upload.control.retrying.retry import Retry
from s3_upload.control.waiting.adaptive import AdaptiveTimeout
from s3_upload.http import Response
from s3_upload.pace import Pace
from s3_upload.parts import StoreParts
from s3_upload.report import ConnectionSample, Paces
from s3_upload.s3.checksum import Digests
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.transfer.bulk import TICK_S, BulkLine
from s3_upload.transfer.client import Client, PacedClient
from s3_upload.transfer.given import Controls
from s3_upload.transfer.line import Place
from s3_upload.transfer.sending import sending_of
from tests.unit.test_request import surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_upload.http1.trace import Trace
    from s3_upload.s3.responses import Failure


class Plain:
    """A client of which nothing is known."""

    endpoint = "plain"
    digests = Digests()
    parts = StoreParts()

    async def send(self, operation: Operation, trace: Trace) -> Response:
        return Response(200, {"etag": '"e"'})

    async def correct(self, operation: Operation, failure: Failure, trace: Trace) -> bool:
        return False

    def remark(self, failure: Failure, trace: Trace) -> str:
        return ""


class Seen(Plain):
    """A client that is looked at."""

    def __init__(self, *, sees: bool = True) -> None:
        self.sees = sees
        self.looks = 0

    def samples(self) -> list[ConnectionSample]:
        self.looks += 1
        return []

    def lease(self) -> Seen:
        return self

    def pace(self, paces: Paces) -> bool:
        return False

    def end(self) -> None:
        pass


class Timer:
    """Stands for the loop: `tick` is what time would do."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        assert delay_s == TICK_S
        self.due.append(callback)
        return self

    def cancel(self) -> None:
        self.due.clear()

    def tick(self) -> None:
        [callback], self.due = self.due, []
        callback()


class Line:
    """A line, what it let in, and how often it said that there is room."""

    def __init__(
        self, monkeypatch: Any, client: Client, bound: BulkBound | None, paced: Callable[[], bool] = bool
    ) -> None:
        self.timer = Timer()
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self.timer)
        self.now = 0.0
        self.went: list[Any] = []
        self.rooms = 0
        self.errors: list[BaseException] = []
        self.line = BulkLine(
            client,
            bound,
            lambda: self.now,
            paced=paced,
            put_back=self.went.extend,
            room=self._room,
            fail=self.errors.append,
        )

    def _room(self) -> None:
        self.rooms += 1

    def admit(self, *standers: Any) -> list[bool]:
        return [self.line.admit(one) for one in standers]


def test_a_fifth_waits_until_one_leaves(monkeypatch: Any) -> None:
    made = Line(monkeypatch, Seen(), BulkBound(256))
    assert made.admit(*range(6)) == [True] * 4 + [False] * 2
    assert not made.line.full
    made.line.leave()
    assert made.went == [4]
    assert made.admit(4) == [True]
    made.line.leave()
    assert made.went == [4, 5]


def test_reading_stops_when_as_many_wait_as_may_go(monkeypatch: Any) -> None:
    made = Line(monkeypatch, Seen(), BulkBound(256))
    made.admit(*range(7))
    assert not made.line.full
    made.admit(7)
    assert made.line.full


def test_nothing_waits_where_nothing_is_known_or_nothing_bounds(monkeypatch: Any) -> None:
    assert isinstance(Seen(), PacedClient)
    assert not isinstance(Plain(), PacedClient)
    for client, bound in ((Plain(), BulkBound(256)), (Seen(sees=False), BulkBound(256)), (Seen(), None)):
        made = Line(monkeypatch, client, bound)
        assert made.admit(*range(100)) == [True] * 100
        assert not made.line.full
        made.line.leave()
        assert (made.went, made.timer.due) == ([], [])


def test_once_closed_nothing_that_waits_goes(monkeypatch: Any) -> None:
    """The requests of a run that is stopped leave one by one: what waits for them must not begin."""
    made = Line(monkeypatch, Seen(), BulkBound(256))
    made.admit(*range(8))
    made.line.close()
    made.line.leave()
    assert (made.went, made.timer.due) == ([], [])


def test_it_looks_only_while_something_is_under_way(monkeypatch: Any) -> None:
    client = Seen()
    made = Line(monkeypatch, client, BulkBound(256))
    assert client.looks == 0
    made.admit("a")
    assert client.looks == 0
    made.timer.tick()
    assert client.looks == 1
    made.line.leave()
    made.timer.tick()
    assert (client.looks, made.timer.due) == (1, [])
    made.admit("b")
    assert len(made.timer.due) == 1
    made.line.close()
    assert made.timer.due == []


def test_a_bound_that_grows_lets_in_and_says_that_there_is_room(monkeypatch: Any) -> None:
    made = Line(monkeypatch, Seen(), BulkBound(256))
    made.admit(*range(10))
    # No queue is ever seen: after a period of 3 * 50 ms the bound of 4 becomes 8.
    while not made.rooms:
        made.now += TICK_S
        made.timer.tick()
    assert made.now < 0.3
    assert made.went == [4, 5, 6, 7]


def test_a_look_that_fails_ends_the_run_and_not_in_the_loops_handler(monkeypatch: Any) -> None:
    made = Line(monkeypatch, Broken(), BulkBound(256))
    made.admit("a")
    made.timer.tick()
    assert [str(error) for error in made.errors] == ["out of order"]
    assert len(made.timer.due) == 1


def test_while_the_pace_is_bounded_there_is_no_bound_and_nothing_is_looked_at(monkeypatch: Any) -> None:
    client, pace = Seen(), Pace()
    made = Line(monkeypatch, client, BulkBound(256), paced=lambda: pace.bandwidth is not None)
    made.admit(*range(8))
    assert made.line.full
    pace.limit("1MB/s")
    made.timer.tick()
    assert (made.went, made.rooms, made.line.full) == ([4, 5, 6, 7], 1, False)
    assert made.admit(4, 5, 6, 7, 8) == [True] * 5
    assert made.line.max_requests == math.inf
    made.timer.tick()
    assert client.looks == 0
    pace.limit("")
    for _ in range(5):
        made.line.leave()
    assert made.admit(9) == [False], "4 are left, of 4"
    made.timer.tick()
    assert client.looks == 1


@pytest.mark.parametrize(("pace", "went"), [(None, 4), (Pace(), 4), (Pace("full", "80%"), 6)], ids=repr)
def test_a_run_that_could_be_held_back_and_is_not_has_the_bound_too(pace: Pace | None, went: int) -> None:
    async def main() -> None:
        errors: list[BaseException] = []
        controls = Controls(AdaptiveTimeout(UploadConfig()), Retry(0), FixedWindow(32), BulkBound(256))
        sending = sending_of(surroundings(Seen(), controls, fail=errors.append, pace=pace))
        if sending.pacer is not None:
            sending.pacer.start()
        operation = Operation(name=PUT_OBJECT, bucket="b", key="k", body=bytes(BULK_BYTES + 1))
        for _ in range(6):
            sending.slots.stand(operation, lambda: True, Place.NEW)
        assert (sending.slots.in_use, errors) == (went, [])
        await sending.close()
        sending.watchdog.close()
        if sending.pacer is not None:
            sending.pacer.stop()

    asyncio.run(main())


def test_who_waits_for_the_pace_is_not_counted_among_the_big() -> None:
    """Counted each time that it comes back, it would take the place of another for ever."""

    async def main() -> None:
        controls = Controls(AdaptiveTimeout(UploadConfig()), Retry(0), FixedWindow(32), BulkBound(256))
        errors: list[BaseException] = []
        client, pace = Seen(), Pace("full", "1MB/s")  # which it does not keep: they wait at the gate
        sending = sending_of(surroundings(client, controls, fail=errors.append, pace=pace))
        assert sending.pacer is not None
        sending.pacer.start()
        operation = Operation(name=PUT_OBJECT, bucket="b", key="k", body=bytes(BULK_BYTES + 1))
        for _ in range(3):
            sending.slots.stand(operation, lambda: True, Place.NEW)
        assert (sending.slots.in_use, sending.pacer.waits) == (1, True)
        pace.limit("")
        sending.pacer.stop()
        sending.pacer.max_requests = math.inf
        sending.slots.leave(operation)
        assert sending.bulk.max_requests == math.inf, "none is under way"
        await sending.close()
        sending.watchdog.close()

    asyncio.run(main())


class Broken(Seen):
    """One whose looks fail."""

    def samples(self) -> list[ConnectionSample]:
        raise RuntimeError("out of order")
