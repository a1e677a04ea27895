"""What the measurements of a row say: medians, ratios within rounds, and the verdict in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OURS, PEER = "s3-upload", "s5cmd"
REACHED, MISSED, UNJUDGED = "reached", "missed", "not judged"
NOT_ASKED = "not measured this time"
MIB, GIB = 1 << 20, 1 << 30
SMALL_BYTES = MIB
"""Files smaller than this in the mean cost processor time by the object, larger ones by the byte."""


@dataclass(frozen=True)
class Line:
    """One contender of a row. `ratios`: its time by ours, round by round; above 1 we are faster."""

    name: str
    setting: str
    walls_s: tuple[float, ...]
    cpu_s: float
    peak_bytes: float
    ratios: tuple[float, ...]
    failed: str = ""

    @property
    def wall_s(self) -> float:
        return median(self.walls_s)

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def measured(self) -> bool:
        return bool(self.walls_s) and not self.failed


RowData = dict[str, Any]
"""What was measured of a row: as `suite.RowRun` makes it, and JSON keeps it."""


def lines(row: RowData) -> list[Line]:
    """Those of a row, in its order."""
    ours: Sequence[Mapping[str, float]] = next(
        (one["runs"] for one in row["contenders"] if one["name"] == OURS and not one["failed"]), ()
    )
    return [_line(one, ours) for one in row["contenders"]]


def _line(one: Mapping[str, Any], ours: Sequence[Mapping[str, float]]) -> Line:
    runs = one["runs"]
    # A contender with fewer rounds took part in the first ones.
    ratios = (
        ()
        if one["name"] == OURS
        else tuple(b["wall_s"] / a["wall_s"] for a, b in zip(ours, runs, strict=False))
    )
    return Line(
        one["name"],
        one["setting"],
        tuple(run["wall_s"] for run in runs),
        median(run["cpu_s"] for run in runs) if runs else 0.0,
        median(run["peak_bytes"] for run in runs) if runs else 0.0,
        ratios,
        one["failed"],
    )


def peers(row: RowData) -> list[Line]:
    """Those that ours can be compared with, the fastest first."""
    return sorted((line for line in lines(row) if line.ratios and line.measured), key=lambda line: line.ratio)


def is_small(row: RowData) -> bool:
    return bool(row["bytes"] / row["files"] < SMALL_BYTES)


def seconds(value: float) -> str:
    """With three digits, or four where there are whole seconds."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def cpu_text(row: RowData, line: Line) -> str:
    if is_small(row):
        micros = line.cpu_s / row["files"] * 1e6
        return f"{micros:,.0f} µs/object" if micros < 10_000 else f"{micros / 1e3:,.0f} ms/object"
    return f"{line.cpu_s / (row['bytes'] / GIB):.2f} s/GiB"


def rate_text(row: RowData, line: Line) -> str:
    if is_small(row):
        return f"{row['files'] / line.wall_s:,.0f} objects/s"
    return f"{row['bytes'] / MIB / line.wall_s:,.0f} MiB/s"


def cells(row: RowData, line: Line) -> list[str]:
    """A line of a table: who, seconds, their spread, ratio, rate, processor, peak in MiB, rounds."""
    return [
        line.name, seconds(line.wall_s), f"{seconds(min(line.walls_s))}..{seconds(max(line.walls_s))}",
        f"{line.ratio:.2f}" if line.ratios else "", rate_text(row, line), cpu_text(row, line),
        f"{line.peak_bytes / MIB:,.0f}", str(len(line.walls_s)),
    ]  # fmt: skip


def floor_text(row: RowData) -> str:
    """How long the row takes without an uploader, "" where nobody asked."""
    floor = row["floor"]
    if not floor["kind"]:
        return ""
    if not floor["walls_s"]:
        return f"No floor: {floor['missing']}."
    return f"The floor, by {floor['kind']}, is {seconds(median(floor['walls_s']))} s."


def verdict(row: RowData) -> str:
    """Who is fastest, in words. A ratio on whose side of 1 the rounds do not agree decides nothing."""
    failed = _our_failure(row)
    if failed:
        return f"s3-upload failed: {failed}."
    others = peers(row)
    if not others:
        return "There is nobody to compare with."
    winners = [line for line in others if max(line.ratios) < 1]
    even = [line for line in others if line not in winners and min(line.ratios) <= 1]
    slower = [line for line in others if line not in winners and line not in even]
    said = []
    if winners:
        times = _listed([f"{1 / line.ratio:.2f}" for line in winners])
        win = f"{_listed([line.name for line in winners])} win{'s' if len(winners) == 1 else ''}"
        said.append(f"**{win}**: s3-upload takes {times} x as long.")
    if even:
        names = _listed([f"{line.name} ({line.ratio:.2f} x)" for line in even])
        said.append(f"Even with {names}: the rounds do not agree on who is faster.")
    if slower:
        leads = (
            "s3-upload is the fastest: the next,"
            if len(slower) == len(others)
            else "Of the others, the next,"
        )
        said.append(f"{leads} {slower[0].name}, takes {slower[0].ratio:.2f} x as long.")
    return " ".join(said)


def _listed(words: Sequence[str]) -> str:
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), words[-1]])


def standing(row: RowData) -> str:
    """What became of a row's target: one of the words above, or "" where it has none and ours did not fail.

    Ours that failed misses any. Who asks for no comparison with s5cmd gets no verdict; where it was to be
    compared and could not, the target is missed, or a peer that breaks would turn every miss into none.
    """
    if _our_failure(row):
        return MISSED
    if row["at_least"] is None:
        return ""
    ratio = _ratio(row)
    if ratio is None:
        return MISSED if _peer_asked(row) else UNJUDGED
    return REACHED if ratio >= row["at_least"] else MISSED


def target_text(row: RowData) -> str:
    """What of its target a row reaches, "" without one."""
    goal, ratio = row["at_least"], _ratio(row)
    if goal is None:
        return ""
    least = f"at least {goal:.1f} x as fast as s5cmd"
    if goal < 1:
        least = f"at most {1 / goal:.1f} x the time of s5cmd"
    if ratio is None:
        return f"Target: {least}: {standing(row)}, {_why_no_ratio(row)}."
    takes = f"It takes {1 / ratio:.2f} x" if goal < 1 else f"It is {ratio:.2f} x"
    return f"Target: {least}. {takes}: {standing(row)}."


def _ratio(row: RowData) -> float | None:
    """To s5cmd, which targets are about."""
    return next((line.ratio for line in peers(row) if line.name == PEER), None)


def _our_failure(row: RowData) -> str:
    return next((line.failed for line in lines(row) if line.name == OURS and line.failed), "")


def _peer_asked(row: RowData) -> bool:
    """Whether s5cmd was to take part."""
    named = any(one["name"] == PEER for one in row["contenders"])
    return named or row["left_out"].get(PEER, NOT_ASKED) != NOT_ASKED


def _why_no_ratio(row: RowData) -> str:
    if _our_failure(row):
        return "s3-upload failed"
    failed = next((line.failed for line in lines(row) if line.name == PEER), "")
    if failed:
        return f"s5cmd failed: {failed}"
    return f"s5cmd took no part: {row['left_out'].get(PEER, NOT_ASKED)}"
