"""Makes of a source what sends it, or the report of one that cannot be sent."""

from __future__ import annotations

from collections.abc import Callable

from s3_upload.config import UploadConfig
from s3_upload.errors import SourceError, UploadError
from s3_upload.parts import MAX_PART_BYTES, PartSizes, StoreParts, sizes_for
from s3_upload.report import SKIPPED, AttemptReport, UploadReport
from s3_upload.request_fields import RequestFields
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.sources.files import HashedBody
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import Identity
from s3_upload.transfer.multipart import MultipartUpload
from s3_upload.transfer.sink import Sink
from s3_upload.transfer.unit import Unit, Upload
from s3_upload.units import show_size


class Objects:
    """The objects of one run, which goes to `bucket`."""

    def __init__(
        self,
        *,
        sink: Sink,
        bucket: str,
        config: UploadConfig,
        parts: StoreParts,
        checksum_algorithm: str,
        fields_of: Callable[[ObjectSource], RequestFields],
        attempts_of: Callable[[int], list[AttemptReport]] | None,
    ) -> None:
        """`attempts_of`: what it took to ask about an object before."""
        self._sink = sink
        self._bucket = bucket
        self._part_size = config.part_size
        self._parts = parts
        self._checksum_algorithm = checksum_algorithm
        self._fields_of = fields_of
        self._attempts_of = attempts_of

    def single(self, seq: int, source: ObjectSource, hashed: HashedBody, now: float) -> Unit:
        """The one request of an object whose body has been read."""
        body = hashed.body
        upload = Upload(seq, source, len(body), started_s=now, est_MBps=self._sink.est_MBps())
        if self._attempts_of is not None:
            upload.attempt_reports = self._attempts_of(seq)
        return Unit(
            upload,
            Operation(
                name=PUT_OBJECT,
                bucket=self._bucket,
                key=source.key,
                body=body,
                sha256=hashed.sha256,
                checksum=hashed.checksum,
                fields=self._fields_of(source),
            ),
        )

    def part_sizes(self, source: ObjectSource, size: int | None) -> PartSizes:
        """How `source`, which has `size` bytes if that is known, is cut into parts.

        Raises `SourceError` for what is larger than a store takes.
        """
        sizes = sizes_for(size, self._part_size, self._parts.rules)
        if sizes.first > MAX_PART_BYTES:
            raise SourceError(
                f"{source.name}: {size:,} bytes are more than the store takes: "
                f"{sizes.max_count:,} parts of {show_size(MAX_PART_BYTES)}"
            )
        return sizes

    def multipart(
        self, seq: int, source: ObjectSource, size: int, identity: Identity | None, sizes: PartSizes
    ) -> MultipartUpload:
        """An object in parts; `identity` is the version of its file, None for a stream."""
        upload = MultipartUpload(
            seq,
            source,
            size,
            bucket=self._bucket,
            fields=self._fields_of(source),
            sizes=sizes,
            store_parts=self._parts,
            checksum_algorithm=self._checksum_algorithm,
            identity=identity,
            started_s=self._sink.now(),
            est_MBps=self._sink.est_MBps(),
        )
        if self._attempts_of is not None:
            upload.attempt_reports = self._attempts_of(seq)
        return upload

    def unread(self, seq: int, source: ObjectSource, problem: SourceError | None) -> UploadReport:
        """The report of a source that failed before its first attempt or, without a problem, was skipped."""
        error = UploadError(str(problem), key=source.key, kind=problem.kind) if problem else None
        return UploadReport(
            seq=seq,
            key=source.key,
            source=source.name,
            bytes=0,
            outcome=error.kind.value if error else SKIPPED,
            error=error,
            reason=str(problem) if problem else source.skip_reason,
            attempt_reports=tuple(self._attempts_of(seq)) if self._attempts_of is not None else (),
            object=source,
        )
