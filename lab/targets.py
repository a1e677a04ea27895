"""What s3-upload has to reach, held against the medians of the results; pure.

A target names a mode, the foreground beside it and the figure that counts. One that was not measured
gets no verdict; one in which an upload failed misses "no upload fails", whatever the others measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.scenario import BULK, NOTHING, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.metrics import Figures
    from lab.results import Results

MIN_RUNS = 5
CAPS_MBPS = (1.0, 5.0)
"""The values of --max-bandwidth that are tried, in MB/s."""
QUEUE_TARGET_MS = 60.0
LONG_RTT_MS = 100.0


@dataclass(frozen=True)
class Verdict:
    target: str
    where: str
    measured: str
    reached: bool
    runs: int

    @property
    def word(self) -> str:
        enough = "" if self.runs >= MIN_RUNS else f" ({self.runs} runs)"
        return ("yes" if self.reached else "**no**") + enough


def verdicts(results: Results) -> list[Verdict]:
    """One for each target and each scenario in which it was measured, target by target."""
    found = []
    for scenario, entry in results.entries():
        if entry["failed"] and scenario.is_ours:
            runs = results.tried(scenario)
            measured = f"{len(entry['failed'])} of {runs} failed"
            found.append(Verdict("no upload fails", scenario.key, measured, reached=False, runs=runs))
        figures = results.medians(scenario)
        if figures is None or scenario.fair_queue or scenario.algorithm != "cubic":
            continue
        where = _where(scenario)
        runs = results.count(scenario)
        alone = results.medians(scenario.alone)
        for target, value, unit, reached in _judged(scenario, figures, alone):
            measured = (
                "never" if value is None else f"{value * 100:.1f} %" if unit == "%" else f"{value:.1f} {unit}"
            )
            found.append(Verdict(target, where, measured, reached, runs))
    order = {target: number for number, target in enumerate(dict.fromkeys(v.target for v in found))}
    return sorted(found, key=lambda verdict: order[verdict.target])


Judged = tuple[str, float | None, str, bool]


def _judged(scenario: Scenario, figures: Figures, alone: Figures | None) -> Iterator[Judged]:
    """Target, value, unit, reached."""
    if scenario.uploader == "background" and not scenario.loss:
        yield from _background(scenario, figures, alone)
    elif scenario.uploader.startswith("fair") and scenario.foreground in BULK:
        flow = figures["foreground_share"]
        yield "fair: the flow has 40 to 60 % of the link", flow, "%", flow is not None and 0.4 <= flow <= 0.6
    elif "--max-bandwidth" in scenario.uploader:
        cap = float(scenario.uploader.rpartition(" ")[2].removesuffix("MB/s")) * 8
        of_cap = (figures["alone_Mbps"] or 0.0) / cap
        yield "max-bandwidth: payload within 2 % of it", of_cap, "%", abs(of_cap - 1) <= 0.02
    elif scenario.uploader == "full" and scenario.foreground in {"cubic", NOTHING}:
        has = figures["alone_share"]
        yield "full: at least 97 % of the link alone", has, "%", has is not None and has >= 0.97


def _background(scenario: Scenario, figures: Figures, alone: Figures | None) -> Iterator[Judged]:
    if alone is None:
        return
    if scenario.foreground in BULK:
        yield from _beside_bulk(scenario.foreground, figures, alone)
    if scenario.foreground == "cubic":
        need = 0.95 if scenario.rtt_ms <= LONG_RTT_MS else 0.85
        has = figures["alone_share"]
        target = f"background: alone at least {need:.0%} of the link from 10 s on"
        yield target, has, "%", has is not None and has >= need
        idle, busy = alone["probe_alone_p95_ms"], figures["probe_alone_p95_ms"]
        if idle is not None and busy is not None:
            target = f"background: the probe's p95 rises by at most {QUEUE_TARGET_MS:g} ms"
            yield target, busy - idle, "ms", busy - idle <= QUEUE_TARGET_MS


def _beside_bulk(foreground: str, figures: Figures, alone: Figures) -> Iterator[Judged]:
    need = 0.97 if foreground == "cubic" else 0.9
    before, kept, ramp_alone = alone["received_late_Mbps"], figures["received_late_Mbps"], alone["ramp_s"]
    if before:
        share = (kept or 0.0) / before
        target = f"background: a {foreground.upper()} flow keeps at least {need:.0%} once it has its link"
        yield target, share, "%", share >= need
    if ramp_alone is not None:
        later = None if figures["ramp_s"] is None else figures["ramp_s"] - ramp_alone
        target = "background: yields, the flow has its link at most 2 s later"
        yield target, later, "s", later is not None and later <= 2
    back = figures["reclaim_s"]
    yield "background: reclaims 90 % within 5 s", back, "s", back is not None and back <= 5


def _where(scenario: Scenario) -> str:
    loss = f", loss {scenario.loss:.1%}" if scenario.loss else ""
    beside = "" if scenario.foreground == NOTHING else f"{scenario.foreground.upper()}, "
    flags = scenario.uploader.partition(" ")[2]
    more = [f"{beside}{scenario.rtt_ms:g} ms{loss}", flags, scenario.workload]
    return ", ".join(word for word in more if word)
