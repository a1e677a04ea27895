"""Whether the store is there, step by step of the module's theory."""

from __future__ import annotations

import math

import msgspec
import pytest

from s3_upload.control.retrying.outage import Change, Outage, Reach, Tuning
from s3_upload.errors import FailureKind
from s3_upload.report import SUCCESS, AttemptReport
from tests.unit.control.constants import pinned

MAX_S = 300.0
TUNING = pinned(
    Tuning,
    silent_s=3.0,
    foreign_s=1.0,
    first_gap_s=0.2,
    gap_share=0.05,
    max_gap_s=15.0,
    quick_connect_s=2.0,
    answer_s=5.0,
    max_answer_s=60.0,
    brief_s=1.0,
    first_room=8,
)


class Rng:
    """Draws the value at `fraction` of the range it is asked for."""

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction

    def uniform(self, a: float, b: float, /) -> float:
        return a + self._fraction * (b - a)


def outage(max_s: float = MAX_S) -> Outage:
    return Outage(max_s, 5.0, TUNING)


def report(
    outcome: FailureKind | str,
    *,
    begun_s: float,
    ended_s: float,
    status: int = 0,
    request_s: float = 0.0,
    first_byte_s: float = 0.0,
    body_bytes: int = 0,
) -> AttemptReport:
    return AttemptReport(
        operation="PutObject",
        started_s=begun_s,
        ended_s=ended_s,
        timeout_s=60.0,
        body_bytes=body_bytes,
        outcome=outcome if isinstance(outcome, str) else outcome.value,
        status=status,
        request_s=request_s,
        first_byte_s=first_byte_s,
        message="Connection refused",
    )


def answer(begun_s: float, ended_s: float, status: int = 200) -> AttemptReport:
    outcome = SUCCESS if status == 200 else FailureKind.SERVER
    found = report(outcome, begun_s=begun_s, ended_s=ended_s, status=status, request_s=begun_s)
    return msgspec.structs.replace(found, request_id="17A")


def refused_as(outcome: FailureKind | str) -> AttemptReport:
    return report(outcome, begun_s=1.0, ended_s=1.0)


def ingress(now: float, status: int = 502) -> AttemptReport:
    kind = {404: FailureKind.NOT_S3, 503: FailureKind.THROTTLE}.get(status, FailureKind.SERVER)
    return report(kind, begun_s=now, ended_s=now, status=status, request_s=now, first_byte_s=now)


def refused(now: float) -> AttemptReport:
    return report(FailureKind.CONNECT, begun_s=now, ended_s=now)


def reset(now: float, *, first_byte_s: float = 0.0) -> AttemptReport:
    return report(FailureKind.RESET, begun_s=now, ended_s=now, request_s=now, first_byte_s=first_byte_s)


def fail(state: Outage, failed: AttemptReport, *, under_way: bool = False) -> Change:
    return state.unanswered(failed, under_way=under_way, now=failed.ended_s)


def miss(state: Outage, begun_s: float, *, connected: bool = False) -> Change:
    return state.missed("Connection refused", connected=connected, begun_s=begun_s)


def answered_at(now: float) -> Outage:
    state = outage()
    state.answered(answer(now - 0.1, now))
    return state


def suspected(now: float = 10.0) -> Outage:
    state = answered_at(now - 1.0)
    assert fail(state, refused(now)) is Change.SUSPECTED
    return state


def away(since_s: float = 10.0) -> Outage:
    state = suspected(since_s)
    assert miss(state, since_s + 0.1) is Change.GONE
    return state


# --- 1: suspected ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FailureKind.CONNECT, FailureKind.HOST_UNKNOWN, FailureKind.RESET])
def test_after_an_answer_a_connection_that_fails_is_suspicious(kind: FailureKind) -> None:
    state = answered_at(9.0)
    assert fail(state, report(kind, begun_s=10.0, ended_s=10.0)) is Change.SUSPECTED
    assert (state.reach, state.since_s, state.cause) == (Reach.SUSPECTED, 10.0, "Connection refused")
    assert state.room == math.inf


@pytest.mark.parametrize("kind", [FailureKind.TIMEOUT, FailureKind.MALFORMED])
def test_one_request_that_is_cut_or_answered_by_nonsense_is_not(kind: FailureKind) -> None:
    state = answered_at(9.0)
    assert fail(state, report(kind, begun_s=10.0, ended_s=20.0, request_s=10.0)) is Change.NONE


def test_a_connection_that_broke_within_an_answer_is_not() -> None:
    assert fail(answered_at(9.0), reset(10.0, first_byte_s=9.9)) is Change.NONE


def test_a_run_that_got_nowhere_suspects_nothing() -> None:
    state = outage()
    assert fail(state, refused(1.0)) is Change.NONE
    assert fail(state, reset(1.0)) is Change.NONE
    assert not state.got_somewhere


def test_bytes_of_a_body_on_a_connection_are_somewhere_to_have_got() -> None:
    state = outage()
    half_sent = report(FailureKind.RESET, begun_s=0.0, ended_s=9.0, request_s=0.1, body_bytes=8_000_000)
    assert fail(state, half_sent) is Change.NONE, "what hangs up on everybody may be no store"
    assert state.got_somewhere
    assert fail(state, refused(9.1)) is Change.SUSPECTED


def test_so_is_the_request_of_another() -> None:
    assert fail(outage(), refused(1.0), under_way=True) is Change.SUSPECTED


def test_silence_is_suspicious_and_again_each_time_it_has_doubled() -> None:
    state = answered_at(10.0)
    suspicions = []
    for now in range(11, 60):
        if state.look(alive_s=0.0, now=now) is Change.SUSPECTED:
            suspicions.append(now - 10)
            assert miss(state, now, connected=True) is Change.WAS_THERE
    assert suspicions == [3, 6, 12, 24, 48]


def test_probes_that_are_answered_do_not_hurry_the_next() -> None:
    """One request may take minutes, and the store be fine."""
    state = answered_at(10.0)
    suspicions = []
    for now in range(11, 60):
        if state.look(alive_s=0.0, now=now) is Change.SUSPECTED:
            suspicions.append(now - 10)
            assert state.heard(begun_s=now, now=now) is Change.WAS_THERE
    assert suspicions == [3, 6, 12, 24, 48]


def test_a_sign_of_life_ends_the_silence() -> None:
    state = answered_at(10.0)
    for now in range(11, 60):
        assert state.look(alive_s=now - 2.5, now=now) is Change.NONE
    assert state.look(alive_s=56.5, now=60.0) is Change.SUSPECTED


def test_what_fails_for_want_of_an_answer_is_held_while_it_is_suspected_or_away() -> None:
    unanswered = {FailureKind.CONNECT, FailureKind.HOST_UNKNOWN, FailureKind.RESET, FailureKind.TIMEOUT}
    for state in (suspected(), away()):
        assert {kind for kind in FailureKind if state.holds(refused_as(kind))} == unanswered
        assert not state.holds(refused_as(SUCCESS))
    assert not any(answered_at(9.0).holds(refused_as(kind)) for kind in FailureKind)


# --- 2: it was there -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_any_answer_to_what_was_begun_since_ends_the_suspicion(status: int) -> None:
    state = suspected(10.0)
    assert state.answered(answer(10.01, 10.2, status)) is Change.WAS_THERE
    assert (state.reach, state.room) == (Reach.THERE, math.inf)


def test_an_answer_to_what_was_begun_before_ends_no_suspicion() -> None:
    """A store that is shut down answers what it has begun, and refuses the next."""
    state = suspected(10.0)
    assert state.answered(answer(9.9, 10.2)) is Change.NONE
    assert state.reach is Reach.SUSPECTED


def test_a_probe_that_is_answered_ends_it() -> None:
    assert suspected(10.0).heard(begun_s=10.1, now=10.2) is Change.WAS_THERE


def test_a_connection_ends_a_suspicion_that_came_of_silence_alone() -> None:
    state = answered_at(10.0)
    assert state.look(alive_s=10.0, now=13.0) is Change.SUSPECTED
    assert miss(state, 13.1, connected=True) is Change.WAS_THERE
    state = suspected(10.0)
    assert miss(state, 10.1, connected=True) is Change.GONE, "it refused, and says nothing"


# --- 3: away ---------------------------------------------------------------------------------------


def test_a_probe_that_fails_says_that_it_is_away() -> None:
    state = suspected(10.0)
    assert miss(state, 10.05) is Change.GONE
    assert (state.reach, state.room) == (Reach.AWAY, 0)


def test_a_probe_of_an_earlier_suspicion_says_nothing_of_this_one() -> None:
    state = suspected(10.0)
    assert miss(state, 9.0) is Change.NONE
    assert state.heard(begun_s=9.0, now=9.1) is Change.NONE


def test_it_goes_away_once() -> None:
    state = away(10.0)
    assert miss(state, 11.0) is Change.NONE
    assert fail(state, refused(11.2)) is Change.NONE
    assert state.since_s == 10.0


def test_the_gap_between_probes_grows_with_the_outage_with_jitter_up_to_a_bound() -> None:
    state = away(10.0)
    gaps_s = [state.gap_s(now=10.0 + s, rng=Rng(1.0)) for s in (0.5, 3.0, 12.0, 100.0, 200.0)]
    assert gaps_s == pytest.approx([0.2, 0.2, 0.6, 5.0, 10.0])
    assert state.gap_s(now=110.0, rng=Rng(0.0)) == pytest.approx(2.5)
    longer = Outage(10_000.0, 5.0, TUNING)
    assert longer.gap_s(now=5000.0, rng=Rng(1.0)) == 15.0


def test_no_gap_goes_beyond_the_end_of_patience() -> None:
    state = away(10.0)
    state.look(alive_s=10.0, now=10.2)
    assert state.gap_s(now=308.0, rng=Rng(1.0)) == pytest.approx(2.0)


def test_every_other_probe_has_a_short_handshake_so_that_syns_are_never_far_apart() -> None:
    state = away(10.0)
    assert [state.probe_limits_s(now=11.0)[0] for _ in range(4)] == [2.0, 5.0, 2.0, 5.0]


def test_a_store_that_takes_connections_and_is_silent_is_waited_for_longer_each_time() -> None:
    state = away(10.0)
    assert [state.probe_limits_s(now=now)[1] for now in (10.0, 30.0, 50.0, 400.0)] == [5.0, 10.0, 20.0, 60.0]


# --- 4: back ---------------------------------------------------------------------------------------


def test_when_it_is_back_there_is_room_for_a_few_and_one_more_for_each_success() -> None:
    state = away(10.0)
    assert state.heard(begun_s=20.0, now=20.1) is Change.BACK
    assert (state.reach, state.room) == (Reach.THERE, 8)
    for room in range(9, 32):
        state.succeeded(32)
        assert state.room == room
    state.succeeded(32)
    assert state.room == math.inf


def test_after_a_brief_outage_there_is_room_for_all() -> None:
    state = away(10.0)
    assert state.heard(begun_s=10.7, now=10.9) is Change.BACK
    assert state.room == math.inf


def test_a_success_that_comes_while_it_is_away_makes_no_room() -> None:
    state = away(10.0)
    state.answered(answer(9.5, 11.0))
    state.succeeded(32)
    assert (state.reach, state.room) == (Reach.AWAY, 0)


def test_it_may_go_again() -> None:
    state = away(10.0)
    state.heard(begun_s=20.0, now=20.1)
    assert fail(state, refused(21.0)) is Change.SUSPECTED
    assert state.since_s == 21.0
    assert state.room == 8
    assert miss(state, 21.1) is Change.GONE
    assert state.room == 0


# --- 5: given up -----------------------------------------------------------------------------------


def test_it_is_given_up_when_there_was_no_sign_of_life_for_so_long() -> None:
    state = away(10.0)  # answered at 9.0
    for now in (100.0, 308.9):
        state.look(alive_s=0.0, now=now)
        assert not state.is_overdue(now=now)
    assert state.is_overdue(now=309.0)


def test_so_is_a_store_that_takes_connections_and_is_silent() -> None:
    state = outage()
    for now in range(1, 300):
        if state.look(alive_s=0.0, now=now) is Change.SUSPECTED:
            miss(state, now, connected=True)
        assert not state.is_overdue(now=now)
    assert state.reach is Reach.THERE
    assert state.is_overdue(now=300.0)


def test_a_store_that_answers_a_probe_is_alive() -> None:
    state = outage()
    state.look(alive_s=0.0, now=3.0)
    state.heard(begun_s=3.1, now=200.0)
    state.look(alive_s=0.0, now=300.0)
    assert not state.is_overdue(now=300.0)


def test_time_in_which_nothing_is_waited_for_does_not_count() -> None:
    state = answered_at(10.0)
    state.look(alive_s=1000.0, now=1000.0)
    assert not state.is_overdue(now=1299.0)
    assert state.is_overdue(now=1300.0)


def test_time_in_which_this_process_stood_still_is_nobodys_silence() -> None:
    """Ctrl-Z, five minutes, fg: answers may be there, and nobody has looked."""
    state = answered_at(10.0)
    state.look(alive_s=11.0, now=12.0)
    state.stood_still(400.0, now=412.0)
    state.look(alive_s=11.0, now=412.0)
    assert not state.is_overdue(now=412.0)
    assert state.is_overdue(now=411.0 + 300.0)


def test_while_it_stood_still_patience_did_not_end_and_probes_keep_their_distance() -> None:
    state = away(10.0)
    state.look(alive_s=11.0, now=12.0)
    state.stood_still(400.0, now=412.0)
    assert state.gap_s(now=412.0, rng=Rng(0.0)) >= TUNING.first_gap_s / 2


def test_zero_switches_all_of_it_off() -> None:
    state = outage(0.0)
    state.answered(answer(9.0, 9.1))
    assert fail(state, refused(10.0)) is Change.NONE
    assert state.look(alive_s=0.0, now=1000.0) is Change.NONE
    assert not state.holds(refused_as(FailureKind.CONNECT))
    assert not state.is_overdue(now=1e9)


@pytest.mark.parametrize(
    ("max_s", "timer", "waited_s", "outwaited"),
    [
        (300.0, "response", 300.0, True),
        (300.0, "response", 202.5, False),
        (300.0, "stall", 300.0, False),
        (0.0, "response", 300.0, False),
        (30.0, "response", 60.0, False),
    ],
)
def test_a_single_answer_is_waited_for_no_longer_than_an_outage(
    max_s: float, timer: str, waited_s: float, outwaited: bool
) -> None:
    """Below a minute `max_s` bounds no single answer: those use up their tries."""
    cut = report(FailureKind.TIMEOUT, begun_s=10.0, ended_s=10.1 + waited_s, request_s=10.0)
    cut = msgspec.structs.replace(cut, acked_s=10.1, timer=timer)
    assert outage(max_s).outwaited(cut) is outwaited


def test_a_small_request_that_was_never_acknowledged_waited_since_it_was_sent() -> None:
    cut = report(FailureKind.TIMEOUT, begun_s=500.0, ended_s=502.0, request_s=500.0)
    cut = msgspec.structs.replace(cut, sent_s=500.0, timer="response")
    assert not outage(300.0).outwaited(cut)


# --- what answers is no S3 -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 502, 503, 504])
def test_a_store_that_something_else_answers_for_is_suspected_after_a_second(status: int) -> None:
    state = outage()
    state.answered(answer(9.0, 10.0))
    assert state.answered(ingress(10.9, status)) is Change.NONE
    assert not state.holds(ingress(10.9, status))
    assert state.answered(ingress(11.0, status)) is Change.SUSPECTED
    assert state.holds(ingress(11.0, status))
    assert state.is_miss(status, "")
    assert state.missed("502", connected=True, begun_s=11.0) is Change.GONE
    assert state.answered(ingress(12.0, status)) is Change.NONE
    assert state.reach is Reach.AWAY


def test_an_error_in_words_of_s3_is_an_answer() -> None:
    state = outage()
    state.answered(answer(9.0, 10.0))
    for words in ({"code": "InternalError"}, {"request_id": "17A"}):
        assert state.answered(msgspec.structs.replace(ingress(20.0), **words)) is Change.NONE
    assert not state.is_miss(503, "17A")
    assert not state.is_miss(404, "")


def test_before_s3_has_answered_nobody_answers_for_it() -> None:
    state = outage()
    assert state.answered(ingress(5.0)) is Change.NONE
    assert not state.holds(ingress(5.0))


def test_what_an_ingress_answers_is_no_sign_of_life() -> None:
    state = outage()
    state.answered(answer(0.0, 1.0))
    for second in range(2, 400):
        state.answered(ingress(float(second)))
    assert state.is_overdue(now=400.0)


def test_silence_counts_from_the_last_sign_of_life() -> None:
    one = outage()
    one.answered(answer(0.0, 1.0))
    one.look(alive_s=2.5, now=3.0)
    assert one.silent_s(now=5.0) == 2.5


def test_of_a_store_that_refuses_it_counts_since_that_showed() -> None:
    """Signs of life are looked for now and then: the last that was seen is older than the last there was."""
    one = outage()
    one.answered(answer(0.0, 1.0))
    one.unanswered(report(FailureKind.CONNECT, begun_s=3.0, ended_s=3.2), under_way=False, now=3.2)
    one.missed("Connection refused", connected=False, begun_s=3.3)
    assert one.silent_s(now=5.2) == pytest.approx(2.0)


def test_of_a_store_that_went_away_without_a_word_it_counts_from_the_last_sign_of_life() -> None:
    one = outage()
    one.answered(answer(0.0, 1.0))
    one.look(alive_s=1.0, now=4.0)
    one.missed("in vain", connected=False, begun_s=4.1)
    assert (one.reach, one.silent_s(now=9.0)) == (Reach.AWAY, 8.0)


@pytest.mark.parametrize("connected", [True, False])
def test_it_is_known_whether_the_last_probe_got_a_connection(connected: bool) -> None:
    one = outage()
    one.answered(answer(0.0, 1.0))
    fail(one, refused(3.0))
    assert miss(one, 3.1, connected=not connected) is Change.GONE
    miss(one, 4.0, connected=connected)
    assert one.unreached is not connected
