"""The results as a text table and as plain data for JSON."""

from __future__ import annotations

import os
import platform
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.contenders import Contender
    from bench.measure import Measured, Workload

GIB = 1 << 30


def machine(sink_version: str, sink_workers: str, tls: bool, lineup: Sequence[Contender]) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "nginx": sink_version,
        "nginx_workers": sink_workers,
        "tls": tls,
        "versions": {c.name: c.version for c in lineup},
        "missing": {c.name: c.missing for c in lineup if c.missing},
    }


def machine_text(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    protocol = "TLS" if about["tls"] else "HTTP"
    cores = f"{about['usable_cores']} of {about['cores']} cores"
    lines = [
        f"{cores}, load {about['load_average']:.1f}, {about['system']}",
        f"sink: nginx {about['nginx']}, workers: {about['nginx_workers']}, {protocol}, files on a RAM disk",
        f"Python {about['python']}, {versions}",
        *(f"left out: {name}: {why}" for name, why in about["missing"].items()),
    ]
    return "\n".join(lines)


def ratio(ours: Measured, peer: Measured, *, net: bool) -> float:
    """How many times the peer's objects/s ours has: the median of the rounds' own ratios.

    `net`: each tool's start-up (its time for one tiny file) is taken off first.
    """
    pairs = zip(ours.runs, peer.runs, strict=True)
    if net:
        return median((b.wall_s - peer.startup_s) / (a.wall_s - ours.startup_s) for a, b in pairs)
    return median(b.wall_s / a.wall_s for a, b in pairs)


def as_data(workload: Workload, results: Sequence[Measured]) -> dict[str, Any]:
    rows = [_row(workload, result) for result in results]
    ours = [result for result in results if result.contender.ours]
    peers = [result for result in results if not result.contender.ours]
    ratios = [
        {
            "ours": a.contender.name,
            "peer": b.contender.name,
            "ratio": ratio(a, b, net=False),
            "ratio_net_of_startup": ratio(a, b, net=True),
        }
        for a in ours
        for b in peers
    ]
    return {
        "workload": workload.name, "files": workload.count, "file_bytes": workload.size,
        "contenders": rows, "ratios": ratios,
    }  # fmt: skip


def _row(workload: Workload, result: Measured) -> dict[str, Any]:
    total_bytes = workload.count * workload.size
    return {
        "name": result.contender.name,
        "setting": result.setting,
        "calibration_s": result.calibration_s,
        "startup_s": result.startup_s,
        "runs_wall_s": [run.wall_s for run in result.runs],
        "runs_cpu_s": [run.cpu_s for run in result.runs],
        "wall_s": result.wall_s,
        "objects_per_s": workload.count / result.wall_s,
        "objects_per_s_net_of_startup": workload.count / (result.wall_s - result.startup_s),
        "MB_per_s": total_bytes / 1e6 / result.wall_s,
        "cpu_us_per_object": result.cpu_s / workload.count * 1e6,
        "cpu_s_per_GiB": result.cpu_s / (total_bytes / GIB),
    }


_HEAD = (
    f"{'contender':<20} {'setting':<16} {'s':>6} {'min..max':>12} {'start-up':>8} "
    f"{'obj/s':>7} {'net obj/s':>9} {'MB/s':>6} {'CPU µs/obj':>10} {'CPU s/GiB':>9}"
)


def as_text(data: dict[str, Any]) -> str:
    """The table of one workload; "net" means with the start-up taken off."""
    files = f"{data['files']:,} files of {data['file_bytes']:,} bytes"
    lines = [f"{data['workload']}: {files} (medians, whole processes)", _HEAD]
    lines += [_row_text(row) for row in data["contenders"]]
    for pair in data["ratios"]:
        lines.append(
            f"{pair['ours']} / {pair['peer']}: {pair['ratio']:.2f} x the objects/s, "
            f"{pair['ratio_net_of_startup']:.2f} x net of start-up (medians of per-round ratios)"
        )
    return "\n".join(lines)


def _row_text(row: dict[str, Any]) -> str:
    walls = row["runs_wall_s"]
    spread = f"{min(walls):.2f}..{max(walls):.2f}"
    return (
        f"{row['name']:<20} {row['setting']:<16} {row['wall_s']:>6.2f} {spread:>12} {row['startup_s']:>8.2f} "
        f"{row['objects_per_s']:>7,.0f} {row['objects_per_s_net_of_startup']:>9,.0f} "
        f"{row['MB_per_s']:>6,.0f} {row['cpu_us_per_object']:>10,.0f} {row['cpu_s_per_GiB']:>9.2f}"
    )
