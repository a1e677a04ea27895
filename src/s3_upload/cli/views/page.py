"""A run as one page of HTML: a `History` in, a text out that any browser shows, offline.

Rules:

* The page asks the network for nothing: style, charts (uPlot, which lies in assets/) and numbers are in it,
  and its policy forbids the browser all else.
* Names come from the run and may be anything: those of files are in tables only, which are made here,
  escaped.  The scripts see numbers, and names of states as texts; the policy lets no other script run.
* Its size is bounded, since all that a `History` holds is.
"""

from __future__ import annotations

import base64
import hashlib
import html
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

import msgspec

from s3_upload.cli.views.render import counted
from s3_upload.observe import limits
from s3_upload.observe.history import SIZES_PER_DECADE
from s3_upload.report import SUCCESS, SUPERSEDED
from s3_upload.text import printable
from s3_upload.units import show_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from s3_upload.observe.history import Cause, History, Slow

LIMITS = {
    limits.LINK: ("the link", "blue"),
    limits.ANSWERS: ("the store's answers", "violet"),
    limits.THROTTLED: ("throttling by the store", "amber"),
    limits.READING: ("reading files", "green"),
    limits.CPU: ("this process's CPU", "red"),
    limits.CAP: ("the cap on the bandwidth", "teal"),
    limits.OTHERS: ("others on the link", "pink"),
    limits.LISTING: ("the listing of files", "olive"),
    limits.AWAY: ("the store was away", "gray"),
    limits.ERRORS: ("waits between tries", "brown"),
}
"""What limits a run: in words, and in which color."""
FAR = 3.0
"""Time limits above so many times the longest request are told, not drawn."""
MIN_SHARE = 0.005
"""What limited the run for less is not shown."""
NAME_CHARS = 300
"""A key may have 1,024, and each escaped to six."""


def page_html(history: History, title: str, footer: str, ending: str = "") -> str:
    """The page. `ending`: what ended the run before it was through, "" for nothing."""
    uplot, script = _asset("uplot.js"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        policy=_policy(uplot, script),
        title=shown(title),
        style=_asset("uplot.css") + _asset("page.css"),
        verdict=_verdict(history, ending),
        tiles="".join(_tiles(history)),
        sections="\n".join(filter(None, _sections(history))),
        footer=shown(footer),
        data=msgspec.json.encode(chart_data(history)).decode().replace("<", "\\u003c"),
        uplot=uplot,
        script=script,
    )


def shown(text: str) -> str:
    """Text from anywhere, as HTML that shows it, in one line: also what is not valid Unicode."""
    text = printable(text)
    return html.escape(text if len(text) <= NAME_CHARS else f"{text[: NAME_CHARS // 2]}…{text[-100:]}")


def time_text(seconds: float) -> str:
    """How long something took, for people."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1.0:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60.0:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def _asset(name: str) -> str:
    return resources.files("s3_upload.cli.views").joinpath("assets", name).read_text(encoding="utf-8")


def _policy(*scripts: str) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}"


# --- what the charts show -----------------------------------------------------------------------------------


def chart_data(history: History) -> dict[str, Any]:
    """What page.js draws: numbers, and the names of the states of a share."""
    flow, span_s = history.flow, history.span_s
    width_s = flow.width_s
    starts = [number * width_s for number in range(len(flow))]
    covered = [max(0.25 * width_s, min(width_s, span_s - start_s)) for start_s in starts]

    def per_s(name: str, unit: float) -> list[float]:
        row = flow.rows[name] + [0.0] * (len(starts) - len(flow.rows[name]))
        return [_rounded(amount / unit / time_s) for amount, time_s in zip(row, covered, strict=True)]

    vain, failed = per_s("vain", 1e6), flow.rows["failed"]
    pace = history.ending.pace
    return {
        "span": _rounded(max(span_s, len(flow) and starts[-1] + covered[-1])),
        "t": [_rounded(start_s + time_s / 2) for start_s, time_s in zip(starts, covered, strict=True)],
        "stored": per_s("stored", 1e6),
        "vain": vain if any(vain) else None,
        "pace": _at(starts, width_s, [(p.at_s, p.pace_bytes_per_s / 1e6) for p in pace]),
        "busy": per_s("busy", 1.0),
        "bound": _at(starts, width_s, _bounds(history)),
        "failed": failed + [0.0] * (len(starts) - len(failed)) if any(failed) else None,
        "limits": _limits_over_time(history, starts),
        "queue": _queue(history),
        "dots": {
            name: [[dot.x, _rounded(dot.y), dot.count] for dot in getattr(history.bodies, name).dots]
            for name in ("stored", "cut", "refused")
        },
        "allowed": _allowed(history),
        "away": [[_rounded(since_s), _rounded(until_s)] for since_s, until_s in history.away_spans],
    }


def _bounds(history: History) -> list[tuple[float, float]]:
    """How many requests there might be at once, from when on."""
    told = [(at_s, float(most)) for at_s, most, _ in history.told.limits.entries]
    return told or [(report.at_s, float(report.requests)) for report in history.ending.pace]


def _at(
    starts: list[float], width_s: float, changes: Iterable[tuple[float, float]]
) -> list[float | None] | None:
    """What holds at the end of each bin, None where there is no bound (0)."""
    left = sorted(changes, reverse=True)
    row: list[float | None] = []
    now = 0.0
    for start_s in starts:
        while left and left[-1][0] <= start_s + width_s:
            now = left.pop()[1]
        row.append(_rounded(now) or None)
    return row if any(row) else None


def _limits_over_time(history: History, starts: list[float]) -> dict[str, Any] | None:
    """What limited the run at the end of each bin, as numbers of `names`; None where nobody said."""
    entries = [(at_s, name) for at_s, _, name in history.told.limits.entries if name]
    if not entries:
        return None
    known = list(dict.fromkeys(name for _, name in entries))
    row = _at(starts, history.flow.width_s, [(at_s, 1.0 + known.index(name)) for at_s, name in entries])
    words = [LIMITS.get(name, (printable(name), "gray")) for name in known]
    return {
        "at": [None if number is None else number - 1.0 for number in row or ()],
        "names": [name for name, _ in words],
        "colors": [color for _, color in words],
    }


STATES = {
    "growing": "green",
    "cruising": "blue",
    "probing": "violet",
    "draining": "gray",
    "wary": "amber",
    "yielding": "red",
    "full": "blue",
    "capped": "teal",
}
"""The states of a share, and their colors."""


def _queue(history: History) -> dict[str, Any] | None:
    pace = [report for report in history.ending.pace if report.base_s > 0.0]
    if not pace:
        return None
    states = list(dict.fromkeys(report.state for report in pace))
    return {
        "t": [_rounded(report.at_s) for report in pace],
        "queue": [_rounded(report.queue_s * 1e3) for report in pace],
        "base": [_rounded(report.base_s * 1e3) for report in pace],
        "state": [states.index(report.state) for report in pace],
        "states": [printable(state) for state in states],
        "colors": [STATES.get(state, "gray") for state in states],
    }


def _allowed(history: History) -> list[list[float]]:
    """None where all are far above what requests took: the chart would be mostly empty."""
    if not history.bodies.allowed or _least_allowed_s(history) > FAR * _longest_s(history):
        return []
    return [
        [_rounded(10 ** ((size + 0.5) / SIZES_PER_DECADE)), _rounded(times.low_s), _rounded(times.high_s)]
        for size, times in sorted(history.bodies.allowed.items())
    ]


def _least_allowed_s(history: History) -> float:
    return min(times.low_s for times in history.bodies.allowed.values())


def _longest_s(history: History) -> float:
    dots = history.bodies.stored.dots + history.bodies.cut.dots + history.bodies.refused.dots
    return max(dot.y for dot in dots)


def _rounded(value: float) -> float:
    """Four digits are more than a chart shows."""
    return float(f"{value:.4g}") if value < 1e4 else round(value, 2)


# --- what the text says -------------------------------------------------------------------------------------


def _verdict(history: History, ending: str) -> str:
    totals = history.totals
    done = f"{counted(totals.uploaded)}, {show_bytes(totals.bytes)}"
    failed = f', <b class="bad">{counted(totals.failed)} failed</b>' if totals.failed else ""
    if totals.skipped:
        failed += f", {totals.skipped:,} skipped"
    ending = ending or history.ending.broke_off
    if ending or not history.ending.complete:
        why = shown(ending) or "the records end before the run does"
        return f'<b class="cut">Not all was done:</b> {why}. Uploaded so far: {done}{failed}.'
    notes = "".join(f" Note: {shown(note)}." for note in history.ending.notes)
    if not totals.uploaded and not totals.failed:
        return f"Nothing was uploaded{failed}.{notes}"
    begin = f"<b>Uploaded</b> {done}" if totals.uploaded else "Uploaded nothing"
    return f"{begin}{failed}.{notes}"


def _tiles(history: History) -> Iterable[str]:
    span_s, totals = history.span_s, history.totals
    yield _tile("Files", f"{totals.uploaded:,}", f"{totals.failed:,} failed" if totals.failed else "")
    yield _tile("Stored", _unit(show_bytes(totals.bytes)))
    yield _tile("Time", _unit(time_text(span_s) if span_s else "0 s"))
    rate = (totals.bytes - totals.resumed_bytes) / 1e6 / span_s if span_s else 0.0
    files = f"{totals.uploaded / span_s:,.3g} files/s" if span_s and totals.uploaded > 1 else ""
    yield _tile("Rate, mean", _unit(f"{rate:.3g} MB/s"), files)
    for name, times_s in (("Object", history.object_s), ("Answer", history.answer_s)):
        if times_s:
            most = f"99 %: {time_text(times_s.at(0.99))}"
            yield _tile(f"{name}, median", _unit(time_text(times_s.at(0.5))), most)
    vain = f"{show_bytes(totals.wasted_bytes)} in vain" if totals.wasted_bytes else ""
    yield _tile("Tried again", f"{totals.again:,}", vain)


def _tile(name: str, value: str, more: str = "") -> str:
    more = f'<span class="more">{more}</span>' if more else ""
    return f'<div class="tile"><dt>{name}</dt><dd>{value}</dd>{more}</div>'


def _unit(text: str) -> str:
    number, _, unit = text.partition(" ")
    return f"{number} <small>{unit}</small>"


def _sections(history: History) -> Iterable[str]:
    if history.ending.limited_by:
        yield _limits(history)
    if len(history.flow):
        yield _over_time(history)
    if history.bodies.stored.dots or history.bodies.cut.dots or history.bodies.refused.dots:
        yield _sizes(history)
    if history.causes:
        yield _causes(history)
    if history.slowest:
        yield _slowest(history.slowest)


def _limits(history: History) -> str:
    bars, keys = "", ""
    for name, share in sorted(history.ending.limited_by.items(), key=lambda item: -item[1]):
        if share < MIN_SHARE:
            continue
        words, color = LIMITS.get(name, (name, "gray"))
        style = f"--c: var(--{color})"
        bars += f'<span style="{style}; flex: {share:.4f}"></span>'
        keys += f'<li><i style="{style}"></i>{shown(words)} {share:.0%}</li>'
    return _section("What limited it", f'<div class="stack">{bars}</div><ul class="keys">{keys}</ul>')


def _over_time(history: History) -> str:
    parts = [_chart("rate", "Rate, MB/s"), _chart("requests", "Requests at once")]
    if any(history.flow.rows["failed"]):
        parts.append(_chart("failures", "Attempts that failed"))
    queue = _queue(history)
    if queue is not None:
        keys = "".join(
            f'<li><i style="--c: var(--{color})"></i>{shown(state)}</li>'
            for state, color in zip(queue["states"], queue["colors"], strict=True)
        )
        parts.append(_chart("queue", "Queueing delay, ms") + f'<ul class="keys">{keys}</ul>')
    away = " Shaded: the store was away." if history.away_spans else ""
    return f"<section>{''.join(parts)}<p>Drag to zoom in, double-click to go back.{away}</p></section>"


def _chart(name: str, heading: str) -> str:
    return f"<h2>{heading}</h2>{_place(name, heading)}"


def _place(name: str, label: str) -> str:
    """Where page.js draws a chart."""
    return f'<div class="chart" id="{name}" role="figure" aria-label="{label}"></div>'


def _sizes(history: History) -> str:
    keys = [("blue", "stored")]
    if history.bodies.cut.dots:
        keys.append(("red", "timed out"))
    if history.bodies.refused.dots:
        keys.append(("amber", "failed otherwise"))
    if _allowed(history):
        keys.append(("gray", "the time limits that applied"))
    items = "".join(f'<li><i class="dot" style="--c: var(--{color})"></i>{text}</li>' for color, text in keys)
    far = ""
    if history.bodies.allowed and not _allowed(history):
        far = f" Their time limits, {time_text(_least_allowed_s(history))} and more, are far above."
    return _section(
        "Time against size",
        f"<p>Each request with a body: a small file, or a part of a big one.{far}</p>"
        f'<ul class="keys">{items}</ul>{_place("sizes", "Time against size")}',
    )


def _causes(history: History) -> str:
    causes = sorted(history.causes.values(), key=_rank)
    most = max(max(cause.attempts, cause.files) for cause in causes)
    columns = {"Cause": "name", "Attempts": "", "": "meter-cell wide", "Files failed": ""}
    table = _table(columns, [_cause_row(cause, most) for cause in causes])
    return _section("Attempts and files that failed, by cause", table)


def _rank(cause: Cause) -> tuple[object, ...]:
    """What files failed for comes first, what is no failure last."""
    return cause.name == SUPERSEDED, -cause.files, -cause.attempts, cause.name


def _cause_row(cause: Cause, most: int) -> tuple[str, ...]:
    begins_so = cause.message.startswith(cause.source)
    example = ": ".join(filter(None, ("" if begins_so else shown(cause.source), shown(cause.message))))
    width = 100.0 * max(cause.attempts, cause.files) / most
    meter = f'<span class="meter" style="width: {width:.1f}%"></span>'
    files = f'<b class="bad">{cause.files:,}</b>' if cause.files else "0"
    return f"{shown(cause.name)}<small>{example}</small>", f"{cause.attempts:,}", meter, files


def _slowest(slowest: list[Slow]) -> str:
    columns = {"File": "name", "Size": "", "Time": "", "Last try": "wide", "MB/s": "wide", "Attempts": "wide"}
    return _section("The slowest files", _table(columns, map(_slow_row, slowest)))


def _slow_row(slow: Slow) -> tuple[str, ...]:
    trouble = f"<small>{shown(slow.trouble)}</small>" if slow.trouble else ""
    failed = "" if slow.outcome == SUCCESS else ' <b class="bad">failed</b>'
    rate = f"{slow.bytes / 1e6 / slow.success_s:.3g}" if slow.success_s > 0 and not failed else "-"
    last = time_text(slow.success_s) if slow.success_s else "-"
    name, total = f"{shown(slow.source)}{failed}{trouble}", time_text(slow.total_s)
    return name, show_bytes(slow.bytes), total, last, rate, f"{slow.attempts:,}"


def _section(heading: str, content: str) -> str:
    return f"<section><h2>{heading}</h2>{content}</section>"


def _table(columns: Mapping[str, str], rows: Iterable[Iterable[str]]) -> str:
    """`columns`: the heading of each, and its classes."""

    def row(tag: str, cells: Iterable[str]) -> str:
        classed = zip(columns.values(), cells, strict=True)
        marked = (f'<{tag} class="{name}">{cell}</{tag}>' for name, cell in classed)
        return f"<tr>{''.join(marked)}</tr>"

    lines = "".join([row("th", columns), *(row("td", cells) for cells in rows)])
    return f'<div class="scroll"><table class="rows">{lines}</table></div>'
