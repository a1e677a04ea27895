"""One budget of bandwidth, cut among processes; and what else of a job one of them may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.config import MIB, UploadConfig
from s3_upload.fleet.leases import ADDED_READS, as_bandwidth, cut, share_of
from s3_upload.transfer.read_ahead import BATCH_BYTES
from s3_upload.units import Bandwidth

workers = st.dictionaries(st.integers(0, 99), st.booleans(), min_size=1, max_size=20)


@given(st.floats(1e4, 1e10), workers)
def test_those_with_work_have_the_budget_together(budget: float, busy: dict[int, bool]) -> None:
    leases = cut(budget, busy)
    assert set(leases) == set(busy)
    if any(busy.values()):
        assert sum(leases[name] for name in busy if busy[name]) == pytest.approx(budget)
    assert min(leases.values()) == pytest.approx(budget / len(busy))


def test_what_one_has_no_work_for_the_others_get() -> None:
    assert cut(90.0, {"idle": False, "a": True, "b": True}) == {"idle": 30.0, "a": 45.0, "b": 45.0}


@given(st.floats(16_000.0, 1e10), st.integers(1, 300))
def test_all_together_keep_to_the_budget_however_little_it_is(budget: float, count: int) -> None:
    """As they understand their leases, and also where each has less than anybody may ask for."""
    paces = [as_bandwidth(lease) for lease in cut(budget, dict.fromkeys(range(count), True)).values()]
    assert sum(pace.bytes_per_s for pace in paces if pace is not None) == pytest.approx(budget)
    assert None not in paces


def test_no_lease_is_no_bound() -> None:
    assert (as_bandwidth(0.0), as_bandwidth(123_456.5)) == (None, Bandwidth(123_456.5))


def test_bounds_are_shared() -> None:
    config = UploadConfig(max_in_flight=9, max_in_flight_bytes=256 * MIB, max_bandwidth="1MB/s")
    share = share_of(config, 4)
    assert (share.max_in_flight, share.max_in_flight_bytes, share.max_bandwidth) == (2, 64 * MIB, "")
    assert share_of(UploadConfig(max_in_flight=1), 4).max_in_flight == 1


@pytest.mark.parametrize(
    ("threshold", "reads", "has"),
    [
        (16 * MIB, 1, 1),
        (16 * MIB, ADDED_READS, ADDED_READS),
        (80 * MIB, ADDED_READS, 2),  # as many as the whole job
        (200 * MIB, ADDED_READS, 1),
    ],
)
def test_each_has_room_for_the_reads_that_it_is_to_make_at_a_time(
    threshold: int, reads: int, has: int
) -> None:
    share = share_of(UploadConfig(multipart_threshold=threshold), 64, reads=reads)
    assert int(share.max_in_flight_bytes) // (BATCH_BYTES + threshold) == has
