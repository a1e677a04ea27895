"""Figures and results of the lab, made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.results import Results
from lab.scenario import Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from lab.metrics import Figures

EMULATOR = {
    "cpu_share": 0.25,
    "packets": 1,
    "priority": "real-time priority",
    "late_ms": 1.5,
    "idle_share": 0.5,
}
SERIES = {"step_s": 0.5, "upload": [100], "foreground": [0], "queue_ms": [5], "begin_s": 20.0, "end_s": 50.0}
BACKGROUND = Scenario("background", "cubic", 20.0)


def figures_of(**given: float | None) -> Figures:
    names = (
        "alone_share", "alone_Mbps", "to_full_s", "queue_alone_ms", "connections", "probe_alone_p50_ms",
        "probe_alone_p95_ms", "received_Mbps", "received_late_Mbps", "beside_share",
        "foreground_share", "ramp_s", "reclaim_s", "queue_beside_ms", "probe_beside_p50_ms",
        "probe_beside_p95_ms",
    )  # fmt: skip
    return dict.fromkeys(names, 0.5) | given


def results_of(background: Figures | None = None, path: Path | None = None) -> Results:
    results = Results(path)
    nobody = figures_of(received_Mbps=90.0, received_late_Mbps=95.0, ramp_s=1.0, probe_alone_p95_ms=21.0)
    results.add(BACKGROUND.alone, 1, nobody, SERIES, EMULATOR)
    results.add(BACKGROUND, 1, figures_of(**(background or {})), SERIES, EMULATOR)
    return results
