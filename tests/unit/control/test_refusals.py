"""What a refusal means for the run: one stray, or all."""

from __future__ import annotations

import pytest

from s3_upload.control.retrying.refusals import MAX_IN_A_ROW, STRAY_RETRIES, Refusals
from s3_upload.control.retrying.retry import GIVEN_UP, Decision, Failed, Retry, Verdict
from s3_upload.errors import FailureKind, Fate
from tests.unit.control.constants import RETRY
from tests.unit.control.test_retry import Rng, retry_of

K = FailureKind
OURS = K.CLIENT_CLOSED
REFUSALS = [kind for kind in FailureKind if kind.stops_run and not kind.is_foreign and kind is not OURS]
FOREIGN = [kind for kind in FailureKind if kind.is_foreign]
STOPS = Decision(Verdict.STOP_RUN, in_a_row=MAX_IN_A_ROW)


def decide(retry: Retry, kind: FailureKind, **failed: object) -> Decision:
    failed = {"corrected": kind.times or 0, **failed}
    return retry.decide(Failed(kind=kind, **failed), any_answer=True, rng=Rng())  # type: ignore[arg-type]


def after_success() -> Retry:
    retry = retry_of(8)
    retry.succeeded(0.0)
    return retry


def run_of(retry: Retry, kind: FailureKind, count: int, **failed: object) -> list[Decision]:
    """Of so many objects, each on its last try."""
    used_up = (kind.times or 0) + STRAY_RETRIES
    details = {"corrected": used_up, "alike": "403 X", "retries": 8, **failed}
    return [decide(retry, kind, object_seq=seq, **details) for seq in range(count)]


@pytest.mark.parametrize("retry", [retry_of(8), after_success()], ids=["first", "later"])
@pytest.mark.parametrize("asking", [False, True])
def test_what_our_own_side_has_closed_stops_the_run_at_once(retry: Retry, asking: bool) -> None:
    assert decide(retry, K.CLIENT_CLOSED, asking=asking) == Decision(Verdict.STOP_RUN)


# --- nothing has succeeded ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REFUSALS)
def test_before_any_success_what_all_will_meet_stops_the_run_at_once(kind: FailureKind) -> None:
    assert decide(retry_of(8), kind) == Decision(Verdict.STOP_RUN)


def test_before_any_success_twenty_objects_rejected_alike_stop_the_run() -> None:
    decisions = run_of(retry_of(8), K.REJECTED, MAX_IN_A_ROW)
    assert decisions == [GIVEN_UP] * (MAX_IN_A_ROW - 1) + [STOPS]


def test_an_object_counts_once_however_often_it_is_refused() -> None:
    retry = retry_of(8)
    for _ in range(100):
        assert decide(retry, K.REJECTED, object_seq=1, alike="400 X") == GIVEN_UP


def test_refusals_that_are_not_alike_are_the_objects_own() -> None:
    retry = retry_of(8)
    for seq in range(100):
        assert decide(retry, K.REJECTED, object_seq=seq, alike=f"400 {seq // 19}") == GIVEN_UP


@pytest.mark.parametrize(
    "kind", [kind for kind in FailureKind if kind.fate is Fate.FILE and kind is not K.REJECTED]
)
def test_what_is_the_objects_own_by_its_nature_never_stops_the_run(kind: FailureKind) -> None:
    """That it exists already, say, or could not be read."""
    assert run_of(retry_of(8), kind, 100) == [GIVEN_UP] * 100


def test_what_we_refuse_to_send_never_stops_the_run() -> None:
    assert run_of(retry_of(8), K.REJECTED, 100, alike="") == [GIVEN_UP] * 100


def test_after_a_success_a_rejection_is_its_objects_own() -> None:
    assert run_of(after_success(), K.REJECTED, 100) == [GIVEN_UP] * 100


@pytest.mark.parametrize("kind", [kind for kind in FOREIGN if kind.retried])
def test_before_any_success_what_is_no_s3_is_tried_a_little_and_stops_the_run(kind: FailureKind) -> None:
    tries = [decide(retry_of(8), kind, retries=retries) for retries in range(STRAY_RETRIES + 1)]
    assert [decision.verdict for decision in tries] == [Verdict.RETRY] * STRAY_RETRIES + [Verdict.STOP_RUN]
    first_tries = run_of(retry_of(8), kind, MAX_IN_A_ROW, retries=0)
    assert [decision.verdict for decision in first_tries[:-1]] == [Verdict.RETRY] * (MAX_IN_A_ROW - 1)
    assert first_tries[-1] == STOPS


def test_a_redirect_elsewhere_stops_the_run_and_after_a_success_is_one_that_may_pass() -> None:
    assert decide(retry_of(8), K.MOVED) == Decision(Verdict.STOP_RUN)
    tries = [decide(after_success(), K.MOVED, corrected=1 + n, retries=n) for n in range(9)]
    assert [decision.verdict for decision in tries] == [Verdict.RETRY] * 8 + [Verdict.FAIL_FILE]
    assert (tries[0].delay_s, tries[0].cost) == (0.05, 14.0)


@pytest.mark.parametrize("any_success", [False, True])
def test_a_success_without_a_proof_is_asked_about_before_anything_else(any_success: bool) -> None:
    retry = after_success() if any_success else retry_of(8)
    assert decide(retry, K.UNPROVEN, can_ask=True, retries=8) == Decision(Verdict.ASK)
    assert decide(retry, K.UNPROVEN, retries=0).verdict is Verdict.RETRY
    assert decide(retry, K.SERVER, can_ask=True).verdict is Verdict.RETRY, "that may pass without a question"


# --- something has succeeded -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REFUSALS)
def test_after_a_success_a_refusal_is_tried_again_and_then_fails_its_object(kind: FailureKind) -> None:
    retry, first = after_success(), kind.times or 0
    tries = [decide(retry, kind, corrected=first + n) for n in range(STRAY_RETRIES + 1)]
    assert tries == [Decision(Verdict.RETRY, 1.0), Decision(Verdict.RETRY, 2.0), GIVEN_UP]
    assert STRAY_RETRIES == 2


@pytest.mark.parametrize("n_retries", [0, 1])
def test_n_retries_bounds_these_tries_too(n_retries: int) -> None:
    retry = retry_of(n_retries)
    retry.succeeded(0.0)
    verdicts = [decide(retry, K.ACCESS_DENIED, corrected=n, retries=n).verdict for n in range(n_retries + 1)]
    assert verdicts == [Verdict.RETRY] * n_retries + [Verdict.FAIL_FILE]


@pytest.mark.parametrize("kind", [*REFUSALS, *FOREIGN])
def test_refusals_that_pile_up_without_a_success_stop_the_run(kind: FailureKind) -> None:
    retry = after_success()
    assert run_of(retry, kind, MAX_IN_A_ROW) == [GIVEN_UP] * (MAX_IN_A_ROW - 1) + [STOPS]


def test_of_whatever_kind_they_are() -> None:
    retry = after_success()
    kinds = [REFUSALS[n % len(REFUSALS)] for n in range(MAX_IN_A_ROW)]
    decisions = [run_of(retry, kind, 1, alike=str(n))[0] for n, kind in enumerate(kinds)]
    assert decisions == [GIVEN_UP] * MAX_IN_A_ROW, "all of one object"
    retry = after_success()
    decisions = [decide(retry, kind, object_seq=n, corrected=9, alike=str(n)) for n, kind in enumerate(kinds)]
    assert decisions == [GIVEN_UP] * (MAX_IN_A_ROW - 1) + [STOPS]


def test_a_success_between_begins_the_count_again() -> None:
    retry = after_success()
    for _ in range(10):
        assert run_of(retry, K.ACCESS_DENIED, MAX_IN_A_ROW - 1) == [GIVEN_UP] * (MAX_IN_A_ROW - 1)
        retry.succeeded(0.0)


def test_an_answer_to_a_question_is_no_success() -> None:
    retry = retry_of(8)
    retry.succeeded(0.0, asking=True)
    assert not retry.any_success
    assert decide(retry, K.ACCESS_DENIED) == Decision(Verdict.STOP_RUN)


def test_where_trying_again_never_helps_and_others_succeed_it_is_left_off() -> None:
    retry = after_success()
    for seq in range(RETRY.max_in_vain):
        assert decide(retry, K.ACCESS_DENIED, object_seq=seq).verdict is Verdict.RETRY
        assert decide(retry, K.ACCESS_DENIED, object_seq=seq, corrected=STRAY_RETRIES) == GIVEN_UP
        retry.succeeded(0.0)
    assert decide(retry, K.ACCESS_DENIED) == GIVEN_UP
    retry.succeeded(0.0, was_refused=True)
    assert decide(retry, K.ACCESS_DENIED).verdict is Verdict.RETRY


@pytest.mark.parametrize("kind", [*REFUSALS, *FOREIGN, K.REJECTED])
def test_a_question_that_is_refused_counts_for_nothing(kind: FailureKind) -> None:
    retry = after_success()
    for seq in range(100):
        assert decide(retry, kind, object_seq=seq, asking=True, retries=8) == GIVEN_UP
    assert decide(retry, K.ACCESS_DENIED).verdict is Verdict.RETRY


def test_it_says_how_it_stands() -> None:
    refusals = Refusals(RETRY.max_in_vain)
    refusals.refused(1, "x")
    assert repr(refusals) == "<Refusals any_success=False in_a_row=1>"
