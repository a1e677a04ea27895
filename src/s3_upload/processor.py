"""For how long threads have been on a processor, or have waited for one."""

from __future__ import annotations

import contextlib
import os
import threading
import time

_TASKS = "/proc/self/task"


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
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ran_or_waited_s(thread: int) -> float:
    fd = os.open(f"{_TASKS}/{thread}/schedstat", os.O_RDONLY)
    try:
        ran_ns, waited_ns, _ = os.read(fd, 100).split()
    finally:
        os.close(fd)
    return (int(ran_ns) + int(waited_ns)) / 1e9
