"""When a job takes one more process."""

from __future__ import annotations

import pytest

from s3_upload.fleet.growth import Growth
from s3_upload.observe.limits import ANSWERS, CPU, LINK, LISTING, READING, THROTTLED

BUSY = 0.9


def test_one_more_where_the_processor_limits_for_a_while_and_one_is_free() -> None:
    growth = Growth(3)
    assert not growth.grows(CPU, BUSY, 1.0, 1, now=0.0)
    assert not growth.grows(CPU, BUSY, 1.0, 1, now=0.4)
    assert growth.grows(CPU, BUSY, 1.0, 1, now=0.5)


def test_after_each_step_it_takes_a_moment() -> None:
    growth = Growth(3)
    growth.grows(CPU, BUSY, 1.0, 1, now=0.0)
    assert growth.grows(CPU, BUSY, 1.0, 1, now=0.5)
    assert not any(growth.grows(CPU, BUSY, 1.0, 2, now=now) for now in (0.6, 1.5, 2.4))
    assert growth.grows(CPU, BUSY, 1.0, 2, now=2.5)


def test_no_more_than_there_may_be() -> None:
    growth = Growth(2)
    assert not any(growth.grows(CPU, BUSY, 1.0, 2, now=float(now)) for now in range(9))


def test_none_where_others_use_the_processors() -> None:
    growth = Growth(8)
    assert not any(growth.grows(CPU, BUSY, 0.25, 1, now=float(now)) for now in range(9))


def test_what_limits_in_between_begins_the_wait_again() -> None:
    growth = Growth(8)
    growth.grows(CPU, BUSY, 1.0, 1, now=0.0)
    assert not growth.grows(LINK, BUSY, 1.0, 1, now=0.4)
    assert not growth.grows(CPU, BUSY, 1.0, 1, now=0.6)
    assert not growth.grows(CPU, BUSY, 1.0, 1, now=1.0)
    assert growth.grows(CPU, BUSY, 1.0, 1, now=1.1)


def test_a_third_of_a_processor_is_worth_another_process() -> None:
    growth = Growth(2)
    assert any(growth.grows(CPU, BUSY, 0.35, 1, now=0.25 * tick) for tick in range(4))


@pytest.mark.parametrize("limit", [READING, ANSWERS])
def test_one_more_where_a_busy_loop_and_its_readers_wait_for_each_other(limit: str) -> None:
    """With big bodies the loop is never busy all the time, and what limits is now this and now that."""
    growth = Growth(2)
    grows = [growth.grows((limit, CPU)[tick % 2], 0.7, 0.36, 1, now=0.25 * tick) for tick in range(5)]
    assert grows == [False, False, False, False, True], "a short run has no use for one"


def test_half_a_second_of_the_processor_alone_is_enough_whatever_was_before() -> None:
    growth = Growth(2)
    grows = [growth.grows(limit, BUSY, 0.36, 1, now=now) for now, limit in ((0.0, READING), (0.25, CPU))]
    assert grows == [False, False]
    assert [growth.grows(CPU, BUSY, 0.36, 1, now=now) for now in (0.5, 0.75)] == [False, True]


@pytest.mark.parametrize(("limit", "busy"), [(READING, 0.5), (ANSWERS, 0.5), (LISTING, 0.7), (LINK, 0.7)])
def test_none_where_the_loop_has_time_or_something_else_limits(limit: str, busy: float) -> None:
    growth = Growth(2)
    assert not any(growth.grows(limit, busy, 1.0, 1, now=0.25 * tick) for tick in range(99))


def test_none_at_a_store_that_refuses_more() -> None:
    growth = Growth(2)
    assert not any(growth.grows(THROTTLED, BUSY, 1.0, 1, now=0.25 * tick) for tick in range(99))
