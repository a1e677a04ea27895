"""From the trace of a run to its figures; pure.

Shares are shares of the link: bytes that its serializer sent, with overhead, of what it can send.
`keeps` compares what the foreground's sink received with what it received with nobody beside it.

A moment ("the upload has the link") is when the mean over the last `WINDOW_S` reaches a level; it can
so be no earlier than that.  What never came is None.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.run import Trace
    from lab.scenario import Scenario

WINDOW_S = 1.0
FULL_SHARE = 0.95
RECLAIMED_SHARE = 0.9
RAMPED_SHARE = 0.8
"""The foreground has got its link: reached by a bulk flow that is alone, whatever its algorithm."""
SETTLED_S = 10.0
"""After that long (or half of its time alone) an upload has to have the link; from then on its share alone
is measured."""
UP, FOREGROUND = 1, 2

Figures = dict[str, float | None]


def figures(trace: Trace, scenario: Scenario) -> Figures:
    """The figures of one run. Times in s, probes and queue in ms, throughput in Mbit/s."""
    link = scenario.rate_Mbps * 1e6 / 8
    rows = trace.rows
    begin, end = (trace.begin_s, trace.end_s) if trace.end_s else (rows[-1][0], rows[-1][0])
    middle = (begin + end) / 2
    start = first_byte(rows, UP)
    settled = min(start + SETTLED_S, (start + begin) / 2) if start is not None else 0.0
    found: Figures = {
        "alone_share": share(rows, UP, settled, begin, link),
        "alone_Mbps": received_Mbps(trace.stored, settled, begin),
        "to_full_s": seconds_until(FULL_SHARE, rows, UP, span=(start, begin), bytes_per_s=link),
        "queue_alone_ms": mean_queue_ms(rows, settled, begin),
        "connections": max((count for _, count in trace.connections), default=0.0),
        **probe_figures("alone", trace.probes, settled, begin),
    }
    if not trace.end_s:
        return found
    found |= chunk_figures(trace.chunks, trace.missing)
    return found | {
        "received_Mbps": received_Mbps(trace.received, begin, end),
        "received_late_Mbps": received_Mbps(trace.received, middle, end),
        "beside_share": share(rows, UP, middle, end, link),
        "foreground_share": share(rows, FOREGROUND, middle, end, link),
        "ramp_s": seconds_until(RAMPED_SHARE, rows, FOREGROUND, span=(begin, end), bytes_per_s=link),
        "reclaim_s": seconds_until(RECLAIMED_SHARE, rows, UP, span=(end, rows[-1][0]), bytes_per_s=link),
        "queue_beside_ms": mean_queue_ms(rows, middle, end),
        **probe_figures("beside", trace.probes, begin, end),
    }


def first_byte(rows: Sequence[Sequence[float]], column: int) -> float | None:
    """When the column's sum begins to grow, to the sample."""
    return next((row[0] for row in rows if row[column] > 0), None)


def value_at(rows: Sequence[Sequence[float]], column: int, moment: float) -> float:
    """The running sum at that moment, between samples on the straight line."""
    previous: Sequence[float] | None = None
    for row in rows:
        if row[0] >= moment:
            if previous is None or row[0] == previous[0]:
                return row[column]
            weight = (moment - previous[0]) / (row[0] - previous[0])
            return previous[column] + weight * (row[column] - previous[column])
        previous = row
    return previous[column] if previous is not None else 0.0


def share(
    rows: Sequence[Sequence[float]], column: int, begin: float, end: float, bytes_per_s: float
) -> float | None:
    if end <= begin:
        return None
    sent = value_at(rows, column, end) - value_at(rows, column, begin)
    return sent / (end - begin) / bytes_per_s


def seconds_until(
    level: float,
    rows: Sequence[Sequence[float]],
    column: int,
    *,
    span: tuple[float | None, float],
    bytes_per_s: float,
) -> float | None:
    """How long after the begin of `span` the mean share over the last `WINDOW_S`, all of it in the span,
    first is `level`. None if it never is, or if the span never begins."""
    begin, end = span
    if begin is None:
        return None
    for moment in (row[0] for row in rows):
        if begin + WINDOW_S <= moment <= end:
            level_now = share(rows, column, moment - WINDOW_S, moment, bytes_per_s)
            if level_now is not None and level_now >= level:
                return moment - begin
    return None


def mean_queue_ms(rows: Sequence[Sequence[float]], begin: float, end: float) -> float | None:
    waits = [row[3] for row in rows if begin <= row[0] <= end]
    return sum(waits) / len(waits) * 1e3 if waits else None


def probe_figures(when: str, probes: Sequence[Sequence[float]], begin: float, end: float) -> Figures:
    took = sorted(seconds for moment, seconds in probes if begin <= moment < end)
    if not took:
        return {f"probe_{when}_p50_ms": None, f"probe_{when}_p95_ms": None}
    return {
        f"probe_{when}_p50_ms": quantile(took, 0.5) * 1e3,
        f"probe_{when}_p95_ms": quantile(took, 0.95) * 1e3,
    }


def chunk_figures(chunks: Sequence[Sequence[float]], missing: Sequence[Sequence[float]]) -> Figures:
    """Of a live stream. A chunk that never came took at least as long as it had; where that are half of all,
    or more, the stream stood still."""
    took = sorted(seconds for _, seconds in [*chunks, *missing])
    if not took:
        return {}
    if 2 * len(missing) >= len(took):
        return {"chunk_p50_ms": None, "chunk_p95_ms": None}
    return {"chunk_p50_ms": quantile(took, 0.5) * 1e3, "chunk_p95_ms": quantile(took, 0.95) * 1e3}


def received_Mbps(received: Sequence[Sequence[float]], begin: float, end: float) -> float:  # noqa: N802
    if end <= begin:
        return 0.0
    return sum(size for moment, size in received if begin <= moment < end) * 8 / (end - begin) / 1e6


def quantile(ordered: Sequence[float], q: float) -> float:
    """The smallest value that at least a share `q` of all do not exceed (nearest rank)."""
    rank = -(-len(ordered) * round(q * 1000) // 1000)
    return ordered[max(0, rank - 1)]


def medians(runs: Sequence[Figures]) -> Figures:
    """Figure by figure. A None counts as worse than any number: where half of the runs never got there,
    the median never did."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: _median([run.get(name) for run in runs]) for name in names}


def _median(values: Sequence[float | None]) -> float | None:
    worst = float("inf")
    middle = median(worst if value is None else value for value in values)
    return None if middle == worst else middle


def series(trace: Trace, scenario: Scenario, step_s: float = 0.5) -> dict[str, Any]:
    """What a plot needs of a run: shares of upload and foreground in per cent and the queue in ms, every
    `step_s`."""
    link = scenario.rate_Mbps * 1e6 / 8
    rows = trace.rows
    steps = int(rows[-1][0] / step_s) if rows else 0
    spans = [(number * step_s, (number + 1) * step_s) for number in range(steps)]

    def percent(column: int) -> list[int]:
        return [round(100 * (share(rows, column, begin, end, link) or 0.0)) for begin, end in spans]

    return {
        "step_s": step_s,
        "upload": percent(UP),
        "foreground": percent(FOREGROUND),
        "queue_ms": [round(mean_queue_ms(rows, begin, end) or 0.0) for begin, end in spans],
        "begin_s": round(trace.begin_s, 1),
        "end_s": round(trace.end_s, 1),
    }
