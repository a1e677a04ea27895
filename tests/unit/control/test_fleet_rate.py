"""One budget for the workers of a job: what each is told, and what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from s3_upload.control.concurrency.fleet_rate import FleetRates
from s3_upload.control.concurrency.rate import AcceptedRate
from s3_upload.control.concurrency.worker_rates import EVERYTHING, Seen, Told, WorkerRates
from tests.unit.control.constants import FLEET, PREFIXES, RATE
from tests.unit.control.limiter_rig import TICK_S, TokenBucket

WORKER = msgspec.structs.replace(PREFIXES, rate=msgspec.structs.replace(RATE, series=10**9))
PER_S = 200
REPORT_S = 0.25


class Job:
    """Workers that want PER_S requests a second each, answered at once."""

    def __init__(self, workers: int, allows: Callable[[int, float], bool]) -> None:
        self.workers = [WorkerRates(number / workers, WORKER) for number in range(workers)]
        self.fleet: FleetRates[int] = FleetRates(FLEET)
        self.allows = allows
        self.accepted = self.refused = 0
        self._tick = 0

    @property
    def limits(self) -> list[float]:
        return [rates.of("a/1").limit_per_s for rates in self.workers]

    def run(self, until_s: float) -> None:
        self.accepted = self.refused = 0
        while (now := self._tick * TICK_S) < until_s:
            for number, rates in enumerate(self.workers):
                # Each at its own millisecond, or the first would have all tokens.
                if (self._tick + number) % round(1.0 / PER_S / TICK_S) == 0:
                    self._send(number, rates, now)
            if self._tick % round(REPORT_S / TICK_S) == 0:
                for number, rates in enumerate(self.workers):
                    self.fleet.report(number, rates.seen(now=now), now=now)
                for number, told in self.fleet.told(now=now).items():
                    self.workers[number].hear(told, now=now)
            self._tick += 1

    def _send(self, number: int, rates: WorkerRates, now: float) -> None:
        rate = rates.of("a/1")
        if rate.limited and not rate.take(now=now):
            return
        if self.allows(number, now):
            self.accepted += 1
            rates.accepted("a/1", sent_s=now, now=now)
        else:
            self.refused += 1
            rates.refused("a/1", sent_s=now, now=now)


def always(number: int, now: float) -> bool:
    return True


def seen(
    limit_per_s: float = math.inf,
    *,
    accepted_per_s: float = 0.0,
    accepted: int = 0,
    refused: int = 0,
    change_per_s: float = 0.0,
    waits: bool = True,
    cut: bool = False,
    blocked: bool = False,
) -> Seen:
    return Seen(EVERYTHING, limit_per_s, change_per_s, accepted, refused, accepted_per_s, waits, cut, blocked)


def limits(told: dict[str, list[Told]]) -> dict[str, float]:
    return {worker: one.limit_per_s for worker, (one,) in told.items()}


# --- what is promised -------------------------------------------------------------------------------


def test_what_one_worker_is_refused_slows_all_within_two_seconds() -> None:
    """The others are not refused once."""
    ticks = iter(range(10**9))
    job = Job(4, lambda number, now: number > 0 or now < 2.0 or next(ticks) % 2 == 0)
    job.run(2.0)
    assert job.limits == [math.inf] * 4
    job.run(4.0)
    # The first gets half of its 200 through: 700 for the job.
    assert sum(job.limits) <= 1.03 * (3 * PER_S + PER_S / 2)
    assert all(limit < 0.95 * PER_S for limit in job.limits)


@pytest.mark.parametrize("change_per_s", [-100.0, -1_000.0, -1e9])
def test_while_all_is_refused_workers_that_cut_more_than_there_is_keep_the_least(change_per_s: float) -> None:
    """Each cuts by itself what all together have cut already."""
    fleet: FleetRates[str] = FleetRates(FLEET)
    for tick in range(20):
        now = tick * REPORT_S
        told = {}
        for worker in ("a", "b"):
            last = seen(100.0, accepted=25, accepted_per_s=100.0)
            if tick >= 4:
                last = seen(50.0, refused=25, change_per_s=change_per_s, blocked=True)
            fleet.report(worker, [last], now=now)
        told = fleet.told(now=now)
    assert all(per_s >= FLEET.rate.min_per_s for per_s in limits(told).values())
    assert set(told) == {"a", "b"}


def test_it_grows_again_when_the_store_allows_more_and_no_worker_stays_below() -> None:
    store = TokenBucket(((0.0, 400.0), (20.0, 4_000.0)), 0.0)
    job = Job(4, lambda number, now: store.allows(now))
    job.run(20.0)
    assert sum(job.limits) == pytest.approx(400.0, rel=0.1)
    assert max(job.limits) <= 1.1 * min(job.limits)
    job.run(26.0)
    job.run(27.0)
    assert job.accepted >= 0.98 * 4 * PER_S


def test_one_budget_gets_what_the_store_allows_and_few_are_refused() -> None:
    store = TokenBucket(((0.0, 400.0),), 0.0)
    job = Job(16, lambda number, now: store.allows(now))
    job.run(10.0)
    job.run(30.0)
    assert job.accepted >= 0.98 * 20.0 * 400.0
    assert job.refused <= 0.025 * (job.accepted + job.refused)


def test_without_a_refusal_nobody_is_told_anything() -> None:
    job = Job(3, always)
    job.run(5.0)
    assert job.fleet.told(now=5.0) == {}
    assert job.limits == [math.inf] * 3


def test_where_nothing_waits_for_long_all_are_open_again() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    idle = seen(50.0, waits=False)
    fleet.report("a", [seen(50.0, refused=1)], now=0.0)
    fleet.report("b", [idle], now=0.0)
    fleet.told(now=0.0)
    for second in range(1, 12):
        for worker in "ab":
            fleet.report(worker, [idle], now=float(second))
        told = fleet.told(now=float(second))
    assert limits(told) == {"a": math.inf, "b": math.inf}


# --- single decisions ---------------------------------------------------------------------------------


def test_the_first_limit_makes_the_budget_and_all_get_the_same_of_it() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    fleet.report("a", [seen(98.0, accepted_per_s=96.0)], now=1.0)
    fleet.report("b", [seen(accepted_per_s=100.0)], now=1.0)
    assert limits(fleet.told(now=1.0)) == {"b": 100.0}  # 98 + 1.02 * 100; that of "a" is near enough


def test_what_a_worker_changes_all_have_a_part_of() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    for worker in "ab":
        fleet.report(worker, [seen(100.0)], now=1.0)
    assert fleet.told(now=1.0) == {}
    fleet.report("a", [seen(60.0, change_per_s=-40.0)], now=1.25)
    fleet.report("b", [seen(100.0)], now=1.25)
    assert limits(fleet.told(now=1.25)) == {"a": 80.0, "b": 80.0}


def test_what_workers_cut_leaves_nine_tenths_of_what_all_were_accepted() -> None:
    """Workers that have just come to a prefix had nothing accepted there."""
    fleet: FleetRates[str] = FleetRates(FLEET)
    for worker in "abcd":
        fleet.report(worker, [seen(100.0, accepted=90)], now=1.0)
    assert fleet.told(now=1.0) == {}
    for worker in "abcd":
        fleet.report(worker, [seen(1.0, change_per_s=-99.0, blocked=True)], now=1.25)
    assert limits(fleet.told(now=1.25)) == dict.fromkeys("abcd", pytest.approx(81.0))


def test_a_worker_that_does_not_use_its_share_gets_what_it_uses_and_some_more() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    fleet.report("slow", [seen(100.0, accepted_per_s=8.0, waits=False)], now=1.0)
    for worker in "ab":
        fleet.report(worker, [seen(100.0)], now=1.0)
    assert limits(fleet.told(now=1.0)) == {"slow": 10.0, "a": 145.0, "b": 145.0}


def test_the_share_of_a_worker_that_is_gone_or_silent_is_the_others() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    for worker in "abc":
        fleet.report(worker, [seen(100.0)], now=1.0)
    fleet.told(now=1.0)
    fleet.gone("a")
    assert limits(fleet.told(now=1.0)) == {"b": 150.0, "c": 150.0}
    fleet.report("b", [seen(150.0)], now=4.0)
    assert limits(fleet.told(now=4.0)) == {"b": 300.0}


def test_a_worker_that_is_alone_is_told_nothing_and_keeps_to_what_it_learns() -> None:
    """Whatever it does to its limit, whatever was accepted, and though nothing of it waits."""
    fleet: FleetRates[str] = FleetRates(FLEET)
    fleet.report("a", [seen(100.0, accepted=90)], now=1.0)
    assert fleet.told(now=1.0) == {}
    fleet.report("a", [seen(20.0, change_per_s=-80.0, cut=True, refused=30)], now=1.25)
    assert fleet.told(now=1.25) == {}
    fleet.report("a", [seen(40.0, accepted_per_s=5.0, waits=False)], now=1.5)
    assert fleet.told(now=1.5) == {}


def test_who_comes_to_a_worker_that_was_alone_shares_what_that_had_learned() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    for now, limit_per_s in ((1.0, 100.0), (1.25, 60.0)):
        fleet.report("a", [seen(limit_per_s)], now=now)
        fleet.told(now=now)
    assert [told.limit_per_s for told in fleet.begins()] == [30.0]


def test_who_is_alone_in_the_end_has_all_and_learns_by_itself() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    for worker in "ab":
        fleet.report(worker, [seen(100.0)], now=1.0)
    fleet.told(now=1.0)
    fleet.gone("a")
    assert fleet.told(now=1.1) == {"b": [Told(EVERYTHING, 200.0, math.inf)]}
    fleet.report("b", [seen(50.0, change_per_s=-150.0)], now=1.25)
    assert fleet.told(now=1.25) == {}


def of_scope(scope: str, limit_per_s: float, **others: Any) -> list[Seen]:
    return [msgspec.structs.replace(seen(limit_per_s, **others), scope=scope)]


def after_two_of_one_store(fleet: FleetRates[str], **last: Any) -> float:
    """One worker had 600 a second, and the other, at another prefix, 10; that has `last` when the first is
    through. The limit that the other has a second after that."""
    for tick in range(8):
        now = tick / 4
        fleet.report("a", of_scope("a/", 600.0, accepted=150, accepted_per_s=600.0), now=now)
        fleet.report("b", of_scope("b/", 10.0, accepted=2, accepted_per_s=10.0), now=now)
        assert fleet.told(now=now) == {}
    limit_per_s = 10.0
    for tick in range(8, 15):
        now = tick / 4
        fleet.report("a", of_scope("a/", 600.0, waits=False), now=now)
        fleet.report("b", of_scope("b/", limit_per_s, accepted=2, **last), now=now)
        for told in fleet.told(now=now).get("b", []):
            limit_per_s = told.limit_per_s
    return limit_per_s


def test_who_got_little_beside_others_gets_what_those_had_when_they_are_through() -> None:
    """The store may count all prefixes together."""
    assert after_two_of_one_store(FleetRates(FLEET)) == 320.0  # more than half of what there was


@pytest.mark.parametrize("last", [{"waits": False}, {"refused": 1}], ids=str)
def test_who_needs_no_more_or_is_refused_more_keeps_the_little_it_has(last: dict[str, Any]) -> None:
    assert after_two_of_one_store(FleetRates(FLEET), **last) == 10.0


def test_where_refusals_show_what_is_allowed_now_nobody_gets_what_was_before() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    fleet.report("a", of_scope("a/", 600.0, accepted=600, accepted_per_s=600.0), now=0.0)
    fleet.told(now=0.0)
    fleet.report("a", of_scope("a/", 60.0, accepted=60, refused=540), now=1.0)
    for tick in range(4, 20):
        fleet.report("a", of_scope("a/", 60.0, accepted=15), now=tick / 4)
        assert fleet.told(now=tick / 4) == {}


def test_a_worker_that_begins_has_its_share_before_its_first_request() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    assert fleet.begins() == []
    for worker in "abc":
        fleet.report(worker, [seen(100.0)], now=1.0)
    fleet.told(now=1.0)
    rates = WorkerRates(tuning=WORKER)
    rates.hear(fleet.begins(), now=1.0)
    assert rates.of("a/1").limit_per_s == 75.0


def test_few_refusals_of_each_are_many_of_all_and_cut_the_budget() -> None:
    fleet: FleetRates[int] = FleetRates(FLEET)
    workers = range(20)
    for worker in workers:
        fleet.report(worker, [seen(20.0, accepted=8, accepted_per_s=8.0)], now=1.0)
    assert fleet.told(now=1.0) == {}
    for worker in workers:
        fleet.report(worker, [seen(20.0, accepted=8, refused=2, accepted_per_s=16.0)], now=1.5)
    told = fleet.told(now=1.5)
    # 320 were accepted in the last second.
    assert told[0][0].limit_per_s == pytest.approx(1.02 * 320 / 20)
    assert told[0][0].cut == pytest.approx(1.02 * 320 / 400)


@pytest.mark.parametrize("blocked", [False, True])
def test_while_half_of_them_are_blocked_all_together_cut_nothing(blocked: bool) -> None:
    fleet: FleetRates[int] = FleetRates(FLEET)
    for worker in range(20):
        fleet.report(worker, [seen(20.0, accepted=8, refused=2, blocked=blocked and worker < 10)], now=1.0)
    assert bool(fleet.told(now=1.0)) is not blocked


def test_a_cut_by_all_leaves_half_of_the_budget_at_least() -> None:
    fleet: FleetRates[int] = FleetRates(FLEET)
    for worker in range(20):
        fleet.report(worker, [seen(20.0, accepted=2, refused=4)], now=1.0)
    assert fleet.told(now=1.0)[0][0].limit_per_s == 10.0


def test_cuts_of_half_of_the_workers_after_which_as_many_are_refused_are_noise() -> None:
    fleet: FleetRates[str] = FleetRates(FLEET)
    told: dict[str, list[Told]] = {}
    for number in range(6):
        accepted = 100 - 10 * number
        for worker in "ab":
            of_it = seen(100.0, accepted=accepted, refused=accepted // 5, cut=worker == "a")
            fleet.report(worker, [of_it], now=1.5 * number)
        told = fleet.told(now=1.5 * number)
        if limits(told).get("a") == math.inf:
            break
    assert limits(told) == {"a": math.inf, "b": math.inf}
    assert told["a"][0].noise == pytest.approx(1 / 6, abs=0.01)


def test_cuts_after_which_more_are_refused_than_before_are_not_noise() -> None:
    """The store allows less."""
    fleet: FleetRates[str] = FleetRates(FLEET)
    for number, accepted in enumerate([100, 100, 100, 90, 40]):
        for worker in "ab":
            refused = 4 if accepted == 100 else 100 - accepted
            of_it = seen(100.0, accepted=accepted, refused=refused, cut=True)
            fleet.report(worker, [of_it], now=1.5 * number)
        assert math.inf not in limits(fleet.told(now=1.5 * number)).values()


# --- in the worker ------------------------------------------------------------------------------------


def worker_limited_to(per_s: float, *, now: float, place: float = 0.0) -> WorkerRates:
    rates = WorkerRates(place, WORKER)
    rates.hear([Told(EVERYTHING, per_s, per_s)], now=now)
    return rates


def send_all(rates: WorkerRates, *, from_s: float, until_s: float) -> AcceptedRate:
    """Requests wait all the time, and each is accepted at once."""
    for tick in range(round(from_s / TICK_S), round(until_s / TICK_S)):
        now = tick * TICK_S
        while rates.of("a/1").take(now=now):
            rates.accepted("a/1", sent_s=now, now=now)
    return rates.of("a/1")


def test_what_was_accepted_counts_as_if_the_share_had_been_the_same_all_along() -> None:
    rates = worker_limited_to(100.0, now=0.0)
    send_all(rates, from_s=0.0, until_s=1.1)
    rates.seen(now=1.1)
    rates.hear([Told("a/", 200.0, 1_000.0)], now=1.1)
    for _ in range(8):
        rates.refused("a/1", sent_s=1.1, now=1.11)
    # An allowance is used up, and it was this worker's new share of it.
    assert rates.of("a/1").limit_per_s == pytest.approx(200.0, rel=0.05)


def test_a_cut_by_all_is_no_other_share() -> None:
    rates = worker_limited_to(100.0, now=0.0)
    send_all(rates, from_s=0.0, until_s=1.1)
    rates.hear([Told(EVERYTHING, 80.0, 800.0, cut=0.8)], now=1.1)
    assert rates.seen(now=1.1)[0].accepted_per_s == pytest.approx(100.0, rel=0.03)


def test_a_cut_by_all_is_no_cut_of_a_worker_that_keeps_to_it() -> None:
    """The job would count it once more, a second later, and take it for noise sooner."""
    rates = worker_limited_to(100.0, now=0.0)
    send_all(rates, from_s=0.0, until_s=1.1)
    rates.seen(now=1.1)
    rates.hear([Told("a/", 50.0, 500.0, cut=0.5)], now=1.2)
    assert not rates.seen(now=1.35)[0].cut
    for number in range(40):
        rates.refused("a/1", sent_s=1.4, now=1.4 + number / 100)
    assert [rates.seen(now=2.0)[0].cut, rates.seen(now=2.1)[0].cut] == [True, False]


def test_it_tells_what_it_has_changed_itself() -> None:
    rates = worker_limited_to(100.0, now=0.0)
    send_all(rates, from_s=0.0, until_s=1.0)
    (told,) = rates.seen(now=1.0)
    assert told.change_per_s == pytest.approx(told.accepted * RATE.gain)
    rates.accepted("a/1", sent_s=1.0, now=1.0)
    rates.hear([Told("a/", 50.0, 500.0)], now=1.0)
    (told,) = rates.seen(now=1.0)
    assert told.limit_per_s == 50.0
    assert told.change_per_s == pytest.approx(RATE.gain)
    assert rates.seen(now=1.0)[0].change_per_s == 0.0


@pytest.mark.parametrize("others_refused", [False, True])
def test_while_others_are_refused_it_does_not_grow(others_refused: bool) -> None:
    rates = worker_limited_to(100.0, now=0.0)
    for quarter in range(12):
        now = quarter / 4
        rate = send_all(rates, from_s=now, until_s=now + 0.25)
        limit_per_s = rate.limit_per_s
        rates.seen(now=now + 0.25)
        rates.hear([Told("a/", limit_per_s, 10 * limit_per_s, others_refused=others_refused)], now=now + 0.25)
    assert (rates.of("a/1").limit_per_s > 105.0) is not others_refused


def test_workers_grow_one_after_the_other() -> None:
    def grown(place: float) -> bool:
        rates = worker_limited_to(100.0, now=0.0, place=place)
        rates.refused("a/1", sent_s=0.0, now=0.0)
        return send_all(rates, from_s=0.0, until_s=2.7).limit_per_s > 105.0

    assert [grown(place) for place in (0.0, 0.4, 0.8)] == [True, True, False]


def test_a_worker_at_one_prefix_is_of_that_scope_and_one_at_several_of_all() -> None:
    rates = WorkerRates(tuning=WORKER)
    for _ in range(95):
        rates.accepted("a/1", sent_s=0.0, now=0.0)
    for _ in range(5):
        rates.accepted("b/1", sent_s=0.0, now=0.0)
    assert [one.scope for one in rates.seen(now=0.1)] == ["a/"]
    # With nothing to go by it stays where it was.
    assert [one.scope for one in rates.seen(now=0.2)] == ["a/"]
    rates.accepted("a/1", sent_s=0.3, now=0.3)
    rates.refused("b/1", sent_s=0.3, now=0.3)
    (told,) = rates.seen(now=0.4)
    assert (told.scope, told.accepted, told.refused) == (EVERYTHING, 1, 1)


def test_a_prefix_that_is_held_back_alone_is_a_scope_of_its_own() -> None:
    rates = WorkerRates(tuning=WORKER)
    for number in range(1_000):
        now = number * 0.004
        for key in ("a/1", "b/1"):
            if key == "a/1" and number % 2:
                rates.refused(key, sent_s=now, now=now)
            else:
                rates.accepted(key, sent_s=now, now=now)
    told = {one.scope: one for one in rates.seen(now=4.0)}
    assert told["a/"].limit_per_s < math.inf
    assert told["b/"].limit_per_s == math.inf
    rates.hear([Told("a/", 7.0, 70.0), Told("gone/", 1.0, 1.0)], now=4.0)
    assert rates.of("a/1").limit_per_s == 7.0
    assert not rates.of("b/1").limited
