"""The verdict on processes that share one bandwidth, and how what they took is counted."""

from __future__ import annotations

from typing import Any

import pytest

from bench.leases import Found, by_process, in_the_middle, shortfalls
from bench.measure import RunError
from bench.received import Received

OF_WORKER = {1: 5.0, 2: 5.0, 3: 5.0, 0: 5.0}


def found(mb_per_s: float = 20.0, **given: Any) -> Found:
    usual: dict[str, Any] = {
        "seconds": [20.0],
        "by_process": OF_WORKER | {4: 2.0},
        "stored": 10,
        "expected": 10,
    }
    return Found(mb_per_s, **{**usual, **given})


@pytest.mark.parametrize(
    ("run", "of", "said"),
    [
        ("undisturbed", found(19.41), []),
        ("undisturbed", found(20.59), []),
        ("undisturbed", found(19.39), ["not within 3%"]),
        ("undisturbed", found(20.61), ["not within 3%"]),
        ("undisturbed", found(by_process={0: 20.0}), ["1 processes took part"]),
        ("undisturbed", found(stored=9), ["objects missing: 1"]),
        ("undisturbed", found(0.0, stored=9, problem="exit 1"), ["exit 1", "objects missing: 1"]),
        ("one is killed", found(19.01), []),
        ("one is killed", found(18.99), ["not within 5%"]),
        ("one is killed", found(by_process=OF_WORKER), ["4 processes took part"]),
    ],
)
def test_a_target_that_is_missed_is_named(run: str, of: Found, said: list[str]) -> None:
    assert shortfalls(run, of) == said


def test_the_begin_and_the_end_of_a_run_do_not_count() -> None:
    # Nothing for a second, then 10 MB a second, 20 MB a second from the third on, and 5 at the end.
    rates = [0, 10, 10, 20, 20, 20, 20, 5, 5, 0, 0]
    received = Received([float(second) for second in range(11)], [sum(rates[:n]) * 10**6 for n in range(11)])
    assert (received.first_s, received.last_s) == (2.0, 9.0)
    assert in_the_middle(received) == (20.0, [20.0] * 3)


def test_a_run_without_a_middle_is_no_measurement() -> None:
    with pytest.raises(RunError, match="too short"):
        in_the_middle(Received([0.0, 1.0, 5.0], [0, 1, 2]))


def test_what_each_process_took_is_by_what_it_sent_in_the_middle() -> None:
    sent = [(0, second / 10, 1_000_000) for second in range(101)]
    sent += [(3, 5.0, 4_000_000), (3, 9.5, 99_000_000)]
    assert by_process(sent) == pytest.approx({0: 10.0, 3: 4.0 / 6.0})
