"""The source "-": what comes in by stdin, as the chunks of a stream.

Rules: a thread reads, since a pipe may have nothing to give for hours; at most one chunk is read
ahead of what was asked for; a pipe closed by its writer is an end like that of a file.  The thread is
a daemon: Ctrl-C does not wait for it.
"""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from s3_upload.cli.output import UsageError
from s3_upload.descriptors import read_some
from s3_upload.threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Container, Sequence

STDIN = "/dev/stdin"
"""How the source "-" is called from the parser on; whoever says so means the same."""
CHUNK_BYTES = 1 << 20


def for_parser(words: Sequence[str], switches: Container[str]) -> list[str]:
    """`words` as the parser takes them, which knows no lone "-". `switches`: the flags without a value;
    behind any other "-" is its value, as it is written."""
    taken: list[str] = []
    ended = waits = False  # whether the flags have; whether one of them waits for its value
    for word in words:
        if word != "-":
            taken.append(word)
        elif waits:
            taken[-1] += "=-"
        else:
            taken.append(STDIN)
        ended = ended or word == "--"
        waits = not ended and _waits(word, switches)
    return taken


def _waits(word: str, switches: Container[str]) -> bool:
    if not word.startswith("-") or word == "-" or "=" in word:
        return False
    names = (
        [word.replace("_", "-").lower()] if word.startswith("--") else [f"-{letter}" for letter in word[1:]]
    )
    return not all(name in switches for name in names)


def stdin_fd() -> int:
    """The file descriptor of stdin. Raises `UsageError` where there is none: its number may by now be
    that of something else."""
    if sys.stdin is None:
        raise UsageError("-: stdin is closed: there is nothing to read")
    return sys.stdin.fileno()


async def chunks(fd: int) -> AsyncIterator[bytes]:
    """What can be read from `fd` until its end, in chunks of `CHUNK_BYTES`, the last one smaller."""
    with closing(DaemonThreads(1, "s3-upload-stdin")) as threads:
        while chunk := await threads.call(lambda: _read(fd)):
            yield chunk


def _read(fd: int) -> bytes:
    pieces, missing = [], CHUNK_BYTES
    while missing and (piece := read_some(fd, missing)):  # a pipe gives 64 KiB at most at a time
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
