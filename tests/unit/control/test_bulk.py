"""`BulkBound`, step by step of its docstring, with literal times.

The base is 40 ms, so that a step is 90 ms and the queue more; looks come every 100 ms, so that a period
has three where there is no queue, and at most five with one of 80 ms.
"""

from __future__ import annotations

import math
from itertools import pairwise

from s3_upload.control.concurrency.big_bodies import BulkBound
from s3_upload.control.share.link import Look
from tests.unit.control.constants import BULK

EVERY_S = 0.1
FULL_S = 0.06  # a queue: step 0.15 s, period five looks


class Link:
    """What a link shows to a bound: looks with a rate and a queue, while as many as allowed are in flight."""

    def __init__(self, max_bound: int = 256) -> None:
        self.bulk = BulkBound(max_bound, BULK)
        self.looks = 0
        self.acked_bytes = 0.0

    def look(
        self,
        rate: float,
        queue_s: float = 0.0,
        *,
        waiting: int = 4,
        missing: int = 0,
        windows: float = math.inf,
    ) -> int:
        self.looks += 1
        self.acked_bytes += rate * EVERY_S
        look = Look(
            queue_s=queue_s,
            base_s=0.04,
            bytes_per_s=rate,
            acked_bytes=int(self.acked_bytes),
            fresh=True,
            waiting=waiting,
            window_bytes_per_s=windows,
        )
        return self.bulk.decide(look, self.bulk.bound - missing, now=self.looks * EVERY_S)

    def bounds(self, count: int, rate: float, queue_s: float = 0.0) -> list[int]:
        return [self.look(rate, queue_s) for _ in range(count)]


def test_1_it_doubles_each_period_until_a_queue_is_seen() -> None:
    link = Link()
    assert link.bounds(3, 1e6) == [4, 4, 8]
    assert link.bounds(3, 2e6) == [8, 8, 16]
    assert link.bounds(5, 3e6, FULL_S) == [16] * 5
    # The start is over: what comes now is step 2, times 1.5.
    assert link.bounds(3, 3e6) == [16, 16, 24]


def test_2_short_grows_by_half_and_at_least_by_one() -> None:
    link = Link()
    link.bounds(5, 1e6, FULL_S)
    assert link.bounds(6, 1e6) == [4, 4, 6, 6, 6, 9]
    single = Link(max_bound=3)
    single.bulk.bound = 1
    single.bounds(5, 1e6, FULL_S)
    assert single.bounds(9, 1e6) == [1, 1, 2, 2, 2, 3, 3, 3, 3]


def test_2_it_waits_while_the_rate_still_rises() -> None:
    link = Link()
    link.bounds(5, 1e6, FULL_S)
    assert link.bounds(3, 1.3e6) == [4, 4, 4]  # 30 % more than before: congestion windows open
    assert link.bounds(3, 1.5e6) == [4, 4, 6]  # 15 %: they have opened


def test_2_a_tenth_of_the_looks_may_be_empty() -> None:
    """A base of 40 ms and a queue of 4 s make a period of 12.3 s, of 123 looks."""
    link = Link()
    for n in range(123):
        link.look(1e6, 0.0 if n % 11 == 0 else 4.0)  # 12 of 123
    assert link.bulk.bound == 4


def test_3_growth_that_brings_nothing_is_taken_back() -> None:
    link = Link()
    # No queue ever comes and the rate stays: the first period pays (from nothing), 8 and 16 do not.
    assert link.bounds(9, 1e6) == [4, 4, 8, 8, 8, 16, 16, 16, 4]
    # Held for 4 s from 0.9 s on, then by half until 16 again, and back for 8 s.
    later = link.bounds(60, 1e6)
    assert later[:38] == [4] * 38  # the period that ends at 4.8 s is too early
    assert later[41] == 6
    assert max(later) == 19
    assert later[-1] == 4


def test_3_growth_that_pays_goes_on() -> None:
    link = Link()
    bounds = [bound for rate in (1e6, 2e6, 4e6, 8e6, 16e6) for bound in link.bounds(3, rate)]
    assert bounds[2::3] == [8, 16, 32, 64, 128]


def test_3_what_a_faster_time_brought_is_no_measure_of_a_slower_one() -> None:
    """Four once filled the link with 20 MB/s; now each brings half a MB/s, however many there are."""
    link = Link()
    link.bounds(10, 20e6, FULL_S)
    most = max(link.look(link.bulk.bound * 0.5e6) for _ in range(600))
    assert most > 40


def test_3_a_rate_that_wavers_is_no_growth() -> None:
    """The limit lies elsewhere, and every fifth period is slow: the bound is raised less and less often."""
    link = Link()
    bounds = [link.look(0.8e6 if n // 3 % 5 == 4 else 1e6) for n in range(3600)]
    begun = [n for n, (was, bound) in enumerate(pairwise(bounds)) if was == 4 < bound]
    assert max(bounds) <= 19
    # In looks, of which there are ten a second.
    assert min(later - earlier for earlier, later in pairwise(begun[5:])) > 500


def test_what_passes_without_a_look_tells_nothing() -> None:
    """Nothing big was under way for a minute: that neither was a full link, nor a slow one."""
    link = Link()
    link.bounds(9, 1e6, FULL_S)
    link.looks += 600
    assert link.bounds(25, 1e6, FULL_S) == [4] * 25, "not full for 3 s"
    slow = Link()
    slow.bounds(6, 1e6)
    before = slow.bulk.bound
    slow.looks += 600
    assert slow.look(1e6) == before


def test_4_what_cut_windows_hold_back_new_connections_take() -> None:
    link = Link()
    link.bounds(5, 20e6, FULL_S)
    # 95 % of 20 MB/s is 9 MB/s more than 10.  Fresh ones of 115,840 bytes per 50 ms make up for that: 4.
    assert link.look(15e6, windows=10e6) == 8
    # These have three round trips to do so; what is still missing meanwhile, no others are to bring.
    assert link.look(15e6, windows=10e6) == 8
    full = Link()
    full.bounds(5, 20e6, FULL_S)
    full.bounds(2, 15e6, FULL_S)
    assert full.look(15e6, FULL_S, windows=10e6) == 4  # nor while there is a queue: it is not empty yet


def test_4_windows_that_suffice_need_no_others() -> None:
    link = Link()
    link.bounds(5, 20e6, FULL_S)
    assert link.look(15e6, windows=19e6) == 4
    # At most twice as many at once.
    assert link.look(15e6, windows=1e6) == 8


def test_4_not_while_starting() -> None:
    link = Link()
    assert [link.look(1e6, windows=0.5e6) for _ in range(2)] == [4, 4]


def test_5_a_link_that_stays_full_needs_fewer() -> None:
    link = Link()
    # Periods of five looks; the queue has stood for 3 s at the first end of a period after that.
    bounds = link.bounds(35, 1e6, FULL_S)
    assert bounds[:29] == [4] * 29
    assert bounds[29:] == [3] * 6
    assert link.bounds(30, 1e6, FULL_S)[-1] == 2


def test_5_one_too_few_makes_the_next_trial_later() -> None:
    link = Link()
    link.bounds(30, 1e6, FULL_S)
    assert link.bulk.bound == 3
    assert link.bounds(3, 0.9e6)[-1] == 4  # the link ran short within 20 steps: back, and 6 s from now on
    bounds = link.bounds(65, 1e6, FULL_S)
    assert bounds.index(3) == 59  # 60 looks are 6 s


def test_nothing_of_ours_waiting_is_an_empty_link() -> None:
    """All wait for answers: the round trip was measured when a queue stood, and tells nothing any more."""
    link = Link()
    link.bounds(5, 1e6, FULL_S)
    for _ in range(5):
        link.look(0.9e6, FULL_S, waiting=0)
    assert link.bulk.bound == 6


def test_what_is_not_filled_tells_nothing() -> None:
    link = Link()
    for _ in range(30):
        link.look(1e6, missing=1)
    assert link.bulk.bound == 4


def test_it_stays_within_its_range() -> None:
    link = Link(max_bound=6)
    assert link.bounds(6, 1e6)[-1] <= 6
    alone = Link(max_bound=1)
    assert set(alone.bounds(200, 1e6, FULL_S)) == {1}
