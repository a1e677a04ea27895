"""Whether to try again, and when, step by step of the module's theory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.control.retrying.budget import RetryBudget
from s3_upload.control.retrying.retry import GIVEN_UP, Decision, Failed, Retry, Verdict, remedy
from s3_upload.errors import FailureKind, Fate, Remedy
from tests.unit.control.constants import RETRY, RETRY_BUDGET


class Rng:
    """Draws the value at `fraction` of the range it is asked for."""

    def __init__(self, fraction: float = 1.0) -> None:
        self._fraction = fraction

    def uniform(self, a: float, b: float, /) -> float:
        return a + self._fraction * (b - a)


def retry_of(n_retries: int, budget: RetryBudget | None = None) -> Retry:
    return Retry(n_retries, budget or RetryBudget(RETRY_BUDGET), RETRY)


def decide(
    kind: FailureKind = FailureKind.RESET,
    *,
    fraction: float = 1.0,
    retry: Retry | None = None,
    any_success: bool = True,
    any_answer: bool = True,
    **failed: Any,
) -> Decision:
    retry = retry or retry_of(100)
    if any_success:
        retry.succeeded(0.0)
    return retry.decide(Failed(kind=kind, **failed), any_answer=any_answer, rng=Rng(fraction))


def emptied() -> Retry:
    budget = RetryBudget(RETRY_BUDGET)
    budget.take(500.0, now=0.0)
    return retry_of(100, budget)


KINDS = {fate: [kind for kind in FailureKind if kind.fate is fate] for fate in Fate}


def test_what_was_waited_for_as_long_as_any_is_is_not_tried_again() -> None:
    assert decide(FailureKind.TIMEOUT, retries=3).verdict is Verdict.RETRY
    assert decide(FailureKind.TIMEOUT, retries=3, outwaited=True).verdict is Verdict.FAIL_FILE


# --- fates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [kind for kind in FailureKind if kind.retried and kind.times is None],
    ids=lambda kind: kind.value,
)
def test_what_may_pass_is_tried_n_retries_times(kind: FailureKind) -> None:
    retry = retry_of(2)
    verdicts = [decide(kind, retries=retries, retry=retry).verdict for retries in range(4)]
    assert verdicts == [Verdict.RETRY, Verdict.RETRY, Verdict.FAIL_FILE, Verdict.FAIL_FILE]


@pytest.mark.parametrize("kind", KINDS[Fate.FILE], ids=lambda kind: kind.value)
@pytest.mark.parametrize("any_success", [False, True])
def test_what_is_wrong_with_one_file_fails_that_file(kind: FailureKind, any_success: bool) -> None:
    assert decide(kind, any_success=any_success) == Decision(Verdict.FAIL_FILE)


def test_no_retry_costs_nothing() -> None:
    for kind in (FailureKind.RESET, FailureKind.THROTTLE, FailureKind.REJECTED, FailureKind.CERTIFICATE):
        decision = decide(kind, retry=retry_of(0))
        assert (decision.delay_s, decision.cost) == (0.0, 0.0)


# --- 1: full jitter --------------------------------------------------------------------------------


@pytest.mark.parametrize(("fraction", "delay_s"), [(0.0, 0.0), (0.5, 0.1), (1.0, 0.2)])
def test_step_1_jitter_is_full(fraction: float, delay_s: float) -> None:
    assert decide(retries=2, fraction=fraction).delay_s == pytest.approx(delay_s)  # 0.05 * 2^2


def test_step_1_a_transient_failure_starts_at_50_ms_and_is_capped_at_20_s() -> None:
    delays_s = [decide(retries=retries).delay_s for retries in range(11)]
    assert delays_s == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20.0, 20.0])


def test_step_1_a_throttle_starts_at_1_s_and_is_capped_at_20_s() -> None:
    delays_s = [decide(FailureKind.THROTTLE, retries=retries).delay_s for retries in range(7)]
    assert delays_s == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


def test_step_1_the_99th_retry_is_no_arithmetic_problem() -> None:
    assert decide(retries=99).delay_s == 20.0


# --- 2: what the store asks for --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after_s", "delay_s"),
    [(None, 1.0), (0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (7.0, 7.0), (120.0, 120.0), (86_400.0, 120.0)],
)
def test_step_2_retry_after_is_a_lower_bound_and_bounded(retry_after_s: float | None, delay_s: float) -> None:
    assert decide(FailureKind.THROTTLE, retry_after_s=retry_after_s).delay_s == delay_s


def test_step_2_retry_after_holds_for_other_failures_too() -> None:
    assert decide(FailureKind.SERVER, fraction=0.0, retry_after_s=3.0).delay_s == 3.0


# --- 3: what cannot be reached ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("any_answer", "any_success", "verdict"),
    [
        (False, False, Verdict.STOP_RUN),
        (True, False, Verdict.FAIL_FILE),
        (False, True, Verdict.FAIL_FILE),
        (True, True, Verdict.FAIL_FILE),
    ],
)
def test_step_3_no_connection_is_the_runs_until_the_store_has_answered_anything(
    any_answer: bool, any_success: bool, verdict: Verdict
) -> None:
    def tried(retries: int) -> Verdict:
        return decide(
            FailureKind.CONNECT,
            retries=retries,
            retry=retry_of(2),
            any_answer=any_answer,
            any_success=any_success,
        ).verdict

    assert [tried(retries) for retries in range(4)] == [Verdict.RETRY, Verdict.RETRY, verdict, verdict]


@pytest.mark.parametrize(
    ("any_answer", "any_success", "cost"), [(False, False, 0.0), (True, False, 14.0), (False, True, 14.0)]
)
def test_step_3_until_there_is_an_answer_trying_to_connect_costs_nothing(
    any_answer: bool, any_success: bool, cost: float
) -> None:
    for kind, expected in ((FailureKind.CONNECT, cost), (FailureKind.RESET, 14.0)):
        assert decide(kind, any_answer=any_answer, any_success=any_success).cost == expected
    assert retry_of(8).pay(0.0, now=0.0) == emptied().pay(0.0, now=0.0) == 0.0


@pytest.mark.parametrize("n_retries", [0, 1, 2])
def test_step_3_a_store_that_was_never_there_is_the_runs_however_few_the_retries(n_retries: int) -> None:
    def tried(retries: int) -> Verdict:
        retry = retry_of(n_retries)
        return decide(
            FailureKind.CONNECT, retries=retries, retry=retry, any_answer=False, any_success=False
        ).verdict

    assert [tried(retries) for retries in range(3)] == [Verdict.RETRY, Verdict.RETRY, Verdict.STOP_RUN]


REACHED = [kind for kind in KINDS[Fate.RETRY] if kind is not FailureKind.CONNECT and not kind.is_foreign]


@pytest.mark.parametrize("kind", REACHED)
def test_step_3_a_store_that_took_the_connection_was_reached(kind: FailureKind) -> None:
    decision = decide(kind, retries=100, any_answer=False, any_success=False)
    assert decision == Decision(Verdict.FAIL_FILE)


# --- 4: the retry budget ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS[Fate.RETRY] + KINDS[Fate.THROTTLE], ids=lambda kind: kind.value)
def test_step_4_a_retry_has_its_price_and_is_paid_when_its_delay_is_over(kind: FailureKind) -> None:
    retry = retry_of(100)
    cost = decide(kind, retry=retry).cost
    prices = {
        FailureKind.THROTTLE: 5.0,
        FailureKind.BAD_REQUEST: 0.0,
    }
    assert cost == prices.get(kind, 14.0)
    assert retry.budget.tokens(now=0.0) == 500.0
    assert retry.pay(cost, now=0.0) == 0.0
    assert retry.budget.tokens(now=0.0) == 500.0 - cost


def test_step_4_an_empty_budget_lets_it_wait_and_drops_nothing() -> None:
    retry = emptied()
    assert [retry.pay(14.0, now=now) for now in (0.0, 0.5, 0.75)] == [1.0, 0.5, 0.25]
    assert retry.pay(14.0, now=0.99) == 0.05  # not sooner, or it would ask a hundred times a second
    assert retry.pay(14.0, now=1.0) == 0.0
    assert retry.pay(14.0, now=1.0) == 1.0


@pytest.mark.parametrize(("paid", "back"), [(0.0, 1.0), (5.0, 5.0), (14.0, 14.0)])
def test_step_4_a_success_brings_back_what_its_last_retry_cost_and_a_little_without_one(
    paid: float, back: float
) -> None:
    retry = emptied()
    retry.succeeded(paid)
    assert retry.budget.tokens(now=0.0) == back


# --- 5: what can be put right ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS[Fate.CORRECT], ids=lambda kind: kind.value)
@pytest.mark.parametrize("any_success", [False, True])
@pytest.mark.parametrize("retries", [0, 100])
def test_step_5_what_can_be_put_right_is_at_once_and_for_nothing_and_once(
    kind: FailureKind, any_success: bool, retries: int
) -> None:
    tried = [
        decide(kind, retries=retries, corrected=corrected, any_success=any_success, retry=retry_of(0))
        for corrected in (0, 1)
    ]
    refused = GIVEN_UP if any_success else Decision(Verdict.STOP_RUN)  # without retries
    assert tried == [Decision(Verdict.CORRECT), refused]


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in FailureKind
        if kind.times is None and not kind.stops_run and kind is not FailureKind.BAD_REQUEST
    ],
)
def test_step_5_is_for_no_other_kind(kind: FailureKind) -> None:
    assert decide(kind, corrected=1) == decide(kind, corrected=0)


# --- 6: fewer tries, and a body read anew ------------------------------------------------------------


@pytest.mark.parametrize(("kind", "times"), [(FailureKind.DIGEST, 1), (FailureKind.INCOMPLETE_BODY, 2)])
def test_step_6_a_body_that_arrived_otherwise_is_read_anew_and_not_for_ever(
    kind: FailureKind, times: int
) -> None:
    decisions = [decide(kind, corrected=corrected) for corrected in range(4)]
    assert decisions == [Decision(Verdict.REREAD, 0.05, 14.0)] * times + [GIVEN_UP] * (4 - times)
    assert decide(kind, retries=2, retry=retry_of(2)) == GIVEN_UP, "n_retries bounds it as well"


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind.on_complete is not Remedy.NONE])
def test_step_6_some_failures_of_a_complete_are_not_tried_again(kind: FailureKind) -> None:
    assert kind.retried
    assert decide(kind, completing=True) == GIVEN_UP


@pytest.mark.parametrize(
    "kind",
    [kind for kind in FailureKind if kind is not FailureKind.CLIENT_CLOSED],
    ids=lambda kind: kind.value,
)
@pytest.mark.parametrize("retries", [0, 3])
def test_step_6_what_only_asks_never_stops_the_run(kind: FailureKind, retries: int) -> None:
    decision = decide(kind, asking=True, retries=retries, any_success=False, any_answer=False, corrected=9)
    goes_on = retries == 0 and kind.retried and kind.times is None and kind is not FailureKind.BAD_REQUEST
    assert decision.verdict is (Verdict.RETRY if goes_on else Verdict.FAIL_FILE)
    if kind.fate is Fate.CORRECT:
        assert decide(kind, asking=True).verdict is Verdict.CORRECT


# --- 7: another way ----------------------------------------------------------------------------------

WAYS = {
    ("digest", True): Remedy.NEW_UPLOAD,
    ("conflict", True): Remedy.NEW_UPLOAD,
    ("too-large", False): Remedy.IN_PARTS,
    ("too-large", True): Remedy.IN_PARTS,
    ("too-many-parts", False): Remedy.FEWER_PARTS,
    ("too-many-parts", True): Remedy.FEWER_PARTS,
    ("no-such-upload", False): Remedy.NEW_UPLOAD,
    ("no-such-upload", True): Remedy.NEW_UPLOAD,
    ("invalid-part", False): Remedy.RESEND_PARTS,
    ("invalid-part", True): Remedy.RESEND_PARTS,
    ("source-changed", False): Remedy.NEW_VERSION,
    ("source-changed", True): Remedy.NEW_VERSION,
}


@pytest.mark.parametrize("completing", [False, True])
@pytest.mark.parametrize("kind", FailureKind, ids=lambda kind: kind.value)
def test_step_7_there_is_another_way_as_often_as_the_table_says(kind: FailureKind, completing: bool) -> None:
    way = WAYS.get((kind.value, completing), Remedy.NONE)
    others = [other for other in FailureKind if other is not kind]
    assert remedy(kind, completing=completing, tried=others) is way
    times = 3 if kind is FailureKind.NO_SUCH_UPLOAD else 1
    assert remedy(kind, completing=completing, tried=[*others, *[kind] * (times - 1)]) is way
    assert remedy(kind, completing=completing, tried=[kind] * times) is Remedy.NONE


# --- whatever happens ------------------------------------------------------------------------------

failures = st.tuples(
    st.sampled_from(FailureKind),
    st.integers(0, 100),
    st.floats(0.0, 1.0),
    st.one_of(st.none(), st.floats(0.0, 1e9)),
    st.floats(0.0, 10.0),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(failures, max_size=80))
def test_delays_stay_in_their_bounds_and_replay(
    story: list[tuple[FailureKind, int, float, float | None, float, bool, bool]],
) -> None:
    runs = []
    for _ in range(2):
        retry, now, decisions = retry_of(8), 0.0, []
        for kind, retries, fraction, retry_after_s, pause_s, any_success, any_answer in story:
            now += pause_s
            decision = decide(
                kind,
                retries=retries,
                fraction=fraction,
                retry=retry,
                any_success=any_success,
                any_answer=any_answer,
                retry_after_s=retry_after_s,
            )
            assert 0.0 <= decision.delay_s <= 120.0
            if decision.verdict in (Verdict.RETRY, Verdict.REREAD):
                assert retries < 8
                wait_s = retry.pay(decision.cost, now=now)
                assert wait_s == 0.0 or 0.05 <= wait_s <= 1.0
                assert retry.budget.tokens(now=now) >= 0.0
            else:
                assert (decision.delay_s, decision.cost) == (0.0, 0.0)
            decisions.append(decision)
        runs.append(decisions)
    assert runs[0] == runs[1]
