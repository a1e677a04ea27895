"""Who is given which sources, and what becomes of those of a process that has ended."""

from __future__ import annotations

import math
import threading
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from s3_upload.errors import FailureKind, SourceError
from s3_upload.fleet import dispenser as dispenser_module
from s3_upload.fleet.dispenser import AHEAD_BYTES, AHEAD_COUNT, LOOK_BYTES, WAIT_COUNT, Dispenser, Hand
from s3_upload.sources.files import PULL_BYTES
from s3_upload.sources.source import ObjectSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pulled in one go does not depend on how busy the machine is."""
    monkeypatch.setattr(dispenser_module, "PULL_BUDGET_S", math.inf)


def file(key: str, size: int = 1) -> ObjectSource:
    return ObjectSource(key=key, path=f"/there/is/none/{key}", size=size)


def files(count: int) -> list[ObjectSource]:
    return [file(f"{number:04}") for number in range(count)]


def keys(sources: Iterable[ObjectSource]) -> list[str]:
    return [source.key for source in sources]


def joined(dispenser: Dispenser, most: int = 0) -> Hand:
    hand = Hand(most)
    dispenser.join(hand)
    return hand


def end_all(dispenser: Dispenser, hand: Hand) -> list[str]:
    done = list(hand.has)
    for key in done:
        dispenser.ended(hand, key)
    return done


def test_all_take_from_one_stream_in_its_order_and_nothing_twice() -> None:
    dispenser = Dispenser(files(9))
    one, two = joined(dispenser, 2), joined(dispenser, 3)
    assert keys(dispenser.next_for(one)) == ["0000", "0001"]
    assert keys(dispenser.next_for(two)) == ["0002", "0003", "0004"]
    assert dispenser.next_for(one) == []  # it has no room
    assert keys(dispenser.next_bunch(100)) == ["0005", "0006", "0007", "0008"]
    assert dispenser.ended(one, "0000") is not None
    assert dispenser.ended(one, "0000") is None


def test_what_a_process_has_in_hand_is_bounded_by_bytes() -> None:
    dispenser = Dispenser(file(str(number), AHEAD_BYTES // 2) for number in range(9))
    hand = joined(dispenser)
    while hand.hungry and dispenser.next_for(hand):
        pass
    assert keys(taken.source for taken in hand.has.values()) == ["0", "1"]
    assert not hand.hungry


def test_one_that_is_quick_may_have_more() -> None:
    hand = Hand()
    assert hand.room == AHEAD_COUNT
    hand.per_s = 5_000.0
    assert hand.room == 5_000


def test_what_was_lost_is_handed_out_again_to_others_and_not_at_home() -> None:
    dispenser = Dispenser(files(4))
    one, two = joined(dispenser, 2), joined(dispenser, 8)
    dispenser.next_for(one)
    assert dispenser.ended(one, "0000")
    assert dispenser.lost(one) == []
    assert keys(dispenser.next_bunch(9)) == ["0002", "0003"]
    assert keys(dispenser.next_for(two)) == ["0001"]


def test_at_the_end_who_has_much_gives_back_half_of_what_is_more_than_the_least() -> None:
    dispenser = Dispenser(files(1_000))
    much, little = joined(dispenser, 900), joined(dispenser, 900)
    dispenser.next_for(much)
    assert dispenser.too_many(much) == 0  # the stream may go on
    end_all(dispenser, dispenser.home)
    dispenser.next_for(little)
    assert dispenser.exhausted
    assert dispenser.too_many(little) == 0
    assert dispenser.too_many(much) == 450  # the one at home has none


def test_what_was_given_back_is_for_whoever_has_room_also_at_home_and_the_end_waits_for_it() -> None:
    dispenser = Dispenser(files(4))
    one, two = joined(dispenser, 9), joined(dispenser, 1)
    dispenser.next_for(one)
    dispenser.give_back(one, ["0003", "0002", "0001", "unknown"])
    assert dispenser.ended(one, "0000") is not None
    assert dispenser.idle
    assert dispenser.left
    assert keys(dispenser.next_for(two)) == ["0003"]
    assert keys(dispenser.next_bunch(9)) == ["0002", "0001"]


def test_where_nothing_is_done_at_home_what_was_given_back_waits_for_others() -> None:
    dispenser = Dispenser(files(200), home_takes=False)
    one, two = joined(dispenser, 200), joined(dispenser, 200)
    dispenser.next_for(one)
    assert dispenser.next_for(two) == []
    assert dispenser.too_many(one) == 100
    dispenser.give_back(one, [f"{number:04}" for number in range(100, 200)])
    assert len(dispenser.next_for(two)) == 100
    assert dispenser.too_many(one) == 0


def test_who_has_given_back_is_not_given_that_again_and_nobody_more_than_suits_all() -> None:
    dispenser = Dispenser(files(900), home_takes=False)
    much, *others = [joined(dispenser, 900) for _ in range(3)]
    dispenser.next_for(much)
    assert dispenser.next_for(others[0]) == []
    dispenser.give_back(much, [f"{number:04}" for number in range(450, 900)])
    assert dispenser.next_for(much) == []
    assert [len(dispenser.next_for(one)) for one in others] == [300, 150]


def test_what_has_ended_a_process_is_not_given_back_for_the_one_at_home() -> None:
    dispenser = Dispenser(files(200))
    one, two = joined(dispenser, 201), joined(dispenser, 201)
    dispenser.next_for(one)
    assert dispenser.exhausted
    assert dispenser.too_many(one) == 100
    dispenser.lost(one)
    assert len(dispenser.next_for(two)) == 200
    assert dispenser.too_many(two) == 0


def test_what_is_taken_for_a_process_that_ends_meanwhile_is_not_lost() -> None:
    dispenser = Dispenser([])
    hand, other = joined(dispenser), joined(dispenser)

    def stream() -> Iterator[ObjectSource]:
        yield file("a")
        dispenser.lost(hand)
        yield file("b")

    dispenser._files = stream()
    assert dispenser.next_for(hand) == []
    assert keys(dispenser.next_for(other)) == ["a", "b"]


def test_what_is_taken_for_the_last_process_that_ends_meanwhile_is_done_at_home() -> None:
    dispenser = Dispenser([], home_takes=False)
    hand = joined(dispenser)

    def stream() -> Iterator[ObjectSource]:
        yield file("a")
        dispenser.lost(hand)
        dispenser.take_home()
        yield file("b")

    dispenser._files = stream()
    assert dispenser.next_for(hand) == []
    assert not dispenser._back, "nobody would ever take it"
    assert keys(dispenser.next_bunch(9)) == ["a", "b"]


def test_nobody_is_told_the_end_while_somebody_is_being_given_the_last() -> None:
    """The process at home looks at the very moment in which the stream ends."""
    dispenser = Dispenser([])
    hand = joined(dispenser)
    told: list[list[ObjectSource]] = []
    home = threading.Thread(target=lambda: told.append(dispenser.next_bunch(9)))

    def stream() -> Iterator[ObjectSource]:
        yield file("last")
        home.start()

    dispenser._files = stream()
    assert keys(dispenser.next_for(hand)) == ["last"]
    dispenser.lost(hand)
    other = joined(dispenser)
    assert keys(dispenser.next_for(other)) == ["last"]
    assert told == []
    dispenser.ended(other, "last")
    home.join(10.0)
    assert told == [[]]


def search(dispenser: Dispenser, deadly: set[str]) -> tuple[list[str], list[str], int]:
    """What is done, who is found to be deadly, and how many processes have ended."""
    done, culprits, deaths = list[str](), list[str](), 0
    hand = joined(dispenser)
    while dispenser.left:
        dispenser.next_for(hand)
        if deadly & set(hand.has):
            culprits += keys(dispenser.lost(hand))
            deaths += 1
            hand = joined(dispenser)
        else:
            done += end_all(dispenser, hand)
    return done, culprits, deaths


@pytest.mark.parametrize("deadly", [{"0000"}, {"0377"}, {"0999"}, {"0001", "0500"}], ids=sorted)
def test_who_ends_every_process_is_found_and_all_others_are_done_once(deadly: set[str]) -> None:
    done, culprits, deaths = search(Dispenser(files(1_000)), deadly)
    assert set(culprits) == deadly
    assert len(culprits) == len(deadly)
    assert sorted(done) == [key for key in keys(files(1_000)) if key not in deadly]
    assert deaths <= 2 + 12 * len(deadly)


def test_suspects_are_given_to_one_that_has_nothing_and_alone() -> None:
    dispenser = Dispenser(files(20))
    for _ in range(2):
        dispenser.next_for(hand := joined(dispenser, 4))
        dispenser.lost(hand)
    busy, idle = joined(dispenser, 8), joined(dispenser, 8)
    busy.take([])
    assert keys(dispenser.next_for(idle)) == ["0000", "0001"]
    assert idle.alone
    assert not idle.hungry
    assert dispenser.next_for(idle) == []
    assert keys(dispenser.next_for(busy)) == ["0002", "0003"]


def test_what_does_not_travel_stays_home() -> None:
    stays = [
        ObjectSource.data(b"x", "data"),
        ObjectSource.stream([b"x"], "stream"),
        ObjectSource(key="problem", path="p", problem=SourceError("no")),
        ObjectSource(key="skipped", path="p", skip_reason="a socket"),
    ]
    dispenser = Dispenser([file("a"), *stays, file("b")], home_takes=False)
    hand = joined(dispenser)
    assert keys(dispenser.next_for(hand)) == ["a", "b"]
    assert keys(dispenser.next_bunch(9)) == ["data", "stream", "problem", "skipped"]


def test_what_only_the_one_at_home_can_send_is_nothing_for_others() -> None:
    for sources, is_for_others in (
        ([ObjectSource.data(b"1", "1"), ObjectSource.stream([b"2"], "2")], False),
        ([ObjectSource.data(b"1", "1"), file("2")], True),
    ):
        dispenser = Dispenser([*sources, *sources])
        assert not dispenser.has_for_others
        dispenser.next_bunch(len(sources))
        for source in sources:  # what is done by now counts as well: more of the kind may come
            dispenser.ended_at_home(source.key, source)
        assert dispenser.has_for_others is is_for_others


@pytest.mark.parametrize("shard", [0, 20_000])
@pytest.mark.parametrize("size", [1, LOOK_BYTES // 8])
@pytest.mark.parametrize("is_stream", [True, False])
def test_of_what_does_not_travel_no_more_is_taken_for_others_than_home_soon_takes(
    shard: int, size: int, is_stream: bool
) -> None:
    """A generator may open each file, or read it: that ended for want of descriptors, or of memory."""
    taken: list[str] = []

    def stream() -> Iterator[ObjectSource]:
        for number in range(5_000):
            taken.append(f"{number}")
            if is_stream:
                yield ObjectSource(key=taken[-1], chunks=[b"x"], size=size)
            else:
                yield ObjectSource(key=taken[-1], body=b"x", size=size)

    dispenser = Dispenser(stream(), home_takes=False)
    hand = joined(dispenser, shard)
    most = WAIT_COUNT if size == 1 else 16
    for _ in range(100):
        assert dispenser.next_for(hand) == []
    assert len(taken) <= most
    at_home = dispenser.next_bunch(10)
    assert keys(at_home) == taken[:10]
    for _ in range(100):
        dispenser.next_for(hand)
    assert 10 < len(taken) <= most + 10


def test_what_weighs_nothing_keeps_nobody_from_what_comes_after_it() -> None:
    """Links that are not followed, say, while home is busy."""
    links = (ObjectSource(key=f"{n}", path=f"{n}", skip_reason="a link") for n in range(4 * AHEAD_COUNT))
    dispenser = Dispenser(chain(links, files(1)), home_takes=False)
    hand = joined(dispenser)
    while not (given := dispenser.next_for(hand)) and not dispenser.exhausted:
        pass
    assert keys(given) == ["0000"]


def test_of_one_key_in_two_hands_the_second_fails_and_names_the_first() -> None:
    first, second = file("a"), ObjectSource(key="a", path="/elsewhere", size=1)
    dispenser = Dispenser([first, second, file("b")])
    hand = joined(dispenser, 1)
    dispenser.next_for(hand)
    refused, other = dispenser.next_bunch(9)
    assert refused.problem is not None
    assert refused.problem.kind is FailureKind.SAME_KEY
    assert str(refused.problem) == (
        "/elsewhere: /there/is/none/a has the same key and is still being uploaded"
    )
    assert other.problem is None
    # Its report, which comes at once, is not that of the first.
    dispenser.ended_at_home("a", refused)
    assert dispenser.ended(hand, "a") is first


def test_of_one_key_in_one_hand_the_second_fails_too() -> None:
    dispenser = Dispenser([file("a"), file("a"), file("a")])
    hand = joined(dispenser)
    assert keys(dispenser.next_for(hand)) == ["a"]
    assert hand.bytes == 1
    assert [bool(source.problem) for source in dispenser.next_bunch(9)] == [True, True]


def test_a_key_may_come_again_when_the_first_is_done() -> None:
    dispenser = Dispenser([file("a"), file("a")])
    hand = joined(dispenser, 1)
    dispenser.next_for(hand)
    dispenser.ended(hand, "a")
    [again] = dispenser.next_for(hand)
    assert again.problem is None


def test_while_it_is_held_nothing_is_begun_at_home() -> None:
    dispenser = Dispenser(files(3))
    dispenser.hold(True)
    taken: list[ObjectSource] = []
    home = threading.Thread(target=lambda: taken.extend(dispenser.next_bunch(2)))
    home.start()
    hand = joined(dispenser, 1)
    assert keys(dispenser.next_for(hand)) == ["0000"]
    dispenser.hold(False)
    home.join(10.0)
    assert keys(taken) == ["0001", "0002"]


def test_one_that_ended_for_another_reason_is_no_proof_against_what_it_had_alone() -> None:
    """Nobody would report it, and nobody have it any more."""
    dispenser = Dispenser(files(2))
    for _ in range(2):
        hand = joined(dispenser, 2)
        dispenser.next_for(hand)
        assert dispenser.lost(hand) == []
    alone = joined(dispenser, 2)
    assert len(dispenser.next_for(alone)) == 1
    assert dispenser.lost(alone, by_source=False) == []
    assert dispenser.left
    assert sorted(keys(dispenser.take_home())) == ["0000", "0001"]


def test_where_there_are_no_others_any_more_it_is_done_at_home_but_for_suspects() -> None:
    dispenser = Dispenser(files(6), home_takes=False)
    for most in (2, 4):  # the first two are lost twice
        dispenser.next_for(hand := joined(dispenser, 2))
        dispenser.next_for(more := joined(dispenser, most - 2)) if most > 2 else None
        dispenser.lost(hand)
        if most > 2:
            dispenser.lost(more)
    assert keys(dispenser.take_home()) == ["0000", "0001"]
    taken = dispenser.next_bunch(9)
    taken += dispenser.next_bunch(9)
    assert keys(taken) == ["0002", "0003", "0004", "0005"]


def test_the_one_at_home_goes_on_when_the_others_are_gone_and_left_nothing() -> None:
    dispenser = Dispenser(files(2), home_takes=False)
    dispenser.spread_out()
    taken: list[ObjectSource] = []
    home = threading.Thread(target=lambda: taken.extend(dispenser.next_bunch(9)))
    home.start()
    dispenser.take_home()
    home.join(10.0)
    assert keys(taken) == ["0000", "0001"]


def test_the_end_comes_when_nobody_has_anything() -> None:
    dispenser = Dispenser(files(2))
    hand = joined(dispenser)
    dispenser.next_for(hand)
    told: list[list[ObjectSource]] = []
    home = threading.Thread(target=lambda: told.append(dispenser.next_bunch(9)))
    home.start()
    dispenser.ended(hand, "0000")
    assert home.is_alive()
    dispenser.ended(hand, "0001")
    home.join(10.0)
    assert told == [[]]


def test_when_it_is_closed_nobody_is_given_anything() -> None:
    dispenser = Dispenser(files(2))
    hand = joined(dispenser)
    dispenser.close()
    assert dispenser.next_for(hand) == []
    assert dispenser.next_bunch(9) == []


def test_what_the_iterable_raises_is_raised_to_whoever_asks() -> None:
    """Not once: another would take it for the end of the stream, and the job would end well."""

    def stream() -> Iterator[ObjectSource]:
        yield file("a")
        raise ValueError("broken")

    dispenser = Dispenser(stream())
    hand = joined(dispenser)
    with pytest.raises(ValueError, match="broken"):
        dispenser.next_for(hand)
    with pytest.raises(ValueError, match="broken"):
        dispenser.next_bunch(9)


@pytest.mark.parametrize("spread", [False, True])
def test_bodies_in_memory_are_taken_by_their_bytes(spread: bool) -> None:
    bodies = (ObjectSource.data(bytes(PULL_BYTES // 2), str(number)) for number in range(9))
    dispenser = Dispenser(bodies)
    if spread:
        dispenser.spread_out()
    assert keys(dispenser.next_bunch(9)) == ["0", "1"]
    assert keys(dispenser.next_bunch(9)) == ["2", "3"]
