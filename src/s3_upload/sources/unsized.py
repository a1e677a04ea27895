"""Files whose size tells nothing: FIFOs, those that claim to be empty and are not (/proc has such, and some
file systems of FUSE), and those of /sys, which claim to have a page.  They are read as streams, to their end.
"""

from __future__ import annotations

import os
from contextlib import suppress

import msgspec

from s3_upload.descriptors import patiently, read_some
from s3_upload.errors import SourceError
from s3_upload.sources.source import ObjectSource

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)


def stream_at(path: str, key: str) -> ObjectSource:
    """What can be read at `path`, as a stream that reports call by that path."""
    return ObjectSource(key=key, path=path, chunks=OpenedFile(path))


def as_stream(source: ObjectSource) -> ObjectSource:
    """The same file, as a stream."""
    return msgspec.structs.replace(source, chunks=OpenedFile(source.path))


class OpenedFile:
    """A binary file that is opened when it is first read, which may take until somebody writes to it, and is
    closed at its end, or when no more of it is wanted: it is nobody else's."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def read(self, size: int, /) -> bytes:
        """Raises `SourceError`."""
        try:
            if self._fd < 0:
                self._fd = patiently(lambda: os.open(self._path, _OPEN_FLAGS))
            chunk = read_some(self._fd, size)
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror or error}") from error
        if not chunk and size:
            self.close()
        return chunk

    def close(self) -> None:
        """Read once more, it is opened anew."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)

    def __del__(self) -> None:
        self.close()  # of a run that was stopped
