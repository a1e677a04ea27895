"""Two ordered streams joined as they come, and what counts as different."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.bucket.compare import (
    LARGER,
    NEW,
    NEWER,
    NOT_PROVEN,
    SAME,
    SMALLER,
    UNKNOWN,
    Joined,
    Local,
    Pair,
    by_size,
    by_time,
    checked_compare,
)
from s3_upload.errors import ConfigError
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.sources.source import ObjectSource

KEYS = st.sets(st.text("aü/.\U0001f600\uff5a", max_size=3), max_size=12).map(sorted)


def local(key: str, size: int | None = 1, mtime_ns: int | None = 0) -> Local:
    return Local(key, size, mtime_ns, ObjectSource.file("f", key))


def found(key: str = "k", size: int = 1, modified_s: float | None = 10.5) -> ListedObject:
    return ListedObject(key, size, "", modified_s)


def joined(ours: list[str], theirs: list[str], steps: tuple[int, int]) -> list[Pair]:
    """All pairs, where so many come at a time."""
    join, pairs = Joined(), []
    some = iter([ours[at : at + steps[0]] for at in range(0, len(ours), steps[0])])
    others = iter([theirs[at : at + steps[1]] for at in range(0, len(theirs), steps[1])])
    while not join.ended:
        if join.wants_local:
            batch = next(some, None)
            join.more_local(None if batch is None else [local(key) for key in batch])
        if join.wants_found:
            page = next(others, None)
            join.more_found(None if page is None else [found(key) for key in page])
        pairs += join.pairs()
    return pairs


@given(KEYS, KEYS, st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_both_sides_are_joined_however_they_come(
    ours: list[str], theirs: list[str], steps: tuple[int, int]
) -> None:
    pairs = joined(ours, theirs, steps)
    keys = [(pair.local or pair.found).key for pair in pairs]  # type: ignore[union-attr]
    assert keys == sorted({*ours, *theirs})
    assert [pair.local.key for pair in pairs if pair.local is not None] == ours
    assert [pair.found.key for pair in pairs if pair.found is not None] == theirs
    for pair in pairs:
        if pair.local is not None and pair.found is not None:
            assert pair.local.key == pair.found.key
        else:
            assert keys.count((pair.local or pair.found).key) == 1  # type: ignore[union-attr]


def test_the_order_of_texts_is_that_of_their_utf8_bytes() -> None:
    keys = ["\uff5a", "\U0001f600", "\ud7ff", "\ue000", "a", "a/", "a.", "\x7f", "\x80"]
    assert sorted(keys) == sorted(keys, key=str.encode)


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        (local("k"), None, NEW),
        (local("k", 2), found(), LARGER),
        (local("k", 0), found(), SMALLER),
        (local("k"), found(), SAME),
        (local("k", None), found(), UNKNOWN),
    ],
)
def test_the_reason_by_size(ours: Local, theirs: ListedObject | None, reason: str) -> None:
    assert by_size(ours, theirs) == reason


@pytest.mark.parametrize(
    ("mtime_ns", "modified_s", "reason"),
    [
        (10_500_000_000, 10.5, SAME),
        (10_500_001_000, 10.5, NEWER),
        (10_499_999_000, 10.5, SAME),
        (10_500_000_000, None, NEWER),
        (None, 10.5, NOT_PROVEN),
    ],
)
def test_the_reason_by_time(mtime_ns: int | None, modified_s: float | None, reason: str) -> None:
    assert by_time(local("k", 1, mtime_ns), found(modified_s=modified_s)) == reason


def test_what_to_compare_by_is_checked() -> None:
    assert checked_compare("size") == "size"
    with pytest.raises(ConfigError, match="compare = None: must be 'time', 'size', 'mtime', 'checksum'"):
        checked_compare(None)
