"""File descriptors: how many the program may have, how many it has, and what to do when there is none left.

Rules:

* Want of a descriptor (EMFILE, ENFILE) is local and passes: it is nobody's failure.  Whoever wants one
  waits and tries again, for `PATIENCE_S` at most.
* What the program has open already is counted where the system lists it, else assumed.
* The limit of a process belongs to its program: the library never changes it, the command raises its own
  towards the hard one, as Go's programs do.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

T = TypeVar("T")

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE})
PATIENCE_S = 60.0
"""The longest wait for a descriptor: others may hold theirs for as long as a request takes."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.01, 0.5
"""Between two tries, doubling."""
COMMAND_LIMIT = 65_536
"""The command needs no more, and tables of descriptors cost memory."""
ASSUMED_OPEN = 64
"""Where they cannot be counted."""
MAX_CAUSES = 20
"""Bounds the walk through an exception's causes, which may be circular."""
_LISTS = (Path("/proc/self/fd"), Path("/dev/fd"))


def limit() -> int | None:
    """How many the process may have open, None for as many as it likes or where that is not known."""
    if resource is None:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def count_open() -> int:
    """How many the process has open."""
    for path in _LISTS:
        try:
            return len(os.listdir(path)) - 1  # that of the listing  # noqa: PTH208 - no Path for each
        except OSError as error:
            if error.errno in EXHAUSTED:
                return limit() or ASSUMED_OPEN
    return ASSUMED_OPEN


def raise_limit() -> None:
    """Allows this process as many as the system lets it have, at most COMMAND_LIMIT."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = COMMAND_LIMIT if hard == resource.RLIM_INFINITY else min(hard, COMMAND_LIMIT)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS names a hard limit that it does not grant
        return


def is_want(error: BaseException) -> bool:
    """Whether `error` came of want of a descriptor, be it by another error."""
    cause: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.errno in EXHAUSTED:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def none_left() -> bool:
    """Whether there is none at the moment: what libraries say of that may be anything."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in EXHAUSTED
    return False


def read_some(fd: int, size: int) -> bytes:
    """What can be read of `fd` next, b"" at its end; waits also where the descriptor does not block, which is
    whoever opened it to say."""
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:
            poll = select.poll()  # unlike select, for descriptors beyond 1024 too
            poll.register(fd, select.POLLIN)
            poll.poll()


def write_all(fd: int, data: bytes) -> None:
    """Writes all of `data`, and waits as long as it takes, also where somebody made `fd` non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])


def patiently(
    take: Callable[[], T],
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """What `take` gives, which is tried again while there is no descriptor for it. Blocks."""
    until_s, pause_s = 0.0, FIRST_PAUSE_S
    while True:
        try:
            return take()
        except Exception as error:
            if not is_want(error):
                raise
            until_s = until_s or clock() + PATIENCE_S
            if clock() >= until_s:
                raise
        pause(pause_s)
        pause_s = min(2.0 * pause_s, MAX_PAUSE_S)
