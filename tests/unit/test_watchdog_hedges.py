"""The watchdog: when a second copy of a request goes, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.http1.trace import Transfer
from tests.unit.watchdog_rig import Rig

MIB = 1 << 20
PATIENT = Timeouts(connect_s=3.0, total_s=300.0, stall_s=5.0, response_s=10.0, hedge_s=0.5)


def near(value: float) -> Any:
    return pytest.approx(value)


def test_a_hedge_is_asked_for_once_and_paid() -> None:
    rig = Rig()
    attempt = rig.attempt()
    rig.loop.run_until(10.499)
    assert rig.hedges == []
    rig.loop.run_until(11.99)
    assert (rig.hedges, attempt.hedged, rig.credit) == ([attempt], True, 9.0)
    assert rig.cuts == []


def test_a_hedge_that_was_refused_is_asked_for_again_and_costs_nothing() -> None:
    rig = Rig(may_hedge=False)
    attempt = rig.attempt(PATIENT)
    rig.loop.run_until(11.7)  # asked at 10.5, 11.0 and 11.5
    assert (rig.hedges, attempt.hedged, rig.credit) == ([attempt] * 3, False, 10.0)
    rig.may_hedge = True
    rig.loop.run_until(15.0)
    assert (len(rig.hedges), attempt.hedged, rig.credit) == (4, True, 9.0)


def test_without_credit_there_is_no_hedge() -> None:
    rig = Rig(credit=0)
    attempt = rig.attempt(PATIENT)
    for _ in range(19):
        rig.budget.succeeded(0)  # 0.95
    rig.loop.run_until(11.2)
    assert (rig.hedges, attempt.hedged) == ([], False)
    rig.budget.succeeded(0)
    rig.loop.run_until(11.7)
    assert (rig.hedges, rig.credit) == ([attempt], near(0.0))


def test_a_request_has_three_copies_at_most() -> None:
    rig = Rig()
    rig.budget.give_back_hedge(MIB)  # enough for all
    first = rig.attempt(PATIENT)
    rig.loop.run_until(10.6)
    second = rig.attempt(PATIENT, copy_of=first)
    rig.loop.run_until(11.2)
    rig.attempt(PATIENT, copy_of=first)
    rig.loop.run_until(19.9)
    assert (rig.hedges, rig.credit) == ([first, second], 8.0)


def test_a_copy_waits_while_bytes_of_the_first_are_queued_on_a_link_that_moves() -> None:
    rig = Rig()
    attempt = rig.attempt(PATIENT)
    attempt.trace.probe = lambda: Transfer(1000, False, last_ack_age_s=0.2, rto_s=0.3)
    rig.loop.run_until(13.0)
    assert (rig.hedges, rig.credit) == ([], 10.0)
    attempt.trace.probe = lambda: Transfer(60_000, True, last_ack_age_s=0.0, rto_s=0.3)
    rig.loop.run_until(13.6)
    assert (rig.hedges, rig.credit) == ([attempt], 9.0)


def test_a_copy_goes_where_the_connection_was_silent_for_longer_than_its_rto() -> None:
    rig = Rig()
    attempt = rig.attempt(PATIENT)
    attempt.trace.probe = lambda: Transfer(1000, False, rig.loop.now_s - 10.0, rto_s=0.8)
    rig.loop.run_until(10.7)
    assert rig.hedges == []
    rig.loop.run_until(11.1)
    assert rig.hedges == [attempt]


def test_a_connection_that_was_idle_before_the_request_counts_as_silent_only_since_then() -> None:
    rig = Rig()
    attempt = rig.attempt(PATIENT)
    attempt.trace.probe = lambda: Transfer(0, False, last_ack_age_s=1e6, rto_s=3.0)
    rig.loop.run_until(12.9)
    assert rig.hedges == []
    rig.loop.run_until(13.6)
    assert rig.hedges == [attempt]


def hedges_beside(other_timeouts: Timeouts, *, second: bool = False) -> tuple[int, float]:
    """How many copies are sent of bodies that are larger than the bytes for hedges: of one, or of two, beside
    a request with `other_timeouts`."""
    rig = Rig()
    rig.attempt(other_timeouts)
    rig.attempt(PATIENT, big=True)
    if second:
        rig.attempt(PATIENT, big=True)
    rig.loop.run_until(19.0)
    return len(rig.hedges), rig.credit


UNHEDGED = Timeouts(connect_s=3.0, total_s=300.0, stall_s=5.0, response_s=100.0)


def test_without_bytes_for_it_there_is_no_hedge_while_others_want_the_link() -> None:
    assert hedges_beside(UNHEDGED) == (0, 10.0)


def test_once_successes_have_brought_the_bytes_the_late_one_is_hedged() -> None:
    rig = Rig()
    rig.attempt(UNHEDGED)
    attempt = rig.attempt(PATIENT, big=True)
    rig.loop.run_until(11.2)
    assert rig.hedges == []
    rig.budget.succeeded(20 * MIB)
    rig.loop.run_until(11.7)
    assert rig.hedges == [attempt]


def test_where_all_that_is_under_way_is_late_one_hedge_is_owed() -> None:
    """One body on credit, the others nothing."""
    assert hedges_beside(PATIENT, second=True) == (1, 9.0)


def test_what_has_ended_is_late_no_more() -> None:
    rig = Rig()
    ended = [rig.attempt(PATIENT) for _ in range(2)]
    rig.loop.run_until(10.6)
    for attempt in ended:
        rig.watchdog.unwatch(attempt)
    rig.hedges.clear()
    rig.attempt(PATIENT, big=True)
    for _ in range(2):
        rig.attempt(UNHEDGED)
    rig.loop.run_until(13.0)
    assert rig.hedges == []
