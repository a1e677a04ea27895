"""For how long threads have been on a processor, or have waited for one."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

_TASKS = "/proc/self/task"
_V1 = "/sys/fs/cgroup/cpu/cpu.cfs_"
_QUOTAS = (("/sys/fs/cgroup/cpu.max",), (f"{_V1}quota_us", f"{_V1}period_us"))
"""Where a container's quota and its period are, in microseconds."""


def busy_s() -> float:
    """Seconds, from some moment on, in which this thread ran or could have run.

    Linux tells for each thread how long it ran and how long it waited for a processor, in nanoseconds
    (Documentation/scheduler/sched-stats.rst); elsewhere it is the time on a processor alone.
    """
    try:
        return _ran_or_waited_s(threading.get_native_id())
    except (OSError, ValueError):
        return time.thread_time()


def all_busy_s() -> float:
    """The same, of all threads of Python's that there are now. Costs some 10 µs for each."""
    total_s = 0.0
    for thread in threading.enumerate():
        with contextlib.suppress(OSError, ValueError):  # it has ended
            total_s += _ran_or_waited_s(thread.native_id or 0)
    return total_s or time.process_time()


def processors() -> int:
    """How many this process may use: a container has no more of them than its quota of time is worth."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(there, math.ceil(_quota(there))))


def _quota(unless: float) -> float:
    """Processors' time that all of a container may use; `unless` nobody has bounded it.

    Control groups of Linux (Documentation/admin-guide/cgroup-v2.rst, "cpu.max"; of version 1
    Documentation/scheduler/sched-bwc.rst).
    """
    for paths in _QUOTAS:
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join(Path(path).read_text(encoding="ascii") for path in paths).split()
            return unless if quota in {"max", "-1"} else int(quota) / max(int(period), 1)
    return unless


class Lately:
    """How many seconds `counter` counts each second, on `clock`: half since the last look, half before."""

    def __init__(self, counter: Callable[[], float], clock: Callable[[], float]) -> None:
        self._counter = counter
        self._clock = clock
        self._last = counter(), clock()
        self._rate: float | None = None

    def look(self) -> float:
        (count_s, at_s), self._last = self._last, (self._counter(), self._clock())
        elapsed_s = self._last[1] - at_s
        rate = (self._last[0] - count_s) / elapsed_s if elapsed_s > 0 else 0.0
        self._rate = rate if self._rate is None else 0.5 * (self._rate + rate)
        return self._rate


def idle_s() -> float:
    """For how long nobody used the processors that this process may use, together, since the system's start;
    0.0 where the system does not say (it is Linux that does, in /proc/stat).  They are those of the machine:
    what a container's quota leaves is not looked at."""
    mine = (
        {f"cpu{number}" for number in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    )
    idle = 0
    with (
        contextlib.suppress(OSError, ValueError, IndexError),
        Path("/proc/stat").open(encoding="ascii") as stat,
    ):
        for line in stat:
            name, *ticks = line.split()
            if name in mine:
                idle += int(ticks[3])
    return idle / os.sysconf("SC_CLK_TCK") if idle else 0.0


def _ran_or_waited_s(thread: int) -> float:
    fd = os.open(f"{_TASKS}/{thread}/schedstat", os.O_RDONLY)
    try:
        ran_ns, waited_ns, _ = os.read(fd, 100).split()
    finally:
        os.close(fd)
    return (int(ran_ns) + int(waited_ns)) / 1e9
