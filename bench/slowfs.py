"""A slow disk: files that can be read, and directories that can be listed, only so fast.

A read-only file system of one level of directories, each with the same number of files of one size, served
through FUSE: the kernel's own protocol on /dev/fuse, without a library, hence Linux and root.  The files hold
zeros.  What is read comes one request after the other, as from a disk; a directory keeps nobody else waiting.

`SlowFiles` is for a benchmark: it runs this module as a process of its own, which unmounts and ends when its
stdin closes.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from bench.nginx import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

DEVICE = Path("/dev/fuse")
MAX_REQUEST_BYTES = 1 << 20
MS_RDONLY, MNT_DETACH = 1, 2

# include/uapi/linux/fuse.h
LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 15, 17, 18, 25, 26
OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 27, 28, 29, 36, 42
UNANSWERED = frozenset({FORGET, BATCH_FORGET, INTERRUPT})
REQUEST, ANSWER = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
ATTRIBUTES, ENTRY = struct.Struct("<6Q10I"), struct.Struct("<4Q2I")
INTERRUPTED = (errno.ENOENT, errno.EINTR, errno.EAGAIN)
ROOT = 1
VALID_S = 3600
"""For how long the kernel keeps what it was told of names and sizes."""
MTIME_S = 1_700_000_000


class Tree(NamedTuple):
    """`directories` with `files` each of `size` bytes; nodes are numbered: the root, directories, files."""

    directories: int
    files: int
    size: int

    def number(self, parent: int, name: str) -> int:
        """The node of that name; 0: there is none."""
        kind, index = name[:1], name[1:]
        if not index.isdecimal():
            return 0
        if parent == ROOT and kind == "d" and int(index) < self.directories:
            return ROOT + 1 + int(index)
        if self.is_directory(parent) and parent != ROOT and kind == "f" and int(index) < self.files:
            return ROOT + 1 + self.directories + (parent - ROOT - 1) * self.files + int(index)
        return 0

    def is_directory(self, number: int) -> bool:
        return number <= ROOT + self.directories

    def names(self, number: int) -> list[str]:
        """What is in a directory."""
        if number == ROOT:
            return [f"d{index:06}" for index in range(self.directories)]
        return [f"f{index:06}" for index in range(self.files)]

    def sizes(self) -> dict[str, int]:
        """Of its files, by path."""
        paths = (f"{folder}/{file}" for folder in self.names(ROOT) for file in self.names(ROOT + 1))
        return dict.fromkeys(paths, self.size)

    def attributes(self, number: int) -> bytes:
        directory = self.is_directory(number)
        mode = stat.S_IFDIR | 0o555 if directory else stat.S_IFREG | 0o444
        size = 0 if directory else self.size
        links = 2 if directory else 1
        return ATTRIBUTES.pack(
            number, size, -(-size // 512), MTIME_S, MTIME_S, MTIME_S, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0
        )


class Slow:
    """Answers requests; `wait` is told how long each is to take, and `list_s` is what a directory takes."""

    def __init__(self, tree: Tree, bytes_per_s: float, list_s: float, wait: Callable[[float], None]) -> None:
        self._tree = tree
        self._bytes_per_s = bytes_per_s
        self._list_s = list_s
        self._wait = wait
        self._answers: dict[int, Callable[[int, bytes], bytes]] = {
            INIT: self._init,
            LOOKUP: self._lookup,
            GETATTR: lambda node, _: struct.pack("<QII", VALID_S, 0, 0) + tree.attributes(node),
            OPEN: lambda _, __: struct.pack("<QII", 0, 0, 0),
            OPENDIR: lambda _, __: struct.pack("<QII", 0, 0, 0),
            READ: self._read,
            READDIR: self._list,
            STATFS: lambda _, __: struct.pack("<5Q4I24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0),
            RELEASE: lambda _, __: b"",
            RELEASEDIR: lambda _, __: b"",
            FLUSH: lambda _, __: b"",
        }

    def answer(self, request: bytes) -> bytes:
        """The whole answer to a whole request; b"": it wants none."""
        _, what, unique, node, *_ = REQUEST.unpack_from(request)
        if what in UNANSWERED:
            return b""
        found = self._answers.get(what)
        try:
            if found is None:
                raise OSError(errno.ENOSYS, "not served")
            body = found(node, request[REQUEST.size :])
        except OSError as error:
            return ANSWER.pack(ANSWER.size, -(error.errno or errno.EIO), unique)
        return ANSWER.pack(ANSWER.size + len(body), 0, unique) + body

    def _init(self, _: int, body: bytes) -> bytes:
        (readahead,) = struct.unpack_from("<8xI", body)
        return struct.pack("<4I2H2I2H8I", 7, 31, readahead, 0, 16, 12, 1 << 16, 1, 32, 0, *[0] * 8)

    def _lookup(self, node: int, body: bytes) -> bytes:
        number = self._tree.number(node, body.partition(b"\0")[0].decode(errors="replace"))
        if not number:
            raise OSError(errno.ENOENT, "no such name")
        return ENTRY.pack(number, 0, VALID_S, VALID_S, 0, 0) + self._tree.attributes(number)

    def _read(self, _: int, body: bytes) -> bytes:
        offset, size = struct.unpack_from("<8xQI", body)
        count = max(0, min(size, self._tree.size - offset))
        if self._bytes_per_s:
            self._wait(count / self._bytes_per_s)
        return bytes(count)

    def _list(self, node: int, body: bytes) -> bytes:
        offset, room = struct.unpack_from("<8xQI", body)
        if offset == 0 and self._list_s:
            self._wait(self._list_s)
        found = bytearray()
        for index, name in enumerate(self._tree.names(node)[offset:], start=offset + 1):
            number = self._tree.number(node, name)
            kind = stat.S_IFDIR if self._tree.is_directory(number) else stat.S_IFREG
            entry = struct.pack("<QQII", number, index, len(name), kind >> 12) + name.encode()
            entry += bytes(-len(entry) % 8)
            if len(found) + len(entry) > room:
                break
            found += entry
        return bytes(found)


def serve(at: Path, slow: Slow) -> None:
    """Mounts the files at `at` and answers until they are unmounted. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open(DEVICE, os.O_RDWR)
    said = f"fd={device},rootmode={stat.S_IFDIR:o},user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"slowfs", bytes(at), b"fuse.slowfs", MS_RDONLY, said):
        raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}")

    def unmount() -> None:
        sys.stdin.buffer.read()
        libc.umount2(bytes(at), MNT_DETACH)

    threading.Thread(target=unmount, daemon=True).start()
    print("ready", flush=True)
    while True:
        try:
            request = os.read(device, MAX_REQUEST_BYTES)
        except OSError as error:
            if error.errno == errno.ENODEV:  # unmounted
                return
            if error.errno not in INTERRUPTED:
                raise
            continue
        if REQUEST.unpack_from(request)[1] == READDIR:
            threading.Thread(target=reply, args=(device, slow, request), daemon=True).start()
        else:
            reply(device, slow, request)


def reply(device: int, slow: Slow, request: bytes) -> None:
    if answer := slow.answer(request):
        try:
            os.write(device, answer)
        except OSError as error:
            if error.errno not in (*INTERRUPTED, errno.ENODEV):
                raise


class SlowFiles:
    """Such a file system, mounted at `at`; a context manager. `missing`: why there can be none."""

    missing = "" if DEVICE.exists() and os.geteuid() == 0 else "needs root and /dev/fuse"

    def __init__(self, at: Path, tree: Tree, *, bytes_per_s: float = 0.0, list_s: float = 0.0) -> None:
        self.at = at
        said = [*map(str, tree), str(bytes_per_s), str(list_s)]
        self._command = [sys.executable, "-m", "bench.slowfs", str(at), *said]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.at.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if self._process.stdout.readline().strip() != "ready":
            said = self._process.stderr.read().strip().splitlines() or ["it said nothing"]
            self.__exit__(None, None, None)
            raise SinkError(f"bench.slowfs did not start: {said[-1]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.communicate()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.slowfs")
    parser.add_argument("at", type=Path)
    for name in Tree._fields:
        parser.add_argument(name, type=int)
    parser.add_argument("bytes_per_s", type=float)
    parser.add_argument("list_s", type=float)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end of stdin unmounts
    tree = Tree(options.directories, options.files, options.size)
    serve(options.at, Slow(tree, options.bytes_per_s, options.list_s, time.sleep))
    return 0


if __name__ == "__main__":
    sys.exit(main())
