"""What tells one version of a file from another, on file systems of all kinds.

Rules:

* A version is a size, a time of modification and a time of change (ctime).  A program that writes to a file
  may put the first two back; the third is set by the system alone, also when another file takes the name.
* Device and inode are no part of it: a file is opened again for each part, and GlusterFS, sshfs, CIFS, WSL
  and overlays may give a file another number at each opening.  What an inode would tell, ctime tells.
* Some of them make up times as well: each replica has its own, or the moment of asking is given.  So where a
  time differs the file is looked at MAX_LOOKS times more, in a moment in which no file changes.  A time that
  goes back then, or comes back, is made up, and so is a ctime that is another at each look while all else is
  as it was.  It counts no more, on that file system, in this run.
* `check` "size": times mean nothing at all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import msgspec

from s3_upload.errors import FailureKind, SourceError

MAX_LOOKS = 3
NO_TIME_NS = -1
"""In place of a time of modification by which no version of a file is told from another. (0 is a time like
any other: OSTree and reproducible archives give it to all files.)"""
MAX_TIME_NS = (1 << 63) - 1
TICK_NS = 20_000_000
"""Times of files go on in ticks: on Linux those of its clock interrupt, of 1 to 10 ms."""
COARSE_TICK_NS = 2_000_000_000
"""Of file systems that keep whole seconds (ext3, NFS 2) or even ones (FAT)."""


class Identity(msgspec.Struct, frozen=True, gc=False):
    """A version of a file. `device` tells where it lies, not which version it is."""

    size: int
    mtime_ns: int
    ctime_ns: int
    device: int = 0


class Versions:
    """Compares files with what they were, for one run. Used by several threads at a time.

    `stat` looks at an open file.
    """

    def __init__(self, check: str = "version", stat: Callable[[int], os.stat_result] = os.fstat) -> None:
        self.stat = stat
        self._only_size = check == "size"
        self._no_mtime: set[int] = set()  # the devices on which it is made up
        self._no_ctime: set[int] = set()

    def identity(self, info: os.stat_result) -> Identity:
        return Identity(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_dev)

    def verify(
        self, path: str, was: Identity, info: os.stat_result, look: Callable[[], os.stat_result]
    ) -> None:
        """Raises `SourceError`, which says what differs, if `info` shows another version than `was`.

        `look` opens the file again and looks at it.
        """
        seen = self.identity(info)
        if self._agree(was, seen):
            return
        if seen.size == was.size:
            self._learn(was, [seen, *(self.identity(look()) for _ in range(MAX_LOOKS))])
            if self._agree(was, seen):
                return
        raise changed(path, self._difference(was, seen))

    def counts_mtime(self, was: Identity) -> bool:
        """Whether its time of modification tells it from others."""
        return not self._only_size and was.device not in self._no_mtime

    def settles_ns(self, was: Identity, now_ns: int) -> int:
        """How long it takes from `now_ns` on, when the file `was` that, until whoever changes it gives it
        other times.  Negative: that is so by now, or no time counts."""
        end_ns = 0
        if not self._only_size:
            has_ctime = was.device not in self._no_ctime
            if has_ctime:
                end_ns = _settled_ns(was.ctime_ns)
            # Who changes it puts an end to a time to come that somebody has set; nobody sets a ctime.
            is_set = was.mtime_ns > now_ns and has_ctime
            if self.counts_mtime(was) and not is_set:
                end_ns = max(end_ns, _settled_ns(was.mtime_ns))
        return end_ns - now_ns

    def _agree(self, was: Identity, seen: Identity) -> bool:
        if self._only_size:
            return was.size == seen.size
        return (
            was.size == seen.size
            and (was.mtime_ns == seen.mtime_ns or seen.device in self._no_mtime)
            and (was.ctime_ns == seen.ctime_ns or seen.device in self._no_ctime)
        )

    def _learn(self, was: Identity, looks: Sequence[Identity]) -> None:
        """Finds out which times are made up. `looks`: of one moment, the first differs from `was`."""
        if any(look.size != was.size for look in looks):
            return
        device = looks[0].device
        mtimes_ns, ctimes_ns = [look.mtime_ns for look in looks], [look.ctime_ns for look in looks]
        if _made_up(was.mtime_ns, mtimes_ns):
            self._no_mtime.add(device)
        same_mtime = device in self._no_mtime or {was.mtime_ns} == set(mtimes_ns)
        each_another = same_mtime and len(set(ctimes_ns)) == len(ctimes_ns)
        if each_another or _made_up(was.ctime_ns, ctimes_ns):
            self._no_ctime.add(device)

    def _difference(self, was: Identity, seen: Identity) -> str:
        if was.size != seen.size:
            return f"its size was {was.size}, is {seen.size}"
        names = [("time of modification", was.mtime_ns, seen.mtime_ns, self._no_mtime)]
        names.append(("time of change (ctime)", was.ctime_ns, seen.ctime_ns, self._no_ctime))
        differ = [
            f"its {name} was {_show(before)}, is {_show(now)}"
            for name, before, now, made_up in names
            if before != now and seen.device not in made_up
        ]
        return "; ".join(differ)


def told_apart(mtime_ns: int, ctime_ns: int) -> int:
    """`mtime_ns` of a file that is read now, if whoever changes it from now on gives it another; else
    NO_TIME_NS.

    A change within the tick in which the last one came leaves the time as it is (what git calls racy:
    https://git-scm.com/docs/racy-git).
    """
    now_ns = time.time_ns()
    # A time to come was set by somebody, or another host's clock is ahead. Nobody sets a ctime, and where
    # that has passed, a change puts an end to a time that was set. (On Windows it is the file's birth.)
    changed_ns = ctime_ns if mtime_ns > now_ns and os.name != "nt" else mtime_ns
    # No journal can keep a time before 1678 or after 2262.
    is_kept = -MAX_TIME_NS <= mtime_ns <= MAX_TIME_NS
    return mtime_ns if is_kept and now_ns > _settled_ns(changed_ns) else NO_TIME_NS


def _settled_ns(time_ns: int) -> int:
    """The end of the tick in which a file got that time."""
    return time_ns + (TICK_NS if time_ns % 1_000_000_000 else COARSE_TICK_NS)


def changed(path: str, how: str) -> SourceError:
    return SourceError(f"{path}: source changed while it was read: {how}", FailureKind.SOURCE_CHANGED)


def _made_up(was_ns: int, looks_ns: Sequence[int]) -> bool:
    """Whether a time goes back within a moment, or what it was comes back: no change of a file does that."""
    goes_back = any(later < earlier for earlier, later in pairwise(looks_ns))
    return goes_back or (looks_ns[0] != was_ns and was_ns in looks_ns)


def _show(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest_ns:09d} UTC"
    except (ValueError, OverflowError, OSError):  # a time that no calendar has
        return f"{time_ns} ns"
