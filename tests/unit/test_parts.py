"""How objects are cut into parts: enough for the largest, small for the small."""

from __future__ import annotations

import pytest

from s3_upload.config import GIB, MIB, MIN_PART_BYTES
from s3_upload.parts import (
    MAX_PART_BYTES,
    MAX_PARTS,
    PartRules,
    PartSizes,
    StoreParts,
    known_rules,
    sizes_for,
)

TIB = 1 << 40
S3 = PartRules()


def cut(sizes: PartSizes, size: int) -> int:
    """How many parts `size` bytes have."""
    low, high = 1, sizes.max_count
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if sizes.offset_of(middle + 1) >= size else (middle + 1, high)
    return low


def test_a_stream_of_more_than_five_tib_fits_into_the_parts_that_a_store_takes() -> None:
    sizes = sizes_for(None, MIN_PART_BYTES, S3)
    assert sizes.most_bytes > 5 * TIB
    assert sizes.size_of(MAX_PARTS) == MAX_PART_BYTES


@pytest.mark.parametrize("max_count", [MAX_PARTS, 1_000, 100, 7, 1])
def test_a_part_begins_where_the_one_before_it_ends(max_count: int) -> None:
    sizes = PartSizes(MIN_PART_BYTES, max_count, grows=True)
    end = 0
    for number in range(1, max_count + 1):
        assert sizes.offset_of(number) == end
        end += sizes.size_of(number)
    assert sizes.most_bytes == end


def test_the_parts_of_a_short_stream_are_those_of_a_file() -> None:
    """A store that wants them alike sees no difference, and as many are in flight as of a file."""
    sizes = sizes_for(None, MIN_PART_BYTES, S3)
    assert {sizes.size_of(number) for number in range(1, MAX_PARTS // 2 + 1)} == {MIN_PART_BYTES}
    assert sizes.offset_of(MAX_PARTS // 2 + 1) > 26e9


def test_the_parts_of_a_stream_never_shrink_and_grow_no_further_than_they_may() -> None:
    sizes = sizes_for(None, 7 * MIB, S3, largest=100 * MIB)
    of_all = [sizes.size_of(number) for number in range(1, MAX_PARTS + 1)]
    assert of_all == sorted(of_all)
    assert of_all[-1] == 100 * MIB
    larger = sizes_for(None, 300 * MIB, S3, largest=100 * MIB)
    assert {larger.size_of(number) for number in (1, MAX_PARTS)} == {300 * MIB}


def test_a_part_is_a_small_share_of_what_came_before_it() -> None:
    """What waits in memory, and is sent again after a failure, stays small beside the whole."""
    sizes = sizes_for(None, MIN_PART_BYTES, S3)
    assert all(sizes.size_of(n) <= sizes.offset_of(n) / 400 for n in range(MAX_PARTS // 2, MAX_PARTS))


@pytest.mark.parametrize(
    ("size", "rules", "first"),
    [
        (1, S3, 5 * MIB),
        (MAX_PARTS * 5 * MIB, S3, 5 * MIB),
        (MAX_PARTS * 5 * MIB + 1, S3, 6 * MIB),
        (TIB, S3, 105 * MIB),
        (MAX_PARTS * MAX_PART_BYTES, S3, MAX_PART_BYTES),
        (MAX_PARTS * MAX_PART_BYTES + 1, S3, MAX_PART_BYTES + MIB),
        (60 * GIB, PartRules(max_count=1_000), 62 * MIB),
    ],
)
def test_an_object_of_known_size_has_parts_of_one_size(size: int, rules: PartRules, first: int) -> None:
    sizes = sizes_for(size, MIN_PART_BYTES, rules)
    assert {sizes.size_of(number) for number in (1, rules.max_count)} == {first}
    assert cut(sizes, size) * first >= size


def test_a_store_that_wants_all_parts_alike_gets_them_alike() -> None:
    sizes = sizes_for(None, MIN_PART_BYTES, PartRules(alike=True))
    assert {sizes.size_of(number) for number in range(1, MAX_PARTS + 1)} == {MIN_PART_BYTES}


@pytest.mark.parametrize(
    ("url", "rules"),
    [
        ("https://s3.fr-par.scw.cloud", PartRules(max_count=1_000)),
        ("https://bucket.s3.nl-ams.scw.cloud:443/x", PartRules(max_count=1_000)),
        ("https://0123.r2.cloudflarestorage.com", PartRules(alike=True)),
        ("https://0123.eu.r2.cloudflarestorage.com/bucket", PartRules(alike=True)),
        ("https://scw.cloud.example.com", S3),
        ("http://127.0.0.1:9000", S3),
        ("", S3),
        ("nonsense", S3),
    ],
)
def test_stores_with_rules_of_their_own_are_known_by_their_names(url: str, rules: PartRules) -> None:
    assert known_rules(url) == rules


def test_what_a_store_refuses_tells_how_many_parts_it_takes() -> None:
    parts = StoreParts("http://127.0.0.1")
    assert parts.refused(1_003, 1_000)
    assert parts.rules.max_count == 1_000
    assert parts.refused(1_040, 990)  # of an upload that was begun before
    assert parts.rules.max_count == 1_000
    assert parts.refused(995, 900)
    assert parts.rules.max_count == 900


@pytest.mark.parametrize(("number", "taken"), [(1, 0), (7, 7), (7, 8)])
def test_a_refusal_that_contradicts_what_was_taken_says_nothing(number: int, taken: int) -> None:
    parts = StoreParts()
    assert not parts.refused(number, taken)
    assert parts.rules == S3
