"""`running`: the events that wait to be read."""

from __future__ import annotations

from functools import partial

import pytest

from s3_upload import running
from s3_upload.observe.events import BytesAcknowledged, Event, LimitsChanged, ObjectBegun, PartStored

MANY = 50
FEW = 10


def passing(at_s: float) -> tuple[Event, Event]:
    return (
        BytesAcknowledged(at_s=at_s, seq=0, key="k", bytes=int(at_s), size=None),
        LimitsChanged(at_s=at_s, requests=1, max_requests=1, limited_by="store"),
    )


def stored(number: int) -> Event:
    return PartStored(
        at_s=1.0, seq=0, key="k", upload_id="u", part_number=number, bytes=1, etag='"e"', checksum=""
    )


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> running._Unread:
    monkeypatch.setattr(running, "MAX_UNREAD", FEW)
    return running._Unread()


def test_beside_a_reader_who_stands_still_what_is_said_anew_soon_is_bounded_and_nothing_else_is_lost(
    unread: running._Unread,
) -> None:
    """One big object tells for hours how far it has come, and the run waits for readers at the end of one."""
    with unread.reading() as reader:
        for at_s in range(MANY):
            for event in passing(at_s):
                unread.put(event)
        parts = [stored(number) for number in range(MANY)]
        for event in parts:
            unread.put(event)
        held = list(iter(partial(unread.take, reader), None))
    assert held[:FEW] == [event for at_s in range(FEW // 2) for event in passing(at_s)]
    assert held[FEW:] == [passing(MANY - 1)[1], *parts]


def test_who_has_caught_up_hears_again_how_far_it_is(unread: running._Unread) -> None:
    with unread.reading() as reader:
        for _ in range(FEW + 1):
            unread.put(stored(1))
        while unread.take(reader) is not None:
            pass
        latest = passing(7.0)[0]
        unread.put(latest)
        assert unread.take(reader) is latest


def test_of_what_nobody_reads_the_newest_are_kept_whatever_they_are(unread: running._Unread) -> None:
    begun = ObjectBegun(at_s=0.0, seq=0, key="k", source="k", size=1)
    for event in (begun, *(event for at_s in range(MANY) for event in passing(at_s))):
        unread.put(event)
    with unread.reading() as reader:
        newest = [unread.take(reader) for _ in range(FEW)]
        assert newest == [event for at_s in range(MANY - FEW // 2, MANY) for event in passing(at_s)]
        assert unread.take(reader) is None


def test_the_newest_limits_are_told_before_what_comes_next(unread: running._Unread) -> None:
    """They change seldom: a reader who comes back would believe the old ones for hours."""
    with unread.reading() as reader:
        for _ in range(FEW):
            unread.put(stored(1))
        old, new = passing(1.0)[1], passing(2.0)[1]
        for dropped in (old, new):
            unread.put(dropped)
        last = stored(2)
        unread.put(last)
        held = list(iter(partial(unread.take, reader), None))
    assert held[FEW:] == [new, last]
