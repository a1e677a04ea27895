"""For how long this thread has been on a processor, or has waited for one."""

from __future__ import annotations

import os
import threading
import time

_SCHEDSTAT = "/proc/self/task/{}/schedstat"


def busy_s() -> float:
    """Seconds, from some moment on, in which this thread ran or could have run.

    Linux tells for each thread how long it ran and how long it waited for a processor, in nanoseconds
    (Documentation/scheduler/sched-stats.rst); elsewhere it is the time on a processor alone.
    """
    try:
        fd = os.open(_SCHEDSTAT.format(threading.get_native_id()), os.O_RDONLY)
        try:
            ran_ns, waited_ns, _ = os.read(fd, 100).split()
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return time.thread_time()
    return (int(ran_ns) + int(waited_ns)) / 1e9
