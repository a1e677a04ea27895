"""Which of a run's events are kept."""

from __future__ import annotations

from s3_upload.observe.changes import APART_S, Changes, Kept
from s3_upload.observe.events import Event, LimitsChanged, StoreAway, StoreBack


def limits(at_s: float, name: str = "link", *, requests: int = 4, most: int = 8) -> LimitsChanged:
    return LimitsChanged(at_s=at_s, requests=requests, max_requests=most, limited_by=name)


def away(at_s: float, since_s: float) -> StoreAway:
    return StoreAway(at_s=at_s, since_s=since_s, next_try_s=at_s + 1.0, cause="refused")


def kept(*events: Event) -> list[Kept]:
    found: list[Kept] = []
    changes = Changes(found.append)
    assert changes.listening is not None
    for event in events:
        assert type(event) in changes.listening.kinds
        changes.listening.listener(event)
    changes.flush()
    return found


def test_how_many_requests_are_under_way_is_no_change() -> None:
    assert kept(limits(0.1), limits(5.0, requests=3), limits(9.0, requests=8)) == [limits(0.1)]


def test_what_changes_and_stays_is_kept_with_its_time_though_it_came_too_soon() -> None:
    events = [limits(0.1), limits(0.2, "cpu"), limits(0.7, "cpu", requests=5), limits(9.0, "link")]
    assert kept(*events) == [limits(0.1), limits(0.2, "cpu"), limits(9.0, "link")]


def test_what_changes_and_changes_back_at_once_is_not_kept() -> None:
    assert kept(limits(0.1), limits(0.2, "cpu"), limits(0.3), limits(8.0)) == [limits(0.1)]


def test_the_last_change_is_kept_at_the_end() -> None:
    assert kept(limits(0.1), limits(0.2, "cpu")) == [limits(0.1), limits(0.2, "cpu")]


def test_of_a_run_that_changes_all_the_time_a_bounded_number_is_kept() -> None:
    def flickering(until_s: float) -> list[Kept]:
        return kept(*(limits(0.1 * n, "link" if n % 2 else "cpu", most=n) for n in range(int(10 * until_s))))

    assert len(flickering(60.0)) <= 60.0 / APART_S + 2
    assert len(flickering(8 * 3_600.0)) < 3_000


def test_of_an_outage_begin_and_end_are_kept_and_not_each_try() -> None:
    back = StoreBack(at_s=4.0, since_s=1.0)
    events: list[Event] = [away(2.0, 1.0), away(3.0, 1.0), back, away(9.0, 8.0)]
    assert kept(*events) == [away(2.0, 1.0), back, away(9.0, 8.0)]


def test_what_is_kept_keeps_its_order() -> None:
    back = StoreBack(at_s=4.0, since_s=1.0)
    events: list[Event] = [limits(0.1), limits(0.2, "cpu"), away(2.0, 1.0), back]
    assert kept(*events) == events


def test_each_of_several_runs_begins_anew() -> None:
    events = [limits(0.1), limits(9.0, "cpu"), limits(0.1), limits(0.2, "cpu")]
    assert kept(*events) == events


def test_who_keeps_nothing_hears_nothing() -> None:
    assert Changes().listening is None
