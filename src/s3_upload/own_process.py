"""What suits a process that does nothing but upload: how the C library keeps the memory of bodies (glibc's
mallopt(3); elsewhere there is nothing to do), and when Python looks for cycles."""

from __future__ import annotations

import gc
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""glibc's numbers (malloc.h)."""
MMAP_THRESHOLD_BYTES = 32 << 20
"""The largest that every glibc takes (DEFAULT_MMAP_THRESHOLD_MAX)."""
TRIM_THRESHOLD_BYTES = 1 << 30
"""More than a run ever holds: it is bounded by --max-in-flight-bytes."""
COLLECT_EVERY = 5_000
"""Objects made and not let go, after which cycles are looked for (Python's own: 700)."""


def settle() -> None:
    """All of it. Has to come before the threads."""
    share_one_heap()
    keep_freed_memory()
    collect_rarely()


def share_one_heap() -> None:
    """With glibc each thread has a heap of its own, and bodies that reader threads take and the loop frees
    leave holes in all of them, more than all bodies in flight together.  Has to come before the threads."""
    _mallopt(M_ARENA_MAX, 1)


def keep_freed_memory() -> None:
    """For a process of our own: glibc gives large blocks back as soon as they are freed, and the kernel has
    to clear and map each page of the next one.  Without that 256 files of 4 MiB have 13,000 page faults, not
    111,000, and take 17 % less processor time (perf stat -e page-faults,task-clock)."""
    _mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
    _mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)


def collect_rarely() -> None:
    """An upload leaves no reference cycles behind, and each time the collector looks through all that is in
    flight: with many small files and hundreds of requests at once that shows."""
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


def _mallopt(option: int, value: int) -> None:
    import ctypes

    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(option, value)
