"""The rate that a store accepts: what is reached at stores that count in several ways; single decisions."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.concurrency.rate import AcceptedRate
from tests.unit.control.constants import RATE
from tests.unit.control.limiter_rig import (
    FixedWindows,
    Noise,
    Result,
    SlidingWindow,
    Steps,
    TokenBucket,
    upload,
)

Limiter = type[FixedWindows | TokenBucket | SlidingWindow]
LIMITERS = (FixedWindows, TokenBucket, SlidingWindow)


def allowed(steps: Steps, until_s: float) -> float:
    ends_s = [*(since_s for since_s, _ in steps[1:]), until_s]
    return sum(per_s * (end_s - since_s) for (since_s, per_s), end_s in zip(steps, ends_s, strict=True))


def run(limiter: Limiter, steps: Steps, *, delay_s: float, until_s: float, phase_s: float = 0.4) -> Result:
    return upload(limiter(steps, phase_s), AcceptedRate(tuning=RATE), until_s=until_s, delay_s=delay_s)


# --- what is reached --------------------------------------------------------------------------------


@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("per_s", [100, 800])
@pytest.mark.parametrize("delay_s", [0.002, 0.005, 0.04, 0.1])
@pytest.mark.parametrize("phase_s", [0.1, 0.6])
def test_a_store_that_refuses_above_a_rate_is_used_to_95_percent_and_refuses_few(
    limiter: Limiter, per_s: int, delay_s: float, phase_s: float
) -> None:
    steps = ((0.0, per_s),)
    result = run(limiter, steps, delay_s=delay_s, until_s=20.0, phase_s=phase_s)
    assert result.accepted >= 0.95 * allowed(steps, 20.0)
    assert result.refused_share <= 0.035


@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("delay_s", [0.005, 0.1])
def test_so_it_is_at_thousands_a_second(limiter: Limiter, delay_s: float) -> None:
    steps = ((0.0, 3_500.0),)
    result = run(limiter, steps, delay_s=delay_s, until_s=12.0)
    assert result.accepted >= 0.95 * allowed(steps, 12.0)
    assert result.refused_share <= 0.035


@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("delay_s", [0.005, 0.04])
def test_a_rate_that_changes_is_followed(limiter: Limiter, delay_s: float) -> None:
    steps = ((0.0, 800.0), (20.0, 200.0), (40.0, 800.0))
    result = run(limiter, steps, delay_s=delay_s, until_s=60.0)
    assert result.accepted >= 0.93 * allowed(steps, 60.0)
    assert result.refused_share <= 0.04


def test_a_rate_that_becomes_four_times_as_much_is_not_overrun_by_far() -> None:
    """A bucket hides for a second that the rate has grown beyond what it allows."""
    steps = ((0.0, 800.0), (15.0, 200.0), (30.0, 800.0))
    result = run(TokenBucket, steps, delay_s=0.04, until_s=45.0)
    assert result.accepted >= 1.0 * allowed(steps, 45.0)
    assert result.refused_share <= 0.028


def test_a_small_bucket_is_not_taken_for_what_it_had_saved_up() -> None:
    """Two cuts in a row: between them the bucket was empty, and gave what it allows."""
    result = run(TokenBucket, ((0.0, 100.0),), delay_s=0.002, until_s=11.0)
    assert result.refused_share <= 0.028


@pytest.mark.parametrize(("share", "at_least"), [(0.01, 10), (0.05, 10), (0.2, 7)])
def test_refusals_that_do_not_depend_on_the_rate_hold_nothing_back(share: float, at_least: int) -> None:
    """In the end: that they do not, has to be found out; of many refusals less surely."""
    opened = 0
    for seed in range(10):
        rate = AcceptedRate(tuning=RATE)
        upload(Noise(share, random.Random(seed)), rate, until_s=12.0, delay_s=0.1, max_in_flight=100)
        opened += not rate.limited
    assert opened >= at_least


# --- single decisions ---------------------------------------------------------------------------------


def answered(rate: AcceptedRate, pattern: str, *, from_s: float, until_s: float, age_s: float = 0.0) -> None:
    """Requests that were answered evenly over that time; "+" was accepted, "-" refused."""
    for position, answer in enumerate(pattern, start=1):
        now = from_s + (until_s - from_s) * position / len(pattern)
        if answer == "+":
            rate.accepted(sent_s=now - age_s, now=now)
        else:
            rate.refused(sent_s=now - age_s, now=now)


def blocked_at(per_s: int) -> AcceptedRate:
    """One that has just seen the allowance of a second used up."""
    rate = AcceptedRate(tuning=RATE)
    answered(rate, "+" * per_s, from_s=10.0, until_s=10.8)
    answered(rate, "-" * 8, from_s=10.8, until_s=10.81)
    return rate


def test_without_a_refusal_nothing_is_held_back() -> None:
    rate = AcceptedRate(tuning=RATE)
    answered(rate, "+" * 1000, from_s=0.0, until_s=1.0)
    assert not rate.limited
    assert rate.take(now=1.0)


def test_a_few_strays_hold_nothing_back() -> None:
    rate = AcceptedRate(tuning=RATE)
    for second in range(10):
        answered(rate, "-" * 7 + "+" * 1000, from_s=second, until_s=second + 1.0)
    assert not rate.limited


def test_an_allowance_used_up_says_how_large_it_was() -> None:
    rate = blocked_at(200)
    assert rate.limit_per_s == pytest.approx(1.02 * 200)
    assert rate.blocked


def test_what_was_sent_before_a_cut_says_nothing_new() -> None:
    rate = AcceptedRate(tuning=RATE)
    answered(rate, "+" * 200, from_s=10.0, until_s=10.8)
    answered(rate, "-" * 500, from_s=10.8, until_s=10.85, age_s=0.1)
    assert rate.limit_per_s == pytest.approx(1.02 * 200)


def test_what_had_been_accepted_and_is_answered_after_the_cut_was_allowed_too() -> None:
    """At 100 a second, from a burst, the limit was 92: nothing was refused, and then it grew far too much."""
    rate = blocked_at(200)
    for _ in range(10):
        rate.accepted(sent_s=10.5, now=10.82)
    assert rate.limit_per_s == pytest.approx(1.02 * 210, rel=0.001)


def test_at_a_small_rate_a_few_percent_too_much_are_found_out() -> None:
    """One in 15, of 103 a second: too few within one second to be told from strays."""
    rate = AcceptedRate(107.0, RATE)
    answered(rate, "-" + ("+" * 14 + "-") * 11, from_s=10.0, until_s=11.6)
    assert rate.limit_per_s == pytest.approx(1.02 * 96, abs=2)


def test_while_nothing_is_accepted_a_twentieth_is_tried() -> None:
    rate = blocked_at(200)
    now, taken = 10.81, 0
    while now < 11.8:
        taken += rate.take(now=now)
        now += 0.001
    assert taken == pytest.approx(0.05 * 204, abs=1.5)


def test_a_store_that_refuses_everything_for_long_is_asked_once_a_second() -> None:
    rate = blocked_at(200)
    now, asked_s = 10.81, []
    while now < 60.0:
        now = max(now + 0.001, rate.due_s())
        assert rate.take(now=now)
        rate.refused(sent_s=now, now=now)
        asked_s.append(now)
    assert asked_s[-1] - asked_s[-2] == pytest.approx(1.0)
    assert rate.blocked_s(now=now) > 40.0
    for _ in range(20):  # and then it is back within moments
        now = max(now + 0.001, rate.due_s())
        assert rate.take(now=now)
        rate.accepted(sent_s=now, now=now)
    assert not rate.blocked
    assert now < 64.0


def test_what_is_accepted_ends_the_block_only_if_it_was_sent_after_the_last_refusal() -> None:
    rate = blocked_at(200)
    for _ in range(20):
        rate.accepted(sent_s=10.5, now=10.82)
    assert rate.blocked
    for _ in range(20):
        rate.accepted(sent_s=10.815, now=10.83)
    assert not rate.blocked


def test_interleaved_refusals_cut_to_what_was_accepted() -> None:
    rate = AcceptedRate(tuning=RATE)
    answered(rate, "+" * 400, from_s=9.0, until_s=10.0)
    answered(rate, "-+" * 100, from_s=10.0, until_s=10.5)
    assert rate.limited
    assert not rate.blocked
    assert rate.limit_per_s <= 1.02 * 400 + 1


def test_turns_are_evenly_spaced_and_what_was_missed_is_made_up_for() -> None:
    rate = AcceptedRate(100.0, RATE)
    assert [rate.take(now=5.0 + n / 1000) for n in (0, 1, 9)] == [True, True, True]  # 50 ms were missed
    taken = sum(rate.take(now=5.01 + n / 1000) for n in range(1000))
    assert taken == pytest.approx(103, abs=2)


def test_what_is_given_back_can_be_taken_again() -> None:
    rate = AcceptedRate(1.0, RATE)
    assert rate.take(now=5.0)
    assert not rate.take(now=5.0)
    rate.give_back()
    assert rate.take(now=5.0)


def test_how_many_may_begin_is_what_can_be_taken() -> None:
    rate = AcceptedRate(1000.0, RATE)
    rate.take(now=5.0)
    while rate.take(now=5.0):
        pass
    assert rate.available(now=5.0) == 0
    available = rate.available(now=5.02)
    assert [rate.take(now=5.02) for _ in range(available + 1)] == [True] * available + [False]


def test_a_limit_that_holds_nobody_back_is_forgotten() -> None:
    rate = AcceptedRate(1000.0, RATE)
    answered(rate, "+" * 130, from_s=1.0, until_s=14.0)
    assert not rate.limited


answers = st.tuples(st.booleans(), st.floats(0.0, 2.0), st.floats(0.0, 5.0), st.integers(1, 60))


@given(st.lists(answers, max_size=60))
def test_whatever_is_answered_a_request_may_begin_within_a_second(
    story: list[tuple[bool, float, float, int]],
) -> None:
    rate = AcceptedRate(tuning=RATE)
    now = 0.0
    for is_accepted, pause_s, age_s, times in story:
        now += pause_s
        for _ in range(times):
            if is_accepted:
                rate.accepted(sent_s=now - age_s, now=now)
            else:
                rate.refused(sent_s=now - age_s, now=now)
            assert rate.limit_per_s >= 1.0
            assert 0.0 <= rate.noise < 1.0
        if rate.limited:
            assert rate.due_s() <= now + 1.0 + 1e-9
            now = max(now, rate.due_s())
            assert rate.take(now=now)
        else:
            assert rate.due_s() == -math.inf


def test_a_store_that_refused_all_it_got_first_is_used_within_seconds() -> None:
    class NotYet:
        def allows(self, now: float) -> bool:
            return now > 0.2

    rate = AcceptedRate(tuning=RATE)
    result = upload(NotYet(), rate, until_s=5.0, delay_s=0.005, max_in_flight=100)
    assert result.accepted > 800
