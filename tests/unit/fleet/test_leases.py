"""One budget of bandwidth, cut among processes; and what else of a job one of them may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.config import MIB, UploadConfig
from s3_upload.fleet.leases import Use, as_bandwidth, cut, share_of

rates = st.floats(0.0, 1e10)
uses = st.dictionaries(st.integers(0, 99), st.builds(Use, st.none() | rates, rates), min_size=1, max_size=20)


@given(st.floats(1e4, 1e10), uses)
def test_the_leases_are_the_budget_together_and_nobody_starves(budget: float, used: dict[int, Use]) -> None:
    leases = cut(budget, used)
    assert sum(leases.values()) == pytest.approx(budget)
    assert set(leases) == set(used)
    # So much it may always use, and then it counts as one who wants more.
    assert min(leases.values()) >= 0.02 * budget / len(used) * 0.999


def test_what_one_does_not_use_the_others_get() -> None:
    leases = cut(90.0, {"idle": Use(0.0, 30.0), "a": Use(30.0, 30.0), "b": Use(29.0, 30.0)})
    assert leases["idle"] == pytest.approx(7.5)
    assert leases["a"] == leases["b"] == pytest.approx(41.25)


def test_one_that_uses_the_little_it_has_is_given_an_even_part() -> None:
    leases = cut(90.0, {"small": Use(0.6, 0.6), "a": Use(44.7, 44.7), "b": Use(44.7, 44.7)})
    assert set(leases.values()) == {30.0}


def test_one_of_which_nothing_is_known_has_an_even_part() -> None:
    assert cut(90.0, {0: Use(90.0, 90.0), 1: Use(None, 0.0)}) == {0: 45.0, 1: 45.0}


def test_where_nobody_uses_what_it_has_all_may_use_more() -> None:
    leases = cut(100.0, {0: Use(0.0, 50.0), 1: Use(10.0, 50.0)})
    assert leases[1] - leases[0] == pytest.approx(10.0)


def test_a_lease_as_max_bandwidth_has_it() -> None:
    assert (as_bandwidth(0.0), as_bandwidth(123_456.7), as_bandwidth(1.0)) == ("", "123456B/s", "16000B/s")


def test_bounds_are_shared() -> None:
    config = UploadConfig(max_in_flight=9, max_in_flight_bytes=256 * MIB, max_bandwidth="1MB/s")
    share = share_of(config, 4)
    assert (share.max_in_flight, share.max_in_flight_bytes, share.max_bandwidth) == (2, 64 * MIB, "")
    assert share_of(UploadConfig(max_in_flight=1), 4).max_in_flight == 1
