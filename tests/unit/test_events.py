"""`observe.events`: who hears what."""

from __future__ import annotations

import pytest

from s3_upload.observe.events import KINDS, Event, Events, Listening, ObjectBegun, StoreBack, joined

BEGUN = ObjectBegun(at_s=1.0, seq=0, key="k", source="k", size=1)
BACK = StoreBack(at_s=2.0, since_s=1.0)


def test_a_listener_hears_the_kinds_that_it_wants_in_their_order() -> None:
    heard: list[Event] = []
    everything: list[Event] = []
    events = Events([Listening(heard.append, frozenset({StoreBack})), Listening(everything.append)])
    for event in (BEGUN, BACK, BEGUN):
        events.tell(event)
    assert heard == [BACK]
    assert everything == [BEGUN, BACK, BEGUN]


def test_an_event_that_nobody_wants_need_not_be_made() -> None:
    assert not Events().wants(*KINDS)
    events = Events([Listening(print, frozenset({StoreBack}))])
    assert events.wants(StoreBack)
    assert events.wants(ObjectBegun, StoreBack)
    assert not events.wants(ObjectBegun)


def test_what_a_listener_raises_reaches_who_tells() -> None:
    def fail(event: Event) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Events([Listening(fail)]).tell(BEGUN)


def test_several_who_listen_are_one_who_wants_what_any_of_them_wants() -> None:
    assert joined(None, None) is None
    backs: list[Event] = []
    begins: list[Event] = []
    both = joined(
        Listening(backs.append, frozenset({StoreBack})),
        None,
        Listening(begins.append, frozenset({ObjectBegun})),
    )
    assert both is not None
    assert both.kinds == {StoreBack, ObjectBegun}
    for event in (BEGUN, BACK):
        Events([both]).tell(event)
    assert (backs, begins) == ([BACK], [BEGUN])
