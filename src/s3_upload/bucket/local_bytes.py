"""The bytes of sources, read to be compared, and how many have been: a big file shows that it goes on.

Several threads read at a time, and what shows the run looks meanwhile.  What is read twice, since a first
checksum did not decide, counts twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from s3_upload.bucket.compare import Local
from s3_upload.http import Buffer
from s3_upload.sources.files import SUM_BYTES, pieces_of


class LocalBytes:
    """Of one comparison."""

    def __init__(self) -> None:
        self.read_bytes = 0
        """So far, of all."""
        self._lock = threading.Lock()

    def pieces(self, local: Local) -> Iterator[Buffer]:
        """The bytes of a source, SUM_BYTES at a time, in a thread that may wait. Raises `SourceError`."""
        for piece in _pieces(local):
            with self._lock:
                self.read_bytes += len(piece)
            yield piece


def _pieces(local: Local) -> Iterator[Buffer]:
    source = local.source
    assert local.size is not None
    if source.body is None:
        yield from pieces_of(source.path, local.size)
        return
    body = memoryview(source.body)
    for start in range(0, len(body), SUM_BYTES):
        yield body[start : start + SUM_BYTES]
