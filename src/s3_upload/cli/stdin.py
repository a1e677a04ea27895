"""The source "-": what comes in by stdin, as the chunks of a stream.

Rules: a thread reads, since a pipe may have nothing to give for hours; at most one chunk is read
ahead of what was asked for; a pipe closed by its writer is an end like that of a file.  The thread is
a daemon: Ctrl-C does not wait for it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from s3_upload.cli.output import UsageError
from s3_upload.threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STDIN = "/dev/stdin"
"""How "-" is called from the parser on; whoever says so means the same."""
CHUNK_BYTES = 1 << 20


def stdin_fd() -> int:
    """The file descriptor of stdin. Raises `UsageError` where there is none: its number may by now be
    that of something else."""
    if sys.stdin is None:
        raise UsageError("-: stdin is closed: there is nothing to read")
    return sys.stdin.fileno()


async def chunks(fd: int) -> AsyncIterator[bytes]:
    """What can be read from `fd` until its end, in chunks of `CHUNK_BYTES`, the last one smaller."""
    threads = DaemonThreads(1, "s3-upload-stdin")
    try:
        while chunk := await threads.call(lambda: _read(fd)):
            yield chunk
    finally:
        threads.close()


def _read(fd: int) -> bytes:
    pieces, missing = [], CHUNK_BYTES
    while missing and (piece := os.read(fd, missing)):  # a pipe gives 64 KiB at most at a time
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
