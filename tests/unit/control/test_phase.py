"""Where an attempt stands: just before, at and just after each moment at which something is due."""

from __future__ import annotations

from math import inf, nextafter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.waiting import verdict
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.control.waiting.verdict import Action, Judgement, Standing
from tests.unit.control.constants import VERDICT

CREDIT_S = 0.5
PATIENCE_S = 60.0
ALLOWED = Timeouts(connect_s=3.0, total_s=300.0, stall_s=5.0, response_s=2.0, hedge_s=0.5, look_s=0.5)
UNHEDGED = msgspec.structs.replace(ALLOWED, hedge_s=inf, look_s=inf)
SENDING = Standing(request_s=10.0, progress_s=16.0)
WAITING = Standing(request_s=10.0, progress_s=20.0, acked_s=20.0)
ANSWERING = Standing(request_s=10.0, progress_s=20.0, acked_s=20.0, first_byte_s=21.0)


def judge(timeouts: Timeouts, standing: Standing, *, now: float) -> Judgement:
    return verdict.judge(timeouts, standing, now=now, tuning=VERDICT)


def before(instant_s: float) -> float:
    return nextafter(instant_s, -inf)


def after(instant_s: float) -> float:
    return nextafter(instant_s, inf)


def wait(due_s: float, timer: str = "") -> Judgement:
    return Judgement(Action.WAIT, due_s, timer)


def cut_if_credit(now: float, timer: str) -> Judgement:
    due_s = next(half / 2 for half in range(10_000) if half / 2 > now)
    return Judgement(Action.CUT_IF_CREDIT, due_s, timer)


def cut(now: float, timer: str) -> Judgement:
    return Judgement(Action.CUT, now, timer)


# --- sending ---------------------------------------------------------------------------------------


def test_sending_waits_until_5_s_after_the_last_acknowledged_byte() -> None:
    assert judge(UNHEDGED, SENDING, now=16.0) == wait(21.0, "stall")
    assert judge(UNHEDGED, SENDING, now=before(21.0)) == wait(21.0, "stall")


def test_sending_is_looked_at_again_after_look_s_since_all_may_be_acknowledged_by_then() -> None:
    assert judge(ALLOWED, SENDING, now=16.0) == wait(16.5, "stall")
    assert judge(ALLOWED, SENDING, now=20.0) == wait(20.5, "stall")
    assert judge(ALLOWED, SENDING, now=20.75) == wait(21.0, "stall")


@pytest.mark.parametrize("now", [21.0, after(21.0), 40.0, before(76.0)])
def test_sending_a_stall_is_cut_if_there_is_credit(now: float) -> None:
    assert judge(ALLOWED, SENDING, now=now) == cut_if_credit(now, "stall")


@pytest.mark.parametrize("now", [76.0, after(76.0), 200.0])
def test_sending_a_minute_of_silence_is_cut_in_any_case(now: float) -> None:
    assert judge(ALLOWED, SENDING, now=now) == cut(now, "stall")


def test_sending_progress_starts_the_wait_anew() -> None:
    moved_on = msgspec.structs.replace(SENDING, progress_s=80.0)
    assert judge(UNHEDGED, moved_on, now=80.0) == wait(85.0, "stall")


def test_sending_a_long_rto_moves_the_cut() -> None:
    slow = msgspec.structs.replace(SENDING, rto_s=2.0)  # 8 * 2 s
    assert judge(ALLOWED, slow, now=before(32.0)) == wait(32.0, "stall")
    assert judge(ALLOWED, slow, now=32.0) == cut_if_credit(32.0, "stall")


def test_sending_a_very_long_rto_moves_even_the_certain_cut() -> None:
    slow = msgspec.structs.replace(SENDING, rto_s=10.0)  # 8 * 10 s is more than a minute
    assert judge(ALLOWED, slow, now=before(96.0)) == wait(96.0, "stall")
    assert judge(ALLOWED, slow, now=96.0) == cut(96.0, "stall")


def test_sending_without_a_stall_timer_has_the_whole_time() -> None:
    origin = Timeouts(connect_s=5.0, total_s=300.0)
    assert judge(origin, SENDING, now=before(310.0)) == wait(310.0)


# --- waiting ---------------------------------------------------------------------------------------


def test_waiting_looks_again_when_a_hedge_is_due() -> None:
    assert judge(ALLOWED, WAITING, now=20.0) == wait(20.5)
    assert judge(ALLOWED, WAITING, now=before(20.5)) == wait(20.5)


@pytest.mark.parametrize("now", [20.5, after(20.5), before(22.0)])
def test_waiting_is_hedged_between_hedge_s_and_response_s(now: float) -> None:
    assert judge(ALLOWED, WAITING, now=now) == Judgement(Action.HEDGE, 22.0)


def test_waiting_is_hedged_once() -> None:
    hedged = msgspec.structs.replace(WAITING, hedged=True)
    assert judge(ALLOWED, hedged, now=20.5) == wait(22.0)


@pytest.mark.parametrize("hedged", [False, True])
@pytest.mark.parametrize("now", [22.0, after(22.0), 50.0, before(80.0)])
def test_waiting_past_response_s_is_cut_if_there_is_credit(now: float, hedged: bool) -> None:
    standing = msgspec.structs.replace(WAITING, hedged=hedged)
    assert judge(ALLOWED, standing, now=now) == cut_if_credit(now, "response")


@pytest.mark.parametrize("now", [80.0, after(80.0)])
def test_waiting_a_minute_is_cut_in_any_case(now: float) -> None:
    assert judge(ALLOWED, WAITING, now=now) == cut(now, "response")


def test_all_that_wait_for_credit_are_due_together_half_a_second_later_at_most() -> None:
    """While a store is away these are hundreds: one look, and not hundreds, for all."""
    moments_s = [22.0, 22.01, 22.3, before(22.5)]
    assert {judge(UNHEDGED, WAITING, now=now).due_s for now in moments_s} == {22.5}
    assert judge(UNHEDGED, WAITING, now=22.5).due_s == 23.0


def test_waiting_as_long_as_patience_lasts_needs_no_credit() -> None:
    patient = msgspec.structs.replace(ALLOWED, response_s=PATIENCE_S)
    hedged = msgspec.structs.replace(WAITING, hedged=True)
    assert judge(patient, hedged, now=before(80.0)) == wait(80.0)
    assert judge(patient, hedged, now=80.0) == cut(80.0, "response")


def test_waiting_without_a_response_timer_has_the_whole_time() -> None:
    complete = Timeouts(connect_s=3.0, total_s=300.0, stall_s=5.0)
    assert judge(complete, WAITING, now=before(310.0)) == wait(310.0)
    assert judge(complete, WAITING, now=310.0) == cut(310.0, "total")


# --- answering -------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [21.0, 60.0, before(81.0)])
def test_answering_has_a_minute(now: float) -> None:
    assert judge(ALLOWED, ANSWERING, now=now) == wait(81.0, "response")


@pytest.mark.parametrize("now", [81.0, after(81.0)])
def test_answering_for_more_than_a_minute_is_cut(now: float) -> None:
    assert judge(ALLOWED, ANSWERING, now=now) == cut(now, "response")


def test_answering_before_everything_was_acknowledged_is_answering_all_the_same() -> None:
    refused_early = Standing(request_s=10.0, progress_s=12.0, first_byte_s=12.0)
    assert judge(ALLOWED, refused_early, now=30.0) == wait(72.0, "response")


def test_answering_without_a_response_timer_has_the_whole_time() -> None:
    complete = Timeouts(connect_s=3.0, total_s=300.0, stall_s=5.0)
    assert judge(complete, ANSWERING, now=before(310.0)).action is Action.WAIT
    assert judge(complete, ANSWERING, now=before(310.0)).due_s == 310.0


# --- total -----------------------------------------------------------------------------------------

TIGHT = Timeouts(connect_s=3.0, total_s=12.0, stall_s=60.0, response_s=60.0, hedge_s=55.0)


@pytest.mark.parametrize("standing", [SENDING, WAITING, ANSWERING], ids=["sending", "waiting", "answering"])
def test_total_bounds_every_phase(standing: Standing) -> None:
    judgement = judge(TIGHT, standing, now=before(22.0))
    assert (judgement.action, judgement.due_s) == (Action.WAIT, 22.0)
    assert judge(TIGHT, standing, now=22.0) == cut(22.0, "total")
    assert judge(TIGHT, standing, now=after(22.0)) == cut(after(22.0), "total")


# --- whatever happens ------------------------------------------------------------------------------

seconds = st.floats(0.0, 100.0)
limits_s = st.one_of(st.floats(0.01, 60.0), st.just(inf))
hedges_s = st.one_of(st.floats(0.2, 60.0), st.just(inf))  # while sending it is the time between two looks


@given(
    st.builds(
        Timeouts,
        connect_s=st.just(3.0),
        total_s=st.floats(0.01, 500.0),
        stall_s=limits_s,
        response_s=limits_s,
        hedge_s=hedges_s,
    ),
    st.lists(seconds, min_size=4, max_size=4),
    st.integers(1, 4),
    st.booleans(),
    st.floats(0.0, 5.0),
)
def test_every_attempt_ends_and_never_waits_for_a_moment_that_has_passed(
    timeouts: Timeouts, pauses_s: list[float], known: int, hedged: bool, rto_s: float
) -> None:
    instants_s = [1.0]
    for pause_s in pauses_s[:known]:
        instants_s.append(instants_s[-1] + pause_s)
    request_s, progress_s, acked_s, first_byte_s, *_ = [*instants_s, 0.0, 0.0, 0.0]
    standing = Standing(
        request_s=request_s,
        progress_s=progress_s,
        acked_s=acked_s,
        first_byte_s=first_byte_s,
        rto_s=rto_s,
        hedged=hedged,
    )
    now = instants_s[-1]
    for _ in range(3000):  # 500 s in steps of CREDIT_S and some
        judgement = judge(timeouts, standing, now=now)
        if judgement.action is Action.CUT:
            break
        assert judgement.due_s > now
        assert judgement.due_s <= request_s + timeouts.total_s + CREDIT_S
        now = judgement.due_s
    assert judgement.action is Action.CUT
    assert now <= max(instants_s[-1], request_s + timeouts.total_s + CREDIT_S)
