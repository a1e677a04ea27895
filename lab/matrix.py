"""Which scenarios are run, and the runs themselves: what says nothing is repeated, what is done is kept."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from lab.metrics import figures, series
from lab.network import algorithms
from lab.run import FailedRunError, InvalidRunError, run_once, workload
from lab.scenario import BULK, FILE_BYTES, FILES, NOTHING, VIDEO, Scenario, with_baselines
from lab.targets import CAPS_MBPS
from lab.uploaders import MODES, NOBODY, PEERS, uploader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lab.results import Results

RTTS_MS = (1.0, 20.0, 100.0, 336.0)
USUAL_RTT_MS = 20.0
CAPPED = tuple(f"full --max-bandwidth {cap:g}MB/s" for cap in CAPS_MBPS)
SMALL_FILES, SMALL_BYTES = 20_000, 64 << 10
MAX_INVALID = 3
"""So often a run is repeated that measured the machine instead of the link."""
SETUP_S = 4.0
"""What a run needs beside its timeline: making the hosts, starting, stopping."""


def grid(
    uploaders: Iterable[str],
    foregrounds: Iterable[str],
    rtts_ms: Iterable[float],
    *,
    algorithms: Iterable[str] = ("cubic",),
    queues: Iterable[str] = ("fifo",),
    losses: Iterable[float] = (0.0,),
    files: int = FILES,
    file_bytes: int = FILE_BYTES,
) -> list[Scenario]:
    """Every combination."""
    return [
        Scenario(
            name,
            foreground,
            rtt_ms,
            algorithm,
            fair_queue=queue == "drr",
            loss=loss,
            files=files,
            file_bytes=file_bytes,
        )
        for foreground, rtt_ms, queue, loss, name, algorithm in itertools.product(
            foregrounds, rtts_ms, queues, losses, uploaders, algorithms
        )
    ]


def full_matrix() -> list[Scenario]:
    """What docs/shared-network.md shows."""
    everybody = (*MODES, *PEERS)
    return with_baselines(
        [
            *grid(everybody, BULK, [USUAL_RTT_MS]),
            *grid(MODES, BULK, [rtt_ms for rtt_ms in RTTS_MS if rtt_ms != USUAL_RTT_MS]),
            *grid(PEERS, ["cubic"], [rtt_ms for rtt_ms in RTTS_MS if rtt_ms != USUAL_RTT_MS]),
            *grid(everybody, ["cubic"], [USUAL_RTT_MS], algorithms=["bbr"]),
            *grid(everybody, [VIDEO], [USUAL_RTT_MS]),
            *grid(["full"], [NOTHING], RTTS_MS, losses=[0.001]),
            *grid(CAPPED, [NOTHING], [USUAL_RTT_MS]),
            *grid(("fair --max-in-flight 2", "fair --max-in-flight 64"), ["cubic"], [USUAL_RTT_MS]),
            *grid(["fair"], ["cubic"], [USUAL_RTT_MS], files=SMALL_FILES, file_bytes=SMALL_BYTES),
            *grid(("background", "full", "s5cmd"), ["cubic"], [USUAL_RTT_MS], queues=["drr"]),
        ]
    )


def quick_matrix() -> list[Scenario]:
    """Two minutes: shorter runs, no comparison of many."""
    short = {"alone_s": 8.0, "beside_s": 12.0, "after_s": 5.0}
    scenarios = [Scenario(name, "cubic", USUAL_RTT_MS, **short) for name in ("background", "full", "s5cmd")]  # type: ignore[arg-type]
    return with_baselines(scenarios)


def duration_s(scenarios: Sequence[Scenario], runs: int) -> float:
    return runs * sum(scenario.duration_s + SETUP_S for scenario in scenarios)


def run_matrix(
    scenarios: Sequence[Scenario],
    *,
    runs: int,
    seed: int,
    results: Results,
    say: Callable[[str], None],
    resume: bool = False,
) -> None:
    """Runs every scenario `runs` times, round by round, so that a busy spell of the machine does not hit one
    scenario alone. `resume`: only what `results` lacks. For the foreground alone that is always so, since
    others are compared with it, too, unless it was measured on another machine. Raises `LabError`."""
    able = []
    for scenario in scenarios:
        if why := missing(scenario):
            results.skip(scenario, why)
            say(f"{scenario.key}: skipped: {why}")
            continue
        able.append(scenario)
        if not resume and (scenario.uploader != NOBODY or results.is_from_elsewhere(scenario)):
            results.forget(scenario)
    for number in range(runs):
        for scenario in able:
            if results.tried(scenario) <= number:
                _run_valid(scenario, seed + number, results, say)


def missing(scenario: Scenario) -> str:
    """Why the scenario cannot be run here; "" if it can."""
    for algorithm in {scenario.algorithm, scenario.foreground} & {*BULK}:
        if algorithm not in algorithms():
            return f"this kernel has no {algorithm.upper()} (modprobe tcp_{algorithm})"
    return "" if scenario.uploader == NOBODY else uploader(scenario.uploader, Path()).missing


def _run_valid(scenario: Scenario, seed: int, results: Results, say: Callable[[str], None]) -> None:
    for _ in range(MAX_INVALID):
        try:
            with workload(scenario.files, scenario.file_bytes) as folder:
                trace = run_once(scenario, seed, folder)
        except FailedRunError as reason:
            results.fail(scenario, str(reason))
            say(f"{scenario.key}, seed {seed}: the upload failed: {reason}")
            return
        except InvalidRunError as reason:
            results.invalid(scenario, str(reason))
            say(f"{scenario.key}, seed {seed}: invalid: {reason}")
            continue
        found = figures(trace, scenario)
        results.add(scenario, seed, found, series(trace, scenario), trace.emulator)
        say(f"{scenario.key}, seed {seed}: {brief(found)}")
        return


def brief(found: dict[str, float | None]) -> str:
    wanted = ("alone_share", "received_Mbps", "received_late_Mbps", "ramp_s", "reclaim_s", "connections")
    return ", ".join(f"{name} {value:.2f}" for name in wanted if (value := found.get(name)) is not None)
