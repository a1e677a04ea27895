"""When a job takes one more process."""

from __future__ import annotations

from s3_upload.fleet.growth import Growth
from s3_upload.observe.limits import CPU, LINK


def test_one_more_where_the_processor_limits_for_a_while_and_one_is_free() -> None:
    growth = Growth(3)
    assert not growth.grows(CPU, 1.0, 1, now=0.0)
    assert not growth.grows(CPU, 1.0, 1, now=0.4)
    assert growth.grows(CPU, 1.0, 1, now=0.5)


def test_after_each_step_it_takes_a_moment() -> None:
    growth = Growth(3)
    growth.grows(CPU, 1.0, 1, now=0.0)
    assert growth.grows(CPU, 1.0, 1, now=0.5)
    assert not any(growth.grows(CPU, 1.0, 2, now=now) for now in (0.6, 1.5, 2.4))
    assert growth.grows(CPU, 1.0, 2, now=2.5)


def test_no_more_than_there_may_be() -> None:
    growth = Growth(2)
    assert not any(growth.grows(CPU, 1.0, 2, now=float(now)) for now in range(9))


def test_none_where_others_use_the_processors() -> None:
    growth = Growth(8)
    assert not any(growth.grows(CPU, 0.3, 1, now=float(now)) for now in range(9))


def test_what_limits_in_between_begins_the_wait_again() -> None:
    growth = Growth(8)
    growth.grows(CPU, 1.0, 1, now=0.0)
    assert not growth.grows(LINK, 1.0, 1, now=0.4)
    assert not growth.grows(CPU, 1.0, 1, now=0.6)
    assert not growth.grows(CPU, 1.0, 1, now=1.0)
    assert growth.grows(CPU, 1.0, 1, now=1.1)


def test_half_a_free_processor_is_worth_another_process() -> None:
    growth = Growth(2)
    assert any(growth.grows(CPU, 0.55, 1, now=0.25 * tick) for tick in range(4))
