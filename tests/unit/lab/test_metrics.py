"""From made-up traces of the lab to figures that can be computed by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lab.metrics import (
    Figures,
    figures,
    mean_queue_ms,
    medians,
    quantile,
    received_Mbps,
    seconds_until,
    series,
    share,
)
from lab.run import Trace
from lab.scenario import NOTHING, Scenario

LINK = 12_500_000  # bytes per second: 100 Mbit/s
SCENARIO = Scenario("full", "cubic", 20.0)


def rows_of(
    plan: list[tuple[float, float, float]], queue_s: float = 0.01, start: float = 0.0
) -> list[list[float]]:
    """`plan`: (seconds, share of the upload, share of the foreground), one after the other."""
    rows, moment, upload, foreground = [[start, 0.0, 0.0, 0.0, 0.0]], start, 0.0, 0.0
    for seconds, ours, theirs in plan:
        for _ in range(round(seconds * 10)):
            moment += 0.1
            upload += ours * LINK * 0.1
            foreground += theirs * LINK * 0.1
            rows.append([round(moment, 3), upload, foreground, queue_s, 0.0])
    return rows


def trace_of(plan: list[tuple[float, float, float]], begin: float, end: float) -> Trace:
    rows = rows_of(plan)
    received = [
        [row[0], (row[2] - before[2]) * 0.9] for before, row in pairwise(rows)
    ]  # headers take a tenth
    return Trace(begin_s=begin, end_s=end, rows=rows, received=received)


def test_an_upload_that_yields_and_comes_back() -> None:
    plan: list[tuple[float, float, float]] = [
        (2, 0.5, 0),
        (18, 1, 0),
        (3, 0.6, 0.4),
        (27, 0.1, 0.9),
        (2, 0.2, 0),
        (8, 1, 0),
    ]
    found = figures(trace_of(plan, 20.0, 50.0), SCENARIO)
    assert found["alone_share"] == pytest.approx(1.0)
    assert found["to_full_s"] == pytest.approx(2.9, abs=0.11)  # a second's mean, nine tenths of it full
    assert found["beside_share"] == pytest.approx(0.1)
    assert found["foreground_share"] == pytest.approx(0.9)
    assert found["received_Mbps"] == pytest.approx(0.9 * (3 * 40 + 27 * 90) / 30, rel=0.01)
    assert found["received_late_Mbps"] == pytest.approx(81.0, rel=0.01)
    assert found["ramp_s"] == pytest.approx(3.8, abs=0.11)
    assert found["reclaim_s"] == pytest.approx(2.9, abs=0.11)
    assert found["queue_alone_ms"] == pytest.approx(10.0)


def test_what_never_comes_is_none() -> None:
    found = figures(trace_of([(20, 0.9, 0), (30, 0.9, 0.1), (10, 0.5, 0)], 20.0, 50.0), SCENARIO)
    assert (found["to_full_s"], found["ramp_s"], found["reclaim_s"]) == (None, None, None)


def test_an_upload_alone_has_no_figures_of_others() -> None:
    trace = Trace(rows=rows_of([(1, 0, 0), (19, 0.97, 0)]), connections=[[1, 3], [2, 7], [3, 5]])
    found = figures(trace, Scenario("full", NOTHING, 20.0))
    assert found["alone_share"] == pytest.approx(0.97)
    assert found["connections"] == 7
    assert "received_Mbps" not in found


def test_time_begins_with_the_first_byte() -> None:
    found = figures(trace_of([(3, 0, 0), (17, 1, 0), (40, 0, 1)], 20.0, 50.0), SCENARIO)
    assert found["to_full_s"] == pytest.approx(1.0, abs=0.11)


def test_probes_count_in_the_phase_in_which_they_began() -> None:
    trace = trace_of([(20, 1, 0), (30, 0, 1), (10, 1, 0)], 20.0, 50.0)
    trace.probes = [[2.0, 9.0], *([15.0 + n / 100, n / 1000] for n in range(100)), [30.0, 0.5], [55.0, 9.0]]
    found = figures(trace, SCENARIO)
    assert found["probe_alone_p50_ms"] == pytest.approx(49.0)
    assert found["probe_alone_p95_ms"] == pytest.approx(94.0)
    assert found["probe_beside_p95_ms"] == pytest.approx(500.0)


def test_a_share_between_samples() -> None:
    rows = rows_of([(1, 1.0, 0), (1, 0.0, 0)])
    assert share(rows, 1, 0.0, 1.0, LINK) == pytest.approx(1.0)
    assert share(rows, 1, 0.95, 1.05, LINK) == pytest.approx(0.5)
    assert share(rows, 1, 1.0, 1.0, LINK) is None


def test_a_level_must_last_for_the_window() -> None:
    rows = rows_of([(5, 0, 0), (0.5, 1, 0), (5, 0, 0)])
    assert seconds_until(0.9, rows, 1, span=(0.0, 10.0), bytes_per_s=LINK) is None
    assert seconds_until(0.9, rows, 1, span=(None, 10.0), bytes_per_s=LINK) is None


def test_queue_and_goodput() -> None:
    assert mean_queue_ms([[0, 0, 0, 0.01], [1, 0, 0, 0.03], [2, 0, 0, 9.0]], 0, 1) == pytest.approx(20.0)
    assert mean_queue_ms([], 0, 1) is None
    assert received_Mbps([[0.5, 1_000_000], [1.5, 1_000_000]], 0.0, 1.0) == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [([1.0], 0.5, 1.0), ([1.0, 2.0], 0.5, 1.0), ([1.0, 2.0, 3.0], 0.5, 2.0), (list(range(1, 101)), 0.95, 95)],
)
def test_quantiles_are_values_that_were_there(values: list[float], q: float, expected: float) -> None:
    assert quantile(values, q) == expected


def test_medians_take_never_for_the_worst() -> None:
    runs: list[Figures] = [{"a": 1.0, "b": None}, {"a": 5.0, "b": None}, {"a": 2.0, "b": 1.0}]
    assert medians(runs) == {"a": 2.0, "b": None}
    assert medians([{"a": None}, {"a": 1.0}, {"a": 2.0}]) == {"a": 2.0}


def test_a_series_is_in_per_cent() -> None:
    drawn = series(trace_of([(2, 1, 0), (2, 0.25, 0.75)], 2.0, 4.0), SCENARIO, step_s=1.0)
    assert (drawn["upload"], drawn["foreground"]) == ([100, 100, 25, 25], [0, 0, 75, 75])
    assert drawn["queue_ms"][1:] == [10, 10, 10]
