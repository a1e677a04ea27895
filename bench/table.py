"""The results as a text table and as plain data for JSON."""

from __future__ import annotations

import os
import platform
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.contenders import Contender
    from bench.measure import Measured, Run, Workload

GIB = 1 << 30


class Columns:
    """A table that is printed line by line: headings with their widths, negative ones flush left."""

    def __init__(self, columns: Sequence[tuple[str, int]]) -> None:
        self._columns = columns
        self.head = self.line([heading for heading, _ in columns])

    def line(self, cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if width > 0 else cell.ljust(-width)
            for cell, (_, width) in zip(cells, self._columns, strict=True)
        )
        return "  ".join(padded).rstrip()


def surroundings() -> dict[str, Any]:
    """The machine, as far as it decides how fast anything is."""
    return {
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def machine(sink_version: str, sink_workers: str, tls: bool, lineup: Sequence[Contender]) -> dict[str, Any]:
    return {
        **surroundings(),
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


def ratio(ours: Measured, peer: Measured) -> float:
    """How many times the peer's objects/s ours has: the median of the rounds' own ratios."""
    return median(b.wall_s / a.wall_s for a, b in zip(ours.runs, peer.runs, strict=True))


def net_ratio(ours: Measured, peer: Measured) -> float | None:
    """The same with each tool's start-up taken off; None where a run was no longer than a start-up."""
    pairs = [(_net_s(ours, a), _net_s(peer, b)) for a, b in zip(ours.runs, peer.runs, strict=True)]
    if any(a <= 0 or b <= 0 for a, b in pairs):
        return None
    return median(b / a for a, b in pairs)


def _net_s(result: Measured, run: Run) -> float:
    return run.wall_s - result.startup_s


def as_data(workload: Workload, results: Sequence[Measured]) -> dict[str, Any]:
    rows = [_row(workload, result) for result in results]
    ours = [result for result in results if result.contender.ours]
    peers = [result for result in results if not result.contender.ours]
    ratios = [
        {
            "ours": a.contender.name,
            "peer": b.contender.name,
            "ratio": ratio(a, b),
            "ratio_net_of_startup": net_ratio(a, b),
        }
        for a in ours
        for b in peers
    ]
    return {
        "workload": workload.name, "files": workload.count, "file_bytes": workload.size,
        "contenders": rows, "ratios": ratios,
    }  # fmt: skip


def _row(workload: Workload, result: Measured) -> dict[str, Any]:
    net_s = result.wall_s - result.startup_s
    total_bytes = workload.count * workload.size
    return {
        "name": result.contender.name,
        "setting": result.setting,
        "calibration_s": result.calibration_s,
        "startup_s": result.startup_s,
        "startups_wall_s": [run.wall_s for run in result.startups],
        "runs_wall_s": [run.wall_s for run in result.runs],
        "runs_cpu_s": [run.cpu_s for run in result.runs],
        "wall_s": result.wall_s,
        "objects_per_s": workload.count / result.wall_s,
        "objects_per_s_net_of_startup": workload.count / net_s if net_s > 0 else None,
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
            f"{_or_dash(pair['ratio_net_of_startup'], '.2f')} x net of start-up (medians of per-round ratios)"
        )
    return "\n".join(lines)


def _row_text(row: dict[str, Any]) -> str:
    walls = row["runs_wall_s"]
    spread = f"{min(walls):.2f}..{max(walls):.2f}"
    return (
        f"{row['name']:<20} {row['setting']:<16} {row['wall_s']:>6.2f} {spread:>12} {row['startup_s']:>8.2f} "
        f"{row['objects_per_s']:>7,.0f} {_or_dash(row['objects_per_s_net_of_startup'], ',.0f'):>9} "
        f"{row['MB_per_s']:>6,.0f} {row['cpu_us_per_object']:>10,.0f} {row['cpu_s_per_GiB']:>9.2f}"
    )


def _or_dash(value: float | None, form: str) -> str:
    """A run shorter than a start-up (a busy machine, too little work) says nothing net of it."""
    return "-" if value is None else format(value, form)
