"""Reads sources once more: for a request whose body arrived otherwise than it was sent, and for an
object that is begun anew.

Whatever is read here is held in memory only after room for it was made, and what it replaces is let go
before: nothing waits for room that holds some.
"""

from __future__ import annotations

from typing import Any

import msgspec

from s3_upload.errors import FailureKind, Remedy, SourceError, UploadError
from s3_upload.http import SlicedBody, held_bytes
from s3_upload.sources.files import BigFile, HashedBody, Reader, UnsizedFile
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.existing import Question
from s3_upload.transfer.multipart import MultipartUpload
from s3_upload.transfer.read_ahead import Feed, Offload
from s3_upload.transfer.sink import Sink
from s3_upload.transfer.sliced import read_part
from s3_upload.transfer.unit import Unit, Upload


class Again:
    """See the module's text."""

    def __init__(self, feed: Feed, reader: Reader, offload: Offload, sink: Sink) -> None:
        self._feed = feed
        self._reader = reader
        self._in_parts = msgspec.structs.replace(reader, single_limit_bytes=-1)
        self._offload = offload
        self._sink = sink

    def begin(self, upload: Upload) -> None:
        """Begins the object of `upload`, which is done, anew, or at all."""
        if isinstance(upload, Question):
            self._feed.answered(upload)
        else:
            self._feed.run(self._begin(upload))

    def reread(self, unit: Unit) -> None:
        """Has `unit` tried again when its body has been read and hashed anew."""
        self._feed.run(self._reread(unit))

    async def _begin(self, upload: Upload) -> None:
        assert upload.history is not None
        reader = self._in_parts if upload.history.next is Remedy.IN_PARTS else self._reader
        size = self._reader.single_limit_bytes
        await self._feed.take_room(size)
        try:
            self._feed.begin_again(upload, await self._read(reader, upload.source))
        except SourceError as problem:
            upload.error = _error(upload, problem)
            self._feed.keys.free(upload.source.key)
            self._sink.report(upload.report(self._sink.now()))
        finally:
            self._feed.give_back(size)

    async def _reread(self, unit: Unit) -> None:
        upload, body = unit.upload, unit.operation.body
        size, room = len(body), held_bytes(body)
        in_slices = isinstance(body, SlicedBody)
        try:
            if upload.source.is_file:
                del body
                self._replace(unit, HashedBody(b""))
                await self._feed.take_room(room)
                try:
                    self._replace(unit, await self._body(unit, size, in_slices=in_slices))
                finally:
                    self._feed.give_back(room)
            elif not isinstance(body, SlicedBody):  # in memory, and nowhere else
                self._replace(unit, await self._offload(self._reader.hashed, body))
        except SourceError as problem:
            self._sink.give_up(unit, _error(upload, problem))
        else:
            self._sink.resume(unit)

    async def _body(self, unit: Unit, size: int, *, in_slices: bool) -> HashedBody:
        upload = unit.upload
        if isinstance(upload, MultipartUpload):
            assert upload.identity is not None
            return await read_part(
                self._reader,
                self._offload,
                upload.source.path,
                upload.identity,
                offset=upload.sizes.offset_of(unit.operation.part_number),
                size=size,
                in_slices=in_slices,
            )
        found = await self._read(self._reader, upload.source)
        if isinstance(found, BigFile):
            raise SourceError(f"{upload.source.path}: source changed", FailureKind.SOURCE_CHANGED)
        upload.size = len(found.body)
        return found

    async def _read(self, reader: Reader, source: ObjectSource) -> HashedBody | BigFile:
        results: list[Any] = await self._offload(reader.read_batch, [source], 0)
        if isinstance(results[0], SourceError):
            raise results[0]
        found: HashedBody | BigFile | UnsizedFile = results[0]
        if isinstance(found, UnsizedFile):
            raise SourceError(f"{source.path}: source changed", FailureKind.SOURCE_CHANGED)
        return found

    def _replace(self, unit: Unit, hashed: HashedBody) -> None:
        self._feed.release(unit)
        unit.operation = msgspec.structs.replace(
            unit.operation, body=hashed.body, sha256=hashed.sha256, checksum=hashed.checksum
        )
        self._feed.hold(unit)


def _error(upload: Upload, problem: SourceError) -> UploadError:
    tries = 1 + upload.retries
    return UploadError(str(problem), key=upload.source.key, kind=problem.kind, attempts=tries)
