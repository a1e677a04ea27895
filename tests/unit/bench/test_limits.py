"""What a limiter allows, and the verdicts on what an upload made of it."""

from __future__ import annotations

from typing import Any

import pytest

from bench.limits import QUICK, Outcome, Row, all_rows, chosen, outcome, refused_share, shortfalls

STEADY = Row("token", ((0.0, 800),), 5)
CHANGING = Row("fixed", ((0.0, 800), (4.0, 200), (8.0, 800)), 40)


def outcome_of(name: str = "s3-upload", **given: Any) -> Outcome:
    usual: dict[str, Any] = {
        "accepted": 8_000, "duration_s": 10.0, "share": 1.0, "refused": 0.0, "refused_at_all": 0.0,
        "retried": 0, "max_in_flight": 8, "max_open": 8, "wall_s": 10.5, "cpu_s": 1.0,
    }  # fmt: skip
    return Outcome(name, **{**usual, **given})


def stats_of(per_second: list[list[int]], last_accepted_s: float) -> dict[str, Any]:
    return {
        "per_second": per_second, "last_accepted_s": last_accepted_s,
        "accepted": sum(pair[0] for pair in per_second), "refused": sum(pair[1] for pair in per_second),
        "max_in_flight": 9, "max_open": 10,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "duration_s", "allowed"),
    [
        (STEADY, 0.0, 0),
        (STEADY, 2.5, 2_000),
        (CHANGING, 3.0, 2_400),
        (CHANGING, 5.0, 3_400),
        (CHANGING, 10.0, 5_600),
    ],
)
def test_the_steps_of_a_rate_add_up(row: Row, duration_s: float, allowed: float) -> None:
    assert row.allowed(duration_s) == pytest.approx(allowed)


def test_every_limiter_rate_and_delay_has_a_row_of_its_own() -> None:
    names = [row.name for row in all_rows()]
    assert len(names) == len(set(names)) == 3 * 4 * 4 + 3 * 2 * 2
    assert {"fixed-100-2", "token-3500-5", "sliding-10000-100", "token-800~200~800-5"} <= set(names)
    assert CHANGING.rate_option == "800@0,200@4,800@8"


def test_rows_are_chosen_by_patterns() -> None:
    assert [row.name for row in chosen("token-3500-*,fixed-100-2")] == [
        "fixed-100-2", "token-3500-2", "token-3500-5", "token-3500-40", "token-3500-100",
    ]  # fmt: skip
    assert chosen("nothing") == []
    assert len(chosen(",".join(QUICK))) == len(QUICK)


def test_the_first_three_seconds_of_refusals_are_not_judged() -> None:
    seconds = [[800, 500], [800, 300], [800, 100], [792, 8], [400, 0]]
    found = outcome(STEADY, "s3-upload", stats_of(seconds, 4.5), wall_s=5.0, cpu_s=1.0, problem="")
    assert found.refused == pytest.approx(8 / 1_200)
    assert found.refused_at_all == pytest.approx(908 / 4_500)
    assert found.share == pytest.approx(3_592 / 3_600)


def test_an_upload_that_was_never_served_has_no_share() -> None:
    found = outcome(STEADY, "s3-upload", stats_of([], 0.0), wall_s=5.0, cpu_s=1.0, problem="")
    assert (found.share, found.refused, refused_share([])) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (outcome_of(), []),
        (outcome_of(share=0.951, refused=0.029), []),
        (outcome_of(share=0.94), ["94% of what is allowed"]),
        (outcome_of(refused=0.031), ["3.1% refused"]),
        (outcome_of(share=0.5, problem="exit 1"), ["exit 1"]),
    ],
)
def test_a_target_that_is_missed_is_named(ours: Outcome, said: list[str]) -> None:
    assert shortfalls(ours, []) == said


def test_no_other_may_be_faster_beyond_the_noise() -> None:
    blind, s5cmd = outcome_of("blind", share=1.01), outcome_of("s5cmd", share=1.05)
    assert shortfalls(outcome_of(), [blind]) == []
    assert shortfalls(outcome_of(), [blind, s5cmd]) == ["slower than s5cmd"]


def test_another_that_lost_objects_was_not_faster() -> None:
    assert shortfalls(outcome_of(), [outcome_of("s5cmd", share=2.0, problem="12 missing")]) == []


def test_what_the_processor_does_not_give_is_not_asked_for() -> None:
    assert shortfalls(outcome_of(share=0.49, cpu_s=8.5), []) == []
    assert shortfalls(outcome_of(share=0.49, cpu_s=8.3), []) == ["49% of what is allowed"]
    assert shortfalls(outcome_of(share=0.49, cpu_s=8.5, refused=0.05), []) == ["5.0% refused"]
    assert shortfalls(outcome_of(share=0.49, cpu_s=8.5), [outcome_of("blind")]) == ["slower than blind"]
