"""The watchdog: one timer, two passes, cuts. Hedges: `test_watchdog_hedges.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.http1.trace import Transfer
from tests.unit.watchdog_rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable

TICK_S = 0.001
"""Between the look at the clock and the verdict: the loop serves its sockets."""


def near(value: float, within: float | None = None) -> Any:
    return pytest.approx(value, abs=within)


def cut_at(instant_s: float, reason: str) -> list[tuple[float, str]]:
    return [(near(instant_s, within=0.01), reason)]


# --- one timer -------------------------------------------------------------------------------------


def test_no_attempt_no_timer() -> None:
    assert Rig().loop.pending() == []


def test_one_timer_serves_all_attempts_and_is_armed_for_the_earliest() -> None:
    rig = Rig()
    rig.attempt(Timeouts(3.0, 300.0, response_s=0.25))
    assert [timer.when_s for timer in rig.loop.pending()] == [10.25]
    rig.attempt(Timeouts(3.0, 300.0, response_s=0.375))
    assert [timer.when_s for timer in rig.loop.pending()] == [10.25]
    rig.attempt(Timeouts(3.0, 300.0, response_s=0.125))
    assert [timer.when_s for timer in rig.loop.pending()] == [10.125]


@pytest.mark.parametrize(
    ("timeouts", "due_s"),
    [
        (Timeouts(3.0, 0.25), 10.25),
        (Timeouts(3.0, 300.0, stall_s=0.25), 10.25),
        (Timeouts(3.0, 300.0, stall_s=0.25, response_s=0.125), 10.125),
        (Timeouts(3.0, 300.0, 5.0, 2.0, hedge_s=0.0625), 10.0625),
        (Timeouts(3.0, 300.0), 10.5),
    ],
)
def test_the_first_look_is_when_a_timer_could_be_due_and_at_the_latest_after_half_a_second(
    timeouts: Timeouts, due_s: float
) -> None:
    rig = Rig()
    rig.attempt(timeouts)
    assert [timer.when_s for timer in rig.loop.pending()] == [due_s]


def test_an_attempt_that_ends_in_time_costs_no_timer() -> None:
    rig = Rig()
    rig.attempt()
    for _ in range(1000):
        rig.watchdog.unwatch(rig.attempt())
    assert rig.loop.armed == 1


def test_after_a_judgement_the_timer_is_armed_for_what_could_be_due_next() -> None:
    rig = Rig()
    rig.attempt(Timeouts(3.0, 300.0, response_s=0.75))
    rig.attempt(Timeouts(3.0, 300.0, response_s=0.875))
    rig.loop.run_until(10.6)
    assert [timer.when_s for timer in rig.loop.pending()] == [near(10.75)]
    rig.loop.run_until(10.8)  # the first is cut
    assert [timer.when_s for timer in rig.loop.pending()] == [near(10.875)]


def test_what_an_attempt_is_allowed_may_change_while_it_runs() -> None:
    rig = Rig()
    attempt = rig.attempt(Timeouts(3.0, 300.0, response_s=10.0))
    rig.loop.run_until(13.0)
    rig.allowed[attempt] = Timeouts(3.0, 300.0, response_s=4.0)
    rig.loop.run_until(20.0)
    assert rig.cuts == cut_at(14.0, "no answer within 4 s")


# --- two passes ------------------------------------------------------------------------------------


def test_the_verdict_comes_after_the_loop_has_looked_at_its_sockets() -> None:
    rig = Rig()
    rig.attempt(Timeouts(3.0, 300.0, response_s=0.25))
    rig.loop.fire()
    assert (rig.loop.now_s, rig.cuts) == (10.25, [])
    assert [timer.when_s for timer in rig.loop.pending()] == [near(10.25 + TICK_S)]
    rig.loop.fire()
    assert rig.cuts == [(near(10.25 + TICK_S), "no answer within 0.251 s")]


def test_an_attempt_that_ended_between_look_and_verdict_is_not_cut() -> None:
    rig = Rig()
    attempt = rig.attempt()
    rig.loop.now_s = 100.0  # this process was late
    rig.loop.fire()
    rig.watchdog.unwatch(attempt)  # its answer was there all the time
    rig.loop.fire()
    assert (rig.cuts, rig.hedges, rig.credit) == ([], [], 10.0)
    assert rig.loop.pending() == []


def test_an_answer_that_began_between_look_and_verdict_is_waited_for() -> None:
    rig = Rig()
    attempt = rig.attempt()
    rig.loop.now_s = 100.0
    rig.loop.fire()
    attempt.trace.first_byte_s = 100.0
    rig.loop.fire()
    assert (rig.cuts, rig.credit) == ([], 10.0)
    rig.loop.run_until(159.9)
    assert rig.cuts == []
    rig.loop.run_until(161.0)
    assert len(rig.cuts) == 1


def test_bytes_acknowledged_while_this_process_was_late_count() -> None:
    rig = Rig()
    attempt = rig.attempt(sent=False)
    attempt.trace.probe = lambda: Transfer(1000, False, 0.5, 0.0)
    rig.loop.now_s = 100.0
    rig.loop.fire()
    rig.loop.fire()
    assert rig.cuts == []
    assert attempt.progress_s == near(99.5 + TICK_S)


# --- handshakes ------------------------------------------------------------------------------------


def test_a_handshake_is_not_judged() -> None:
    rig = Rig()
    rig.handshake()
    rig.loop.run_until(500.0)  # beyond every timer, and the total as well
    assert (rig.cuts, rig.hedges, rig.credit) == ([], [], 10.0)


def test_after_a_handshake_the_timers_count_from_the_requests_begin() -> None:
    rig = Rig()
    attempt = rig.handshake(Timeouts(3.0, 300.0, response_s=2.0))
    rig.loop.run_until(14.0)
    rig.begin(attempt)
    rig.loop.run_until(15.9)
    assert rig.cuts == []
    rig.loop.run_until(17.0)
    assert rig.cuts == cut_at(16.0, "no answer within 2 s")


# --- cuts ------------------------------------------------------------------------------------------


def test_a_late_answer_is_cut_and_paid_for() -> None:
    rig = Rig()
    attempt = rig.attempt(Timeouts(3.0, 300.0, response_s=2.0))
    rig.loop.run_until(13.0)
    assert rig.cuts == cut_at(12.0, "no answer within 2 s")
    assert (attempt.timer, attempt.trace.cancelled, rig.credit) == ("response", True, 9.0)


def test_with_an_empty_budget_nothing_is_cut_until_patience_ends() -> None:
    rig = Rig(credit=0)
    attempt = rig.attempt()
    rig.loop.run_until(69.99)
    assert rig.cuts == []
    rig.loop.run_until(70.6)
    assert len(rig.cuts) == 1
    assert 70.0 <= rig.cuts[0][0] <= 70.5  # CREDIT_S
    assert (attempt.timer, rig.credit) == ("response", 0.0)


def test_credit_that_comes_in_is_spent_on_what_is_overdue() -> None:
    rig = Rig(credit=0)
    rig.attempt()
    rig.loop.run_until(20.0)
    for _ in range(20):
        rig.budget.succeeded(0)
    rig.loop.run_until(20.3)
    assert (len(rig.cuts), rig.credit) == (1, near(0.0))


def test_a_store_that_falls_silent_costs_the_credit_there_is_and_then_patience() -> None:
    rig = Rig()
    for _ in range(50):
        rig.attempt(Timeouts(3.0, 300.0, response_s=2.0))
    rig.loop.run_until(69.99)
    assert len(rig.cuts) == 10
    rig.loop.run_until(70.6)
    assert len(rig.cuts) == 50


def test_an_attempt_whose_source_takes_its_time_does_not_stall() -> None:
    """The other side has taken in all that there is: the next bytes are still being read."""
    rig = Rig()
    attempt = rig.attempt(sent=False, big=True)
    starved = True
    attempt.trace.probe = lambda: Transfer(1000, False, rig.loop.now_s - 10.0, 0.0, starved)
    rig.loop.run_until(200.0)
    assert rig.cuts == []
    starved = False
    rig.loop.run_until(206.0)
    assert [reason for _, reason in rig.cuts] == ["no byte was taken in for 5 s"]


def test_a_stall_is_cut() -> None:
    rig = Rig()
    attempt = rig.attempt(sent=False)
    attempt.trace.probe = lambda: Transfer(0, False, 0.0, 0.0)
    rig.loop.run_until(16.0)
    assert rig.cuts == cut_at(15.0, "no byte was taken in for 5 s")
    assert (attempt.timer, rig.credit) == ("stall", 9.0)


def test_a_transfer_that_creeps_is_not_cut_before_the_total() -> None:
    rig = Rig()
    attempt = rig.attempt(sent=False)
    attempt.trace.probe = lambda: Transfer(int(rig.loop.now_s), False, 0.0, 0.0)  # a byte a second
    rig.loop.run_until(309.99)
    assert rig.cuts == []
    rig.loop.run_until(311.0)
    assert rig.cuts == cut_at(310.0, "not done within 300 s")
    assert (attempt.timer, rig.credit) == ("total", 10.0)


def test_the_connections_own_rto_gives_a_stall_more_time() -> None:
    rig = Rig()
    attempt = rig.attempt(sent=False)
    attempt.trace.probe = lambda: Transfer(0, False, 0.0, 1.0)  # 8 of them
    rig.loop.run_until(17.9)
    assert rig.cuts == []
    rig.loop.run_until(19.0)
    assert rig.cuts == cut_at(18.0, "no byte was taken in for 8 s")


def test_the_wait_for_an_answer_begins_with_the_last_acknowledgement() -> None:
    rig = Rig()
    attempt = rig.attempt(Timeouts(3.0, 300.0, stall_s=5.0, response_s=2.0), big=True)
    attempt.trace.sent_s = 10.5
    attempt.trace.probe = lambda: Transfer(1000, True, rig.loop.now_s - 11.5, 0.0)
    rig.loop.run_until(13.4)
    assert (rig.cuts, attempt.acked_s) == ([], near(11.5))
    rig.loop.run_until(14.0)
    assert rig.cuts == cut_at(13.5, "no answer within 2 s")


def test_the_wait_for_a_small_request_begins_when_it_has_left() -> None:
    """Its acknowledgement may have been delayed."""
    rig = Rig()
    attempt = rig.attempt(Timeouts(3.0, 300.0, stall_s=5.0, response_s=2.0))
    attempt.trace.sent_s = 10.5
    attempt.trace.probe = lambda: Transfer(0, True, rig.loop.now_s - 10.54, 1.0)
    rig.loop.run_until(12.4)
    assert (rig.cuts, attempt.acked_s) == ([], 10.5)
    rig.loop.run_until(13.0)
    assert rig.cuts == cut_at(12.5, "no answer within 2 s")


def test_a_small_request_whose_connection_falls_silent_is_cut_as_one_that_gets_no_answer() -> None:
    rig = Rig()
    attempt = rig.attempt(Timeouts(3.0, 300.0, stall_s=5.0, response_s=2.0))
    attempt.trace.probe = lambda: Transfer(0, False, rig.loop.now_s - 10.54, 1.0)
    rig.loop.run_until(13.0)
    assert rig.cuts == cut_at(12.0, "no answer within 2 s")


def test_a_small_request_of_which_bytes_are_still_queued_waits_for_no_answer() -> None:
    rig = Rig()
    attempt = rig.attempt(Timeouts(3.0, 300.0, stall_s=5.0, response_s=2.0))
    attempt.trace.probe = lambda: Transfer(int(rig.loop.now_s), False, 0.9, 1.0)
    rig.loop.run_until(60.0)
    assert (rig.cuts, attempt.acked_s) == ([], 0.0)


def test_an_acknowledgement_from_before_the_sending_is_another_requests() -> None:
    rig = Rig()
    attempt = rig.attempt(big=True)
    attempt.trace.sent_s = 10.25
    attempt.trace.probe = lambda: Transfer(1000, True, 60.0, 0.0)
    assert attempt.standing(10.75).acked_s == 10.25
    assert attempt.standing(10.75).progress_s == 10.0


# --- what a judgement may meet -----------------------------------------------------------------------


def unreadable(error: Exception) -> Callable[[], Transfer]:
    def probe() -> Transfer:
        raise error

    return probe


@pytest.mark.parametrize(
    "error", [ValueError("negative file descriptor"), OSError(9, "Bad file descriptor")], ids=str
)
def test_an_attempt_whose_socket_cannot_be_read_is_judged_by_what_is_known(error: Exception) -> None:
    """uvloop has closed it already, and tells in the loop's next turn."""
    rig = Rig()
    lost, other = rig.attempt(sent=False), rig.attempt(sent=False)
    lost.trace.probe = lambda: Transfer(1000, False, 0.0, 0.0)
    other.trace.probe = lambda: Transfer(0, False, 0.0, 0.0)
    rig.loop.run_until(10.6)  # a first look: its progress is of 10.5
    lost.trace.probe = unreadable(error)
    rig.loop.run_until(15.4)
    assert rig.cuts == cut_at(15.0, "no byte was taken in for 5 s")
    rig.loop.run_until(20.0)
    assert (len(rig.cuts), rig.cuts[1][0]) == (2, near(15.5, within=0.01))
    assert (lost.timer, lost.acked_s, rig.errors) == ("stall", 0.0, [])


def test_an_exception_in_a_judgement_ends_the_run_and_leaves_the_timer_armed() -> None:
    rig = Rig()
    broken = rig.attempt(sent=False)
    other = rig.attempt()
    broken.trace.probe = unreadable(ZeroDivisionError("a bug"))
    rig.loop.run_until(11.0)
    assert {str(error) for error in rig.errors} == {"a bug"}
    assert len(rig.loop.pending()) == 1
    rig.watchdog.unwatch(broken)
    rig.loop.run_until(13.0)
    assert rig.cuts == cut_at(12.0, "no answer within 2 s")
    assert rig.hedges == [other]


def test_an_attempt_that_has_ended_and_whose_task_had_no_turn_yet_is_left_alone() -> None:
    """Neither is a copy sent of it, nor does it count as cut by a timer."""
    rig = Rig()
    attempt = rig.attempt()
    attempt.trace.abort = attempt.trace.probe = None
    rig.loop.run_until(13.0)
    assert (rig.hedges, rig.cuts, attempt.timer, rig.credit) == ([], [], "", 10.0)


# --- what the scheduler asks ------------------------------------------------------------------------


def test_a_request_on_a_connection_is_on_its_way_a_handshake_is_not() -> None:
    rig = Rig()
    attempt = rig.handshake()
    assert not rig.watchdog.any_on_its_way
    rig.begin(attempt)
    attempt.trace.probe = lambda: Transfer(0, False, 0.0, 0.0)
    assert rig.watchdog.any_on_its_way
    rig.watchdog.unwatch(attempt)
    assert not rig.watchdog.any_on_its_way


# --- the end ---------------------------------------------------------------------------------------


def test_an_unwatched_attempt_is_left_alone_and_the_timer_is_not_armed_again() -> None:
    rig = Rig()
    rig.watchdog.unwatch(rig.attempt())
    rig.loop.run_until(500.0)
    assert (rig.cuts, rig.hedges, rig.loop.pending(), rig.loop.armed) == ([], [], [], 1)


def test_the_timer_comes_back_with_the_next_attempt() -> None:
    rig = Rig()
    rig.watchdog.unwatch(rig.attempt())
    rig.loop.run_until(500.0)
    rig.attempt()
    assert [timer.when_s for timer in rig.loop.pending()] == [500.5]


@pytest.mark.parametrize("looked", [False, True])
def test_close_forgets_everything(looked: bool) -> None:
    rig = Rig()
    rig.attempt()
    if looked:
        rig.loop.fire()  # between look and verdict
    rig.watchdog.close()
    rig.watchdog.close()
    rig.loop.run_until(500.0)
    assert (rig.loop.pending(), rig.cuts, rig.hedges) == ([], [], [])


# --- whether anything moves ------------------------------------------------------------------------------


def big_on_its_way(rig: Rig, progress_of: Callable[[], int]) -> None:
    """A body of which the other side has taken in so much."""
    attempt = rig.attempt(Timeouts(3.0, 300.0), sent=False, big=True)
    attempt.trace.probe = lambda: Transfer(progress_of(), False, last_ack_age_s=0.0, rto_s=0.2)


def moved_s(rig: Rig, until_s: float) -> float:
    rig.loop.run_until(until_s)  # it is looked at meanwhile
    rig.watchdog.last_sign_s()
    return rig.watchdog.moved_s()


def test_a_slow_way_moves_a_store_that_is_frozen_does_not() -> None:
    rig = Rig()
    for _ in range(8):
        big_on_its_way(rig, lambda: int(min(rig.loop.now_s, 20.0) * 1e3))
    assert moved_s(rig, 19.0) == near(19.0, within=0.01)
    assert moved_s(rig, 30.0) == near(20.0, within=0.6)


def test_what_a_kernel_takes_in_of_new_requests_is_no_move() -> None:
    rig = Rig()
    for _ in range(8):
        big_on_its_way(rig, lambda: int(min(rig.loop.now_s, 20.0) * 1e3))
    moved_s(rig, 25.0)
    for _ in range(8):
        big_on_its_way(rig, lambda: int(min(rig.loop.now_s, 25.3) * 1e3))
    for until_s in (25.5, 26.5, 27.5, 40.0):
        assert moved_s(rig, until_s) <= 20.6


def test_a_few_that_move_among_many_that_do_not_are_no_move() -> None:
    rig = Rig()
    for number in range(8):
        big_on_its_way(rig, lambda n=number: int((rig.loop.now_s if n == 0 else 1.0) * 1e3))  # type: ignore[misc]
    assert moved_s(rig, 19.0) == 0.0
