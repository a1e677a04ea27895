"""Reads whole objects once more: where a body arrived otherwise, or where there is another way to send it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from s3_upload.errors import FailureKind, SourceError
from s3_upload.http import SlicedBody
from s3_upload.sources.files import BigFile, HashedBody, Reader, UnsizedFile
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.tries import Request

Offload = Callable[..., Awaitable[Any]]
"""`await offload(function, *arguments)` runs a blocking function off the loop."""


async def read_file(reader: Reader, offload: Offload, source: ObjectSource) -> HashedBody | BigFile:
    """Raises `SourceError`, also where its size shows only when it is read: that of a file does not."""
    [found] = await offload(reader.read_batch, [source], 0)
    if isinstance(found, SourceError):
        raise found
    if isinstance(found, UnsizedFile):
        raise SourceError(f"{source.path}: source changed", FailureKind.SOURCE_CHANGED)
    read: HashedBody | BigFile = found
    return read


class WholeBodies:
    """Bodies of objects that go in one request."""

    def __init__(self, reader: Reader, offload: Offload) -> None:
        self._reader = reader
        self._offload = offload

    async def read(self, request: Request) -> HashedBody:
        """The body of `request` once more: of its file as it is now; what is in memory only is hashed once
        more.  Raises `SourceError`."""
        record, sent = request.record, request.operation
        if record.source.is_file:
            found = await read_file(self._reader, self._offload, record.source)
            if isinstance(found, BigFile):
                raise SourceError(f"{record.source.path}: source changed", FailureKind.SOURCE_CHANGED)
            record.sized(len(found.body), found.mtime_ns, found.checksum)
            return found
        if isinstance(sent.body, SlicedBody):  # its slices are checked as they leave
            return HashedBody(sent.body, sent.sha256, sent.checksum)
        hashed: HashedBody = await self._offload(self._reader.hashed, sent.body)
        return hashed
