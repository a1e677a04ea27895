"""Budgets for retries and speculation, token by token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.retrying.budget import RetryBudget, SpeculationBudget
from tests.unit.control.constants import RETRY_BUDGET, SPECULATION

KIB, MIB = 1 << 10, 1 << 20


def emptied(now: float = 0.0) -> RetryBudget:
    budget = RetryBudget(RETRY_BUDGET)
    assert budget.take(500.0, now=now) == 0.0
    return budget


def test_what_is_taken_is_gone() -> None:
    budget = RetryBudget(RETRY_BUDGET)
    assert budget.take(14.0, now=0.0) == 0.0
    assert budget.tokens(now=0.0) == 486.0
    assert budget.take(5.0, now=0.0) == 0.0
    assert budget.tokens(now=0.0) == 481.0


def test_35_retries_at_once_are_free_and_what_cannot_be_paid_takes_nothing() -> None:
    budget = RetryBudget(RETRY_BUDGET)
    assert [budget.take(14.0, now=0.0) for _ in range(35)] == [0.0] * 35  # 500 - 490 = 10
    assert [budget.take(14.0, now=0.0) for _ in range(3)] == pytest.approx([4 / 14] * 3)
    assert budget.tokens(now=0.0) == 10.0
    assert budget.take(5.0, now=0.0) == 0.0  # a cheaper one can
    assert budget.take(10.0, now=5 / 14) == 0.0  # the very last token can be spent


def test_time_refills_14_a_second() -> None:
    budget = emptied()
    assert budget.tokens(now=0.5) == 7.0
    assert budget.take(14.0, now=0.5) == 0.5
    assert budget.tokens(now=1.0) == 14.0
    assert budget.take(14.0, now=1.0) == 0.0
    assert budget.tokens(now=1.0) == 0.0


def test_without_any_success_one_transient_retry_a_second_gets_through() -> None:
    budget = emptied()
    waits_s = [budget.take(14.0, now=tenth / 10) for tenth in range(1, 51)]
    assert waits_s.count(0.0) == 5


def test_successes_bring_tokens_back() -> None:
    budget = emptied()
    for _ in range(14):
        budget.give_back(1.0)
    assert budget.take(14.0, now=0.0) == 0.0
    budget.give_back(14.0)
    assert budget.take(14.0, now=0.0) == 0.0
    assert budget.take(14.0, now=0.0) == 1.0


def test_neither_time_nor_success_fills_it_above_its_capacity() -> None:
    budget = RetryBudget(RETRY_BUDGET)
    budget.give_back(14.0)
    assert budget.tokens(now=0.0) == 500.0
    assert budget.tokens(now=1000.0) == 500.0


def test_a_clock_that_stands_or_steps_back_refills_nothing() -> None:
    budget = emptied(now=10.0)
    assert budget.tokens(now=10.0) == 0.0
    assert budget.tokens(now=9.0) == 0.0
    assert budget.tokens(now=11.0) == 14.0


@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.sampled_from([0.0, 14.0, 5.0]))))
def test_the_retry_budget_stays_between_nothing_and_its_capacity_and_its_wait_is_exact(
    story: list[tuple[float, float]],
) -> None:
    budget, now = RetryBudget(RETRY_BUDGET), 0.0
    for pause_s, cost in story:
        now += pause_s
        before = budget.tokens(now=now)
        if cost == 0.0:
            budget.give_back(1.0)
            assert budget.tokens(now=now) == min(500.0, before + 1.0)
            continue
        wait_s = budget.take(cost, now=now)
        after = budget.tokens(now=now)
        assert 0.0 <= after <= 500.0
        if wait_s == 0.0:
            assert after == before - cost
        else:
            assert after == before
            assert after + 14.0 * wait_s == pytest.approx(cost)


def spent(now: float = 0.0) -> SpeculationBudget:
    budget = SpeculationBudget(SPECULATION)
    while budget.take(now=now):
        pass
    return budget


def test_ten_speculations_can_be_paid_at_first() -> None:
    budget = SpeculationBudget(SPECULATION)
    assert [budget.take(now=0.0) for _ in range(12)] == [True] * 10 + [False] * 2


def test_twenty_successes_pay_for_one_speculation() -> None:
    budget = spent()
    for _ in range(19):
        budget.succeeded(0)
    assert not budget.take(now=0.0)  # 19 * 0.05 = 0.95
    budget.succeeded(0)
    assert budget.take(now=0.0)
    assert not budget.take(now=0.0)


def test_while_a_store_is_silent_time_pays_for_two_a_second() -> None:
    budget = spent(now=10.0)
    assert [budget.take(now=now) for now in (10.49, 10.51, 10.52, 11.02)] == [False, True, False, True]


def test_a_refused_speculation_costs_nothing() -> None:
    budget = spent()
    assert not budget.take(now=0.25)
    assert budget.credit(now=0.25) == 0.5


def test_credit_has_a_cap() -> None:
    budget = SpeculationBudget(SPECULATION)
    assert budget.credit(now=19.0) == 48.0  # 10 + 2 * 19
    assert budget.credit(now=1000.0) == 50.0
    budget.succeeded(0)
    assert budget.credit(now=1000.0) == 50.0


def test_credit_is_not_made_by_a_clock_that_steps_back() -> None:
    budget = spent(now=10.0)
    assert budget.credit(now=5.0) == 0.0
    assert budget.credit(now=10.0) == 0.0


@given(st.lists(st.one_of(st.none(), st.floats(0.0, 5.0)), max_size=300))
def test_speculation_is_never_more_than_was_paid_for(story: list[float | None]) -> None:
    """None: a success; a number: a speculation is asked for so many seconds later."""
    budget, now = SpeculationBudget(SPECULATION), 0.0
    paid = successes = 0
    for pause_s in story:
        if pause_s is None:
            budget.succeeded(0)
            successes += 1
        else:
            now += pause_s
            paid += budget.take(now=now)
        assert 0.0 <= budget.credit(now=now) <= 50.0
        assert paid <= 10.0 + 0.05 * successes + 2.0 * now + 1e-6


# --- hedges, in bytes ------------------------------------------------------------------------------


def afforded(budget: SpeculationBudget, size: int, *, link_is_free: bool = False) -> bool:
    return budget.affords_hedge(size, link_is_free=link_is_free, now=0.0)


def test_a_run_begins_with_16_kib_of_second_copies() -> None:
    budget = SpeculationBudget(SPECULATION)
    assert (afforded(budget, 16 * KIB), afforded(budget, 16 * KIB + 1)) == (True, False)
    budget.take_hedge(10 * KIB, now=0.0)
    assert (afforded(budget, 6 * KIB), afforded(budget, 6 * KIB + 1)) == (True, False)
    assert budget.credit(now=0.0) == 9.0  # it costs what any speculation does, too


def test_half_a_percent_of_what_succeeds_may_go_twice() -> None:
    budget = SpeculationBudget(SPECULATION)
    budget.take_hedge(16 * KIB, now=0.0)
    for _ in range(199):
        budget.succeeded(500_000)
    assert not afforded(budget, 500_000)
    budget.succeeded(500_000)
    assert (afforded(budget, 500_000), afforded(budget, 500_001)) == (True, False)


def test_a_hedge_that_comes_first_or_never_leaves_has_its_bytes_back() -> None:
    budget = SpeculationBudget(SPECULATION)
    budget.take_hedge(16 * KIB, now=0.0)
    budget.give_back_hedge(16 * KIB)
    assert (afforded(budget, 16 * KIB), afforded(budget, 16 * KIB + 1)) == (True, False)


def test_on_a_free_link_one_hedge_may_be_owed_and_no_more() -> None:
    budget = SpeculationBudget(SPECULATION)
    assert not afforded(budget, 500 * KIB)
    assert afforded(budget, 500 * KIB, link_is_free=True)
    budget.take_hedge(500 * KIB, now=0.0)  # 484 KiB are owed
    budget.succeeded(90 * MIB)
    assert not afforded(budget, 0, link_is_free=True)
    budget.succeeded(10 * MIB)
    assert afforded(budget, 500 * KIB, link_is_free=True)


def test_bytes_for_hedges_have_a_cap() -> None:
    budget = SpeculationBudget(SPECULATION)
    budget.succeeded(1 << 40)
    assert (afforded(budget, 32 * MIB), afforded(budget, 32 * MIB + 1)) == (True, False)


def test_without_credit_bytes_afford_no_hedge() -> None:
    assert not afforded(spent(), 0, link_is_free=True)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, MIB)), max_size=200))
def test_bytes_sent_twice_in_vain_are_never_more_than_their_share_and_one_body(
    story: list[tuple[bool, bool, int]],
) -> None:
    """Each: a success or a hedge, whether the link is free, the size of the body."""
    budget, sent, twice = SpeculationBudget(SPECULATION), 0, 0
    for success, link_is_free, size in story:
        if success:
            budget.succeeded(size)
            sent += size
        elif afforded(budget, size, link_is_free=link_is_free):
            budget.take_hedge(size, now=0.0)
            twice += size
        assert twice <= 16 * KIB + sent / 200 + MIB
