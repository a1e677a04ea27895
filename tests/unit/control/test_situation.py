"""What is said of the store, and when."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from s3_upload.control.retrying.situation import Seen, Situation
from tests.unit.control.constants import SITUATION

WHERE = "http://store"


def lines(seen: Callable[[float], Seen], until_s: int, situation: Situation | None = None) -> dict[int, str]:
    """What is said at which second."""
    situation = situation or Situation(WHERE, 300.0, SITUATION)
    said = {now: situation.line(seen(float(now)), now=float(now)) for now in range(until_s)}
    return {now: text for now, text in said.items() if text is not None}


def fine(now: float) -> Seen:
    return Seen(alive_s=now, answered_s=now)


def test_of_a_store_that_is_fine_nothing_is_said() -> None:
    assert lines(fine, 1000) == {}


def test_a_silent_store_is_told_of_after_seconds_and_each_time_it_has_lasted_twice_as_long() -> None:
    said = lines(lambda now: Seen(alive_s=0.0), 100)
    assert sorted(said) == [5, 10, 20, 40, 80]
    assert said[5] == (
        "http://store takes requests and has not answered for 5 s; the run waits for 300 s (--max-outage)"
    )


def test_a_store_that_is_away_is_told_of_with_the_cause() -> None:
    said = lines(lambda now: Seen(alive_s=1.0, away_since_s=2.0, cause="refused {1}"), 8)
    assert said == {
        7: "http://store has been away for 5 s (refused {1}); the run waits for 300 s (--max-outage)"
    }


def test_a_store_that_gets_no_new_connection_and_goes_on_with_the_others_is_not_said_to_be_away() -> None:
    def crowded(now: float) -> Seen:
        if now >= 20:
            return fine(now)
        return Seen(alive_s=now - 1, away_since_s=2.0, cause="none within 5 s", unreached=True)

    begins, ends = "http://store has taken no new connection for", "and goes on with the others"
    assert lines(crowded, 40) == {
        7: f"{begins} 5 s (none within 5 s), {ends}",
        12: f"{begins} 10 s (none within 5 s), {ends}",
        20: "http://store takes new connections again, after 18 s",
    }


def test_a_store_behind_a_proxy_that_takes_bytes_is_away_all_the_same() -> None:
    def refused_by_another(now: float) -> Seen:
        return Seen(alive_s=now - 1, away_since_s=2.0, cause="something else answers for it, 502")

    [said] = lines(refused_by_another, 8).values()
    assert said.startswith("http://store has been away for 5 s (something else answers for it, 502)")


def test_when_the_others_have_ended_as_well_the_store_is_away() -> None:
    def ends(now: float) -> Seen:
        return Seen(alive_s=min(now, 14.0), away_since_s=2.0, cause="none", unreached=True)

    said = lines(ends, 25)
    assert "goes on" in said[12]
    assert "has been away for 20 s" in said[22]


def test_a_store_that_only_refuses_is_told_of_with_what_it_answered() -> None:
    def refuses(now: float) -> Seen:
        return Seen(alive_s=now, refused=1234, refusal="503 SlowDown")

    assert lines(refuses, 8) == {
        5: "http://store has answered with errors only for 5 s (1,234 answers, the last: 503 SlowDown)"
    }


def test_that_it_is_over_is_told_once() -> None:
    def away_for_30_s(now: float) -> Seen:
        return Seen(alive_s=1.0, away_since_s=2.0) if now < 32 else fine(now)

    said = lines(away_for_30_s, 100)
    assert sorted(said) == [7, 12, 22, 32]
    assert said[32] == "http://store answers again, after 30 s"


def test_of_what_is_short_nothing_is_said_at_all() -> None:
    def short(now: float) -> Seen:
        return fine(now) if now % 10 < 10 - SITUATION.first_s + 1 else Seen(alive_s=now // 10 * 10 + 5)

    assert lines(short, 200) == {}


def test_two_lines_are_never_close_together() -> None:
    def changes(now: float) -> Seen:
        if now % 7 == 0:
            return fine(now)
        return Seen(alive_s=now - 6, away_since_s=now - 5.5 if now % 2 else None)

    said = sorted(lines(changes, 300))
    assert said
    assert all(second - first >= SITUATION.apart_s for first, second in pairwise(said))


def test_an_error_is_no_end_of_an_outage() -> None:
    def errors_at_the_end(now: float) -> Seen:
        if now < 20:
            return Seen(alive_s=1.0, away_since_s=2.0)
        return Seen(alive_s=now, refused=5, refused_since_s=1.0, refusal="503")

    said = lines(errors_at_the_end, 28)
    assert not any("again" in text for text in said.values())
    assert any("errors only" in text for text in said.values())


def test_a_stray_error_before_a_long_request_is_no_situation() -> None:
    assert lines(lambda now: Seen(alive_s=now, refused=2, refused_since_s=0.0, refusal="500"), 100) == {}


def test_what_the_kernel_of_a_frozen_store_takes_in_is_no_answer() -> None:
    """New connections are taken every ten seconds, and nothing ever comes."""
    said = lines(lambda now: Seen(alive_s=now // 10 * 10 + 2, answered_s=1.0), 60)
    assert said
    assert not [line for line in said.values() if "answers again" in line]
