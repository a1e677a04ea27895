"""What waits for its next try: how long, for what, and what a success does for it; in made-up time."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from s3_upload.control.retrying.budget import RetryTuning
from s3_upload.control.retrying.retry import Retry
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.record import Record
from s3_upload.transfer.tries import Request
from s3_upload.transfer.waiting import DROUGHT_S, RELEASED, Waiting
from tests.unit.watchdog_rig import Loop

if TYPE_CHECKING:
    import asyncio

LONG_S = 1000.0
RETRY_CAPACITY = RetryTuning().capacity
COST_TRANSIENT = RetryTuning().cost_transient


class Rig:
    """`gone`: the keys that were tried again, in order."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.retry = Retry(8)
        self.errors: list[BaseException] = []
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        self.waiting = Waiting(self.retry, self.loop.now, loop, self.errors.append)
        self.gone: list[str] = []

    def add(self, key: str, delay_s: float, *, asked_s: float = 0.0, cost: float = COST_TRANSIENT) -> Request:
        record = Record(0, ObjectSource.data(b"", key), 0, 0.0, 0.0, [])
        request = Request(record, Operation(name=PUT_OBJECT, bucket="b", key=key), cost=cost)

        def go() -> bool:
            self.gone.append(key)
            return True

        self.waiting.add(request, delay_s, go, asked_s=asked_s)
        return request

    def succeed(self) -> None:
        self.waiting.succeeded()

    def empty_budget(self) -> None:
        self.retry.budget.take(self.retry.budget.tokens(now=self.loop.now_s), now=self.loop.now_s)


def after_a_drought() -> Rig:
    """A success, then ten failures and nothing else for as long as a drought takes."""
    rig = Rig()
    rig.succeed()
    for n in range(10):
        rig.add(str(n), LONG_S)
    rig.loop.run_until(rig.loop.now_s + DROUGHT_S)
    return rig


def test_what_is_paid_for_goes_when_its_delay_is_over() -> None:
    rig = Rig()
    rig.add("late", 2.0)
    rig.add("soon", 1.0)
    rig.loop.run_until(10.99)
    assert rig.gone == []
    rig.loop.run_until(11.0)
    assert rig.gone == ["soon"]
    rig.loop.run_until(12.0)
    assert rig.gone == ["soon", "late"]
    assert rig.loop.pending() == []
    assert rig.waiting.budget_wait_s == 0.0


def test_for_want_of_a_budget_they_go_in_the_order_of_coming_as_time_brings_it() -> None:
    rig = Rig()
    rig.empty_budget()
    for n in range(3):
        rig.add(str(n), 0.0)
    rig.loop.run_until(10.9)
    assert rig.gone == []
    rig.loop.run_until(11.1)
    assert rig.gone == ["0"]
    rig.loop.run_until(13.5)
    assert rig.gone == ["0", "1", "2"]
    assert rig.loop.pending() == []


def test_the_wait_for_a_budget_is_counted_once_however_many_wait() -> None:
    rig = Rig()
    rig.empty_budget()
    for n in range(2):
        rig.add(str(n), 0.0)
    rig.loop.run_until(10.5)
    assert 0.4 < rig.waiting.budget_wait_s < 0.6
    rig.loop.run_until(30.0)
    assert 1.9 < rig.waiting.budget_wait_s < 2.2


def test_a_success_that_brings_tokens_lets_one_go_at_once() -> None:
    rig = Rig()
    rig.succeed()
    rig.empty_budget()
    rig.add("a", 0.0)
    rig.add("b", 0.0)
    rig.loop.fire()
    rig.loop.fire()
    assert rig.gone == []
    rig.retry.succeeded(COST_TRANSIENT)
    rig.succeed()
    assert rig.gone == ["a"]


def test_a_success_among_others_shortens_no_delay() -> None:
    rig = Rig()
    rig.succeed()
    rig.add("a", LONG_S)
    for _ in range(100):
        rig.loop.run_until(rig.loop.now_s + DROUGHT_S / 4)
        rig.succeed()
    assert rig.gone == []


def test_after_a_drought_each_success_lets_go_as_many_as_slow_start_does() -> None:
    rig = after_a_drought()
    assert rig.gone == []
    for successes in (1, 2, 3):
        rig.succeed()
        assert rig.gone == [str(n) for n in range(successes * RELEASED)]


def test_what_a_drought_kept_waiting_costs_no_budget() -> None:
    rig = after_a_drought()
    rig.empty_budget()
    for _ in range(5):
        rig.succeed()
    assert len(rig.gone) == 10
    assert rig.waiting.budget_wait_s == 0.0
    assert rig.loop.pending() == []


def test_what_waits_for_the_budget_after_a_drought_goes_first() -> None:
    rig = after_a_drought()
    rig.empty_budget()
    rig.add("unpaid", 0.0)
    rig.loop.fire()
    rig.succeed()
    assert rig.gone == ["unpaid", "0"]


def test_one_that_fails_after_the_drought_waits_like_any_other() -> None:
    rig = after_a_drought()
    rig.succeed()
    rig.loop.run_until(rig.loop.now_s + 0.1)
    rig.add("again", LONG_S)
    for _ in range(20):
        rig.succeed()
    assert len(rig.gone) == 10
    assert "again" not in rig.gone


def test_what_the_store_asked_for_is_waited_for_even_after_a_drought() -> None:
    rig = after_a_drought()
    rig.add("asked", 2 * LONG_S, asked_s=LONG_S)
    rig.add("not asked", 2 * LONG_S)
    for _ in range(20):
        rig.succeed()
    assert "asked" not in rig.gone
    assert "not asked" in rig.gone
    rig.loop.run_until(rig.loop.now_s + 2 * LONG_S)
    assert rig.gone[-1] == "asked"


def test_nothing_goes_after_the_end() -> None:
    rig = Rig()
    rig.add("delayed", 1.0)
    rig.empty_budget()
    for _ in range(int(RETRY_CAPACITY)):
        rig.add("unpaid", 0.0)
    rig.loop.run_until(10.01)
    rig.waiting.close()
    assert rig.loop.pending() == []
