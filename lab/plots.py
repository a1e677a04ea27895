"""The pictures of docs/shared-network.md: shares and queue over time, one small picture for each upload."""

from __future__ import annotations

import re
from statistics import fmean
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from lab.scenario import BULK, Scenario
from lab.tables import picture, upload_name
from lab.uploaders import NOBODY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from lab.results import Results

COLUMNS = 3
AVERAGED = 3
"""Samples to a point of a picture."""
UPLOAD, FLOW, QUEUE = "#0b6e99", "#d1495b", "#b5b5b5"


def draw(results: Results, folder: Path) -> dict[str, str]:
    """Draws one picture for each link and bulk flow into `folder`. Returns title -> path from the page."""
    groups: dict[Scenario, dict[str, Any]] = {}
    for scenario, entry in results.entries():
        if scenario.foreground in BULK and scenario.uploader != NOBODY and entry["runs"]:
            groups.setdefault(scenario.alone, {})[upload_name(scenario)] = entry["series"]
    pictures = {}
    folder.mkdir(parents=True, exist_ok=True)
    for alone, panels in groups.items():
        title, name = picture(alone)
        path = folder / name
        _picture(title, panels, alone.queue_ms, path)
        pictures[title] = f"{folder.name}/{path.name}"
    return pictures


def _picture(title: str, panels: Mapping[str, Any], queue_ms: float, path: Path) -> None:
    rows = -(-len(panels) // COLUMNS)
    # Text as text, and no random names or dates: the same results draw the same file.
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "lab", "font.size": 8, "font.sans-serif": ["DejaVu Sans"]}
    ):
        figure = Figure(figsize=(10, 0.6 + 1.9 * rows), layout="constrained")
        figure.suptitle(f"{title}: share of the link in % (lines), queue in ms (grey)")
        axes = list(figure.subplots(rows, COLUMNS, squeeze=False, sharex=True, sharey=True).flat)
        for axis, (name, series) in zip(axes, panels.items(), strict=False):
            _panel(axis, name, series, queue_ms)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.savefig(path, metadata={"Date": None})
    path.write_text(_smaller(path.read_text(encoding="utf-8")), encoding="utf-8")


def _smaller(svg: str) -> str:
    """To a tenth of a point, without the groups that only have a name, and without line breaks."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(\d+\.\d)\d+", r"\1", svg)
    svg = re.sub(r' id="(?:line2d|text|patch|xtick|ytick|axes|matplotlib|figure|legend)[\w.]*"', "", svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg.replace(" \nL", " L")).replace("<g/>\n", "")
    return re.sub(r"<g>\n(<text.*</text>)\n</g>", r"\1", svg)


def _averaged(values: Sequence[float]) -> list[float]:
    """Of each `AVERAGED` in a row."""
    return [fmean(values[at : at + AVERAGED]) for at in range(0, len(values), AVERAGED)]


def _panel(axis: Axes, name: str, series: Mapping[str, Any], queue_ms: float) -> None:
    step_s = AVERAGED * series["step_s"]
    queue, upload, foreground = (_averaged(series[name]) for name in ("queue_ms", "upload", "foreground"))
    times = [(number + 0.5) * step_s for number in range(len(upload))]
    # Not `fill_between`, which comes back along the whole axis.
    area = [times[0], *times, times[-1]], [0.0, *queue, 0.0]
    axis.fill(*area, color=QUEUE, linewidth=0, alpha=0.6, label="queue")
    axis.plot(times, upload, color=UPLOAD, linewidth=1.2, label="upload")
    axis.plot(times, foreground, color=FLOW, linewidth=1.2, label="foreground flow")
    axis.axvspan(series["begin_s"], series["end_s"], color=FLOW, alpha=0.06, linewidth=0)
    axis.set_ylim(0, max(105, queue_ms))
    axis.tick_params(length=0)
    axis.set_title(name, fontsize=8)
    axis.set_xlabel("s")
