"""Whether small files are so near that the event loop may read them itself.

A reader thread gives up the interpreter's lock at each of the five system calls that a small file
takes, and takes it from the event loop again: for small files that costs more than reading them.  But
a disk that hangs must hang a thread and never the loop.  So a batch is read on the loop only if

1. every file's directory is known to lie on a local file system (Linux: /proc/self/mountinfo;
   elsewhere all reading is done in threads), which the thread that pulled the source has found out;
   a file that turns out to be a link, which might lead elsewhere, is left to the threads;
2. the files read last were small: SMALL_MEAN_BYTES on average (hashing big ones is work for threads);
3. reading on the loop has been fast: a batch that took longer than SLOW_BATCH_S sends the next
   THREAD_BATCHES to the threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from s3_upload.errors import SourceError
from s3_upload.sources.files import NO_LINKS, BigFile, HashedBody, Reader, UnsizedFile
from s3_upload.sources.source import Bunches, ObjectSource, info_of

LOCAL_FILE_SYSTEMS = frozenset(
    {"bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "jfs", "ramfs", "tmpfs", "xfs", "zfs"}
)
SMALL_MEAN_BYTES = 64 << 10
LOOP_BATCH_BYTES = 256 << 10
SLOW_BATCH_S = 0.02
THREAD_BATCHES = 64
MAX_DIRECTORIES = 10_000
_MOUNTINFO = Path("/proc/self/mountinfo")

Results = Sequence[HashedBody | BigFile | UnsizedFile | SourceError]


def local_devices(mountinfo: Path = _MOUNTINFO) -> frozenset[int]:
    """The device numbers (`st_dev`) of all mounted local file systems; none where that is not known.

    A line of mountinfo: `id parent major:minor root mount-point options … - type source options`
    (proc_pid_mountinfo(5)).
    """
    try:
        lines = mountinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    devices = set()
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")[0]
        if kind in LOCAL_FILE_SYSTEMS and len(fields) > 2:
            major, _, minor = fields[2].partition(":")
            if major.isdecimal() and minor.isdecimal():
                devices.add(os.makedev(int(major), int(minor)))
    return frozenset(devices)


class Nearby:
    """Decides, by the module's rules, where the next batch is read. `devices`: the local ones."""

    def __init__(self, devices: frozenset[int]) -> None:
        self._devices = devices
        self._local_directories: dict[str, bool] = {}
        self._small = False
        self._batches_in_threads = 0

    def allows(self, sources: Sequence[ObjectSource]) -> bool:
        """Whether the loop may read `sources` itself."""
        if not self._devices or not self._small:
            return False
        if self._batches_in_threads > 0:
            self._batches_in_threads -= 1
            return False
        known = self._local_directories
        return all(not source.path or known.get(_directory(source.path)) for source in sources)

    def read(self, reader: Reader, sources: Sequence[ObjectSource]) -> Results:
        """Reads `sources` here and now, up to the first that is a link, and sees how long that takes."""
        begun_s = reader.clock()
        results = reader.read_batch(sources, LOOP_BATCH_BYTES, NO_LINKS)
        if reader.clock() - begun_s > SLOW_BATCH_S:
            self._batches_in_threads = THREAD_BATCHES
        elif not results:
            self._batches_in_threads = 1
        return results

    def pull_in_thread(
        self, reader: Reader, sources: Iterator[ObjectSource] | Bunches, count: int
    ) -> tuple[list[ObjectSource], bool]:
        """`Reader.pull` in the thread that calls it, which also finds out where the files lie."""
        pulled = reader.pull(sources, count)
        if self._devices:
            if len(self._local_directories) > MAX_DIRECTORIES:
                self._local_directories.clear()
            for directory in {_directory(source.path) for source in pulled[0] if source.path}:
                self._local_directories.setdefault(directory, self._lies_locally(directory))
        return pulled

    def saw(self, results: Results) -> None:
        """A batch was read, here or in a thread."""
        sizes = [_size(result) for result in results if not isinstance(result, SourceError)]
        if sizes:
            self._small = sum(sizes) <= SMALL_MEAN_BYTES * len(sizes)

    def _lies_locally(self, directory: str) -> bool:
        info = info_of(directory or ".")
        return info is not None and info.st_dev in self._devices


def _directory(path: str) -> str:
    """With its "/": a Path for each file would cost more than its read."""
    return path[: path.rfind("/") + 1]


def _size(result: HashedBody | BigFile | UnsizedFile) -> int:
    if isinstance(result, UnsizedFile):
        return 0
    return len(result.body) if isinstance(result, HashedBody) else result.identity.size
