"""The machine as plain data, and tables that are printed line by line."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

GIB = 1 << 30
LOOP_STEPS, LOOP_TURNS = 200_000, 7
OTHER_BUILD = 1.25
"""Two builds of one Python differ by so much, and one from day to day by less."""


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
        "processor": _processor(),
        "memory_GiB": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB,
        "load_average": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "python_ns": _python_ns(),
    }


def is_same(machine: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both are one machine with one Python, as far as its speed tells; the load is of a moment."""
    names = ("usable_cores", "processor", "system", "python")
    if any(machine[name] != other[name] for name in names):
        return False
    if round(machine["memory_GiB"]) != round(other["memory_GiB"]):
        return False
    # What was measured before the bench looked at this does not say it.
    ours, theirs = machine.get("python_ns", 0.0), other.get("python_ns", 0.0)
    return not ours or not theirs or max(ours, theirs) <= OTHER_BUILD * min(ours, theirs)


def _python_ns() -> float:
    """What one step of a plain loop takes: two builds of one version differ by half."""
    best_ns = min(_loop_ns() for _ in range(LOOP_TURNS))
    return best_ns / LOOP_STEPS


def _loop_ns() -> int:
    begun_ns, seen = time.process_time_ns(), {}
    for step in range(LOOP_STEPS):
        seen[step & 1023] = len(f"{step}")
    return time.process_time_ns() - begun_ns


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
