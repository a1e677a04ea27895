"""The line in which requests wait for their turn at the rate that the store accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from s3_upload.control.concurrency.prefixes import AcceptedRates
from s3_upload.control.concurrency.worker_rates import EVERYTHING, Told, WorkerRates
from s3_upload.errors import FailureKind
from s3_upload.report import SUCCESS
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.transfer.line import Stander
from s3_upload.transfer.rate_line import MAX_BLOCKED_S, RateLine
from tests.sim.loop import SimLoop
from tests.unit.control.reports import attempt

REFUSED = FailureKind.THROTTLE


def stander(key: str) -> Stander:
    return Stander(Operation(name=PUT_OBJECT, bucket="bucket", key=key), lambda: True)


class Rig:
    """A line on a virtual clock; `gone`: what was let go, and when. Each takes its turn at once."""

    def __init__(self, rates: AcceptedRates | None) -> None:
        self.loop = SimLoop(10_000.0)
        self.epoch_s = self.loop.time()
        self.gone: list[tuple[str, float]] = []
        self.errors: list[BaseException] = []
        self.line = RateLine(rates, self.now, self.loop, self.put_back, self.errors.append)

    def now(self) -> float:
        return self.loop.time() - self.epoch_s

    def put_back(self, standers: list[Stander]) -> None:
        for one in standers:
            if self.line.admit(one):
                self.gone.append((one.operation.key, self.now()))

    def observe(self, outcome: str, times: int, *, hedge: bool = False, key: str = "a/1") -> None:
        for _ in range(times):
            report = attempt(started_s=self.now(), ended_s=self.now(), outcome=outcome, hedge=hedge)
            self.line.observe(key, report)

    def run(self, for_s: float) -> None:
        self.loop.call_later(for_s, self.loop.stop)
        self.loop.run_forever()

    def limited(self) -> Rig:
        """To 51 a second: fifty were accepted, and then nothing more."""
        self.run(5.0)
        self.observe(SUCCESS, 50)
        self.observe(REFUSED, 8)
        self.run(0.1)
        self.observe(SUCCESS, 10)
        self.run(1.0)
        assert self.line.limited
        return self


@pytest.fixture
def make() -> Iterator[Callable[[AcceptedRates | None], Rig]]:
    rigs: list[Rig] = []

    def made(rates: AcceptedRates | None) -> Rig:
        rigs.append(Rig(rates))
        return rigs[-1]

    yield made
    for rig in rigs:
        rig.line.close()
        rig.loop.close()


Make = Callable[[AcceptedRates | None], Rig]


def test_as_long_as_nothing_is_refused_nothing_is_limited(make: Make) -> None:
    rig = make(AcceptedRates())
    rig.observe(SUCCESS, 1000)
    assert not rig.line.limited


def test_without_rates_nothing_ever_is(make: Make) -> None:
    rig = make(None)
    rig.observe(REFUSED, 1000)
    assert not rig.line.limited
    assert not rig.line.blocked("a/1")


def test_what_waits_goes_in_its_order_at_the_rate(make: Make) -> None:
    rig = make(AcceptedRates()).limited()
    standers = [stander(f"a/{number}") for number in range(100)]
    begun = [one.operation.key for one in standers if rig.line.admit(one)]
    rig.run(1.0)
    keys = begun + [key for key, _ in rig.gone]
    assert keys == [one.operation.key for one in standers][: len(keys)]
    assert len(rig.gone) == pytest.approx(45, abs=8)  # 51 a second, of which a gap is made up for


def test_what_is_given_back_is_anothers_turn(make: Make) -> None:
    rig = make(AcceptedRates()).limited()
    first, second = stander("a/1"), stander("a/2")
    while rig.line.admit(first):
        pass
    rig.line.give_back(first.operation.key)
    assert rig.line.admit(second)


def test_when_the_limit_is_gone_all_that_wait_go(make: Make) -> None:
    rates = AcceptedRates()
    rig = make(rates).limited()
    waiting = [one for one in (stander(f"a/{number}") for number in range(1000)) if not rig.line.admit(one)]
    rates.of("a/1")._open()
    rig.run(0.1)
    assert len(rig.gone) == len(waiting)


def test_the_next_goes_as_soon_as_the_store_accepts_again(make: Make) -> None:
    """It waited for the turn that it had while nothing was accepted."""
    rig = make(AcceptedRates())
    rig.run(5.0)
    rig.observe(SUCCESS, 50)
    rig.observe(REFUSED, 8)
    for number in range(20):
        rig.line.admit(stander(f"a/{number}"))
    rig.run(0.45)  # every 0.4 s one goes
    assert len(rig.gone) == 1
    rig.observe(SUCCESS, 1)
    begun_s = rig.now()
    rig.run(0.3)
    assert rig.gone[1][1] - begun_s < 0.11
    assert len(rig.gone) > 2


def test_what_waits_goes_sooner_when_a_worker_has_more_of_the_job(make: Make) -> None:
    rates = WorkerRates()
    rig = make(rates)
    rates.hear([Told(EVERYTHING, 1.0)], now=rig.now())
    for number in range(5):
        rig.line.admit(stander(f"a/{number}"))
    rates.hear([Told(EVERYTHING, 100.0)], now=rig.now())
    rig.line.hurry()
    rig.run(0.06)
    assert len(rig.gone) == 4


def test_the_refusal_of_a_hedge_says_nothing(make: Make) -> None:
    rig = make(AcceptedRates())
    rig.observe(REFUSED, 1000, hedge=True)
    assert not rig.line.limited


def test_a_store_that_refuses_everything_spares_the_tries_for_some_minutes(make: Make) -> None:
    rig = make(AcceptedRates())
    rig.observe(SUCCESS, 50)
    rig.observe(REFUSED, 8)
    assert rig.line.blocked("a/1")
    rig.run(MAX_BLOCKED_S + 1.0)
    assert not rig.line.blocked("a/1")


def test_a_closed_line_lets_nobody_go(make: Make) -> None:
    rig = make(AcceptedRates()).limited()
    while rig.line.admit(stander("a/1")):
        pass
    rig.line.close()
    rig.run(10.0)
    assert rig.gone == []
    assert list(rig.loop.live_timers()) == []


def test_an_exception_while_they_are_let_go_ends_the_run(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make(AcceptedRates()).limited()

    def broken(_: list[Stander]) -> None:
        raise RuntimeError("no slot")

    monkeypatch.setattr(rig.line, "_put_back", broken)
    while rig.line.admit(stander("a/1")):
        pass
    rig.run(1.0)
    assert [str(error) for error in rig.errors] == ["no slot"]


def test_the_rate_grows_while_some_wait_and_none_is_refused(make: Make) -> None:
    rig = make(AcceptedRates()).limited()
    for number in range(3000):
        rig.line.admit(stander(f"a/{number}"))
    answered = 0
    for _ in range(60):
        rig.run(0.1)
        rig.observe(SUCCESS, len(rig.gone) - answered)
        answered = len(rig.gone)
    assert answered > 2 * 51 * 6, answered
