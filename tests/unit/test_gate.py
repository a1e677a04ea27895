"""The gate: who may begin when."""

from __future__ import annotations

import math
from functools import partial

import pytest

from s3_upload.s3.operations import Operation
from s3_upload.transfer.gate import HEAD_BYTES, SHORT_BURST_S, SMALL_BYTES, Gate
from s3_upload.transfer.line import Stander

KB = 1000


class Crowd:
    """Requests at a gate; `inside`: the numbers of those that got through, in their order."""

    def __init__(self) -> None:
        self.gate = Gate(self._try, SHORT_BURST_S)
        self.inside: list[int] = []
        self.standers: list[Stander] = []
        self.gone: set[int] = set()

    def come(self, *sizes: int) -> None:
        for size in sizes:
            body = bytes(size - HEAD_BYTES)
            operation = Operation(name="PutObject", bucket="b", key=str(len(self.standers)), body=body)
            self.standers.append(Stander(operation, partial(self._go, len(self.standers))))
            self._try([self.standers[-1]])

    def _try(self, standers: list[Stander]) -> None:
        """As the slots do, of which there are enough."""
        for stander in standers:
            if self.gate.admit(stander) and not stander.go():
                self.gate.give_back(stander.operation)

    def _go(self, number: int) -> bool:
        if number in self.gone:
            return False
        self.inside.append(number)
        return True

    def tick(self, rate: float, now: float, *, small_only: bool = False) -> None:
        self.gate.refill(rate, now=now, small_only=small_only)


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


def test_it_stands_open_at_first(crowd: Crowd) -> None:
    crowd.come(*[10**6] * 5)
    assert crowd.inside == [0, 1, 2, 3, 4]


def test_tokens_come_with_time_and_nobody_overtakes(crowd: Crowd) -> None:
    crowd.tick(1000 * KB, 0.0)  # a burst of 10 kB
    crowd.come(6 * KB, 6 * KB, 6 * KB, 1 * KB)
    assert crowd.inside == [0, 1], "the second takes more than there is"
    crowd.tick(1000 * KB, 0.001)
    assert crowd.inside == [0, 1], "2 kB are owed, 1 kB came"
    crowd.tick(1000 * KB, 0.005)
    assert crowd.inside == [0, 1, 2]
    crowd.tick(1000 * KB, 0.01)
    assert crowd.inside == [0, 1, 2, 3]


def test_between_two_ticks_who_waits_goes_when_its_turn_comes(crowd: Crowd) -> None:
    crowd.tick(1000 * KB, 0.0)
    assert crowd.gate.due_s == math.inf, "nobody waits"
    crowd.come(14 * KB, 9 * KB, 9 * KB)
    assert crowd.inside == [0]
    assert crowd.gate.due_s == pytest.approx(0.004), "4 kB are owed"
    crowd.gate.let_go(now=0.003)
    assert crowd.inside == [0]
    crowd.gate.let_go(now=0.005)
    assert crowd.inside == [0, 1]
    assert crowd.gate.due_s == pytest.approx(0.008)


def test_what_is_not_used_is_a_hundredth_of_a_second_at_most(crowd: Crowd) -> None:
    crowd.tick(1000 * KB, 0.0)
    crowd.tick(1000 * KB, 60.0)
    crowd.come(*[5 * KB] * 9)
    assert crowd.inside == [0, 1]


@pytest.mark.parametrize(("small_only", "inside"), [(True, [0, 2]), (False, [0])])
def test_big_ones_are_the_kernels_where_it_paces(small_only: bool, inside: list[int], crowd: Crowd) -> None:
    crowd.tick(100 * KB, 0.0, small_only=small_only)
    crowd.come(SMALL_BYTES + HEAD_BYTES, SMALL_BYTES + HEAD_BYTES, SMALL_BYTES + HEAD_BYTES + 1)

    assert crowd.inside == inside


def test_a_loop_that_is_late_takes_nothing_from_who_waits(crowd: Crowd) -> None:
    crowd.tick(1000 * KB, 0.0)
    crowd.come(*[10 * KB] * 9)
    assert crowd.inside == [0]
    crowd.gate.let_go(now=0.05)
    assert crowd.inside == [0, 1, 2, 3, 4, 5]


def test_what_stood_still_for_an_hour_makes_up_for_a_second(crowd: Crowd) -> None:
    crowd.tick(1000 * KB, 0.0)
    crowd.come(*[100 * KB] * 99)
    crowd.gate.let_go(now=3600.0)
    assert len(crowd.inside) == 11


def test_opened_it_keeps_nobody(crowd: Crowd) -> None:
    crowd.tick(100 * KB, 0.0)
    crowd.come(*[50 * KB] * 4)
    crowd.tick(math.inf, 0.05)
    assert crowd.inside == [0, 1, 2, 3]


def test_one_that_was_cancelled_takes_nothing(crowd: Crowd) -> None:
    crowd.tick(1000 * KB, 0.0)
    crowd.come(11 * KB, 50 * KB, 1 * KB)
    crowd.gone.add(1)
    crowd.tick(1000 * KB, 0.05)
    assert crowd.gate.waits
    crowd.tick(1000 * KB, 0.05)
    assert crowd.inside == [0, 2]


def test_what_only_asks_weighs_nothing(crowd: Crowd) -> None:
    crowd.tick(100 * KB, 0.0)
    crowd.come(50 * KB)
    question = Operation(name="HeadObject", bucket="b", key="k")
    assert crowd.gate.admit(Stander(question, lambda: True))
